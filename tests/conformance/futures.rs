use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use futures_executor::{LocalPool, LocalSpawner, ThreadPool, block_on};
use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn};
use std::future::Future;

#[derive(Clone)]
struct OnPool(ThreadPool);

impl Executor for OnPool {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn_ok(task);
    }
}

#[test]
fn thread_pool() {
    Row { executor: "futures, `ThreadPool`", package: "futures-executor", timer: "ThreadTimer" }.passes(|place| {
        // A task that has woken itself is polled again at once: so each that looks, and gives way, has its thread.
        let pool = ThreadPool::builder().pool_size(16).create().expect("threads");
        block_on(run(OnPool(pool), place));
    });
}

#[derive(Clone)]
struct InLocalPool(LocalSpawner);

impl Executor for InLocalPool {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn_obj(FutureObj::new(Box::new(task))).expect("the pool is there");
    }
}

impl Local for InLocalPool {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn_local_obj(LocalFutureObj::new(Box::new(task))).expect("the pool is there");
    }
}

#[test]
fn local_pool() {
    Row { executor: "futures, `LocalPool`", package: "futures-executor", timer: "ThreadTimer" }.passes(|place| {
        let mut pool = LocalPool::new();
        let executor = InLocalPool(pool.spawner());
        pool.run_until(async {
            run(executor.clone(), place).await;
            run_local(executor.clone(), place).await;
        });
    });
}
