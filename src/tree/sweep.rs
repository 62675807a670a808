//! The sweep: a cancelled list is dissolved once nobody walks it any more.
//!
//! Everything below is flagged then, so the children need their parent no longer: each lives on its own handles.

use super::ahead::Ahead;
use super::memory::Bin;
use super::release::hand_over;
use super::{Node, at, next_of};
use crate::primitives::{Acquire, Word};
use core::ptr;

/// Dissolves the list of `parent`. Returns how many child claims on it are the caller's to give back.
///
/// Wait-free: one pass over a list that nobody else changes.
///
/// # Safety
/// The list is done, no pruner is inside, and the sweep has fallen to the caller (E9): so nobody but the droppers of
/// single nodes is left. The caller keeps `parent`, by a claim or by a visit of the list that it is in.
pub(super) unsafe fn sweep(parent: *mut Node, bin: &mut Bin) -> Word {
    let mut claims = 0;
    // SAFETY: the list is ours. A node in it is kept by its LINKED until we take it out; then by its handles, or else it
    // belongs to its dropper, or to us (I2). So `next` and `link` are read before the step.
    unsafe {
        // Acquire (E3): the nodes on it. From here on droppers hand over (calibration `dead_stack_is_closed`); that it is
        // closed tells them nothing else.
        let mut dead = at(parent).dead.swap(Node::CLOSED, Acquire);
        // Acquire: the children (E1); and what the last pruner has left, or the walks of the visitors, whichever of the two
        // was not us (E9).
        let mut node = at(parent).head.load(Acquire).first();
        let mut ahead = Ahead::new();
        while !node.is_null() {
            ahead.at(node);
            let next = next_of(node);
            let state = at(node).state.unlink();
            if state.is_pinned() {
                // Its holder finds it unlinked, and the claim is his to give back (I10).
            } else if !state.is_dead() {
                claims += 1;
            } else if state.is_handed() {
                bin.put(node);
            } // Else its dropper is on the way, and finds it unlinked; or it is on the dead stack.
            node = next;
        }
        while !dead.is_null() {
            let next = at(dead).link.with(|link| *link);
            claims += hand_over(dead, bin);
            dead = next;
        }
        let limbo = at(parent).fixed.with_mut(|fixed| core::mem::replace(&mut *fixed, ptr::null_mut()));
        // Without the bit it is what the last session before the cancel left, and nothing to us.
        if limbo.addr() & Node::LIMBO != 0 {
            bin.put_all(limbo.map_addr(|address| address & !Node::LIMBO));
        }
    }
    claims
}
