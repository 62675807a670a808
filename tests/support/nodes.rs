//! Counts the crate's nodes from outside: a global allocator that knows the layout of a node.
//!
//! Tests that count hold [`exclusive`]: what a cancel leaves in the graveyard is freed by the next drop of any token, on
//! whatever thread, so two trees in one process cannot be counted side by side.

use cancel_tree::CancellationToken;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The layout of a node; zero until it is known.
static NODE_SIZE: AtomicUsize = AtomicUsize::new(0);
static NODE_ALIGN: AtomicUsize = AtomicUsize::new(0);
/// Live blocks of that layout, of all threads.
static NODES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// What this thread has allocated, less what it has freed.
    static BYTES: Cell<isize> = const { Cell::new(0) };
    /// How often this thread has called the allocator.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LATEST: Cell<Option<Layout>> = const { Cell::new(None) };
}

fn count(layout: Layout, blocks: isize) {
    if layout.size() == NODE_SIZE.load(Relaxed) && layout.align() == NODE_ALIGN.load(Relaxed) {
        NODES.fetch_add(blocks, Relaxed);
    }
    // No counting while a thread ends: nobody could read it.
    let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + blocks * layout.size() as isize));
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
    drop(token);
    NODE_SIZE.store(layout.size(), Relaxed);
    NODE_ALIGN.store(layout.align(), Relaxed);
    alone
}

/// How many nodes are live now.
pub(crate) fn live() -> isize {
    NODES.load(Relaxed)
}

/// What this thread has allocated, less what it has freed.
pub(crate) fn bytes() -> isize {
    BYTES.get()
}

/// How often this thread has called the allocator.
pub(crate) fn calls() -> usize {
    CALLS.get()
}

/// Has the graveyard emptied: what cancels have found dead goes with the next drop of any token.
pub(crate) fn empty_graveyard() {
    drop(CancellationToken::new());
}
