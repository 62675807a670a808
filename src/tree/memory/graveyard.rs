//! What cancels have found to be free and may not end: it waits for the next drop.

use super::super::{Node, at};
use super::Bin;
use crate::primitives::{Acquire, AtomicPtr, Relaxed, Release};
use core::ptr;

/// A stack that is pushed to node by node and emptied as a whole, so that no address is ever compared after its node
/// could have been freed and reused (no ABA).
pub(super) struct Graveyard(AtomicPtr<Node>);

impl Graveyard {
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
    pub(super) fn empty(&self) {
        // Relaxed: a hint; `take` acquires, and finds what is there.
        if !self.0.load(Relaxed).is_null() {
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

#[cfg(not(cancel_tree_loom))]
mod yards {
    use super::{AtomicPtr, Graveyard, ptr};

    #[cfg(feature = "alloc")]
    pub(super) static HEAP: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
    pub(super) static POOLS: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
}
#[cfg(cancel_tree_loom)]
mod yards {
    use super::{AtomicPtr, Graveyard, ptr};

    loom::lazy_static! {
        pub(super) static ref HEAP: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
        pub(super) static ref POOLS: Graveyard = Graveyard(AtomicPtr::new(ptr::null_mut()));
    }
}

#[cfg(feature = "alloc")]
#[inline]
pub(super) fn of_the_heap() -> &'static Graveyard {
    &yards::HEAP
}

/// For nodes of pools, whichever.
#[inline]
pub(super) fn of_pools() -> &'static Graveyard {
    &yards::POOLS
}

/// Ends what cancels have left behind, of pools or on the heap. When there is nothing, one relaxed load.
#[inline]
pub(crate) fn empty_graveyard(pooled: bool) {
    #[cfg(feature = "alloc")]
    if !pooled {
        return of_the_heap().empty();
    }
    #[cfg(not(feature = "alloc"))]
    let _ = pooled;
    of_pools().empty();
}
