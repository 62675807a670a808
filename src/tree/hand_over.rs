//! What a dropper does who finds the list cancelled: he leaves his node to the sweeper.

use super::memory::Bin;
use super::{Node, at};
use crate::primitives::{Acquire, Release, Word};

/// The parent `node` came to has been frozen by a cancel: leaves the node to the sweeper of the parent's list.
///
/// `node` is dead, or it is a relay that the caller has pinned. Returns the claims on the parent that fall to the caller
/// over and above the one he came with.
///
/// # Safety
/// The caller has the duty for the node (dead and not pinned, or his own pin) and a claim on its parent. He does not
/// touch the node again.
pub(super) unsafe fn hand_over(node: *mut Node, bin: &mut Bin) -> Word {
    // SAFETY: until the read-modify-write that lets go of it the node is the caller's by his duty; afterwards it is
    // touched by the one who came second (I2).
    unsafe {
        // Acquire (E7): if the node has died under our pin, what its last claimant did comes before the free.
        let mut state = at(node).state.load(Acquire);
        if !state.is_pinned() {
            // Ours by its death, the claim that we came with is its own.
            if !at(node).state.hand_over().is_linked() {
                bin.put(node);
            }
            return 0;
        }
        loop {
            if state.is_dead() && !state.is_linked() {
                // The sweeper has passed, met the pin, and left the node and its claim to us.
                bin.put(node);
                return 1;
            }
            let to = match (state.is_dead(), state.is_linked()) {
                (true, _) => state.unpinned().handed(),
                (false, true) => state.unpinned(),
                // The sweeper has passed, and the node, which had no handle when it was pinned, can be cancelled by nobody.
                (false, false) => state.unpinned().claimed(),
            };
            // Release (E10): as `AtomicState::hand_over`, but what came before matters to the sweeper alone: we do not touch
            // the node again. Acquire on failure (E7): as above.
            match at(node).state.replace(state, to, Release, Acquire) {
                // It keeps its claim, which the sweeper or its own death gives back.
                Ok(()) if !state.is_dead() && state.is_linked() => return 0,
                Ok(()) => {
                    if !state.is_dead() {
                        bin.put_orphan(node);
                    }
                    return 1;
                }
                Err(newer) => state = newer,
            }
        }
    }
}
