//! What cancels have found to be free and may not end: it waits for the next drop. The heap has a graveyard, and so has each pool.

use super::super::{Node, at};
use super::{AnyHome, Bin};
use crate::primitives::{Acquire, AtomicPtr, Relaxed, Release};
use core::ptr;

/// A stack that is pushed to node by node and emptied as a whole, so that no address is ever compared after its node
/// could have been freed and reused (no ABA).
pub(super) struct Graveyard(AtomicPtr<Node>);

/// An empty one.
// Written once, for the models' types have no `const` constructors.
macro_rules! graveyard {
    () => {
        Graveyard::of_nobody(crate::primitives::AtomicPtr::new(core::ptr::null_mut()))
    };
}
pub(super) use graveyard;

impl Graveyard {
    pub(super) const fn of_nobody(nodes: AtomicPtr<Node>) -> Self {
        Self(nodes)
    }

    /// # Safety
    /// The nodes from `first` to `last` are the caller's and chained through `link`.
    #[cold]
    pub(super) unsafe fn push(&self, first: *mut Node, last: *mut Node) {
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
    fn is_empty(&self) -> bool {
        // Relaxed: a hint; `take` acquires, and finds what is there.
        self.0.load(Relaxed).is_null()
    }

    #[inline]
    pub(super) fn empty(&self) {
        if !self.is_empty() {
            // SAFETY: what is in the graveyard belongs to whoever takes it out.
            unsafe { Bin::immediate().put_all(self.take()) };
        }
    }

    #[cold]
    fn take(&self) -> *mut Node {
        // Acquire (E11): with `push`.
        self.0.swap(ptr::null_mut(), Acquire)
    }
}

#[cfg(all(feature = "alloc", not(cancel_tree_loom)))]
pub(super) static HEAP: Graveyard = graveyard!();
#[cfg(cancel_tree_loom)]
loom::lazy_static! {
    pub(super) static ref HEAP: Graveyard = graveyard!();
}

/// Whether [`empty_graveyard`] of the heap would find anything.
#[inline]
pub(in super::super) fn cancels_have_left_something() -> bool {
    #[cfg(feature = "alloc")]
    return !HEAP.is_empty();
    #[cfg(not(feature = "alloc"))]
    false
}

/// Ends what cancels have left behind in this home. When there is nothing, one relaxed load.
#[inline]
pub(crate) fn empty_graveyard(home: AnyHome) {
    match home {
        #[cfg(feature = "alloc")]
        AnyHome::Heap => HEAP.empty(),
        AnyHome::Pool(pool) => pool.graveyard().empty(),
    }
}
