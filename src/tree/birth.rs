//! Birth of nodes.

use super::callback::{self, Callback};
use super::deadline::Deadline;
use super::extended::{Extended, Payload, birth_state, deadline};
use super::memory::{allocate, allocate_extended, free, layout_of};
use super::state::State;
use super::{Node, at};
use crate::primitives::{Acquire, Relaxed, Release};
use core::mem;
use core::task::Waker;

/// A node in no list, with one handle.
pub(super) fn root() -> *mut Node {
    allocate(Node::root(State::ROOT))
}

/// The same with a payload, born cancelled if there is a reason.
pub(super) fn root_with<P: Payload>(deadline: Deadline, payload: P) -> *mut Node {
    allocate_extended(Extended::new(Node::root(birth_state(State::ROOT, P::ROLE)), deadline, payload))
}

/// A child with one handle; born cancelled if the parent is (C4).
///
/// # Safety
/// The caller holds a handle on `parent`.
pub(super) unsafe fn child(parent: *mut Node) -> *mut Node {
    // SAFETY: the handle on the parent; the node is ours alone if it has not been pushed.
    unsafe {
        // Relaxed: EXTENDED is there from birth.
        if at(parent).state.load(Relaxed).is_extended() || at(parent).reason.is_set() {
            return child_of_another(parent);
        }
        let node = allocate(Node::child(State::CHILD, parent));
        if !push(parent, node) {
            cancel_at_birth(parent, node, State::ROOT);
        }
        node
    }
}

/// A child of one that has perhaps a deadline, or is cancelled.
///
/// # Safety
/// As [`child`].
#[cold]
#[inline(never)]
unsafe fn child_of_another(parent: *mut Node) -> *mut Node {
    // SAFETY: as in `child`.
    unsafe {
        let deadline = deadline(parent);
        if deadline != Deadline::NEVER {
            return child_with(parent, deadline, ());
        }
        let node = allocate(Node::child(State::CHILD, parent));
        if at(parent).reason.is_set() || !push(parent, node) {
            cancel_at_birth(parent, node, State::ROOT);
        }
        node
    }
}

/// A child with one handle, a deadline, and a payload; born cancelled if the parent is cancelled.
///
/// # Safety
/// As [`child`].
pub(super) unsafe fn child_with<P: Payload>(parent: *mut Node, deadline: Deadline, payload: P) -> *mut Node {
    // SAFETY: as in `child`.
    unsafe {
        let born = Node::child(birth_state(State::CHILD, P::ROLE), parent);
        let node = allocate_extended(Extended::new(born, deadline, payload));
        if at(parent).reason.is_set() || !push(parent, node) {
            cancel_at_birth(parent, node, birth_state(State::ROOT, P::ROLE));
        }
        node
    }
}

/// Makes a node that nobody has seen one that was born cancelled, for the parent's reason.
///
/// # Safety
/// The caller holds a handle on `parent`, which is cancelled, and has the only pointer to `node`.
#[cold]
unsafe fn cancel_at_birth(parent: *mut Node, node: *mut Node, state: State) {
    // SAFETY: the handle; the node is the caller's.
    unsafe {
        if let Some(reason) = at(parent).reason.get() {
            node.write(Node::born_cancelled(state, reason));
        }
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
        free(node, layout_of::<Node>());
        waker.map_or_else(|| unreachable!("nobody else has seen the node"), Err)
    }
}

/// A hidden child with a closure, or the closure if the parent is cancelled.
///
/// # Safety
/// As [`waiter`].
pub(super) unsafe fn callback<F: FnOnce() + Send + 'static>(parent: *mut Node, f: F) -> Result<*mut Node, F> {
    // SAFETY: as in `child`.
    unsafe {
        let node = hidden(parent, Callback(f));
        if push(parent, node) {
            return Ok(node);
        }
        let f = callback::take_callback(node);
        free(node, layout_of::<Extended<Callback<F>>>());
        Err(f)
    }
}

/// A hidden child with a payload, unless the parent is cancelled.
///
/// # Safety
/// As [`waiter`].
pub(super) unsafe fn link<P: Payload>(parent: *mut Node, payload: P) -> Option<*mut Node> {
    // SAFETY: as in `child`.
    unsafe {
        let node = hidden(parent, payload);
        if push(parent, node) {
            return Some(node);
        }
        super::extended::discard_payload(node);
        free(node, layout_of::<Extended<P>>());
        None
    }
}

/// # Safety
/// As [`waiter`].
unsafe fn hidden<P: Payload>(parent: *mut Node, payload: P) -> *mut Node {
    let born = Node::hidden(birth_state(State::CHILD, P::ROLE), parent);
    allocate_extended(Extended::new(born, Deadline::NEVER, payload))
}

/// Puts a new node at the front of its parent's list. False if the parent is cancelled; then its reason is there, too.
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
        // Acquire (E5): the reason, which the canceller had set before.
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
        false
    }
}
