//! What the test files share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod callbacks;
#[cfg(feature = "std")]
pub(crate) mod contexts;
pub(crate) mod nodes;
#[cfg(feature = "task")]
pub(crate) mod trackers;
pub(crate) mod wakers;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Runs `f` alone, and asserts that it leaves no node behind.
///
/// Nodes that one test's cancel found dead may be freed by another test's drop: so one test at a time.
pub(crate) fn balanced<R>(f: impl FnOnce() -> R) -> R {
    let _alone = nodes::exclusive();
    let before = nodes::live();
    let result = f();
    assert_eq!(nodes::live(), before, "nodes are left, or too many were freed");
    result
}

/// As [`balanced`], where another thread, the timer's for example, may be about to let go of a node when `f` returns: waits
/// until it has.
pub(crate) fn settles<R>(f: impl FnOnce() -> R) -> R {
    let _alone = nodes::exclusive();
    let before = nodes::live();
    let result = f();
    let start = Instant::now();
    loop {
        nodes::empty_graveyard();
        let now = nodes::live();
        if now == before {
            return result;
        }
        assert!(now > before, "too many nodes were freed");
        assert!(start.elapsed() < PATIENCE, "{} nodes are left", now - before);
        std::thread::yield_now();
    }
}

/// For what has to happen, if not on time: longer than any loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it says true, for however long a loaded machine may need.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What one thread has done with the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Allocations and frees.
    pub(crate) calls: usize,
    /// Bytes taken less bytes given back.
    pub(crate) bytes: isize,
}

/// Runs `f` and returns what it returned, and what it did with the allocator on this thread.
pub(crate) fn measure<R>(f: impl FnOnce() -> R) -> (R, Account) {
    let (calls, bytes) = (nodes::calls(), nodes::bytes());
    let result = f();
    (result, Account { calls: nodes::calls() - calls, bytes: nodes::bytes() - bytes })
}

/// Runs `f` on a thread with a stack of 64 KiB.
pub(crate) fn on_a_small_stack<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(f).expect("a thread can be started");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) fn signed(count: usize) -> isize {
    isize::try_from(count).expect("no test counts further")
}

/// The value, for ever; and known to somebody for ever, so that it is no leak to who looks for those.
pub(crate) fn for_ever<T: Sync>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let value: &'static T = Box::leak(Box::new(value));
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(std::ptr::from_ref(value).expose_provenance());
    value
}

/// Numbers that look random and are the same in every run: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("a usize fits")).expect("less than a usize")
    }
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// How long a test of many rounds goes on: `CANCEL_TREE_STRESS_ROUNDS` rounds, or `CANCEL_TREE_STRESS_SECONDS` seconds,
/// or else `seconds`.
pub(crate) fn until_done(seconds: u64) -> impl FnMut() -> bool {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a whole number"));
    let mut rounds = number("CANCEL_TREE_STRESS_ROUNDS");
    let time = Duration::from_secs(number("CANCEL_TREE_STRESS_SECONDS").unwrap_or(seconds));
    let start = Instant::now();
    move || match &mut rounds {
        Some(0) => true,
        Some(left) => {
            *left -= 1;
            false
        }
        None => start.elapsed() >= time,
    }
}
