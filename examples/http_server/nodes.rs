//! Counts the nodes of the token tree on the heap, as `find` does, but of every kind: those with a deadline, and those
//! of callbacks, are larger.
//!
//! The crate does not show its nodes, but each is one allocation, and `CancellationToken::new()` makes a smallest one.
//! What is aligned like that, and no smaller, is a node: their alignment is a rare one. (The tables of the signal
//! handlers have it as well; they are made before the count begins, and stay.)

use cancel_tree::CancellationToken;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};

pub(crate) struct Counting;

static LEARNING: AtomicBool = AtomicBool::new(false);
/// Of the smallest node; of no use until they are learned.
static SIZE: AtomicUsize = AtomicUsize::new(usize::MAX);
static ALIGN: AtomicUsize = AtomicUsize::new(0);

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);

/// Learns what a node looks like. To be called once, before there is a second thread or a token.
pub(crate) fn learn_layout() {
    LEARNING.store(true, Relaxed);
    let token = CancellationToken::new();
    LEARNING.store(false, Relaxed);
    assert_eq!(made(), 1, "a new token is one allocation");
    drop(token);
    assert_eq!(live(), 0, "a dropped token gives its node back");
}

/// Counts from here on. To be called before there is a token.
pub(crate) fn start() {
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    MADE.store(0, Relaxed);
}

/// The nodes that are on the heap now.
pub(crate) fn live() -> isize {
    LIVE.load(Relaxed)
}

/// The most nodes that were on the heap at once.
pub(crate) fn peak() -> isize {
    PEAK.load(Relaxed)
}

/// All nodes that were ever made.
pub(crate) fn made() -> usize {
    MADE.load(Relaxed)
}

fn is_node(layout: Layout) -> bool {
    layout.align() == ALIGN.load(Relaxed) && layout.size() >= SIZE.load(Relaxed)
}

fn count_new(layout: Layout) {
    if LEARNING.load(Relaxed) {
        SIZE.store(layout.size(), Relaxed);
        ALIGN.store(layout.align(), Relaxed);
    }
    if is_node(layout) {
        MADE.fetch_add(1, Relaxed);
        PEAK.fetch_max(LIVE.fetch_add(1, Relaxed) + 1, Relaxed);
    }
}

// SAFETY: every call goes on to `System`, unchanged; counting neither allocates nor panics. `alloc_zeroed` and
// `realloc` are the trait's own, which come here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_new(layout);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_node(layout) {
            LIVE.fetch_sub(1, Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
