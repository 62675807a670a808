//! Birth of nodes.

use super::memory::{allocate, free};
use super::{Node, at, raise_flag};
use crate::primitives::{Acquire, Relaxed, Release};
use core::mem;
use core::task::Waker;

/// A node in no list, with one handle.
pub(super) fn root() -> *mut Node {
    allocate(Node::root())
}

/// A child with one handle; born cancelled if the parent is (C4).
///
/// # Safety
/// The caller holds a handle on `parent`.
pub(super) unsafe fn child(parent: *mut Node) -> *mut Node {
    // SAFETY: the handle on the parent; the node is ours alone if it has not been pushed.
    unsafe {
        // Acquire (E6): what came before the cancel comes before whatever is done with the child.
        if at(parent).flag.load(Acquire) != 0 {
            return allocate(Node::born_cancelled());
        }
        let node = allocate(Node::child(parent));
        if !push(parent, node) {
            node.write(Node::born_cancelled());
        }
        node
    }
}

/// A hidden child with a waker in its slot, or the waker if the parent is cancelled.
///
/// # Safety
/// The caller holds a handle on `parent`.
pub(super) unsafe fn waiter(parent: *mut Node, waker: Waker) -> Result<*mut Node, Waker> {
    // SAFETY: as in `child`.
    unsafe {
        let node = allocate(Node::waiter(parent, waker));
        if push(parent, node) {
            return Ok(node);
        }
        let waker = at(node).waker.with_mut(|cell| mem::take(&mut *cell));
        free(node);
        waker.map_or_else(|| unreachable!("nobody else has seen the node"), Err)
    }
}

/// Puts a new node at the front of its parent's list. False if the parent is cancelled; then it is flagged, too.
///
/// Lock-free: tried again only if another push, a pruner's step or the mark of a first waiter went through.
///
/// # Safety
/// The caller holds a handle on `parent`, and the only pointer to `node`.
unsafe fn push(parent: *mut Node, node: *mut Node) -> bool {
    // SAFETY: the handle on the parent; the node is the caller's until the step that publishes it.
    unsafe {
        // Before the push: else a sweep could give back a claim that has not been taken.
        at(parent).state.add_child();
        // Acquire (E5): with the canceller, whom we may have to help.
        let mut head = at(parent).head.load(Acquire);
        while !head.is_cancelled() {
            // Relaxed: published by the step below.
            at(node).next.store(head.first(), Relaxed);
            // Release (E1): the node's fields. If the first node was replaced and came back in between, `next` still
            // is what the step puts behind the new node: no ABA.
            match at(parent).head.replace(head, head.with_first(node), Release, Acquire) {
                Ok(()) => return true,
                Err(newer) => head = newer,
            }
        }
        at(parent).state.cancel_child();
        raise_flag(parent);
        false
    }
}
