//! Counts the nodes of the token tree on the heap.
//!
//! The crate does not show its nodes, but each is one allocation, of a rare alignment and of a size that depends on the
//! kind of node. So the allocator learns these from one token of each kind that the search makes, and from then on
//! counts the living blocks of these layouts. (All blocks of the alignment would be too many: hash tables have it, such
//! as that of the signal handlers, which stays. It has another size.)

use cancel_tree::CancellationToken;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) struct Counting;

/// Kinds of nodes: plain ones, those with a deadline of their own, those with an ancestor's, and callbacks.
const KINDS: usize = 4;
/// How long to wait, at most, for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

static LEARNING: AtomicBool = AtomicBool::new(false);
/// Of the nodes; zero until they are learned.
static SIZES: [AtomicUsize; KINDS] = [const { AtomicUsize::new(0) }; KINDS];
static ALIGN: AtomicUsize = AtomicUsize::new(0);

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);

/// Learns what nodes look like. To be called once, before there is a second thread or a token.
pub(crate) fn learn_layouts() {
    LEARNING.store(true, Relaxed);
    let plain = CancellationToken::new();
    // Its deadline must not be one that never comes: for that, no timer would be needed.
    let timed = plain.child_with_timeout(Duration::from_secs(3600));
    let below = timed.child_token();
    let callback = crate::search::cancel_with_own(&plain, &below);
    LEARNING.store(false, Relaxed);
    assert_eq!(made(), KINDS, "each is one allocation of its alignment");
    drop((callback, plain, timed, below));
    assert_eq!(left(), 0, "dropped tokens give their nodes back");
    MADE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
}

/// The nodes that are still on the heap when all tokens have been dropped. What the timer's thread has of those with a
/// deadline, it gives back within milliseconds, which this waits for.
pub(crate) fn left() -> isize {
    let patience = Instant::now() + PATIENCE;
    while LIVE.load(Relaxed) != 0 && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
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
    layout.align() == ALIGN.load(Relaxed) && SIZES.iter().any(|size| size.load(Relaxed) == layout.size())
}

fn count_new(layout: Layout) {
    if LEARNING.load(Relaxed) {
        let known = made();
        if known == 0 {
            ALIGN.store(layout.align(), Relaxed);
        }
        // The start of the timer's thread allocates as well, but nothing so aligned.
        if known < KINDS && layout.align() == ALIGN.load(Relaxed) {
            SIZES[known].store(layout.size(), Relaxed);
        }
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
