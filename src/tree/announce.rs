//! A reason for one node alone, beside a cancel from above: who decides for another reason than the plain one announces it first, and
//! who relies on a mark sees to the reason (`reason`, "the short way").

use super::head::WAITED;
use super::visit::ANNOUNCED;
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
        // Relaxed: published by the step below.
        at(root).visit.fetch_or(ANNOUNCED, Relaxed);
        // Acquire (E5): as in `slot::announce`.
        let mut head = at(root).head.load(Acquire);
        while !head.is_cancelled() {
            // A step even if WAITED is there (calibration `what_is_announced_is_announced_by_a_step`). Release (E5): ANNOUNCED, for who
            // marks the node after this.
            match at(root).head.replace(head, head.with(WAITED), Release, Acquire) {
                Ok(()) => return true,
                Err(newer) => head = newer,
            }
        }
        help(root);
        false
    }
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
