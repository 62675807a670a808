//! The seam: the only place that takes a node's memory and gives it back.
//!
//! `cancel()` may run in a signal handler that interrupted the allocator, or on a thread that may not enter it (C10).
//! So the tree never frees in place: whoever finds a node to be free puts it into a [`Bin`]. The bin of a drop frees at
//! once. The bin of a cancel collects, and leaves what it has collected in the *graveyard*, a stack that the next drop
//! of any handle empties.
//!
//! A node that owns something of somebody else's, a payload or a cause, is kept in the bin of a drop, too, until all else is
//! done: its end may run foreign code. (Which may drop other tokens, and those own others: that chain is the user's, and
//! nests like one of boxes. Chains of the tree's own, of parents or of links, do not.)

use super::extended::{dismantle, give_memory_back};
use super::foreign::run_all;
use super::{Node, at, next_of};
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
    /// Frees at once, or at the end: for drops.
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
        // SAFETY: the caller's contract.
        unsafe {
            if self.deferred || is_laden(node) {
                self.keep(node);
            } else {
                free(node, layout_of::<Node>());
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

    /// Deferred: leaves what was collected in the graveyard. Lock-free, allocates nothing, frees nothing.
    ///
    /// Else: ends the nodes that were kept. What they owned is dropped here, when nothing of the tree is held any more.
    #[cold]
    fn empty(&mut self) {
        if self.deferred {
            // SAFETY: the collected nodes are ours (contract of `put`), chained from `first` to `last`.
            unsafe { GRAVEYARD.push(self.first, self.last) };
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
            true
        });
    }
}

impl Drop for Bin {
    #[inline]
    fn drop(&mut self) {
        if !self.first.is_null() {
            self.empty();
        }
    }
}

/// Whether there is more to do at the node's end than to free its memory.
///
/// # Safety
/// As [`Bin::put`].
#[inline]
unsafe fn is_laden(node: *mut Node) -> bool {
    // SAFETY: the caller's node.
    // Relaxed, both: all that was done with the node is visible to who frees it (E7).
    unsafe { at(node).reason.is_counted() || at(node).state.load(Relaxed).is_laden() }
}

/// The end of a node: of all that it owns, and of its memory, whatever the former does.
///
/// # Safety
/// As [`Bin::put`]; the bin frees at once.
unsafe fn end(node: *mut Node, bin: &mut Bin) {
    /// The memory, also if a drop panics.
    struct Memory {
        node: *mut Node,
        extended: bool,
    }
    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: the caller's node, which nobody uses again.
            unsafe { if self.extended { give_memory_back(self.node) } else { free(self.node, layout_of::<Node>()) } }
        }
    }
    // SAFETY: the caller's contract. Relaxed, both: as in `is_laden`.
    unsafe {
        let state = at(node).state.load(Relaxed);
        let extended = state.is_extended();
        let _reason = at(node).reason.take();
        let _memory = Memory { node, extended };
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
        if extended {
            dismantle(node, bin);
        }
    }
}

/// Frees what cancels have left behind. One relaxed load when there is nothing.
#[inline]
pub(crate) fn empty_graveyard() {
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

use crate::tree::extended::Extended;
use crate::tree::head::NODE_ALIGN;
use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};

/// The size of a node, perhaps with its tail, and the alignment of its tags. Not `align(16)` on the type: that would round
/// its size up.
pub(super) const fn layout_of<T>() -> Layout {
    let align = if align_of::<T>() > NODE_ALIGN { align_of::<T>() } else { NODE_ALIGN };
    match Layout::from_size_align(size_of::<T>(), align) {
        Ok(layout) => layout,
        Err(_) => panic!("a node has a size and an alignment"),
    }
}

/// Moves a node to the heap: one allocation.
pub(super) fn allocate(node: Node) -> *mut Node {
    move_to_heap(node).cast()
}

/// Moves a node and its tail to the heap: one allocation.
pub(super) fn allocate_extended<P>(node: Extended<P>) -> *mut Node {
    move_to_heap(node).cast()
}

fn move_to_heap<T>(value: T) -> *mut T {
    let layout = layout_of::<T>();
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc(layout) }.cast::<T>();
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: fresh memory of the value's size and at least its alignment.
    unsafe { memory.write(value) };
    #[cfg(cancel_tree_loom)]
    model::born(memory.cast(), layout);
    memory
}

/// # Safety
/// The memory came from `allocate` or `allocate_extended` with this layout, and by I2 it is the caller's alone.
#[inline]
pub(super) unsafe fn free(node: *mut Node, layout: Layout) {
    // What is in the node needs no drop any more: a waker left in its slot would be a claim on it (I8, I2).
    #[cfg(cancel_tree_loom)]
    // SAFETY: the caller's contract.
    if !unsafe { model::freed(node) } {
        return;
    }
    // SAFETY: the caller's contract.
    unsafe { dealloc(node.cast(), layout) };
}

#[cfg(cancel_tree_loom)]
mod model {
    use super::{Layout, Node, at, dealloc};
    use std::cell::RefCell;

    // A model's threads are coroutines of one real thread, so this is one list for all of them. Freed nodes stay in
    // it until the execution is over: a late access meets the node's `Life`, not reused memory.
    std::thread_local! {
        static NODES: RefCell<(usize, std::vec::Vec<(*mut Node, Layout)>)> = const { RefCell::new((0, std::vec::Vec::new())) };
    }

    pub(super) fn born(node: *mut Node, layout: Layout) {
        NODES.with_borrow_mut(|(live, all)| {
            *live += 1;
            all.push((node, layout));
        });
    }

    /// Whether the memory is to be given back now.
    ///
    /// # Safety
    /// The caller's node, for the last time.
    pub(super) unsafe fn freed(node: *mut Node) -> bool {
        // SAFETY: nodes are kept until `settle`.
        unsafe { at(node).life.end() };
        NODES.with_borrow_mut(|(live, all)| {
            *live -= 1;
            // For AddressSanitizer, which watches over the memory itself.
            let now = std::env::var_os("CANCEL_TREE_LOOM_FREE").is_some();
            if now {
                all.retain(|(kept, _)| *kept != node);
            }
            now
        })
    }

    /// How many nodes are live now.
    pub fn live_nodes() -> usize {
        NODES.with_borrow(|(live, _)| *live)
    }

    /// Gives the memory of the last execution back; to be called where no node is in use.
    pub fn settle() {
        let nodes = NODES.with_borrow_mut(|nodes| core::mem::take(nodes).1);
        for (node, layout) in nodes {
            // SAFETY: from `allocate`, once; loom's objects in it belong to an execution that is over, and have no
            // drop of their own to run.
            unsafe { dealloc(node.cast(), layout) };
        }
    }
}
#[cfg(cancel_tree_loom)]
pub use model::{live_nodes, settle};
