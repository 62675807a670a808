use crate::harness::Row;
use crate::scenario::{Executor, run};
use crate::smol::{TIMER, child_with_timeout};
use async_std::task;
use cancel_tree::CancellationToken;
use std::future::Future;
use std::time::Duration;

#[derive(Clone)]
struct AsyncStd;

impl Executor for AsyncStd {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        task::spawn(task);
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        child_with_timeout(parent, timeout)
    }
}

#[test]
fn async_std() {
    Row { executor: "async-std, its threads", package: "async-std", timer: TIMER }.passes(|place| {
        task::block_on(run(AsyncStd, place));
    });
}
