//! What who marks a node has to heed is announced to him, by a bit in `visit` and a step in the head.
//!
//! A reason for one node alone, beside a cancel from above: who decides for another reason than the plain one announces it first, and
//! who relies on a mark sees to the reason (`reason`, "the short way"). And the first block of a token's further waiters, which is
//! in no list (`block`).

use super::head::WAITED;
#[cfg(feature = "alloc")]
use super::visit::CROWDED;
use super::visit::{ANNOUNCED, ANNOUNCEMENTS};
use super::{Node, at};
use crate::primitives::{Acquire, Relaxed, Release};

/// Before a reason that is not the plain one: sees to it that no other is stored over it, by who marks the node by the short way, or
/// helps him (calibration `another_reason_is_announced`). False if the node is marked already.
///
/// # Safety
/// The caller holds a handle or a child claim on `root`.
pub(super) unsafe fn announce(root: *mut Node) -> bool {
    // SAFETY: the claim.
    unsafe {
        // Acquire (E10): if the node stands in no list any more, its reason, which every walker of that list has seen to.
        let state = at(root).state.load(Acquire);
        // A node that is in no list, or STAYS, is not marked by the short way. (WAITED of the latter may have another meaning, I16.)
        if !state.is_linked() || state.stays() {
            return true;
        }
        announce_by_a_step(root, ANNOUNCED)
    }
}

/// Before the first block of a token: sees to it that whoever marks the token looks for it (calibration `a_block_is_announced`). False if
/// the token is marked already.
///
/// # Safety
/// The caller holds a handle on `token`.
#[cfg(feature = "alloc")]
pub(super) unsafe fn announce_block(token: *mut Node) -> bool {
    // SAFETY: the handle.
    unsafe { announce_by_a_step(token, CROWDED) }
}

/// # Safety
/// As [`announce`].
unsafe fn announce_by_a_step(node: *mut Node, what: u32) -> bool {
    // SAFETY: the claim.
    unsafe {
        // Relaxed: published by the step below.
        at(node).visit.fetch_or(what, Relaxed);
        // Acquire (E5): as in `slot::announce`.
        let mut head = at(node).head.load(Acquire);
        while !head.is_cancelled() {
            // A step even if WAITED is there (calibration `what_is_announced_is_announced_by_a_step`). Release (E5): what is announced, for
            // who marks the node after this.
            match at(node).head.replace(head, head.with(WAITED), Release, Acquire) {
                Ok(()) => return true,
                Err(newer) => head = newer,
            }
        }
        help(node);
        false
    }
}

/// Whether a first block was announced, for who has marked the token.
///
/// # Safety
/// The caller keeps the token, and has acquired what came before the mark.
#[cfg(feature = "alloc")]
#[inline]
pub(super) unsafe fn is_crowded(token: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    // Relaxed: an announcement that came before the mark is here to be seen (E5); who comes after it has found the mark.
    unsafe { at(token).visit.load(Relaxed) & CROWDED != 0 }
}

/// Whether a reason or a block was announced, for who has marked the node. If not, none comes any more.
///
/// # Safety
/// As [`is_crowded`].
#[inline]
pub(super) unsafe fn is_anything_announced(node: *mut Node) -> bool {
    // SAFETY: the caller's contract. Relaxed: as in `is_crowded`.
    unsafe { at(node).visit.load(Relaxed) & ANNOUNCEMENTS != 0 }
}

/// The first block of a token for which one was announced, or null. None comes after this.
///
/// # Safety
/// The caller keeps the token, and has changed its CANCELLED from 0 to 1 (I8). What keeps the block is his matter.
#[cfg(feature = "alloc")]
#[inline]
pub(super) unsafe fn last_block_of(token: *mut Node) -> *mut Node {
    // SAFETY: the caller's contract.
    unsafe { at(token).annex.last_block_of(token) }
}

/// Sees to the reason of a node that has been found marked, or marked by the short way: if it has none yet, it is the plain one, or, if
/// another was announced, may be.
///
/// Wait-free.
///
/// # Safety
/// The caller keeps the node, and has acquired the mark (E5), or made it.
#[inline]
pub(super) unsafe fn help(node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe {
        if at(node).reason.is_missing() {
            // Relaxed: an announcement that came before the mark is here to be seen (E5). If there is none, no other reason comes
            // (calibration `what_is_announced_is_heeded`).
            if at(node).visit.load(Relaxed) & ANNOUNCED == 0 {
                at(node).reason.set_plain();
            } else {
                at(node).reason.decide_plainly();
            }
        }
    }
}
