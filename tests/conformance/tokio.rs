use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use cancel_tree::CancellationToken;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

/// On the runtime's timer, if the feature is there.
const TIMER: &str = if cfg!(feature = "tokio") { "TokioTimer" } else { "ThreadTimer" };

#[cfg(feature = "tokio")]
fn child_with_timeout(parent: &CancellationToken, timeout: Duration) -> CancellationToken {
    crate::scenario::on_timer(&cancel_tree::time::TokioTimer::current(), parent, timeout)
}

#[cfg(not(feature = "tokio"))]
fn child_with_timeout(parent: &CancellationToken, timeout: Duration) -> CancellationToken {
    crate::scenario::on_timer(&cancel_tree::time::ThreadTimer::new(), parent, timeout)
}

fn runtime(mut builder: Builder) -> Runtime {
    builder.enable_time().build().expect("a runtime")
}

#[derive(Clone)]
struct OnRuntime;

impl Executor for OnRuntime {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        child_with_timeout(parent, timeout)
    }
}

#[test]
fn current_thread() {
    Row { executor: "tokio, `current_thread`", package: "tokio", timer: TIMER }.passes(|place| {
        runtime(Builder::new_current_thread()).block_on(run(OnRuntime, place));
    });
}

#[test]
fn multi_thread() {
    Row { executor: "tokio, `multi_thread`", package: "tokio", timer: TIMER }.passes(|place| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(3);
        runtime(builder).block_on(run(OnRuntime, place));
    });
}

#[derive(Clone)]
struct InLocalSet;

impl Executor for InLocalSet {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        child_with_timeout(parent, timeout)
    }
}

impl Local for InLocalSet {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }
}

#[test]
fn local_set() {
    Row { executor: "tokio, `LocalSet`", package: "tokio", timer: TIMER }.passes(|place| {
        LocalSet::new().block_on(&runtime(Builder::new_current_thread()), async {
            run(InLocalSet, place).await;
            run_local(InLocalSet, place).await;
        });
    });
}
