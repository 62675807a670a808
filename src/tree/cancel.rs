//! Cancel: two phases. First every node below is marked and has its reason, by an iterative walk; then the wakers and
//! callbacks that were found are run.
//!
//! Several cancels may walk the same tree at once. Each goes everywhere (a loser helps, C3), so none depends on
//! another; who changes a node's CANCELLED from 0 to 1 has its waker to wake (I8). A canceller is counted as a visitor of
//! each list that it is inside of; the last visitor to leave sees to the sweep.

use super::ahead::Ahead;
use super::announce::{announce, help, is_anything_announced};
#[cfg(feature = "alloc")]
use super::announce::{is_crowded, last_block_of};
#[cfg(feature = "alloc")]
use super::block::prefetch_wakers;
use super::head::{CANCELLED, Head, MARKED, WAITED};
use super::memory::Bin;
use super::reason::{Reason, Word};
use super::visit::{enter, leave};
use super::wake::Waited;
#[cfg(feature = "alloc")]
use super::wake::wake_held;
use super::{Node, at, next_of, slot};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release};
use core::ptr;

/// Cancels the subtree of `root`. When it returns, every descendant whose creation had returned before the call is
/// flagged (C3), and the waiters of all that this call was the first to mark have been woken. True if `reason` is the
/// reason now, by this call.
///
/// Lock-free. Allocates nothing, frees nothing of its own (C10).
///
/// # Safety
/// The caller holds a handle or a child claim on `root`.
#[inline]
pub(super) unsafe fn cancel(root: *mut Node, reason: &Reason) -> bool {
    // SAFETY: the claim.
    unsafe { !is_done(root) && cancel_anew(root, reason, false) }
}

/// The same for who holds a handle, not just a claim.
///
/// # Safety
/// The caller holds a handle on `root`.
#[inline]
pub(super) unsafe fn cancel_held(root: *mut Node, reason: &Reason) -> bool {
    // SAFETY: the handle.
    unsafe { !is_done(root) && cancel_anew(root, reason, true) }
}

/// Whether everything is flagged, the node and all below it.
///
/// # Safety
/// As [`cancel`].
#[inline]
pub(super) unsafe fn is_done(root: *mut Node) -> bool {
    // SAFETY: the claim.
    // Acquire (E8): done means that everything below is flagged. The node itself is perhaps still without its reason, if it has
    // no children and was marked by the short way (calibration `done_is_not_flagged`).
    unsafe { at(root).head.load(Acquire).is_done() && at(root).reason.is_set() }
}

/// # Safety
/// As [`cancel`], or, if it is `held`, as [`cancel_held`].
#[inline(never)]
unsafe fn cancel_anew(root: *mut Node, reason: &Reason, held: bool) -> bool {
    // SAFETY: the claim, or the handle.
    unsafe {
        #[cfg(feature = "alloc")]
        prefetch_wakers(at(root).annex.load(Relaxed).node()); // Relaxed: a hint.
        let decided = (reason.word().is_plain() || announce(root)) && at(root).reason.decide_by(reason);
        if mark_waited(root) {
            wake_marked(root, held);
            return decided;
        }
        let mut waited = Waited::none();
        let mut bin = Bin::deferred();
        walk(root, &mut waited, &mut bin);
        waited.follow_links(&mut bin);
        drop(bin);
        // Phase two: from here on nothing of the tree is held but the claims in `waited` (C14, C16).
        waited.run();
        decided
    }
}

/// Wakes all that wait for a token that [`mark_waited`] has marked. As at the end of phase two, nothing of the tree is held any more.
///
/// # Safety
/// As [`cancel_anew`]; I8.
#[inline]
unsafe fn wake_marked(root: *mut Node, held: bool) {
    // SAFETY: the caller's contract.
    unsafe {
        #[cfg(feature = "alloc")]
        if is_crowded(root) {
            let block = last_block_of(root);
            if held && !block.is_null() {
                return wake_held(root, block);
            }
            let mut waited = Waited::none();
            waited.add(root);
            return waited.run();
        }
        let _ = held;
        if let Some(waker) = slot::fire(root) {
            waker.wake();
        }
    }
}

/// The short way for a token without children that somebody waits for, as that of most tasks: there is nothing to walk, and the
/// turn of its wakers has come at once. Marks it. False: the long way is to be gone, whether it is marked or not.
///
/// # Safety
/// The caller holds a handle or a child claim on `root`, whose reason is decided.
#[inline]
unsafe fn mark_waited(root: *mut Node) -> bool {
    // SAFETY: the claim; I8 by the step.
    unsafe {
        let waited = Head::EMPTY.with(WAITED);
        // Relaxed, both: only compared; STAYS is there from birth. Of what stays, more is to be run than wakers
        // (calibration `what_stays_is_no_lone_waiter`).
        if at(root).head.load(Relaxed) != waited || at(root).state.load(Relaxed).stays() {
            return false;
        }
        // Release (E5): as in `mark_thoroughly`. Acquire (E5): what was announced; there is no list to be entered. If somebody came
        // meanwhile, a child for example, there is more to do (calibration `a_lone_waiter_is_marked_before_it_is_woken`).
        at(root).head.replace(waited, frozen(waited), AcqRel, Relaxed).is_ok()
    }
}

enum Mark {
    /// We are now a visitor of its list.
    Enter { first: *mut Node },
    /// Nothing below it, or all of it is flagged.
    Skip,
    /// The same, by us and by the short way: perhaps also for what follows.
    Childless,
    /// It has been replaced by this one.
    Alias(*mut Node),
}

/// Marks `root`, whose reason is decided, and everything below it, and notes what is waited for. Who has no reason of his
/// own gets that of the owner of the list he is in.
///
/// # Safety
/// The caller holds a handle or a child claim on `root`.
pub(super) unsafe fn walk(root: *mut Node, waited: &mut Waited, bin: &mut Bin) {
    // SAFETY: by our visits every node on the path from `root` is kept, and so is whatever stands in their lists, in
    // limbo or not yet swept (I6). The owner's word keeps the cause of the reason that we pass on.
    unsafe {
        let mut reason = at(root).reason.word();
        let Mark::Enter { first } = mark(root, reason, waited) else {
            return;
        };
        let (mut owner, mut node) = (root, first);
        loop {
            if node.is_null() {
                leave(owner, bin);
                if ptr::eq(owner, root) {
                    return;
                }
                (node, owner) = after(owner);
                reason = at(owner).reason.word();
                continue;
            }
            match mark(node, reason, waited) {
                Mark::Enter { first } => {
                    (owner, node) = (node, first);
                    reason = at(owner).reason.word();
                }
                // It was found in this list, where it stays; so its `next` is that of this list (E1, E12).
                Mark::Skip => node = next_of(node),
                Mark::Childless => {
                    node = next_of(node);
                    if is_childless(node) {
                        node = mark_childless(node);
                    }
                }
                Mark::Alias(heir) => {
                    match mark_heir(heir, reason, waited) {
                        (heir, Mark::Enter { first }) => (owner, node) = (heir, first),
                        (heir, _) => (node, owner) = after(heir),
                    }
                    reason = at(owner).reason.word();
                }
            }
        }
    }
}

/// What follows `node` in its list, and the owner of that list.
///
/// # Safety
/// The caller visits that list, and `node` was reached by it.
unsafe fn after(mut node: *mut Node) -> (*mut Node, *mut Node) {
    // SAFETY: the visit.
    unsafe {
        loop {
            // Acquire (E12): `next` below is the one that goes with this parent.
            let parent = at(node).parent.load(Acquire);
            // A relay that has just been replaced by `node`: what follows `node` is what follows the relay.
            // Relaxed: who still finds a forwarded parent has come by way of it, and acquired its head in `mark`.
            if at(parent).head.load(Relaxed).is_forwarded() {
                node = parent;
            } else {
                return (next_of(node), parent);
            }
        }
    }
}

/// Marks what stands for a node that has been replaced. That has perhaps not yet come into the list that the walker is in.
///
/// # Safety
/// As [`mark`].
#[cold]
#[inline(never)]
unsafe fn mark_heir(mut heir: *mut Node, reason: Word, waited: &mut Waited) -> (*mut Node, Mark) {
    loop {
        // SAFETY: the caller's contract.
        match unsafe { mark_thoroughly(heir, reason, waited) } {
            Mark::Alias(next) => heir = next,
            mark => return (heir, mark),
        }
    }
}

/// The short way, for as many nodes on end as have no children and were never waited for, as most in a wide tree. Returns what
/// follows them.
///
/// # Safety
/// As [`mark`], for each of them, and for the plain reason.
#[inline(never)]
unsafe fn mark_childless(mut node: *mut Node) -> *mut Node {
    let mut ahead = Ahead::new();
    // SAFETY: the caller's contract.
    unsafe {
        // Relaxed: as in `mark` (calibration `what_stays_is_passed_on_the_way`).
        while is_childless(node) && !at(node).state.load(Relaxed).stays() {
            ahead.at(node);
            // Release (E5): as in `mark_thoroughly`. Nothing to acquire: there is no list to be entered.
            if at(node).head.replace(Head::EMPTY, frozen(Head::EMPTY), Release, Relaxed).is_err() {
                break;
            }
            at(node).reason.set_plain();
            node = next_of(node);
        }
    }
    node
}

/// Not the end of the list, and neither children nor anything else in its head. A first look.
///
/// # Safety
/// As [`mark`], if it is not null.
#[inline]
unsafe fn is_childless(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    unsafe { !node.is_null() && at(node).head.load(Relaxed) == Head::EMPTY }
}

/// Marks one node, and is then its first visitor; or helps who did, and becomes a further one if there is a reason to.
///
/// # Safety
/// The caller visits the list that the node is in, or holds a claim on it; and keeps the cause of `reason`.
#[inline]
unsafe fn mark(node: *mut Node, reason: Word, waited: &mut Waited) -> Mark {
    // The common case, without a loop and without calls. What is to be said of each step stands in `mark_thoroughly`.
    // SAFETY: the caller's contract.
    unsafe {
        let head = at(node).head.load(Acquire); // Acquire: as there.
        // The short way (`reason`); the root of a walk has its reason already, and gets it once more. Relaxed: STAYS is there from
        // birth. (Calibrations `what_stays_has_its_reason_first`, `only_the_plain_reason_comes_after_the_mark`.)
        if reason.is_plain() && head.is_quiet() && !at(node).state.load(Relaxed).stays() {
            let marked = frozen(head);
            // AcqRel: as there. Relaxed: looked at again.
            if at(node).head.replace(head, marked, AcqRel, Relaxed).is_ok() {
                if head.is_waited() {
                    return waited.noted_plainly(node, marked);
                }
                at(node).reason.set_plain();
                return if marked.is_done() { Mark::Childless } else { Mark::Enter { first: marked.first() } };
            }
        } else if !head.is_cancelled() && !head.is_forwarded() && !reason.is_counted() {
            at(node).reason.decide(reason);
            let marked = frozen(head);
            // AcqRel: as there. Relaxed: looked at again.
            if at(node).head.replace(head, marked, AcqRel, Relaxed).is_ok() {
                return if head.is_waited() { waited.noted(node, marked) } else { Mark::by_us(marked) };
            }
        }
        mark_thoroughly(node, reason, waited)
    }
}

impl Waited {
    /// # Safety
    /// As [`add`](Self::add).
    #[cold]
    unsafe fn noted(&mut self, node: *mut Node, marked: Head) -> Mark {
        // SAFETY: the caller's contract.
        unsafe { self.add(node) };
        Mark::by_us(marked)
    }

    /// The same, of a node that has been marked by the short way, and has no reason yet.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(never)]
    unsafe fn noted_plainly(&mut self, node: *mut Node, marked: Head) -> Mark {
        // SAFETY: the caller's contract.
        unsafe {
            if is_anything_announced(node) {
                // (Calibration `who_marks_heeds_what_is_announced`.)
                help(node);
                return self.noted(node, marked);
            }
            at(node).reason.set_plain();
            self.add_plain(node);
        }
        Mark::by_us(marked)
    }
}

impl Mark {
    #[inline]
    fn by_us(marked: Head) -> Self {
        if marked.is_done() { Mark::Skip } else { Mark::Enter { first: marked.first() } }
    }
}

/// # Safety
/// As [`mark`].
#[cold]
#[inline(never)]
unsafe fn mark_thoroughly(node: *mut Node, reason: Word, waited: &mut Waited) -> Mark {
    // SAFETY: the visit, or the claim.
    unsafe {
        // Acquire (E5, E8): if it is marked, who did it; if it is done, everything below.
        let mut head = at(node).head.load(Acquire);
        loop {
            if head.is_forwarded() {
                return Mark::Alias(head.first());
            }
            if head.is_cancelled() {
                // Also if it is done: without children it is so before it has its reason (calibrations `walkers_help`,
                // `walkers_help_what_is_done`).
                help(node);
                if head.is_done() {
                    return Mark::Skip;
                }
                break;
            }
            // Before the mark: whoever finds that finds the reason, if it is not the plain one (calibration `reason_first`).
            at(node).reason.decide(reason);
            // For who frees it: there is a cause to be given back (calibration `a_cause_is_noted_in_the_head`). If it is another's, who was
            // first to decide for this node alone, he has set WAITED (`announce`).
            let cause = if reason.is_counted() { WAITED } else { 0 };
            let marked = frozen(head).with(cause);
            // Release (E5): the caller's writes before `cancel`, for those who help or find it marked (C11).
            // Acquire (E1, E2): the children; and every pruner's session before this point, so that nothing which
            // was freed at the end of one can be reached by us (I5).
            match at(node).head.replace(head, marked, AcqRel, Acquire) {
                Ok(()) => return if head.is_waited() { waited.noted(node, marked) } else { Mark::by_us(marked) },
                Err(newer) => head = newer,
            }
        }
        if enter(node) { Mark::Enter { first: head.first() } } else { Mark::Skip }
    }
}

/// The head of a node that is being cancelled: news is dropped, for the sweeper empties the dead stack anyway; and a node
/// without children is done at once.
fn frozen(head: Head) -> Head {
    let head = head.without(MARKED).with(CANCELLED);
    if head.is_empty() { head.with(MARKED) } else { head }
}
