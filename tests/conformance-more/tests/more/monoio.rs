use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use monoio::{LegacyDriver, RuntimeBuilder};
use std::future::{Future, poll_fn};
use std::task::Poll;

#[derive(Clone)]
struct Monoio;

impl Executor for Monoio {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }

    /// A task that wakes itself goes before all others: so another one has to.
    fn give_way() -> impl Future<Output = ()> + Send {
        let mut given = false;
        poll_fn(move |context| {
            if std::mem::replace(&mut given, true) {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            monoio::spawn(async move { waker.wake() });
            Poll::Pending
        })
    }
}

impl Local for Monoio {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        monoio::spawn(task);
    }
}

/// Its feature `sync` is what lets wakers be called from other threads.
#[test]
fn monoio() {
    let row = Row { executor: "monoio, epoll, feature `sync`", package: "monoio", timer: "ThreadTimer" };
    row.passes(|place| {
        RuntimeBuilder::<LegacyDriver>::new().build().expect("a runtime").block_on(async {
            run(Monoio, place).await;
            run_local(Monoio, place).await;
        });
    });
}
