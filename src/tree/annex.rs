//! The annex word: what belongs to a token besides its node.
//!
//! ```text
//! | pointer to the first block of further waiters, or null, or to the token itself | number of its branches, or 0 |
//! ```
//!
//! Each comes once, while somebody has a handle on the token, and goes with the last of them (`release`). The token itself stands in the
//! place of a block that comes no more: whoever marked the token had heard of one, and did not find it. Of a link, which has neither,
//! the pointer is to the link before it (`linked`).

use super::Node;
use super::head::NODE_ALIGN;
#[cfg(feature = "alloc")]
use crate::primitives::{Acquire, Relaxed, Release};
use crate::primitives::{AtomicPtr, Ordering};
use core::ptr;

const NUMBER: usize = NODE_ALIGN - 1;

/// A copy of the annex word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Annex(*mut Node);

impl Annex {
    pub(super) const NONE: Annex = Annex(ptr::null_mut());

    /// With this node, and nothing else.
    pub(super) fn of(node: *mut Node) -> Self {
        Self(node)
    }
    /// The block, or the token, or the link, or null.
    #[inline]
    pub(super) fn node(self) -> *mut Node {
        self.0.wrapping_byte_sub(self.0.addr() & NUMBER)
    }
    /// The block of this token, or null.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn block_of(self, token: *mut Node) -> *mut Node {
        let node = self.node();
        if ptr::eq(node, token) { ptr::null_mut() } else { node }
    }
    /// The number of the branches, from 1 on; or 0.
    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn branches(self) -> usize {
        self.0.addr() & NUMBER
    }
    #[inline]
    pub(super) fn is_none(self) -> bool {
        self.0.is_null()
    }
    #[cfg(feature = "alloc")]
    // (Calibration `a_block_and_branches_share_a_word`.)
    fn with_node(self, node: *mut Node) -> Self {
        Self(node.map_addr(|address| address | (self.0.addr() & NUMBER)))
    }
    #[cfg(feature = "std")]
    fn with_branches(self, number: usize) -> Self {
        Self(self.0.map_addr(|address| address | number))
    }
}

/// The word itself. In a token it is changed by read-modify-writes only, so that whoever acquires a later value has acquired both.
pub(super) struct AtomicAnnex(AtomicPtr<Node>);

impl AtomicAnnex {
    pub(super) fn new(annex: Annex) -> Self {
        Self(AtomicPtr::new(annex.0))
    }

    #[inline]
    pub(super) fn load(&self, order: Ordering) -> Annex {
        Annex(self.0.load(order))
    }

    /// Of a link.
    pub(super) fn store(&self, annex: Annex, order: Ordering) {
        self.0.store(annex.0, order);
    }

    /// Adds the first block. False if there is one, or comes none.
    ///
    /// Lock-free, and tried again at most once: the other half of the word changes once, too.
    #[cfg(feature = "alloc")]
    pub(super) fn add_block(&self, block: *mut Node) -> bool {
        // (Calibration `one_first_block`.)
        self.add(|annex| annex.node().is_null().then(|| annex.with_node(block)))
    }

    /// The first block of the token; or, if there is none, null, and there never will be (calibration `no_block_comes_after_the_mark`).
    ///
    /// As [`add_block`](Self::add_block).
    #[cfg(feature = "alloc")]
    pub(super) fn last_block_of(&self, token: *mut Node) -> *mut Node {
        let closed = |word| Annex(word).node().is_null().then(|| Annex(word).with_node(token).0);
        // Release (E6): that the token is cancelled. Acquire (E17): the block.
        match self.0.fetch_update(Release, Acquire, closed) {
            Ok(_) => ptr::null_mut(),
            Err(word) => Annex(word).block_of(token),
        }
    }

    /// Adds the number of the branches. False if there is one. As [`add_block`](Self::add_block).
    #[cfg(feature = "std")]
    pub(super) fn add_branches(&self, number: usize) -> bool {
        debug_assert!(0 < number && number <= NUMBER, "no number");
        self.add(|annex| (annex.branches() == 0).then(|| annex.with_branches(number)))
    }

    #[cfg(feature = "alloc")]
    fn add(&self, more: impl Fn(Annex) -> Option<Annex>) -> bool {
        // Release (E17): the block; or that the directory is empty, for who plants the first branch. Relaxed: looked at again.
        self.0.fetch_update(Release, Relaxed, |word| more(Annex(word)).map(|annex| annex.0)).is_ok()
    }
}
