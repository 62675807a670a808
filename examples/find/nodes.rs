//! Counts the nodes of the token tree on the heap.
//!
//! The crate does not show its nodes, but each is one allocation, and `CancellationToken::new()` makes exactly one. So
//! the allocator learns their layout from that call, and from then on counts the living blocks of this layout. (Its
//! alignment of 16 makes it a rare one: nothing else in this program asks for it.)

use cancel_tree::CancellationToken;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};

pub(crate) struct Counting;

static LEARNING: AtomicBool = AtomicBool::new(false);
/// Of a node; zero until it is learned.
static SIZE: AtomicUsize = AtomicUsize::new(0);
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
    MADE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
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
    layout.size() == SIZE.load(Relaxed) && layout.align() == ALIGN.load(Relaxed)
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

fn count_gone(layout: Layout) {
    if is_node(layout) {
        LIVE.fetch_sub(1, Relaxed);
    }
}

// SAFETY: every call goes on to `System`, unchanged; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_new(layout);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_new(layout);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A buffer that grows. No node does.
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count_gone(layout);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
