//! The scenario on WebAssembly, where there are no threads and, on `wasm32-unknown-unknown`, no clock either: an executor by
//! hand, which is the timer's interrupt, too. `run.mjs` runs it under Node.

#[path = "../../../conformance/by_hand.rs"]
mod by_hand;
#[path = "../../../support/nodes.rs"]
mod nodes;
#[path = "../../../conformance/scenario/mod.rs"]
mod scenario;

use by_hand::ByHand;
use cancel_tree::CancellationToken;
use cancel_tree::time::{Clock, StaticTimer};
use scenario::{Executor, Local, POOL, Place, on_timer, run, run_local};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A clock that counts what the executor has done, a millisecond for each poll of a task.
struct Polls;
static POLLS: AtomicU64 = AtomicU64::new(0);

impl Clock for Polls {
    fn now() -> Duration {
        Duration::from_millis(POLLS.load(Relaxed))
    }
}

static TIMER: StaticTimer<Polls, 8> = StaticTimer::new();

fn tick() {
    POLLS.fetch_add(1, Relaxed);
    TIMER.poll();
}

#[derive(Clone)]
struct OneThread(ByHand);

impl Executor for OneThread {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
    fn elsewhere(&self, f: impl FnOnce() + Send + 'static) {
        self.0.spawn(async { f() });
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        on_timer(&&TIMER, parent, timeout)
    }
}

impl Local for OneThread {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task);
    }
}

fn main() {
    let _alone = nodes::exclusive();
    for place in [Place::Heap, Place::Pool] {
        let before = nodes::live();
        let executor = OneThread(ByHand::new(|| ()));
        let main = async {
            run(executor.clone(), place).await;
            run_local(executor.clone(), place).await;
        };
        // Nothing is ready: time goes on all the same, until the timer finds somebody to wake.
        executor.0.run_until(main, tick, || ());
        drop(executor);
        nodes::empty_graveyard();
        assert_eq!(
            (nodes::live() - before, POOL.in_use(), TIMER.in_use()),
            (0, 0, 0),
            "nodes, and places of the timer"
        );
    }
}
