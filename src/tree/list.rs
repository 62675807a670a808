//! The links of a list: taking a node out, putting another in its place. All of it is the pruner's.
//!
//! New nodes come to the front by a step on the head alone, so they do not know who is before them. The pruner finds that
//! out when he first needs it, once for each node (I14).

use super::{Node, at, next_of};
use crate::primitives::{Acquire, Relaxed, Release};
use core::ptr;

/// Takes a node out of the list; it keeps its `next` (I4).
///
/// # Safety
/// The caller holds PRUNING of `parent`; `node` is in its list.
pub(super) unsafe fn unlink(parent: *mut Node, node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe {
        let next = next_of(node);
        if at_the_front(parent, node, next, next) {
            return;
        }
        let prev = at(node).prev.with(|prev| *prev);
        // Release (E12): `next` may be an heir that only its place in the list has published.
        at(prev).next.store(next, Release);
        if !next.is_null() {
            at(next).prev.with_mut(|link| *link = prev);
        }
    }
}

/// Puts `heir` in the place of `node`, which keeps its `next` (I4). `heir.next` is `node.next` already.
///
/// # Safety
/// As [`unlink`]; the caller keeps `heir` by its pin, and its `prev` is the caller's.
pub(super) unsafe fn replace(parent: *mut Node, node: *mut Node, heir: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe {
        let next = next_of(node);
        at(heir).prev.with_mut(|link| *link = ptr::null_mut());
        if at_the_front(parent, node, next, heir) {
            return;
        }
        let prev = at(node).prev.with(|prev| *prev);
        at(heir).prev.with_mut(|link| *link = prev);
        // Release (E12): the heir's new `next` and `parent`.
        at(prev).next.store(heir, Release);
        if !next.is_null() {
            at(next).prev.with_mut(|link| *link = heir);
        }
    }
}

/// If `node` is the first of the list, makes `heir` the first instead. If not, sees to it that `node` has a `prev`.
///
/// # Safety
/// As [`unlink`].
unsafe fn at_the_front(parent: *mut Node, node: *mut Node, next: *mut Node, heir: *mut Node) -> bool {
    // SAFETY: PRUNING makes `prev` ours (I9).
    unsafe {
        if at(node).prev.with(|prev| !(*prev).is_null()) {
            return false;
        }
        forget_prev(next);
        let mut head = at(parent).head.load(Relaxed);
        while ptr::eq(head.first(), node) {
            // Release (E12): the heir's fields, for walkers and pruners that come by the head. Allowed on a cancelled
            // node too: walkers find `node` in limbo.
            match at(parent).head.replace(head, head.with_first(heir), Release, Relaxed) {
                Ok(()) => return true,
                Err(newer) => head = newer,
            }
        }
        give_prevs(parent);
        false
    }
}

/// Before a node whose `prev` is not known leaves the list: nor is that of the `next` one from now on. True to I14 also
/// while the node still stands.
///
/// # Safety
/// As [`unlink`].
pub(super) unsafe fn forget_prev(next: *mut Node) {
    if !next.is_null() {
        // SAFETY: PRUNING makes `prev` ours (I9), and keeps the nodes in the list.
        unsafe { at(next).prev.with_mut(|prev| *prev = ptr::null_mut()) };
    }
}

/// Gives every node but the first its `prev`. Each node gets it once, so this is O(1) amortised over the pushes.
///
/// # Safety
/// As [`unlink`].
unsafe fn give_prevs(parent: *mut Node) {
    // SAFETY: PRUNING makes `prev` ours, and keeps the nodes in the list (I9).
    unsafe {
        // Acquire (E1): the fields of the nodes pushed since.
        let mut node = at(parent).head.load(Acquire).first();
        loop {
            let next = next_of(node);
            // From the first that has one on, all have one (I14).
            if next.is_null() || at(next).prev.with(|prev| !(*prev).is_null()) {
                break;
            }
            at(next).prev.with_mut(|prev| *prev = node);
            node = next;
        }
    }
}
