//! Giving claims back: the end of nodes, and what it obliges to. Iterative: it climbs, over nodes that have died.

use super::ahead::guess;
#[cfg(feature = "alloc")]
use super::block;
#[cfg(feature = "std")]
use super::branch;
use super::head::Head;
use super::memory::{Bin, cancels_have_left_something, empty_graveyard, free_plain, home_of};
use super::prune::{Unlinking, prune_after, reap, unlink_among_siblings, unlink_only_child};
#[cfg(feature = "alloc")]
use super::state::LAST_HANDLE;
use super::state::{CHILD, Duty, HANDLE, State};
use super::sweep::{Dissolved, dissolve, dissolve_held};
use super::{Node, at, next_of, slot};
use crate::primitives::{Acquire, Relaxed, Word};

/// Gives back `claims` on `node`, and does what follows from it, up the tree as far as nodes die or become relays.
///
/// Lock-free: each retry means that another thread's step went through, and the climb goes over nodes that have ended.
///
/// # Safety
/// The caller holds the claims and does not use the node on their strength afterwards.
#[inline]
pub(super) unsafe fn release(node: *mut Node, claims: Word, bin: &mut Bin) {
    if claims != 0 {
        // SAFETY: the claims keep the node until they are given back (I2), and by them it may be touched (I3).
        unsafe {
            let duty = at(node).state.release(claims);
            if duty != Duty::None {
                settle_into(node, duty, bin);
            }
        }
    }
}

/// # Safety
/// As [`settle`].
#[inline(never)]
unsafe fn settle_into(node: *mut Node, duty: Duty, bin: &mut Bin) {
    // SAFETY: the caller's contract.
    unsafe { settle(node, duty, bin) };
}

/// Gives back a handle on a node that is no callback, no link and no block, and does what follows from it. If it is the last one,
/// this is the end of waiting for the node.
///
/// # Safety
/// As [`release`].
pub(super) unsafe fn release_handle_into(node: *mut Node, bin: &mut Bin) {
    // SAFETY: as in `release`. Acquire (E7): as in `release_but_the_last`.
    unsafe { release_handle_from(node, at(node).state.load(Acquire), bin) };
}

/// As [`release_handle_into`]; the state was `seen` a moment ago, with Acquire (E7).
///
/// # Safety
/// As [`release`].
unsafe fn release_handle_from(node: *mut Node, seen: State, bin: &mut Bin) {
    // SAFETY: as in `release`.
    unsafe {
        let Err(seen) = at(node).state.release_but_the_last(seen) else {
            return;
        };
        if is_waited(node) {
            return release(node, end_waiting(node, seen, bin), bin);
        }
        let duty = at(node).state.release_from(seen, HANDLE);
        if duty != Duty::None {
            settle_into(node, duty, bin);
        }
    }
}

/// Whether something of waiting is to be ended before the last handle goes. Nobody but a canceller looks at the slot any more,
/// and nobody at `annex`.
///
/// # Safety
/// The caller holds the last handle, and has acquired what those who had the others did (E7).
#[inline(always)]
unsafe fn is_waited(node: *mut Node) -> bool {
    // SAFETY: the handle.
    unsafe {
        // Relaxed: acquired by the caller.
        !at(node).annex.load(Relaxed).is_none() || !slot::is_left(node)
    }
}

/// Ends waiting for the node, and what else it has beside it (I17, I18, I19). The claims that are left to be given back: none, if the
/// handle is somebody else's then, or was not the last.
///
/// # Safety
/// As [`is_waited`].
#[cold]
#[inline(never)]
unsafe fn end_waiting(node: *mut Node, seen: State, bin: &mut Bin) -> Word {
    // SAFETY: the handle. Whoever it is passed on to, or has another, comes here, too.
    unsafe {
        // Of what STAYS, a canceller's list holds a claim.
        if !seen.stays() && slot::leave(node) {
            return 0;
        }
        // Relaxed: acquired by the caller.
        let annex = at(node).annex.load(Relaxed);
        #[cfg(feature = "alloc")]
        let first = annex.block_of(node);
        #[cfg(feature = "alloc")]
        if !first.is_null() {
            // Somebody may look at the block, or have it to wake, by a handle that he has taken for it (calibrations
            // `who_is_not_the_last_ends_no_block`, `a_block_ends_before_its_token`).
            if !at(node).state.release_or_announce_the_last() {
                return 0;
            }
            block::end(first, bin);
        }
        #[cfg(feature = "std")]
        if annex.branches() != 0 {
            branch::end(annex.branches(), bin);
        }
        #[cfg(feature = "alloc")]
        if !first.is_null() {
            return LAST_HANDLE;
        }
        let _ = (annex, bin);
        HANDLE
    }
}

/// Gives back a handle, and does what follows from it, and ends what cancels have left. Frees at once.
///
/// # Safety
/// As [`release`].
#[inline]
pub(super) unsafe fn release_handle(node: *mut Node) {
    /// # Safety
    /// As [`release`].
    #[cold]
    #[inline(never)]
    unsafe fn release_and_tidy(node: *mut Node, seen: State) {
        // SAFETY: as in `release`. Where the node lives has to be asked as long as it does.
        unsafe {
            let home = home_of(node);
            release_handle_from(node, seen, &mut Bin::immediate());
            empty_graveyard(home);
        }
    }
    // SAFETY: as in `release`.
    unsafe {
        // Acquire (E7): as in `release_but_the_last`. EXTENDED is there from birth.
        let seen = at(node).state.load(Acquire);
        let is_quiet = !cancels_have_left_something();
        if seen == State::CHILD && is_quiet {
            release_leaf(node); // First: so end most tokens.
        } else if seen.is_extended() || !is_quiet {
            release_and_tidy(node, seen);
        } else if let Err(seen) = at(node).state.release_but_the_last(seen) {
            release_last(node, seen);
        }
    }
}

// The common ends, without a loop: those of a leaf, whose parent has handles if it has one, in a list where nobody is at work. What is to
// be said of each step stands in `settle` and what that calls.

/// Gives back the only claim on a node without a tail that stands in a list, if that still is the only one.
///
/// # Safety
/// As [`release`] and [`is_waited`].
#[inline(never)]
unsafe fn release_leaf(node: *mut Node) {
    // SAFETY: as in `release_last`.
    unsafe {
        let own = at(node).head.load(Relaxed); // Relaxed: as there.
        if own.is_waited() && is_waited(node) {
            return end_waiting_and_release(node, State::CHILD);
        }
        // A step, though there is no other claim: who is at work on the list may pin the node, or take it out (calibration
        // `in_a_list_nobody_is_alone`).
        if !at(node).state.release_leaf() {
            return release_thoroughly(node, State::CHILD, HANDLE);
        }
        let parent = at(node).parent.load(Relaxed);
        let head = at(parent).head.load(Relaxed);
        if !unlink_only_child(parent, node, head) {
            return bury_among_siblings(node, own, parent, head);
        }
        end_unlinked(node, own, parent);
    }
}

/// Gives back the last handle on a node without a tail.
///
/// # Safety
/// As [`release`] and [`is_waited`].
#[inline(never)]
unsafe fn release_last(node: *mut Node, seen: State) {
    // SAFETY: as in `settle`.
    unsafe {
        // Relaxed: who has waited has said so in the head, or has found it cancelled and left nothing, and was acquired with its handle
        // (E7).
        let own = at(node).head.load(Relaxed);
        if own.is_waited() && is_waited(node) {
            return end_waiting_and_release(node, seen);
        }
        if !seen.is_linked() {
            // A token is taken from another token, and a claim by who has one. So if there is no other, there never will be, and the
            // node is ours without a step: what others did with it was acquired with `seen` (calibration
            // `who_is_not_alone_takes_a_step`).
            return if seen.is_only(HANDLE) { end_alone(node, own) } else { release_root(node, seen) };
        }
        if seen == State::CHILD { release_leaf(node) } else { release_thoroughly(node, seen, HANDLE) }
    }
}

/// Frees a leaf without a tail that is in no list, whose head is `own`.
///
/// # Safety
/// As [`Bin::put`].
#[inline(always)]
unsafe fn end_alone(node: *mut Node, own: Head) {
    // SAFETY: the caller's node.
    unsafe {
        // A crowd is mostly dropped in the order in which it was made, and so is a chain.
        let (elder, younger) = if own.is_empty() { (next_of(node), node) } else { (node, own.first()) };
        guess(elder, younger);
        if has_cause(node, own) { end_at_once(node) } else { free_plain(node) }
    }
}

/// The last handle on a root without a tail that has, or had a moment ago, children.
///
/// # Safety
/// As [`release_last`].
#[inline(never)]
unsafe fn release_root(node: *mut Node, seen: State) {
    // SAFETY: as in `settle`; the handle keeps the node until all that is ours is given back at once.
    unsafe {
        if !seen.is_unflagged() {
            return release_thoroughly(node, seen, HANDLE);
        }
        guess(node, at(node).head.load(Relaxed).first()); // As in `end_alone`.
        let mut bin = Bin::immediate();
        match dissolve_held(node, &mut bin) {
            // It was not cancelled, so it has no reason.
            Dissolved::Alone => free_plain(node),
            Dissolved::Among(claims) => settle(node, at(node).state.release(HANDLE + claims * CHILD), &mut bin),
        }
    }
}

/// # Safety
/// As [`Bin::put`].
#[cold]
#[inline(never)]
unsafe fn end_at_once(node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe { Bin::immediate().put(node) };
}

/// # Safety
/// As [`release`] and [`is_waited`].
#[cold]
#[inline(never)]
unsafe fn end_waiting_and_release(node: *mut Node, seen: State) {
    let bin = &mut Bin::immediate();
    // SAFETY: the caller's contract.
    unsafe {
        release(node, end_waiting(node, seen, bin), bin);
    }
}

/// # Safety
/// The caller has the duty to bury `node`, a leaf without a tail, in the list of `parent`, whose head was `head` a moment ago; that of
/// the node was `own` before it died.
#[inline(never)]
unsafe fn bury_among_siblings(node: *mut Node, own: Head, parent: *mut Node, head: Head) {
    // SAFETY: as in `settle`.
    unsafe {
        match unlink_among_siblings(parent, node, head) {
            Unlinking::Done => end_unlinked(node, own, parent),
            Unlinking::NotBegun => settle_at_once(node, Duty::Bury),
            Unlinking::Disturbed(unlinked) => {
                let mut bin = Bin::immediate();
                let claims = CHILD * (1 + prune_after(parent, node, unlinked, &mut bin));
                settle(parent, at(parent).state.release(claims), &mut bin);
            }
        }
    }
}

/// Whether a dead leaf without a tail has a cause that has to be given back. Its head was `own` before it died.
///
/// If it was not cancelled then, it never will be: it is in no list, and has left the one that it was in before a cancel came to that (I5).
/// So it has no reason either. If it was, and its head does not say that there may be a cause, there is none. Where the reason stands is not
/// looked at then, for it is on another cache line.
///
/// # Safety
/// As [`Bin::put`].
#[inline(always)]
unsafe fn has_cause(node: *mut Node, own: Head) -> bool {
    // SAFETY: the caller's node.
    own.may_have_cause() && unsafe { at(node).reason.is_counted() }
}

/// Frees a dead leaf without a tail, whose head was `own` before it died, and gives its claim on its parent back.
///
/// # Safety
/// As [`Bin::put`]; the claim on `parent` is the caller's.
#[inline(always)]
unsafe fn end_unlinked(node: *mut Node, own: Head, parent: *mut Node) {
    /// # Safety
    /// As [`end_unlinked`].
    #[cold]
    #[inline(never)]
    unsafe fn end_with_cause(node: *mut Node, parent: *mut Node) {
        let mut bin = Bin::immediate();
        // SAFETY: the caller's contract. What the node owned is dropped last.
        unsafe {
            bin.put(node);
            settle(parent, at(parent).state.release(CHILD), &mut bin);
        }
    }
    /// What ends with the parent may be foreign, and panic: so the node goes first.
    ///
    /// # Safety
    /// As [`end_unlinked`].
    #[cold]
    #[inline(never)]
    unsafe fn end_and_release(node: *mut Node, parent: *mut Node, seen: State) {
        // SAFETY: the caller's contract.
        unsafe {
            free_plain(node);
            release_thoroughly(parent, seen, CHILD);
        }
    }
    // SAFETY: the caller's contract.
    unsafe {
        if has_cause(node, own) {
            return end_with_cause(node, parent);
        }
        // Before the memory: what the children write is still at hand, and other cores want it.
        let seen = at(parent).state.load(Relaxed);
        if !at(parent).state.release_child_of_held(seen) {
            return end_and_release(node, parent, seen);
        }
        free_plain(node);
    }
}

/// As [`release`]; the state was `seen` a moment ago. Frees at once.
///
/// # Safety
/// As [`release`].
#[inline(never)]
unsafe fn release_thoroughly(node: *mut Node, seen: State, claims: Word) {
    // SAFETY: the caller's contract.
    unsafe { settle(node, at(node).state.release_from(seen, claims), &mut Bin::immediate()) };
}

/// As [`settle`]. Frees at once.
///
/// # Safety
/// As [`settle`].
#[inline(never)]
unsafe fn settle_at_once(node: *mut Node, duty: Duty) {
    // SAFETY: the caller's contract.
    unsafe { settle(node, duty, &mut Bin::immediate()) };
}

/// Does the duty for `node`, and those that come of it further up.
///
/// # Safety
/// The caller has the duty.
#[inline(always)]
pub(super) unsafe fn settle(mut node: *mut Node, mut duty: Duty, bin: &mut Bin) {
    loop {
        // SAFETY: a duty is a claim in itself: on the node, and through the node's own claim on its parent (I3).
        unsafe {
            match duty {
                Duty::None => return,
                Duty::Free => return bin.put(node),
                Duty::Dissolve => {
                    // One claim is that of the duty.
                    let claims = CHILD * (1 + dissolve(node, bin));
                    duty = at(node).state.release(claims);
                    continue;
                }
                Duty::Bury | Duty::Relocate => {}
            }
            // Relaxed: `parent` is written under the pin and published by the unpin (E13), which our own
            // read-modify-write of the state has acquired (I11).
            let parent = at(node).parent.load(Relaxed);
            if duty == Duty::Relocate {
                // The node's claim on its parent will go over to its child, and then it is no longer ours to stand on.
                at(parent).state.add_child();
            }
            // One claim is the dead node's, or the temporary one: it was ours while we were at the parent.
            let claims = CHILD * (1 + reap(parent, node, duty == Duty::Bury, bin));
            node = parent;
            duty = at(node).state.release(claims);
        }
    }
}
