//! The visit word: who is inside of a list that is being cancelled.
//!
//! A node is born with one visitor, its first marker. Who leaves a list, having walked it, closes it; so who comes later need not enter:
//! all below is flagged. The last to leave sees to the sweep. Two bits are not the visitors': ANNOUNCED and CROWDED (`announce`).

use super::head::MARKED;
use super::memory::Bin;
use super::release::release;
use super::state::CHILD;
use super::sweep::sweep_flagged;
use super::{Node, at};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release, abort};

/// No further visitor may enter: somebody has walked the whole list, so everything below is flagged (I7).
const CLOSED: u32 = 0b01;
/// Somebody is perhaps about to decide for a reason of the node alone (`reason`).
pub(super) const ANNOUNCED: u32 = 0b10;
/// The token has, or is about to have, a first block of further waiters (`annex`).
#[cfg(feature = "alloc")]
pub(super) const CROWDED: u32 = 0b100;
/// What may have been announced.
pub(super) const ANNOUNCEMENTS: u32 = 0b110;
const VISITOR: u32 = 0b1000;

/// A node is born with one visitor: whoever will be the first to mark it. So he enters by that step, and it takes no other.
pub(super) const FIRST_VISITOR: u32 = VISITOR;

/// Becomes a further visitor, unless the list is closed: then all below is flagged.
///
/// # Safety
/// The caller visits the list that the node is in, or holds a claim on it.
#[cold]
#[inline(never)]
pub(super) unsafe fn enter(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        // Acquire (E8): if it is closed, the flags that this stands for.
        let mut visit = at(node).visit.load(Acquire);
        while visit & CLOSED == 0 {
            if visit > u32::MAX - 2 * VISITOR {
                abort();
            }
            // Relaxed: the list was acquired by its head; `leave` carries the order.
            match at(node).visit.compare_exchange(visit, visit + VISITOR, Relaxed, Acquire) {
                Ok(_) => return true,
                Err(newer) => visit = newer,
            }
        }
        false
    }
}

/// The end of a list: closes it, and if we were the last visitor, sees to the sweep.
///
/// # Safety
/// The caller is a visitor of the list, has walked all of it, and keeps `owner` otherwise.
#[inline]
pub(super) unsafe fn leave(owner: *mut Node, bin: &mut Bin) {
    // SAFETY: the visit, and then what else keeps `owner`.
    unsafe {
        let mut visit = at(owner).visit.load(Relaxed);
        loop {
            let left = (visit | CLOSED) - VISITOR;
            // Release (E8): our walk comes before the sweep, our flags before whoever finds the list closed.
            // Acquire (E8): if we are the last, the others' walks.
            match at(owner).visit.compare_exchange(visit, left, AcqRel, Relaxed) {
                Ok(_) if left < VISITOR => break,
                Ok(_) => return,
                Err(newer) => visit = newer,
            }
        }
        // Release (E9), with `leave_cancelled`: of the last pruner and the last visitor, the second sweeps; and (E8) the
        // flags below, for who finds the node done. What the last pruner left is acquired by `sweep`.
        if !at(owner).head.change(Release, |head| head.with(MARKED)).is_pruning() {
            let claims = sweep_flagged(owner, bin);
            release(owner, claims * CHILD, bin);
        }
    }
}
