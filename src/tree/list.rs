//! The links of a list: taking a node out, putting another in its place. All of it is the pruner's.
//!
//! New nodes come to the front by a step on the head alone, so they do not know who is before them. The pruner finds that
//! out when he first needs it, once for each node (I14).

use super::ahead::Ahead;
use super::{Node, at, next_of};
use crate::primitives::{Acquire, Relaxed, Release};
use core::ptr;

/// On `prev`: this node is perhaps the `prev` of the next one. Without it, it is not (calibration `who_is_known_is_marked`).
const TOLD: usize = 1;

/// The node before this one, if known.
///
/// # Safety
/// The caller holds PRUNING of the list that the node is in.
#[inline]
unsafe fn before(node: *mut Node) -> *mut Node {
    // SAFETY: PRUNING makes `prev` ours (I9), and keeps the nodes in the list.
    unsafe { at(node).prev.with(|prev| (*prev).map_addr(|address| address & !TOLD)) }
}

/// Says what stands before a node, null for what is not known; and that the next one perhaps knows the node itself.
///
/// # Safety
/// As [`before`].
#[inline]
unsafe fn set_before(node: *mut Node, before: *mut Node) {
    // SAFETY: as in `before`.
    unsafe { at(node).prev.with_mut(|prev| *prev = before.map_addr(|address| address | TOLD)) };
}

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
        let prev = before(node);
        // Release (E12): `next` may be an heir that only its place in the list has published.
        at(prev).next.store(next, Release);
        if !next.is_null() {
            set_before(next, prev);
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
        let prev = before(node);
        set_before(heir, prev);
        // Release (E12): the heir's new `next` and `parent`.
        at(prev).next.store(heir, Release);
        if !next.is_null() {
            set_before(next, heir);
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
        if !before(node).is_null() {
            return false;
        }
        forget_prev(node, next);
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
/// while the node still stands. The next one is touched only if it may know the node: it is perhaps in the cache of another core.
///
/// # Safety
/// As [`unlink`].
#[inline]
pub(super) unsafe fn forget_prev(node: *mut Node, next: *mut Node) {
    // SAFETY: PRUNING makes `prev` ours (I9), and keeps the nodes in the list.
    unsafe {
        let told = at(node).prev.with(|prev| (*prev).addr() & TOLD != 0);
        if told && !next.is_null() {
            set_before(next, ptr::null_mut());
        }
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
        set_before(node, ptr::null_mut());
        let mut ahead = Ahead::new();
        loop {
            ahead.at(node);
            let next = next_of(node);
            // From the first that has one on, all have one (I14).
            if next.is_null() || !before(next).is_null() {
                break;
            }
            set_before(next, node);
            node = next;
        }
    }
}
