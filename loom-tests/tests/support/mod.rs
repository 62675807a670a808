//! `explore`, and wakers that count.

use cancel_tree::{CancellationToken, model};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Runs `actors` in every interleaving with at most `bound` preemptions (`LOOM_MAX_PREEMPTIONS` overrides it), and
/// checks after each that no node is left. Fails if fewer than `floor` interleavings were explored: a model whose
/// threads do not meet proves nothing.
#[track_caller]
pub fn explore(name: &str, bound: usize, floor: usize, actors: impl Fn() + Send + Sync + 'static) {
    let bound = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(bound);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 20_000;
    builder.check(move || {
        model::settle();
        actors();
        assert_eq!(model::live_nodes(), 0, "leak: nodes are left at the end");
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let count = count.load(Ordering::Relaxed);
    println!("{name}: {count} interleavings, at most {bound} preemptions");
    assert!(count >= floor, "{name}: only {count} interleavings, {floor} expected");
}

/// Counts its wakes. The count is not a loom object: the model's claims rest on the tree alone.
#[derive(Default)]
pub struct Counter(AtomicUsize);

impl Counter {
    pub fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (counter.clone(), counter.into())
    }
    pub fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Waits for the token as an executor would: parks the thread until its waker runs.
pub fn block_on_cancelled(token: &CancellationToken) {
    let mut wait = pin!(token.cancelled());
    loom::future::block_on(async move { wait.as_mut().await });
}
