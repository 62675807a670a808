//! The seam: the only place that takes a node's memory and gives it back.
//!
//! `cancel()` may run in a signal handler that interrupted the allocator, or on a thread that may not enter it (C10).
//! So the tree never frees in place: whoever finds a node to be free puts it into a [`Bin`]. The bin of a drop frees at
//! once. The bin of a cancel collects, and leaves what it has collected in the *graveyard*, a stack that the next drop
//! of any handle empties.

use super::{Node, at};
use crate::primitives::{Acquire, AtomicPtr, Relaxed, Release};
use core::ptr;

/// Where the nodes go that one operation has found to be free.
pub(super) struct Bin {
    deferred: bool,
    /// Chained through `link`.
    first: *mut Node,
    last: *mut Node,
}

impl Bin {
    /// Frees at once: for drops.
    #[inline]
    pub(super) fn immediate() -> Self {
        Self { deferred: false, first: ptr::null_mut(), last: ptr::null_mut() }
    }

    /// Collects for the graveyard: for cancels.
    pub(super) fn deferred() -> Self {
        Self { deferred: true, ..Self::immediate() }
    }

    /// # Safety
    /// By I2 the node is the caller's alone to free: it is dead, in no list and in no stack.
    #[inline]
    pub(super) unsafe fn put(&mut self, node: *mut Node) {
        if self.deferred {
            // SAFETY: the caller's node, and therefore its `link` (I12).
            unsafe { at(node).link.with_mut(|link| *link = self.first) };
            if self.last.is_null() {
                self.last = node;
            }
            self.first = node;
        } else {
            // SAFETY: the caller's contract.
            unsafe { free(node) };
        }
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

    /// Leaves what was collected in the graveyard. Lock-free, allocates nothing, frees nothing.
    #[inline]
    fn bury(&mut self) {
        if !self.first.is_null() {
            // SAFETY: the collected nodes are ours (contract of `put`), chained from `first` to `last`.
            unsafe { GRAVEYARD.push(self.first, self.last) };
            (self.first, self.last) = (ptr::null_mut(), ptr::null_mut());
        }
    }
}

impl Drop for Bin {
    #[inline]
    fn drop(&mut self) {
        self.bury();
    }
}

/// Frees what cancels have left behind. One relaxed load when there is nothing.
#[inline]
pub(super) fn empty_graveyard() {
    if GRAVEYARD.is_occupied() {
        // SAFETY: what is in the graveyard belongs to whoever takes it out.
        unsafe { Bin::immediate().put_all(GRAVEYARD.take()) };
    }
}

/// A stack that is pushed to node by node and emptied as a whole, so that no address is ever compared after its node
/// could have been freed and reused (no ABA).
struct Graveyard(AtomicPtr<Node>);

impl Graveyard {
    /// # Safety
    /// The nodes from `first` to `last` are the caller's and chained through `link`.
    #[cold]
    unsafe fn push(&self, first: *mut Node, last: *mut Node) {
        let mut top = self.0.load(Relaxed);
        loop {
            // SAFETY: still the caller's.
            unsafe { at(last).link.with_mut(|link| *link = top) };
            // Release (E11): `take` acquires the links, and all that was done with the nodes before.
            match self.0.compare_exchange(top, first, Release, Relaxed) {
                Ok(_) => return,
                Err(newer) => top = newer,
            }
        }
    }

    #[inline]
    fn is_occupied(&self) -> bool {
        // Relaxed: a hint; `take` acquires, and finds what is there.
        !self.0.load(Relaxed).is_null()
    }

    #[cold]
    fn take(&self) -> *mut Node {
        // Acquire (E11): with `push`.
        self.0.swap(ptr::null_mut(), Acquire)
    }
}

#[cfg(not(cancel_tree_loom))]
static GRAVEYARD: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
#[cfg(cancel_tree_loom)]
loom::lazy_static! {
    static ref GRAVEYARD: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
}

pub(super) use heap::{allocate, free};

#[cfg(not(cancel_tree_loom))]
mod heap {
    use super::Node;
    use crate::tree::head::NODE_ALIGN;
    use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};

    /// The size of a node and the alignment of its tags. Not `align(16)` on the type: that would round its size up.
    const LAYOUT: Layout = match Layout::from_size_align(size_of::<Node>(), NODE_ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("a node has a size and an alignment"),
    };
    const _: () = assert!(align_of::<Node>() <= NODE_ALIGN);

    /// Moves a node to the heap: one allocation.
    pub(in crate::tree) fn allocate(node: Node) -> *mut Node {
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc(LAYOUT) }.cast::<Node>();
        if memory.is_null() {
            handle_alloc_error(LAYOUT);
        }
        // SAFETY: fresh memory of the node's size and at least its alignment.
        unsafe { memory.write(node) };
        memory
    }

    /// # Safety
    /// The node came from `allocate`, and by I2 it is the caller's alone.
    #[inline]
    pub(in crate::tree) unsafe fn free(node: *mut Node) {
        // Nothing in a free node needs dropping: a waker left in its slot would be a claim on it (I8, I2).
        // SAFETY: the caller's contract.
        unsafe { dealloc(node.cast(), LAYOUT) };
    }
}

#[cfg(cancel_tree_loom)]
mod heap {
    use super::{Node, at};
    use std::cell::RefCell;

    // A model's threads are coroutines of one real thread, so this is one list for all of them. Freed nodes stay in
    // it until the execution is over: a late access meets the node's `Life`, not reused memory.
    std::thread_local! {
        static NODES: RefCell<(usize, std::vec::Vec<*mut Node>)> = const { RefCell::new((0, std::vec::Vec::new())) };
    }

    #[repr(align(16))]
    struct Aligned(#[expect(dead_code, reason = "only its address is used")] Node);

    const _: () = assert!(align_of::<Aligned>() >= crate::tree::head::NODE_ALIGN);

    pub(in crate::tree) fn allocate(node: Node) -> *mut Node {
        let node = std::boxed::Box::into_raw(std::boxed::Box::new(Aligned(node))).cast::<Node>();
        NODES.with_borrow_mut(|(live, all)| {
            *live += 1;
            all.push(node);
        });
        node
    }

    pub(in crate::tree) unsafe fn free(node: *mut Node) {
        // SAFETY: nodes are kept until `settle`.
        unsafe { at(node).life.end() };
        NODES.with_borrow_mut(|(live, all)| {
            *live -= 1;
            // For AddressSanitizer, which watches over the memory itself.
            if std::env::var_os("CANCEL_TREE_LOOM_FREE").is_some() {
                all.retain(|kept| *kept != node);
                // SAFETY: from `allocate`, once, and no longer in the list.
                drop(unsafe { std::boxed::Box::from_raw(node.cast::<core::mem::MaybeUninit<Aligned>>()) });
            }
        });
    }

    /// How many nodes are live now.
    pub fn live_nodes() -> usize {
        NODES.with_borrow(|(live, _)| *live)
    }

    /// Gives the memory of the last execution back; to be called where no node is in use.
    pub fn settle() {
        let nodes = NODES.with_borrow_mut(|nodes| core::mem::take(nodes).1);
        for node in nodes {
            // SAFETY: from `allocate`, once; loom's objects in it belong to an execution that is over, and have no
            // drop of their own to run.
            drop(unsafe { std::boxed::Box::from_raw(node.cast::<core::mem::MaybeUninit<Aligned>>()) });
        }
    }
}
#[cfg(cancel_tree_loom)]
pub use heap::{live_nodes, settle};
