//! Birth of nodes.

use super::announce::help;
#[cfg(feature = "alloc")]
use super::block::take_unseen;
#[cfg(feature = "std")]
use super::branch::{branches_of, host};
use super::callback::{self, Callback};
use super::deadline::Deadline;
use super::extended::{Payload, Waiting, birth_state, deadline, discard_payload};
use super::head::Head;
#[cfg(feature = "alloc")]
use super::memory::allocate;
use super::memory::{AnyHome, Home, give_up, home_of};
use super::state::State;
use super::{Node, at, slot};
use crate::PoolFull;
use crate::primitives::{Acquire, Relaxed, Release};
use core::task::Waker;

/// Why a hidden child was not born; with what was to be in it.
pub(crate) enum Unborn<T, F> {
    /// The parent is cancelled.
    Cancelled(T),
    /// There is no room.
    Full(T, F),
}

/// A node in no list, with one handle.
#[cfg(feature = "alloc")]
pub(super) fn root() -> *mut Node {
    allocate(Node::root(State::ROOT))
}

/// The same, anywhere, and with a payload.
pub(super) fn root_in<H: Home, P: Payload>(home: H, payload: P) -> Result<*mut Node, H::Full> {
    let state = birth_state(State::ROOT, P::ROLE);
    Ok(home.room()?.fill(Node::root(state), Deadline::NEVER, payload))
}

/// A child with one handle; born cancelled if the parent is (C4).
///
/// # Safety
/// The caller holds a handle on `parent`.
#[cfg(feature = "alloc")]
pub(super) unsafe fn child(parent: *mut Node) -> *mut Node {
    // SAFETY: the handle on the parent; the node is ours alone if it has not been pushed.
    unsafe {
        // Not by `state`: the first look at what the children write is to be a step, so that other cores are asked for it once; and
        // what follows on that is to come without delay. Relaxed: EXTENDED is there from birth; who has seen the parent cancelled
        // sees it here (C4), and `push` finds any other cancel; what came before it is acquired by who goes on with that.
        if at(parent).reason.glance() | branches_of(parent) != 0 {
            return child_of_another(parent);
        }
        let node = allocate(Node::child(State::CHILD, parent));
        if !push_token(parent, node) {
            cancel_plain_at_birth(parent, node);
        }
        node
    }
}

/// A child of one that has perhaps a deadline, or branches, or lives in a pool, or is cancelled.
///
/// # Safety
/// As [`child`].
#[cfg(feature = "alloc")]
#[cold]
#[inline(never)]
unsafe fn child_of_another(parent: *mut Node) -> *mut Node {
    // SAFETY: as in `child`.
    unsafe {
        let deadline = deadline(parent);
        if deadline != Deadline::NEVER {
            let Ok(node) = child_in(super::memory::Heap, parent, deadline, ());
            return node;
        }
        let host = host(parent);
        let node = allocate(Node::child(State::CHILD, host));
        // The parent's reason first, though its branch would say so, too, when the cancel has come there (calibration
        // `a_token_is_asked_before_its_branch`).
        if at(parent).reason.is_set() || !push_token(host, node) {
            cancel_plain_at_birth(parent, node);
        }
        node
    }
}

/// A child where the parent lives.
///
/// # Safety
/// As [`child_in`].
pub(super) unsafe fn child_at_home(parent: *mut Node) -> Result<*mut Node, PoolFull> {
    // SAFETY: as in `child_in`.
    unsafe {
        match home_of(parent) {
            #[cfg(feature = "alloc")]
            AnyHome::Heap => Ok(child(parent)),
            AnyHome::Pool(pool) => child_in(pool, parent, deadline(parent), ()),
        }
    }
}

/// A child with one handle, a deadline, and a payload; born cancelled if the parent is cancelled.
///
/// # Safety
/// The caller holds a handle on `parent`.
pub(super) unsafe fn child_in<H: Home, P: Payload>(
    home: H,
    parent: *mut Node,
    deadline: Deadline,
    payload: P,
) -> Result<*mut Node, H::Full> {
    // SAFETY: the handle on the parent; the node is ours alone if it has not been pushed.
    unsafe {
        let state = birth_state(State::CHILD, P::ROLE);
        let room = home.room()?;
        let host = host(parent);
        let node = room.fill(Node::child(state, host), deadline, payload);
        if at(parent).reason.is_set() || !push_token(host, node) {
            cancel_at_birth(parent, node, birth_state(State::ROOT, P::ROLE));
        }
        Ok(node)
    }
}

/// Makes a node that nobody has seen one that was born cancelled, for the parent's reason.
///
/// # Safety
/// The caller holds a handle on `parent`, and has the only pointer to `node`. The parent has its reason, and the caller has acquired
/// that: or that a branch of it is marked, which came after that.
#[cold]
unsafe fn cancel_at_birth(parent: *mut Node, node: *mut Node, state: State) {
    // SAFETY: the handle; the node is the caller's.
    unsafe {
        if let Some(reason) = at(parent).reason.get() {
            node.write(Node::born_cancelled(state, reason));
        }
    }
}

/// The same for a node without a tail.
///
/// # Safety
/// As [`cancel_at_birth`].
#[cfg(feature = "alloc")]
#[cold]
#[inline(never)]
unsafe fn cancel_plain_at_birth(parent: *mut Node, node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe { cancel_at_birth(parent, node, State::ROOT) };
}

/// A hidden child with a waker in its slot, where the parent lives.
///
/// # Safety
/// The caller holds a handle on `parent`.
pub(super) unsafe fn waiter(parent: *mut Node, waker: Waker) -> Result<*mut Node, Unborn<Waker, PoolFull>> {
    // SAFETY: the handle on the parent; the node is ours alone if it has not been pushed.
    unsafe {
        let room = match home_of(parent).room() {
            Ok(room) => room,
            Err(full) => return Err(Unborn::Full(waker, full)),
        };
        let state = birth_state(State::CHILD, Waiting::ROLE);
        let node = room.fill(Node::waiter(state, parent, waker), Deadline::NEVER, Waiting);
        if push(parent, node) {
            return Ok(node);
        }
        // Nobody else has seen the node.
        let waker = slot::copy(&at(node).waker).assume_init();
        give_up(node);
        Err(Unborn::Cancelled(waker))
    }
}

/// A block that `new` makes, with a waker in its first slot, and so many handles; or the waker, if the parent is cancelled.
///
/// # Safety
/// The caller holds a handle on `parent`, which lives on the heap.
#[cfg(feature = "alloc")]
#[cold]
pub(super) unsafe fn block<P: Payload>(
    parent: *mut Node,
    waker: Waker,
    handles: usize,
    new: impl FnOnce(Waker) -> P,
) -> Result<*mut Node, Waker> {
    // SAFETY: as in `waiter`.
    unsafe {
        let Ok(room) = super::memory::Heap.room();
        let state = birth_state(State::CHILD, P::ROLE).with_handles(handles - 1);
        let node = room.fill(Node::hidden(state, parent), Deadline::NEVER, new(waker));
        if push(parent, node) {
            return Ok(node);
        }
        let waker = take_unseen(node);
        give_up(node);
        Err(waker)
    }
}

/// A hidden child with a closure.
///
/// # Safety
/// As [`waiter`].
pub(super) unsafe fn callback<H: Home, F: FnOnce() + Send + 'static>(
    home: H,
    parent: *mut Node,
    f: F,
) -> Result<*mut Node, Unborn<F, H::Full>> {
    // SAFETY: as in `waiter`.
    unsafe {
        let room = match home.room() {
            Ok(room) => room,
            Err(full) => return Err(Unborn::Full(f, full)),
        };
        let node = room.fill(hidden::<Callback<F>>(parent), Deadline::NEVER, Callback(f));
        if push(parent, node) {
            return Ok(node);
        }
        let f = callback::take_callback(node);
        give_up(node);
        Err(Unborn::Cancelled(f))
    }
}

/// A hidden child with a payload, unless the parent is cancelled.
///
/// # Safety
/// As [`waiter`].
pub(super) unsafe fn link<H: Home, P: Payload>(
    home: H,
    parent: *mut Node,
    payload: P,
) -> Result<Option<*mut Node>, H::Full> {
    // SAFETY: as in `waiter`.
    unsafe {
        let node = home.room()?.fill(hidden::<P>(parent), Deadline::NEVER, payload);
        if push(parent, node) {
            return Ok(Some(node));
        }
        discard_payload(node);
        give_up(node);
        Ok(None)
    }
}

fn hidden<P: Payload>(parent: *mut Node) -> Node {
    Node::hidden(birth_state(State::CHILD, P::ROLE), parent)
}

// Branches take `std`.
#[cfg(not(feature = "std"))]
unsafe fn host(parent: *mut Node) -> *mut Node {
    parent
}
#[cfg(all(feature = "alloc", not(feature = "std")))]
unsafe fn branches_of(_parent: *mut Node) -> usize {
    0
}

/// Puts a new node at the front of its parent's list. False if the parent is cancelled; then its reason is there, too.
///
/// Lock-free: tried again only if another push, a pruner's step or the mark of a first waiter went through.
///
/// # Safety
/// The caller holds a handle on `parent`, and the only pointer to `node`.
pub(super) unsafe fn push(parent: *mut Node, node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    unsafe { push_as::<false>(parent, node) }
}

/// The same for a token. If a try fails, branches are perhaps opened.
///
/// # Safety
/// As [`push`].
#[inline(always)]
unsafe fn push_token(parent: *mut Node, node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    unsafe { push_as::<true>(parent, node) }
}

/// # Safety
/// As [`push`].
#[inline(always)]
unsafe fn push_as<const TOKEN: bool>(parent: *mut Node, node: *mut Node) -> bool {
    // SAFETY: the handle on the parent.
    unsafe {
        // Before the push: else a sweep could give back a claim that has not been taken.
        at(parent).state.add_child();
        // Acquire (E5): the reason, or what came before the cancel, for `help`.
        match try_push(parent, node, at(parent).head.load(Acquire)) {
            Push::Done => true,
            Push::Again(head) => push_again::<TOKEN>(parent, node, head),
            Push::Cancelled => push_in_vain(parent),
        }
    }
}

enum Push {
    Done,
    Again(Head),
    Cancelled,
}

/// One try. The parent's head was `head` a moment ago.
///
/// # Safety
/// As [`push`]; a claim has been taken for the node.
#[inline(always)]
unsafe fn try_push(parent: *mut Node, node: *mut Node, head: Head) -> Push {
    if head.is_cancelled() {
        return Push::Cancelled;
    }
    // SAFETY: the handle on the parent; the node is the caller's until the step that publishes it.
    unsafe {
        // Relaxed: published by the step below.
        at(node).next.store(head.first(), Relaxed);
        // Release (E1): the node's fields. Acquire on failure (E5): as in `push_as`. If the first node was replaced and came back in
        // between, `next` still is what the step puts behind the new node: no ABA.
        match at(parent).head.replace(head, head.with_first(node), Release, Acquire) {
            Ok(()) => Push::Done,
            Err(newer) => Push::Again(newer),
        }
    }
}

/// # Safety
/// As [`try_push`].
#[cold]
#[inline(never)]
unsafe fn push_again<const TOKEN: bool>(parent: *mut Node, node: *mut Node, mut head: Head) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        loop {
            match try_push(parent, node, head) {
                Push::Done => break,
                Push::Again(newer) => head = newer,
                Push::Cancelled => return push_in_vain(parent),
            }
        }
        // In models it is said when.
        #[cfg(all(feature = "std", not(cancel_tree_loom)))]
        if TOKEN {
            super::branch::collided(parent);
        }
        true
    }
}

/// # Safety
/// As [`try_push`]; the parent is cancelled, and the caller has acquired that (E5).
#[cold]
unsafe fn push_in_vain(parent: *mut Node) -> bool {
    // SAFETY: the handle on the parent.
    unsafe {
        // The child is to have its reason (calibration `a_push_helps`).
        help(parent);
        at(parent).state.cancel_child();
        false
    }
}
