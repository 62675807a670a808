//! Counts the crate's nodes from outside: a global allocator that knows the layouts of nodes.
//!
//! A node has an alignment that hardly anything else asks for, and at least the size of a plain token; what it carries (a
//! closure, a timer's, a list of links, a name) makes it larger, in whole words, and in these tests by no more than
//! [`MOST_CARRIED`], but for those that carry wakers. Of std only hash tables are aligned like that: so none may be made where nodes are counted. (Those of
//! the test harness are of other sizes: it puts pairs of 32 bytes into tables of 4, 8, 16 ... places, with a control byte
//! and more for each, which makes 148, 280, 544.)
//!
//! Tests that count hold [`exclusive`]: what a cancel leaves in the graveyard is freed by the next drop of any token, on
//! whatever thread, so two trees in one process cannot be counted side by side.

use cancel_tree::CancellationToken;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much larger than a plain token a node can be: its tail, and what it carries.
const MOST_CARRIED: usize = 160;

/// The layout of a plain token; zero until it is known.
static NODE_SIZE: AtomicUsize = AtomicUsize::new(0);
static NODE_ALIGN: AtomicUsize = AtomicUsize::new(0);
/// The sizes of those that carry the wakers of a token's second to eleventh waiter, and of those from the 105th on (or, of a smaller word,
/// some earlier one).
static FIRST_BLOCK: AtomicUsize = AtomicUsize::new(0);
static BLOCK: AtomicUsize = AtomicUsize::new(0);
/// Live nodes, of all threads.
static NODES: AtomicIsize = AtomicIsize::new(0);
/// Live bytes, of all threads.
static ALL_BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// What this thread has allocated, less what it has freed.
    static BYTES: Cell<isize> = const { Cell::new(0) };
    /// The most that this has been since it was asked for.
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// How often this thread has called the allocator.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LATEST: Cell<Option<Layout>> = const { Cell::new(None) };
}

fn is_node(layout: Layout) -> bool {
    let carried = layout.size().checked_sub(NODE_SIZE.load(Relaxed));
    layout.align() == NODE_ALIGN.load(Relaxed)
        && (carried.is_some_and(|carried| carried <= MOST_CARRIED && carried % size_of::<usize>() == 0)
            || layout.size() == FIRST_BLOCK.load(Relaxed)
            || layout.size() == BLOCK.load(Relaxed))
}

fn count(layout: Layout, blocks: isize) {
    if is_node(layout) {
        NODES.fetch_add(blocks, Relaxed);
    }
    ALL_BYTES.fetch_add(blocks * layout.size() as isize, Relaxed);
    // No counting while a thread ends: nobody could read it.
    let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + blocks * layout.size() as isize));
    let _ = BYTES.try_with(|bytes| PEAK.try_with(|peak| peak.set(peak.get().max(bytes.get()))));
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    let _ = LATEST.try_with(|latest| latest.set(Some(layout)));
}

// SAFETY: everything is done by `System`; the counting allocates nothing and cannot panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Keeps all others from making nodes, and sees to it that none is left and that the layout is known.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = calls();
    let token = CancellationToken::new();
    let layout = LATEST.get().expect("a token is on the heap");
    assert_eq!(self::calls(), calls + 1, "a token is one allocation");
    let mut waits = [(); 105].map(|()| token.cancelled());
    let mut latest = [layout; 105];
    for (wait, latest) in waits.iter_mut().zip(&mut latest) {
        assert!(Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        *latest = LATEST.get().expect("a token is on the heap");
    }
    drop(waits);
    drop(token);
    FIRST_BLOCK.store(latest[1].size(), Relaxed);
    BLOCK.store(latest[104].size(), Relaxed);
    NODE_SIZE.store(layout.size(), Relaxed);
    NODE_ALIGN.store(layout.align(), Relaxed);
    alone
}

/// How many nodes are live now.
#[allow(dead_code, reason = "not every user counts nodes")]
pub(crate) fn live() -> isize {
    NODES.load(Relaxed)
}

/// What this thread has allocated, less what it has freed.
#[allow(dead_code, reason = "not every user counts bytes")]
pub(crate) fn bytes() -> isize {
    BYTES.get()
}

/// Runs `f` and returns how much more this thread had allocated at once than before.
#[allow(dead_code, reason = "not every user counts bytes")]
pub(crate) fn peak(f: impl FnOnce()) -> isize {
    let before = bytes();
    PEAK.set(before);
    f();
    PEAK.get() - before
}

/// What all threads have allocated, less what they have freed: with the noise of others, the test harness for one.
#[allow(dead_code, reason = "not every user looks at other threads")]
pub(crate) fn all_bytes() -> isize {
    ALL_BYTES.load(Relaxed)
}

/// How often this thread has called the allocator.
pub(crate) fn calls() -> usize {
    CALLS.get()
}

/// Has the graveyard emptied: what cancels have found dead goes with the next drop of any token.
#[allow(dead_code, reason = "not every user has nodes on the heap")]
pub(crate) fn empty_graveyard() {
    drop(CancellationToken::new());
}
