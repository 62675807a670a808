//! The parent's list: taking nodes out of it, one pruner at a time, whom nobody waits for.
//!
//! A dropper that finds nobody inside becomes the pruner. One that finds somebody inside leaves its node on the dead
//! stack and tells the pruner by a mark in the head word, which the pruner cannot fail to see: the word that releases
//! the list is the word that carries the mark (flat combining; Hendler, Incze, Shavit and Tzafrir, SPAA 2010).

use super::collapse::{collapse, unpin_or_bury};
use super::hand_over::hand_over;
use super::head::{Head, MARKED, PRUNING};
use super::list::{forget_prev, unlink};
use super::memory::Bin;
use super::sweep::sweep;
use super::{Node, at, next_of};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release, Word};
use core::ptr;

/// What to do with a pinned relay that a pruner comes upon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Relays {
    /// Replace it by its child.
    Collapse,
    /// Only unpin it: the list belongs to a relay that is itself being looked at, and will be again (I13).
    Unpin,
}

/// Has `node`, dead or a relay pinned by the caller, dealt with in the list of `parent`: now, by the pruner who is
/// inside, or by the sweeper if the parent is cancelled. Returns claims on the parent that the caller has to give back
/// over and above his own. `dead`: the node is, and not pinned.
///
/// # Safety
/// The caller has the duty for `node`, holds a claim on `parent`, and does not touch the node again.
#[inline]
pub(super) unsafe fn reap(parent: *mut Node, node: *mut Node, dead: bool, bin: &mut Bin) -> Word {
    // SAFETY: the caller's contract.
    unsafe {
        // Relaxed, here and where it is looked at again: only compared; the steps that follow carry the order.
        let head = at(parent).head.load(Relaxed);
        if !dead {
            return reap_among_others(parent, node, head, bin);
        }
        if unlink_only_child(parent, node, head) {
            bin.put(node);
            return 0;
        }
        match unlink_among_siblings(parent, node, head) {
            Unlinking::Done => {
                bin.put(node);
                0
            }
            Unlinking::NotBegun => reap_among_others(parent, node, head, bin),
            Unlinking::Disturbed(unlinked) => prune_after(parent, node, unlinked, bin),
        }
    }
}

/// Takes a dead node out of its parent's list by one step, if it is the only one there, and nobody is at work on that. The parent's
/// head was `head` a moment ago.
///
/// Nobody need become the pruner, because nothing of the list has to be read or written but the head. (A `next` that is null
/// stays so: new nodes come in front, and no pruner moves a dead one.)
///
/// # Safety
/// As [`reap`], for a node that is dead and not pinned; it is the caller's to free if this says true.
#[inline]
pub(super) unsafe fn unlink_only_child(parent: *mut Node, node: *mut Node, head: Head) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        head.is_undisturbed_over(node)
            && next_of(node).is_null()
            // Acquire, Release (E2): as a pruner's step in and his step out. No cancel has come, so no walker can be on the
            // node, or ever reach it (I5).
            && at(parent).head.replace(head, head.with_first(ptr::null_mut()), AcqRel, Relaxed).is_ok()
    }
}

/// What came of [`unlink_among_siblings`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlinking {
    /// The node is out of the list, and the caller's to free.
    Done,
    /// Somebody is at work on the list, or was at that moment.
    NotBegun,
    /// Somebody came meanwhile: the caller is the pruner, and goes on with [`prune_after`]. Whether the node is out of the list.
    Disturbed(bool),
}

/// Takes a dead node out of its parent's list, if nobody is at work on that, and nobody comes. The parent's head was `head` a moment
/// ago.
///
/// # Safety
/// As [`unlink_only_child`], if this says [`Done`](Unlinking::Done).
#[inline]
pub(super) unsafe fn unlink_among_siblings(parent: *mut Node, node: *mut Node, head: Head) -> Unlinking {
    // SAFETY: the caller's contract; while we are the pruner, the list is ours (I9). After the step out nothing is touched.
    unsafe {
        // Acquire (E2): what the previous pruners wrote to the list.
        if !head.is_undisturbed() || at(parent).head.replace(head, head.with(PRUNING), Acquire, Relaxed).is_err() {
            return Unlinking::NotBegun;
        }
        let first = ptr::eq(head.first(), node);
        let left = if first {
            let next = next_of(node);
            forget_prev(node, next);
            // Release (E2, E12): as in `leave` and `at_the_front`, by one step.
            at(parent).head.replace(head.with(PRUNING), head.with_first(next), Release, Relaxed).is_ok()
        } else {
            unlink(parent, node);
            leave(parent, head.with(PRUNING))
        };
        if left { Unlinking::Done } else { Unlinking::Disturbed(!first) }
    }
}

/// [`reap`], after [`unlink_among_siblings`] has been disturbed.
///
/// # Safety
/// As [`reap`]; and the caller holds PRUNING of `parent`, and gives it up.
#[cold]
#[inline(never)]
pub(super) unsafe fn prune_after(parent: *mut Node, node: *mut Node, unlinked: bool, bin: &mut Bin) -> Word {
    // SAFETY: the caller's contract; the node is dead, and its `link` the caller's (I12).
    unsafe {
        if unlinked {
            let mut nodes = Unlinked::none();
            nodes.add(node);
            prune_on(parent, ptr::null_mut(), nodes, Relays::Collapse, bin)
        } else {
            at(node).link.with_mut(|link| *link = ptr::null_mut());
            prune(parent, node, Relays::Collapse, bin)
        }
    }
}

/// [`reap`], whoever is at work. The parent's head was `head` a moment ago.
///
/// # Safety
/// As [`reap`].
#[inline(never)]
unsafe fn reap_among_others(parent: *mut Node, node: *mut Node, mut head: Head, bin: &mut Bin) -> Word {
    // SAFETY: `parent` by the caller's claim; `node` by his duty until it is pushed or handed over.
    unsafe {
        while !head.is_cancelled() {
            if head.is_pruning() {
                return match push(parent, node, node) {
                    Ok(()) => tell_the_pruner(parent, bin),
                    Err(Closed) => hand_over(node, bin),
                };
            }
            // Acquire (E2): what the previous pruners wrote to the list.
            match at(parent).head.replace(head, head.with(PRUNING), Acquire, Relaxed) {
                Ok(()) => {
                    at(node).link.with_mut(|link| *link = ptr::null_mut());
                    return prune(parent, node, Relays::Collapse, bin);
                }
                Err(newer) => head = newer,
            }
        }
        hand_over(node, bin)
    }
}

/// The dead stack of a list that has been swept.
struct Closed;

/// # Safety
/// As [`reap`]. After `Ok` the node is the pruner's, or the sweeper's. `tagged` is the node, perhaps with LIMBO.
unsafe fn push(parent: *mut Node, node: *mut Node, tagged: *mut Node) -> Result<(), Closed> {
    // SAFETY: the node is the caller's until the push goes through; so is its `link` (I12).
    unsafe {
        let mut top = at(parent).dead.load(Relaxed);
        loop {
            if ptr::eq(top, Node::CLOSED) {
                return Err(Closed);
            }
            at(node).link.with_mut(|link| *link = top);
            // Release (E3): `link`, and all that was done with the node, for the pruner or the sweeper.
            match at(parent).dead.compare_exchange(top, tagged, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(newer) => top = newer,
            }
        }
    }
}

/// After a push on the dead stack: makes sure that somebody looks at it.
///
/// # Safety
/// The caller holds a claim on `parent`.
unsafe fn tell_the_pruner(parent: *mut Node, bin: &mut Bin) -> Word {
    // SAFETY: the caller's claim.
    unsafe {
        let mut head = at(parent).head.load(Relaxed);
        loop {
            if head.is_cancelled() {
                // The sweeper empties the stack, be it before or after our push: it closes it by an RMW.
                return 0;
            }
            if head.is_pruning() {
                // A read-modify-write even if the mark is there: what we have loaded may be old, and the pruner may
                // have taken the mark, and the stack before our push. Release (E4): our push comes before his swap.
                match at(parent).head.replace(head, head.with(MARKED), Release, Relaxed) {
                    Ok(()) => return 0,
                    Err(newer) => head = newer,
                }
            } else {
                // He has left: then we are the pruner. Acquire (E2).
                match at(parent).head.replace(head, head.with(PRUNING), Acquire, Relaxed) {
                    Ok(()) => {
                        // Acquire (E3).
                        let todo = at(parent).dead.swap(ptr::null_mut(), Acquire);
                        return prune(parent, todo, Relays::Collapse, bin);
                    }
                    Err(newer) => head = newer,
                }
            }
        }
    }
}

/// Works off `todo`, and what comes in meanwhile, and leaves the list. Returns claims on `parent` to give back.
///
/// Lock-free: it goes round only because another thread has pushed a child, left a dead node, or cancelled.
///
/// # Safety
/// The caller holds PRUNING of `parent` and a claim on it, and gives up the former. `todo` is a chain of nodes of the
/// parent's list, through `link`, that are dead or pinned, and his.
pub(super) unsafe fn prune(parent: *mut Node, todo: *mut Node, relays: Relays, bin: &mut Bin) -> Word {
    // SAFETY: the caller's contract.
    unsafe { prune_on(parent, todo, Unlinked::none(), relays, bin) }
}

/// Gives PRUNING up, if the head is still `head`. True if so.
///
/// # Safety
/// The caller holds PRUNING of `parent`, and has no news in `head`.
#[inline]
unsafe fn leave(parent: *mut Node, head: Head) -> bool {
    // SAFETY: the caller's contract.
    // Release (E2): what we wrote to the list. If it goes through, no canceller has come while the nodes
    // were unlinked, so no walker can be on them or ever reach them (I5).
    unsafe { at(parent).head.replace(head, head.without(PRUNING), Release, Relaxed).is_ok() }
}

/// As [`prune`], with nodes that the caller has unlinked.
///
/// # Safety
/// As [`prune`].
unsafe fn prune_on(
    parent: *mut Node,
    mut todo: *mut Node,
    mut unlinked: Unlinked,
    relays: Relays,
    bin: &mut Bin,
) -> Word {
    let mut claims = 0;
    // SAFETY: PRUNING makes the list and the nodes on the dead stack ours (I9).
    unsafe {
        loop {
            while !todo.is_null() {
                let node = todo;
                todo = at(node).link.with(|link| *link);
                // Relaxed: PINNED of a node on the stack is settled (its pusher had the duty), and was acquired with
                // the stack (E3).
                if !at(node).state.load(Relaxed).is_pinned() {
                    unlink(parent, node);
                    unlinked.add(node);
                } else if relays == Relays::Collapse {
                    claims += collapse(parent, node, &mut unlinked, bin);
                } else {
                    claims += unpin_or_bury(parent, node, &mut unlinked);
                }
            }
            // Relaxed: only compared; the step that follows carries the order.
            let head = at(parent).head.load(Relaxed);
            if head.is_cancelled() {
                return claims + leave_cancelled(parent, unlinked, bin);
            }
            if head.has_news() {
                // First the mark, then the stack: whoever pushes after the swap marks after the mark was taken.
                // Acquire (E4): the pushes that were announced by it.
                if at(parent).head.replace(head, head.without(MARKED), Acquire, Relaxed).is_ok() {
                    todo = at(parent).dead.swap(ptr::null_mut(), Acquire); // Acquire (E3).
                }
            } else if leave(parent, head) {
                bin.put_all(unlinked.0);
                return claims;
            }
        }
    }
}

/// The pruner's way out of a list that was cancelled while he was inside.
///
/// # Safety
/// As [`prune`].
unsafe fn leave_cancelled(parent: *mut Node, unlinked: Unlinked, bin: &mut Bin) -> Word {
    // SAFETY: PRUNING until the change; afterwards a claim on the parent, and the sweep if it has fallen to us.
    unsafe {
        // A walker may be on what we unlinked: it stays in limbo until the sweep.
        leave_in_limbo(parent, unlinked);
        // Release (E9), with `leave`: of the last pruner and the last visitor, the second sweeps, and acquires then.
        if at(parent).head.change(Release, |head| head.without(PRUNING)).is_done() { sweep(parent, bin) } else { 0 }
    }
}

/// Puts what the last pruner has unlinked on the dead stack, tagged, so that the sweeper can tell it from what droppers
/// have left there.
///
/// # Safety
/// As [`prune`]; the list is cancelled.
unsafe fn leave_in_limbo(parent: *mut Node, unlinked: Unlinked) {
    let Unlinked(mut node) = unlinked;
    while !node.is_null() {
        // SAFETY: the nodes are ours until they are pushed; so is `link` (I12). The stack is not closed: the sweep waits for us.
        unsafe {
            let next = at(node).link.with(|link| *link);
            push(parent, node, node.map_addr(|address| address | Node::LIMBO)).unwrap_or_else(|Closed| unreachable!());
            node = next;
        }
    }
}

/// Nodes that the pruner has taken out of the list and not yet given back, chained through `link`.
pub(super) struct Unlinked(*mut Node);

impl Unlinked {
    fn none() -> Self {
        Self(ptr::null_mut())
    }

    /// # Safety
    /// The pruner's: the node is out of the list and, if it is dead, its dropper has let go of it.
    pub(super) unsafe fn add(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract makes `link` ours (I12).
        unsafe { at(node).link.with_mut(|link| *link = self.0) };
        self.0 = node;
    }
}
