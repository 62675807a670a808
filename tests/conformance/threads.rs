use crate::harness::Row;
use crate::scenario::{Executor, run};
use std::future::Future;
use std::thread;

/// A thread for each task.
#[derive(Clone)]
struct Threads;

impl Executor for Threads {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        thread::spawn(|| futures_lite::future::block_on(task));
    }
}

#[test]
fn block_on() {
    Row { executor: "a thread for each task, `block_on`", package: "futures-lite", timer: "ThreadTimer" }
        .passes(|place| futures_lite::future::block_on(run(Threads, place)));
}
