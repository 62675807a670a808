//! `explore`, actors, and wakers that count. Also for the models in `src/time/fixed`, where std has to be named.
#![allow(dead_code, reason = "each model file uses its part")]

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned, model};
use std::boxed::Box;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::println;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Runs `scene` in every interleaving with at most `bound` preemptions, and checks after each that no node is left.
///
/// `CANCEL_TREE_LOOM_DEEPER=n` adds n to every bound, `LOOM_MAX_PREEMPTIONS=n` replaces them. A deeper search may be cut
/// by `CANCEL_TREE_LOOM_SECONDS`, and says so; at its own bound a model always runs to the end. Fails if fewer than
/// `floor` interleavings were explored at that bound: actors that do not meet prove nothing.
#[track_caller]
pub fn explore(name: &str, bound: usize, floor: usize, scene: impl Fn() + Send + Sync + 'static) {
    let number = |key: &str| std::env::var(key).ok().and_then(|n| n.parse::<usize>().ok());
    let wanted = number("LOOM_MAX_PREEMPTIONS").unwrap_or(bound + number("CANCEL_TREE_LOOM_DEEPER").unwrap_or(0));
    let limit = number("CANCEL_TREE_LOOM_SECONDS").filter(|_| wanted > bound).map(|n| Duration::from_secs(n as u64));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(wanted);
    builder.max_branches = 20_000;
    builder.max_duration = limit;
    builder.checkpoint_interval = 1_000;
    let start = Instant::now();
    builder.check(move || {
        model::settle();
        scene();
        assert_eq!(model::live_nodes(), 0, "leak: nodes are left at the end");
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let count = count.load(Ordering::Relaxed);
    let cut = if limit.is_some_and(|limit| start.elapsed() >= limit) { "cut" } else { "all" };
    println!("EXPLORED | {name} | {wanted} | {count} | {cut} |");
    assert!(wanted < bound || count >= floor, "{name}: only {count} interleavings, {floor} expected");
}

std::thread_local! {
    static ORDER: Cell<usize> = const { Cell::new(0) };
}

/// Runs `scene` once for each order in which that many actors can be started: with three, not all orders come by themselves.
pub fn in_every_order(actors: usize, scene: impl Fn()) {
    for order in 0..(1..=actors).product() {
        ORDER.set(order);
        scene();
    }
    ORDER.set(0);
}

/// Runs the actors, each on its own thread, and waits for all: so a preemption is never spent on the one who waits. The scene's
/// own thread is none of them: loom tries another order where two accesses conflict, but of each atomic it remembers only the
/// last. So if an actor loads a word and then changes it, the change is not tried before a load by the thread that was there
/// first.
///
/// `CANCEL_TREE_LOOM_ORDER=n` starts them in another order.
pub fn together<const N: usize>(actors: [Box<dyn FnOnce() + Send>; N]) {
    let mut order = match ORDER.get() {
        0 => std::env::var("CANCEL_TREE_LOOM_ORDER").map_or(0, |n| n.parse().expect("a number")),
        order => order,
    };
    let mut actors = actors;
    for first in 0..N {
        actors[first..].rotate_left(order % (N - first));
        order /= N - first;
    }
    let threads = actors.map(loom::thread::spawn);
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The same tokens for one more actor, whose end drops no handle: the scene does that when it is alone again.
pub fn kept<const N: usize>(tokens: &[Arc<CancellationToken>; N]) -> [Arc<CancellationToken>; N] {
    tokens.clone()
}

/// An actor: a boxed closure.
#[macro_export]
macro_rules! actor {
    ($body:expr) => {{
        let actor: Box<dyn FnOnce() + Send> = Box::new(move || {
            $body;
        });
        actor
    }};
}

/// Counts its wakes. The count is no loom object: what a model claims rests on the tree's orderings alone.
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

/// A wait for the token that has a handle of its own, polled once.
pub fn wait(token: &CancellationToken, waker: &Waker) -> WaitForCancellationFutureOwned {
    let mut wait = token.clone().cancelled_owned();
    assert!(poll(&mut wait, waker).is_pending());
    wait
}

pub fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}
