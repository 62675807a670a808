//! The tree.

mod birth;
mod cancel;
mod collapse;
mod handle;
mod head;
pub(crate) mod memory;
mod prune;
mod release;
mod slot;
mod state;
mod sweep;
mod wait;
mod wake;

pub(crate) use handle::Handle;
pub(crate) use wait::Wait;

use crate::primitives::{AtomicPtr, AtomicU32, AtomicUsize, Life, Relaxed, Release, UnsafeCell};
use core::ptr;
use core::task::Waker;
use head::{AtomicHead, CANCELLED, Head, MARKED, WAITED};
use state::{AtomicState, State};

#[repr(C)]
pub(crate) struct Node {
    head: AtomicHead,
    fixed: UnsafeCell<*mut Node>,
    state: AtomicState,
    dead: AtomicPtr<Node>,
    visit: AtomicU32,
    slot: AtomicU32,
    link: UnsafeCell<*mut Node>,
    next: AtomicPtr<Node>,
    prev: UnsafeCell<*mut Node>,
    parent: AtomicPtr<Node>,
    waker: UnsafeCell<Option<Waker>>,
    flag: AtomicUsize,
    life: Life,
}

#[cfg(all(not(cancel_tree_loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Node>() == 96);
#[cfg(all(not(cancel_tree_loom), target_pointer_width = "32"))]
const _: () = assert!(size_of::<Node>() <= 56);

impl Node {
    /// The dead stack of a list that has been swept. No node is there: it is no multiple of the alignment.
    const CLOSED: *mut Node = ptr::without_provenance_mut(1);
    /// In `fixed`: the chain of nodes that the last pruner unlinked.
    const LIMBO: usize = 1;

    fn new(state: State, head: Head, parent: *mut Node) -> Self {
        Self {
            head: AtomicHead::new(head),
            fixed: UnsafeCell::new(ptr::null_mut()),
            state: AtomicState::new(state),
            dead: AtomicPtr::new(ptr::null_mut()),
            visit: AtomicU32::new(0),
            slot: AtomicU32::new(slot::FREE),
            link: UnsafeCell::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
            prev: UnsafeCell::new(ptr::null_mut()),
            parent: AtomicPtr::new(parent),
            waker: UnsafeCell::new(None),
            flag: AtomicUsize::new(0),
            life: Life::new(),
        }
    }

    fn root() -> Self {
        Self::new(State::ROOT, Head::EMPTY, ptr::null_mut())
    }

    fn child(parent: *mut Node) -> Self {
        Self::new(State::CHILD, Head::EMPTY, parent)
    }

    fn waiter(parent: *mut Node, waker: Waker) -> Self {
        Self {
            slot: AtomicU32::new(slot::SET),
            waker: UnsafeCell::new(Some(waker)),
            ..Self::new(State::CHILD, Head::EMPTY.with(WAITED), parent)
        }
    }

    fn born_cancelled() -> Self {
        Self {
            flag: AtomicUsize::new(1),
            ..Self::new(State::ROOT, Head::EMPTY.with(CANCELLED | MARKED), ptr::null_mut())
        }
    }
}

/// The node, for one access.
///
/// # Safety
/// The node is kept by one of the claims of I3 until the access is over.
#[inline(always)]
unsafe fn at<'a>(node: *mut Node) -> &'a Node {
    // SAFETY: the caller's contract.
    let node = unsafe { &*node };
    node.life.check();
    node
}

/// The next node in the list.
///
/// # Safety
/// As [`at`].
#[inline(always)]
unsafe fn next_of(node: *mut Node) -> *mut Node {
    // SAFETY: the caller's contract.
    // Acquire (E13): an heir's new fields.
    unsafe { at(node).next.load(crate::primitives::Acquire) }
}

/// Sets the flag of a node that is marked as cancelled.
///
/// # Safety
/// As [`at`].
#[inline]
unsafe fn raise_flag(node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe {
        // Relaxed: spares the readers' cache line a write; whoever stored it did so with E7.
        if at(node).flag.load(Relaxed) == 0 {
            // Release (E7): the cancel, which the caller has made or acquired (E6).
            at(node).flag.store(1, Release);
        }
    }
}
