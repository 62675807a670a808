//! The seam: the only place that takes a node's memory and gives it back, be it the heap's or a [`pool`]'s.
//!
//! `cancel()` may run in a signal handler that interrupted the allocator, or on a thread that may not enter it (C10).
//! So the tree never frees heap memory in place: whoever finds a node to be free puts it into a [`Bin`]. The bin of a drop frees at
//! once. The bin of a cancel collects, and leaves what it has collected in the *graveyard*, a stack that the next drop
//! of any handle empties. A place in a pool can be given back anywhere, and is.
//!
//! A node that owns something of somebody else's, a payload or a cause, is kept in the bin of a drop, too, until all else is
//! done: its end may run foreign code. (Which may drop other tokens, and those own others: that chain is the user's, and
//! nests like one of boxes. Chains of the tree's own, of parents or of links, do not.) Such nodes of a pool, when a cancel finds
//! them, come into a graveyard of that pool's: the drop of a handle on one of its nodes empties that alone, and so never does the work of
//! the heap, or of other pools.

mod graveyard;
#[cfg(feature = "alloc")]
mod heap;
mod home;
#[cfg(cancel_tree_loom)]
mod model;
mod pool;

pub(super) use self::graveyard::cancels_have_left_something;
pub(crate) use self::graveyard::empty_graveyard;
#[cfg(feature = "alloc")]
pub(super) use self::heap::allocate;
#[cfg(feature = "alloc")]
pub(crate) use self::heap::{Heap, Named};
pub(crate) use self::home::{AnyHome, Home};
pub(super) use self::home::{Origin, home_of};
#[cfg(cancel_tree_loom)]
pub use self::model::{keep_pool, live_nodes, settle};
pub(crate) use self::pool::Places;
#[cfg(feature = "std")]
pub(super) use self::pool::Pool;

use super::extended::{dismantle, give_memory_back, is_dismantled_quietly, origin};
use super::foreign::run_all;
use super::release;
use super::state::Duty;
use super::{Node, at, next_of};
use crate::primitives::Relaxed;
use core::ptr;

/// Where the nodes go that one operation has found to be free.
pub(super) struct Bin {
    deferred: bool,
    /// Chained through `link`.
    first: *mut Node,
    last: *mut Node,
    /// Roots whose lists are still to be dissolved, with a child claim on each; chained through `link`.
    orphans: *mut Node,
}

impl Bin {
    /// Frees at once, or at the end: for drops.
    #[inline]
    pub(super) fn immediate() -> Self {
        Self { deferred: false, first: ptr::null_mut(), last: ptr::null_mut(), orphans: ptr::null_mut() }
    }

    /// Collects for the graveyard: for cancels.
    pub(super) fn deferred() -> Self {
        Self { deferred: true, ..Self::immediate() }
    }

    /// # Safety
    /// By I2 the node is the caller's alone to free: it is dead, in no list and in no stack.
    #[inline]
    pub(super) unsafe fn put(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract.
        unsafe {
            if is_laden(node) {
                self.put_laden(node);
            } else if self.deferred {
                self.keep(node);
            } else {
                free_plain(node);
            }
        }
    }

    /// # Safety
    /// As [`put`](Self::put).
    #[cold]
    #[inline(never)]
    unsafe fn put_laden(&mut self, node: *mut Node) {
        // SAFETY: the caller's node.
        unsafe {
            if !is_pooled(node) {
                self.keep(node);
            } else if ends_quietly(node) {
                give_memory_back(node);
            } else if self.deferred && !belongs_to_the_heap(node) {
                pool::of(node).graveyard().push(node, node);
            } else {
                self.keep(node);
            }
        }
    }

    /// # Safety
    /// As [`put`](Self::put).
    unsafe fn keep(&mut self, node: *mut Node) {
        // SAFETY: the caller's node, and therefore its `link` (I12).
        unsafe { at(node).link.with_mut(|link| *link = self.first) };
        if self.last.is_null() {
            self.last = node;
        }
        self.first = node;
    }

    /// Notes a root whose list has to be dissolved.
    ///
    /// # Safety
    /// As [`dissolve`](super::sweep::dissolve); the claim is the bin's from now on.
    #[cold]
    pub(super) unsafe fn put_orphan(&mut self, node: *mut Node) {
        // SAFETY: without a handle, unpinned, and in no list: so its `link` is ours (I12).
        unsafe { at(node).link.with_mut(|link| *link = self.orphans) };
        self.orphans = node;
    }

    /// Puts a chain of nodes, linked through `link`.
    ///
    /// # Safety
    /// As [`put`](Self::put), for each of them.
    pub(super) unsafe fn put_all(&mut self, mut node: *mut Node) {
        while !node.is_null() {
            // SAFETY: the caller's nodes; `link` is read before the node goes.
            unsafe {
                let next = at(node).link.with(|link| *link);
                self.put(node);
                node = next;
            }
        }
    }

    /// Does what has been left for the end of the operation. First, dissolves the lists of orphans.
    ///
    /// Then, deferred: leaves what was collected in the graveyard. Lock-free, allocates nothing, frees nothing.
    ///
    /// Else: ends the nodes that were kept. What they owned is dropped here, when nothing of the tree is held any more.
    #[cold]
    fn empty(&mut self) {
        self.dissolve_orphans();
        #[cfg(feature = "alloc")]
        if self.deferred {
            if !self.first.is_null() {
                // SAFETY: the collected nodes are ours (contract of `put`), chained from `first` to `last`.
                unsafe { graveyard::HEAP.push(self.first, self.last) };
            }
            (self.first, self.last) = (ptr::null_mut(), ptr::null_mut());
            return;
        }
        run_all(|| {
            let node = self.first;
            if node.is_null() {
                return false;
            }
            // SAFETY: ours, as above.
            unsafe {
                self.first = at(node).link.with(|link| *link);
                end(node, self);
            }
            self.dissolve_orphans();
            true
        });
    }

    fn dissolve_orphans(&mut self) {
        while !self.orphans.is_null() {
            let node = self.orphans;
            // SAFETY: our claim on it, which this gives up.
            unsafe {
                self.orphans = at(node).link.with(|link| *link);
                release::settle(node, Duty::Dissolve, self);
            }
        }
    }
}

impl Drop for Bin {
    #[inline]
    fn drop(&mut self) {
        if !self.first.is_null() || !self.orphans.is_null() {
            self.empty();
        }
    }
}

/// Whether there is more to do at the node's end than to free heap memory.
///
/// # Safety
/// As [`Bin::put`].
#[inline]
unsafe fn is_laden(node: *mut Node) -> bool {
    // SAFETY: the caller's node.
    // Relaxed, both: all that was done with the node is visible to who frees it (E7).
    unsafe { at(node).reason.is_counted() || at(node).state.load(Relaxed).is_laden() }
}

/// Whether the node lives in a pool.
///
/// # Safety
/// The caller keeps the node.
#[inline]
pub(super) unsafe fn is_pooled(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    // Relaxed: EXTENDED is there from birth.
    unsafe { at(node).state.load(Relaxed).is_extended() && origin(node).is_pool() }
}

/// Whether what a cancel leaves of a pool's node is for the next drop of a heap's token: nobody has a handle on a node of the pool
/// that branches live in, to empty its graveyard (calibration `a_cause_of_a_branch_is_for_the_next_drop`).
///
/// # Safety
/// As [`Bin::put`].
unsafe fn belongs_to_the_heap(node: *mut Node) -> bool {
    #[cfg(feature = "std")]
    // SAFETY: the caller's node.
    return unsafe { super::branch::is_branch(node) };
    #[cfg(not(feature = "std"))]
    {
        let _ = node;
        false
    }
}

/// Whether the end of a pool's node neither runs foreign code nor ends other nodes.
///
/// # Safety
/// As [`Bin::put`].
unsafe fn ends_quietly(node: *mut Node) -> bool {
    // SAFETY: the caller's node. Relaxed: as in `is_laden`.
    unsafe { is_dismantled_quietly(node) && !at(node).reason.is_counted() && !at(node).state.load(Relaxed).keeps() }
}

/// The end of a node: of all that it owns, and of its memory, whatever the former does.
///
/// # Safety
/// As [`Bin::put`]; the bin frees at once.
unsafe fn end(node: *mut Node, bin: &mut Bin) {
    /// The memory, also if a drop panics.
    struct Memory(*mut Node);
    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: the caller's node, which nobody uses again.
            unsafe { give_up(self.0) };
        }
    }
    // SAFETY: the caller's contract. Relaxed, both: as in `is_laden`.
    unsafe {
        let state = at(node).state.load(Relaxed);
        let _reason = at(node).reason.take();
        let _memory = Memory(node);
        // If nobody has cancelled the list, what is left in it are detached callbacks, which end with their token (I15).
        let head = at(node).head.load(Relaxed);
        if state.keeps() && !head.is_cancelled() {
            let mut callback = head.first();
            while !callback.is_null() {
                let next = next_of(callback);
                bin.keep(callback);
                callback = next;
            }
        }
        if state.is_extended() {
            dismantle(node, bin);
        }
    }
}

/// Gives up the memory of a node for which nothing else is to be done: it is freed, if nobody else needs it.
///
/// # Safety
/// As [`Bin::put`], or nobody else has seen the node; it is not used again.
pub(super) unsafe fn give_up(node: *mut Node) {
    // SAFETY: the caller's node. Relaxed: EXTENDED is there from birth.
    unsafe { if at(node).state.load(Relaxed).is_extended() { give_memory_back(node) } else { free_plain(node) } }
}

/// Frees a node that has no tail, no detached callbacks, and no cause that has to be given back.
///
/// # Safety
/// As [`give_up`].
#[inline]
pub(super) unsafe fn free_plain(node: *mut Node) {
    #[cfg(feature = "alloc")]
    // SAFETY: the caller's contract; from `allocate`.
    unsafe {
        free(node, heap::PLAIN);
    }
    #[cfg(not(feature = "alloc"))]
    unreachable!("a node without a tail, and without a heap: {node:p}");
}

/// # Safety
/// The memory is of this origin, by I2 the caller's alone, and not used again.
#[inline]
pub(super) unsafe fn free(node: *mut Node, origin: Origin) {
    // What is in the node needs no drop any more: a waker left in its slot would be a claim on it (I8, I2).
    #[cfg(cancel_tree_loom)]
    // SAFETY: the caller's contract.
    if !unsafe { model::freed(node, origin) } {
        return;
    }
    // SAFETY: the caller's contract.
    unsafe {
        match origin {
            #[cfg(feature = "alloc")]
            Origin::Heap(layout) => heap::free(node, layout),
            Origin::Pool => pool::give_back(node),
        }
    }
}
