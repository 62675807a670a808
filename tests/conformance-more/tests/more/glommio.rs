use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use std::future::Future;

#[derive(Clone)]
struct Glommio;

impl Executor for Glommio {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
}

impl Local for Glommio {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(task).detach();
    }
}

/// With few rings, as little memory may be locked.
fn executor() -> glommio::Result<LocalExecutor, ()> {
    LocalExecutorBuilder::new(Placement::Unbound).io_memory(1 << 20).ring_depth(32).make()
}

#[test]
fn glommio() {
    let row = Row { executor: "glommio", package: "glommio", timer: "ThreadTimer" };
    if let Err(error) = executor() {
        return row.skip(&format!("no io_uring for it here: {error}"));
    }
    row.passes(|place| {
        executor().expect("it was there just now").run(async {
            run(Glommio, place).await;
            run_local(Glommio, place).await;
        });
    });
}
