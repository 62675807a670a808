//! Collapse: a relay, a node with no handle and one child, is replaced by that child in its parent's list.
//!
//! Without it `loop { token = token.child_token() }` would grow a chain that nobody can see. The thread that makes a
//! node a relay pins it in the same step ([`State::released`](super::state)); the pin is the right and the duty to
//! relocate it. The pruner of the parent then does the work:
//!
//! 1. become the pruner of the relay, so that its child cannot go;
//! 2. pin the child, so that nobody starts to relocate it, which would take a claim on the relay;
//! 3. look again whether the child's is the only claim on the relay;
//! 4. **commit**: one step on the relay's head, from "pruning, first child" to "forwarded, to that child". It fails if a
//!    cancel has come, or news; then everything is put back. After it no walker can enter the relay, so none can be
//!    caught half way; those that stand on it go to the child instead.
//! 5. Put the child in the relay's place. It inherits the relay's claim on the parent.
//!
//! Whatever stands in the way (a claim, a pin, a pruner, a cancel) belongs to a thread that will come by again or makes
//! the collapse needless; so it is never waited for: the relay is unpinned and left as it is.

use super::head::{Head, MARKED, PRUNING};
use super::list::{replace, unlink};
use super::memory::Bin;
use super::prune::{Relays, Unlinked, prune};
use super::state::{CHILD, State};
use super::{Node, at, next_of};
use crate::primitives::{Acquire, Relaxed, Release, Word};
use core::ptr;

/// Replaces `relay` by its child as often as that is a relay again, so whole chains go up in one visit. Returns claims
/// on `parent` to give back.
///
/// Lock-free: it goes round only if another thread has changed the relay's state or its head.
///
/// # Safety
/// The caller holds PRUNING of `parent` and the pin of `relay`, which is in its list, and gives up the latter.
pub(super) unsafe fn collapse(parent: *mut Node, mut relay: *mut Node, unlinked: &mut Unlinked, bin: &mut Bin) -> Word {
    // SAFETY: PRUNING keeps the parent's list (I9), the pin keeps the relay (I10), PRUNING of the relay keeps its child.
    unsafe {
        loop {
            // Acquire (E7): if it has died, the last claimant's uses come before its free.
            let state = at(relay).state.load(Acquire);
            if state.has_retry() {
                at(relay).state.clear_retry();
                continue;
            }
            if state.is_dead() {
                unlink(parent, relay);
                unlinked.add(relay);
                return 1;
            }
            let head = at(relay).head.load(Relaxed);
            let heir = head.first();
            let hindered = !state.has_one_child_only() || head.is_cancelled() || head.is_pruning() || heir.is_null();
            if hindered {
                if unpin(relay, state) {
                    return 0;
                }
                continue;
            }
            // Acquire (E2): what earlier pruners wrote to the relay's list; and the claims on the relay that they had, which
            // `commit` has to see.
            if at(relay).head.replace(head, head.with(PRUNING), Acquire, Relaxed).is_err() {
                continue;
            }
            match commit(relay, heir, head) {
                Commit::Done => {
                    at(heir).next.store(next_of(relay), Relaxed);
                    // Release (E12): `next` comes before it: a walker that reads the new parent follows the new list.
                    at(heir).parent.store(parent, Release);
                    replace(parent, relay, heir);
                    unlinked.add(relay);
                    relay = heir;
                }
                Commit::Failed { died } => {
                    if !died.is_null() {
                        at(died).link.with_mut(|link| *link = ptr::null_mut());
                    }
                    let claims = prune(relay, died, Relays::Unpin, bin);
                    if claims != 0 {
                        at(relay).state.release_pinned(claims * CHILD);
                    } else if unpin(relay, state) {
                        return 0;
                    }
                }
            }
        }
    }
}

enum Commit {
    Done,
    /// Put back, but for the relay's PRUNING. `died`: the child, if it died under our pin; else null.
    Failed {
        died: *mut Node,
    },
}

/// Steps 2 to 4.
///
/// # Safety
/// The caller holds the pin of `relay` and its PRUNING, which he added to `head`; `heir` is first in its list.
unsafe fn commit(relay: *mut Node, heir: *mut Node, head: Head) -> Commit {
    // SAFETY: as in `collapse`.
    unsafe {
        if !pin(heir) {
            return Commit::Failed { died: ptr::null_mut() };
        }
        // After the pin (calibration `claim_check`): a claim that somebody took to relocate the child is here to be seen,
        // for he had the pin before us, and gave it back as a pruner whom we have acquired (E2).
        // Acquire (E7): the relay is freed with one claim left, so this is where all who gave back theirs are acquired.
        if at(relay).state.load(Acquire).has_one_child_only() {
            let forwarded = head.without(PRUNING).with(MARKED);
            // Fails if a cancel has come (a walker may be inside), or news (a node to unlink).
            // Relaxed: the heir's fields were published when it came into this list (E1, E12), which this continues.
            if at(relay).head.replace(head.with(PRUNING), forwarded, Relaxed, Relaxed).is_ok() {
                return Commit::Done;
            }
        }
        // Not by way of the dead stack's `link`: a child that has handles may be in a canceller's list of wakers (I12).
        Commit::Failed { died: if release_pin(heir) { ptr::null_mut() } else { heir } }
    }
}

/// Pins a child in order to move it, unless it is dead or somebody else has it in hand.
///
/// # Safety
/// The caller holds PRUNING of the parent.
unsafe fn pin(node: *mut Node) -> bool {
    // SAFETY: the parent's PRUNING keeps the node.
    unsafe {
        let mut state = at(node).state.load(Relaxed);
        while !state.is_dead() && !state.is_pinned() {
            // Relaxed: whoever had the pin before us gave it back as the pruner of this list, and was acquired with that.
            match at(node).state.replace(state, state.pinned(), Relaxed, Relaxed) {
                Ok(()) => return true,
                Err(newer) => state = newer,
            }
        }
        false
    }
}

/// Unpins a node if its state is still `seen`, which has no RETRY: whoever made it a relay meanwhile relied on us.
///
/// # Safety
/// The caller holds the pin.
unsafe fn unpin(node: *mut Node, seen: State) -> bool {
    // SAFETY: the pin keeps the node until the step goes through.
    // Release (E13): its new parent, for whoever has a duty for it next.
    unsafe { at(node).state.replace(seen, seen.unpinned(), Release, Relaxed).is_ok() }
}

/// Unpins a node whatever has come meanwhile, unless it has died: then it stays the caller's. RETRY is dropped: the
/// caller is looking at the parent, itself a relay, and comes back to the node when that is gone (I13).
///
/// # Safety
/// The caller holds the pin.
unsafe fn release_pin(node: *mut Node) -> bool {
    // SAFETY: the pin keeps the node until the step goes through.
    unsafe {
        loop {
            // Acquire (E7): if it has died, the last claimant's uses come before its free.
            let state = at(node).state.load(Acquire);
            if state.is_dead() {
                return false;
            }
            // Release (E13): the stack's use of its `link`, for whoever has a duty for it next.
            if at(node).state.replace(state, state.unpinned(), Release, Relaxed).is_ok() {
                return true;
            }
        }
    }
}

/// A pinned node on the dead stack of a relay that is being looked at: unpinned, or buried if it has died. Returns the
/// claims on `relay` to give back.
///
/// # Safety
/// The caller holds PRUNING of `relay` and the pin of `node`, which is in its list, and gives up the latter.
pub(super) unsafe fn unpin_or_bury(relay: *mut Node, node: *mut Node, unlinked: &mut Unlinked) -> Word {
    // SAFETY: the caller's contract.
    unsafe {
        if release_pin(node) {
            return 0;
        }
        unlink(relay, node);
        unlinked.add(node);
        1
    }
}
