use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use cancel_tree::CancellationToken;
use smol::LocalExecutor;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// On the reactor's timer, if the feature is there.
pub(crate) const TIMER: &str = if cfg!(feature = "async-io") { "AsyncIoTimer" } else { "ThreadTimer" };

#[cfg(feature = "async-io")]
pub(crate) fn child_with_timeout(parent: &CancellationToken, timeout: Duration) -> CancellationToken {
    crate::scenario::on_timer(&cancel_tree::time::AsyncIoTimer::new(), parent, timeout)
}

#[cfg(not(feature = "async-io"))]
pub(crate) fn child_with_timeout(parent: &CancellationToken, timeout: Duration) -> CancellationToken {
    crate::scenario::on_timer(&cancel_tree::time::ThreadTimer::new(), parent, timeout)
}

#[derive(Clone)]
struct Global;

impl Executor for Global {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        child_with_timeout(parent, timeout)
    }
}

#[test]
fn global() {
    Row { executor: "smol, its threads", package: "smol", timer: TIMER }.passes(|place| {
        smol::block_on(run(Global, place));
    });
}

#[derive(Clone)]
struct ThisThread(Rc<LocalExecutor<'static>>);

impl Executor for ThisThread {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        child_with_timeout(parent, timeout)
    }
}

impl Local for ThisThread {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task).detach();
    }
}

#[test]
fn local() {
    Row { executor: "async-executor, `LocalExecutor`", package: "async-executor", timer: TIMER }.passes(|place| {
        let executor = ThisThread(Rc::default());
        smol::block_on(executor.0.run(async {
            run(executor.clone(), place).await;
            run_local(executor.clone(), place).await;
        }));
    });
}
