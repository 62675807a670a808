//! Callbacks: a hidden child that carries a closure.
//!
//! A callback has no children and no waker. Its `slot` decides who has the closure: SET until the first of FREE
//! (prevented: by the registration) and FIRED (the canceller's). Its `dead` tells whether it has *finished*, and which
//! token, if any, is cancelled then: null, a root that the word has a handle on, and [`DONE`] over either.

use super::extended::{Payload, Role, discard_payload, payload};
use super::handle::Handle;
use super::memory::{Bin, Home};
use super::reason::Reason;
use super::release::{release, release_handle_into};
use super::state::{CHILD, Duty, HANDLE};
use super::{Node, at, slot};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release};
use crate::reason::CancelKind;
use core::ptr;

/// In the `dead` word of a callback: it has run, or will never run.
const DONE: usize = 1;

/// A closure.
pub(super) struct Callback<F>(pub(super) F);
impl<F: FnOnce() + Send + 'static> Payload for Callback<F> {
    const ROLE: Role = Role::Callback;

    unsafe fn cancelled(payload: *mut Self) {
        // SAFETY: consumed: FIRED tells `dismantle` so.
        let Callback(f) = unsafe { payload.read() };
        f();
    }
}

/// Takes the closure out of a callback that nobody else has seen.
///
/// # Safety
/// The caller made `node` with this type, and nobody has seen it.
pub(super) unsafe fn take_callback<F: FnOnce() + Send + 'static>(node: *mut Node) -> F {
    // SAFETY: the caller's contract.
    unsafe { payload::<Callback<F>>(node).with_mut(|cell| cell.cast::<Callback<F>>().read().0) }
}

/// Prevents a callback from running, unless a canceller has it. If so, the closure is dropped.
///
/// # Safety
/// The caller holds the registration's handle, and calls this once.
pub(super) unsafe fn prevent(node: *mut Node) -> bool {
    // SAFETY: the handle; SET to FREE makes the closure ours.
    unsafe {
        // Relaxed: the closure was written before the node's birth, and its drop is ours. If a canceller has it, nothing follows
        // from that; who wants to see what it did asks whether it has finished (E15).
        let prevented = at(node).slot.compare_exchange(slot::SET, slot::FREE, Relaxed, Relaxed).is_ok();
        if prevented {
            discard_payload(node);
        }
        prevented
    }
}

/// Says that a callback has finished. The token that has to be cancelled now, if any; the callback keeps it.
///
/// # Safety
/// The caller keeps the node, which is a callback, and has run it or prevented it.
pub(super) unsafe fn finish(node: *mut Node) -> *mut Node {
    // SAFETY: the caller keeps the node.
    unsafe {
        let mut seen = at(node).dead.load(Relaxed);
        loop {
            let done = seen.map_addr(|address| address | DONE);
            // Release (E15): what the callback did. Acquire (E15): the token, if somebody has put one there.
            match at(node).dead.compare_exchange(seen, done, AcqRel, Relaxed) {
                Ok(_) => return seen.map_addr(|address| address & !DONE),
                Err(newer) => seen = newer,
            }
        }
    }
}

/// The end of a callback's node: lets go of the token that waits for the end of the callback. If it has not come yet, it does
/// now: the callback was left to itself, and its token is gone.
///
/// # Safety
/// By I2 the node is the caller's alone.
pub(super) unsafe fn let_go(node: *mut Node) {
    // Relaxed: all that was done with the node is visible to who frees it (E7).
    // SAFETY: the caller's contract; the word's handle.
    unsafe {
        let word = at(node).dead.load(Relaxed);
        let finished = word.map_addr(|address| address & !DONE);
        if !finished.is_null() {
            let finished = Handle::adopt(finished);
            if word.addr() & DONE == 0 {
                finished.cancel(&Reason::new(CancelKind::Cancelled));
            }
        }
    }
}

/// Whether [`let_go`] would do nothing.
///
/// # Safety
/// As [`let_go`].
pub(super) unsafe fn is_awaited_by_nobody(node: *mut Node) -> bool {
    // SAFETY: the caller's node. Relaxed: as in `let_go`.
    unsafe { at(node).dead.load(Relaxed).addr() & !DONE == 0 }
}

/// Whether a callback has finished.
///
/// # Safety
/// The caller holds a handle on the node, which is a callback.
pub(super) unsafe fn has_finished(node: *mut Node) -> bool {
    // SAFETY: the handle.
    // Acquire (E15): what it did.
    unsafe { at(node).dead.load(Acquire).addr() & DONE != 0 }
}

/// A handle on the token that is cancelled when the callback has finished: made when first asked for, in `home`.
///
/// # Safety
/// The caller holds a handle on the node, which is a callback.
pub(super) unsafe fn finished<H: Home>(node: *mut Node, home: H) -> Result<Option<Handle>, H::Full> {
    // SAFETY: the handle.
    unsafe {
        // Acquire (E15): the token, or what the callback did.
        let mut seen = at(node).dead.load(Acquire);
        if seen.is_null() {
            let token = Handle::root_in(home)?;
            // The word gets a handle of its own.
            let second = token.clone().into_node();
            // Release, Acquire (E15): as in `finish`.
            match at(node).dead.compare_exchange(ptr::null_mut(), second, Release, Acquire) {
                Ok(_) => return Ok(Some(token)),
                Err(newer) => {
                    drop(Handle::adopt(second));
                    seen = newer;
                }
            }
        }
        if seen.addr() & DONE != 0 {
            return Ok(None);
        }
        at(seen).state.retain();
        Ok(Some(Handle::adopt(seen)))
    }
}

/// Leaves a callback to itself: from now on it is kept by the token alone, and goes with it.
///
/// # Safety
/// The caller holds the registration's handle on `node` and a handle on `parent`, its token, and gives up both.
pub(super) unsafe fn detach(parent: *mut Node, node: *mut Node) {
    let mut bin = Bin::immediate();
    // SAFETY: the handles; `parent` has one, so it is no relay, and nobody moves the node.
    unsafe {
        at(parent).state.keep();
        let mut state = at(node).state.load(Relaxed); // Relaxed: the step looks again.
        loop {
            if !state.is_linked() {
                // The token is cancelled, and the claim on it gone; the canceller has run this, or is about to.
                release(node, HANDLE, &mut bin);
                release_handle_into(parent, &mut bin);
                return;
            }
            // Acquire (E7): a canceller that has given back his claim has set FIRED before that. (My uses are released with the
            // claim that this takes.)
            match at(node).state.replace(state, state.detached(), Acquire, Relaxed) {
                Ok(()) => break,
                Err(newer) => state = newer,
            }
        }
        // The claim that we took with that step keeps the node for this look: a canceller may have come and gone before the
        // step, and not known that the node's end was his to see to. One who is still there, or comes later, knows it.
        // Relaxed: acquired by the step.
        let duty = if at(node).slot.load(Relaxed) == slot::SET {
            at(node).state.release_detached()
        } else {
            at(node).state.release(CHILD)
        };
        if duty == Duty::Free {
            bin.put(node);
        }
        // Its claim on the token is ours to give back: the token keeps it without one (I15).
        at(parent).state.cancel_child();
        release_handle_into(parent, &mut bin);
    }
}
