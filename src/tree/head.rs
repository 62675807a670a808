//! The head word: a node's newest child, and what is going on in its list.
//!
//! | CANCELLED | PRUNING | MARKED | meaning |
//! |---|---|---|---|
//! | 0 | 0 | 0 | open: children may be pushed |
//! | 0 | 1 | 0 | open, and one thread, the pruner, unlinks nodes |
//! | 0 | 1 | 1 | the same, and the dead stack holds *news* for the pruner |
//! | 0 | 0 | 1 | *forwarded*: replaced by its only child, which the pointer names; final |
//! | 1 | 0 | 0 | frozen: no child is ever pushed again; cancellers may walk the list |
//! | 1 | 1 | 0 | the same, and the last pruner is still inside |
//! | 1 | 0 | 1 | *done*: everything below is flagged, no visitor is left; or a root that nobody can cancel any more; final |
//! | 1 | 1 | 1 | the same, and the last pruner sweeps the list when it leaves |
//!
//! WAITED is independent of these and sticky: a waker has been put into the node's own slot, or there is to be a reason for the
//! node alone (`reason`). With CANCELLED it may also say that there is a cause to be given back with the node.

use super::Node;
use crate::primitives::{AtomicPtr, Ordering};

/// The node is cancelled. Never unset once set.
pub(super) const CANCELLED: usize = 0b0001;
/// One thread is inside the list as its pruner.
pub(super) const PRUNING: usize = 0b0010;
/// With PRUNING: news. With CANCELLED: done. Alone: forwarded.
pub(super) const MARKED: usize = 0b0100;
/// The node's own waker slot has been used, or a reason announced, or the reason has a cause. Never unset once set.
pub(super) const WAITED: usize = 0b1000;
const TAGS: usize = CANCELLED | PRUNING | MARKED | WAITED;

/// What a node's address must be a multiple of: the tags live in the low bits. Sixteen is what every malloc gives for
/// nothing; more would send each allocation to the slow path.
pub(super) const NODE_ALIGN: usize = TAGS + 1;

/// A copy of the head word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head(*mut Node);

impl Head {
    pub(super) const EMPTY: Head = Head(core::ptr::null_mut());

    /// The first node of the list, or null.
    #[inline]
    pub(super) fn first(self) -> *mut Node {
        self.0.map_addr(|address| address & !TAGS)
    }
    /// The same tags over another first node.
    #[inline]
    pub(super) fn with_first(self, first: *mut Node) -> Head {
        Head(first.map_addr(|address| address | (self.0.addr() & TAGS)))
    }
    #[inline]
    pub(super) fn with(self, tags: usize) -> Head {
        Head(self.0.map_addr(|address| address | tags))
    }
    #[inline]
    pub(super) fn without(self, tags: usize) -> Head {
        Head(self.0.map_addr(|address| address & !tags))
    }
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.first().is_null()
    }
    /// No cancel has come, and no pruner is inside.
    #[inline]
    pub(super) fn is_undisturbed(self) -> bool {
        self.0.addr() & (CANCELLED | PRUNING) == 0
    }
    /// Nothing is going on in the list.
    #[inline]
    pub(super) fn is_quiet(self) -> bool {
        self.0.addr() & (TAGS & !WAITED) == 0
    }
    /// Nothing is going on in the list, and `node` is its first.
    #[inline]
    pub(super) fn is_undisturbed_over(self, node: *mut Node) -> bool {
        self.0.addr() & !WAITED == node.addr()
    }
    #[inline]
    pub(super) fn is_cancelled(self) -> bool {
        self.0.addr() & CANCELLED != 0
    }
    #[inline]
    pub(super) fn is_pruning(self) -> bool {
        self.0.addr() & PRUNING != 0
    }
    /// If not, a node that nobody will cancel any more has no cause.
    #[inline]
    pub(super) fn may_have_cause(self) -> bool {
        self.0.addr() & (WAITED | CANCELLED) == WAITED | CANCELLED
    }
    #[inline]
    pub(super) fn is_waited(self) -> bool {
        self.0.addr() & WAITED != 0
    }
    /// The dead stack holds something for the pruner.
    #[inline]
    pub(super) fn has_news(self) -> bool {
        self.0.addr() & (CANCELLED | MARKED) == MARKED
    }
    /// Everything below is flagged and no visitor is left.
    #[inline]
    pub(super) fn is_done(self) -> bool {
        self.0.addr() & (CANCELLED | MARKED) == CANCELLED | MARKED
    }
    /// This node has been replaced by its only child.
    #[inline]
    pub(super) fn is_forwarded(self) -> bool {
        self.0.addr() & (CANCELLED | PRUNING | MARKED) == MARKED
    }
}

/// The word itself. After birth it is changed by read-modify-writes only, so that whoever acquires a later value has
/// acquired every push before it (release sequences).
pub(super) struct AtomicHead(AtomicPtr<Node>);

impl AtomicHead {
    pub(super) fn new(head: Head) -> Self {
        Self(AtomicPtr::new(head.0))
    }
    #[inline]
    pub(super) fn load(&self, order: Ordering) -> Head {
        Head(self.0.load(order))
    }
    /// Compare-and-swap; on failure the newest head, read with `failure`.
    #[inline]
    pub(super) fn replace(&self, from: Head, to: Head, success: Ordering, failure: Ordering) -> Result<(), Head> {
        self.0.compare_exchange(from.0, to.0, success, failure).map(drop).map_err(Head)
    }
    /// Applies `change` and returns the head before. (`AtomicPtr` has no `fetch_or` in this crate's MSRV.)
    #[inline]
    pub(super) fn change(&self, success: Ordering, change: impl Fn(Head) -> Head) -> Head {
        let mut head = self.load(Ordering::Relaxed);
        loop {
            match self.replace(head, change(head), success, Ordering::Relaxed) {
                Ok(()) => return head,
                Err(newer) => head = newer,
            }
        }
    }
}
