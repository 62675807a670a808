//! The sweep: a list is dissolved, and its children live on by their own handles.
//!
//! That of a cancelled node, once nobody walks it any more: everything below is flagged then, so the children need their
//! parent no longer. And that of a root whose last handle is gone: nobody can cancel it any more, so there is nothing that the
//! children could hear from it ([`dissolve`]).

use super::ahead::Ahead;
use super::hand_over::hand_over;
use super::head::{CANCELLED, MARKED};
use super::memory::Bin;
use super::state::{AtomicState, CHILD, HANDLE, Swept};
use super::{Node, at, next_of};
use crate::primitives::{Acquire, Relaxed, Release, Word};

/// Dissolves the list of `parent`. Returns how many child claims on it are the caller's to give back.
///
/// Lock-free: one pass over a list that nobody else changes; a step is repeated if claims on the child are taken or given back.
///
/// # Safety
/// The list is done, no pruner is inside, and the sweep has fallen to the caller (E9): so nobody but the droppers of
/// single nodes is left. The caller keeps `parent`, by a claim or by a visit of the list that it is in.
pub(super) unsafe fn sweep(parent: *mut Node, bin: &mut Bin) -> Word {
    // SAFETY: the caller's contract.
    unsafe { sweep_by(parent, bin, AtomicState::unlink) }
}

/// The same, for a list that was cancelled for sure.
///
/// # Safety
/// As [`sweep`]; everything below is flagged.
pub(super) unsafe fn sweep_flagged(parent: *mut Node, bin: &mut Bin) -> Word {
    // SAFETY: the caller's contract.
    unsafe { sweep_by(parent, bin, AtomicState::unlink_flagged) }
}

/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn sweep_by(parent: *mut Node, bin: &mut Bin, unlink: impl Fn(&AtomicState) -> Swept) -> Word {
    // SAFETY: the caller's contract.
    unsafe {
        let dead = close(parent);
        unlink_all(parent, bin, unlink) + end_all(dead, bin)
    }
}

/// Takes all nodes out of the list. Returns the claims that fall to the caller by that.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn unlink_all(parent: *mut Node, bin: &mut Bin, unlink: impl Fn(&AtomicState) -> Swept) -> Word {
    let mut claims = 0;
    // SAFETY: the list is ours. A node in it is kept by its LINKED until we take it out; then by its handles, or else it
    // belongs to its dropper, or to us (I2). So `next` is read before the step.
    unsafe {
        // Acquire: the children (E1); and what the last pruner has left, or the walks of the visitors, whichever of the two
        // was not us (E9).
        let mut node = at(parent).head.load(Acquire).first();
        let mut ahead = Ahead::new();
        while !node.is_null() {
            ahead.at(node);
            let next = next_of(node);
            match unlink(&at(node).state) {
                Swept::Alive => claims += 1,
                Swept::Orphan => {
                    claims += 1;
                    bin.put_orphan(node);
                }
                Swept::Handed => bin.put(node),
                // Its holder finds it unlinked, and the claim is his to give back (I10).
                Swept::Pinned => {}
                // Its dropper finds it unlinked; or it is on the dead stack.
                Swept::Dying => {}
            }
            node = next;
        }
    }
    claims
}

/// Closes the dead stack. What is on it: for [`end_all`], when all nodes are out of the list.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn close(parent: *mut Node) -> *mut Node {
    // SAFETY: the caller's contract.
    // Acquire (E3): the nodes on it. From here on droppers hand over (calibration `dead_stack_is_closed`); that it is
    // closed tells them nothing else.
    unsafe { at(parent).dead.swap(Node::CLOSED, Acquire) }
}

/// Ends what was on the dead stack. Returns the claims that fall to the caller by that.
///
/// # Safety
/// `dead` is from [`close`], or nobody else has a claim on the owner of the list.
#[inline(always)]
unsafe fn end_all(mut dead: *mut Node, bin: &mut Bin) -> Word {
    let mut claims = 0;
    // SAFETY: the nodes on the stack are ours, and their `link` (I12).
    unsafe {
        while !dead.is_null() {
            let in_limbo = dead.addr() & Node::LIMBO != 0;
            let node = dead.map_addr(|address| address & !Node::LIMBO);
            dead = at(node).link.with(|link| *link);
            if in_limbo {
                bin.put(node);
            } else {
                claims += hand_over(node, bin);
            }
        }
    }
    claims
}

/// Dissolves the list of a root that nobody can cancel any more. Returns how many child claims on it are the caller's to give
/// back, over and above the one that keeps it for him.
///
/// Its head says that it is cancelled and done, as after a cancel, so that droppers and the pruner, if there is one, do as
/// then. Nobody will ever look at it as a token: it has no handle, and no list leads to it.
///
/// # Safety
/// The caller holds a child claim on `root`, which has no handle, is in no list, and does not stay for what it carries.
pub(super) unsafe fn dissolve(root: *mut Node, bin: &mut Bin) -> Word {
    // SAFETY: the claim; the sweep falls to who comes second, the pruner or us.
    unsafe { if end_list(root) { sweep(root, bin) } else { 0 } }
}

/// True if the sweep has fallen to the caller.
///
/// # Safety
/// As [`dissolve`].
#[inline(always)]
unsafe fn end_list(root: *mut Node) -> bool {
    // SAFETY: the claim.
    // Release (E9), with `leave_cancelled`. What pruners have left is acquired by `sweep`.
    let before = unsafe { at(root).head.change(Release, |head| head.with(CANCELLED | MARKED)) };
    // If it had been cancelled, its list has been swept, or was empty.
    !before.is_cancelled() && !before.is_pruning()
}

/// What is left to be given back of a root, with the handle, after [`dissolve_held`].
pub(super) enum Dissolved {
    /// Nothing: nobody else has a claim. The root is the caller's.
    Alone,
    /// So many child claims.
    Among(Word),
}

/// The same as [`dissolve`] for a root with a handle, the last, which is the caller's and keeps it. As a rule two steps for a root with one
/// child, and one more for each other.
///
/// # Safety
/// The caller holds the only handle, and does not use it any more but to give it up. The root is in no list, and does not stay
/// for what it carries.
#[inline]
pub(super) unsafe fn dissolve_held(root: *mut Node, bin: &mut Bin) -> Dissolved {
    // SAFETY: the handle; the sweep as in `dissolve`.
    unsafe {
        if !end_list(root) {
            return Dissolved::Among(0);
        }
        let claims = unlink_all(root, bin, AtomicState::unlink);
        // If all claims that are left are ours, nobody is on the way to the dead stack: it need not be closed, and no step is to be taken
        // to give the claims back (calibration `who_is_still_on_the_way_has_a_claim`). Acquire (E7): what those did who have given
        // theirs back.
        if at(root).state.load(Acquire).is_only(HANDLE + claims * CHILD) {
            // Who has left a node there has no claim any more (calibration `who_is_alone_looks_at_the_dead`). Relaxed: acquired.
            let dead = at(root).dead.load(Relaxed);
            let none = end_all(dead, bin);
            debug_assert!(none == 0, "the holder of a pin has a claim");
            return Dissolved::Alone;
        }
        Dissolved::Among(claims + end_all(close(root), bin))
    }
}
