//! Tokens with a deadline of their own: the token carries the armed timer, and the timer a weak claim on the token.

use super::extended::{Payload, Role, payload};
use super::{Node, slot};

/// What a timer gave for an alarm that it has armed.
pub(super) struct Timed<A> {
    armed: Option<A>,
    disarm: fn(&A),
}

impl<A: Send + 'static> Timed<A> {
    pub(super) fn new(disarm: fn(&A)) -> Self {
        Self { armed: None, disarm }
    }
}

impl<A: Send + 'static> Payload for Timed<A> {
    const ROLE: Role = Role::Timed;

    unsafe fn cancelled(payload: *mut Self) {
        // SAFETY: the payload is the caller's; it stays, and is dropped with the node, outside of the cancel (C10).
        let timed = unsafe { &*payload };
        if let Some(armed) = &timed.armed {
            (timed.disarm)(armed);
        }
    }
}

/// Puts the armed timer into its token. If that has been cancelled meanwhile, disarms the timer.
///
/// # Safety
/// The caller made `node` with this type, holds a handle on it, and calls this once, before anybody else can wait for it.
pub(super) unsafe fn set<A: Send + 'static>(node: *mut Node, armed: A) {
    // SAFETY: nobody looks at the payload before WAITED is set: it is written before that, and looked at after.
    unsafe {
        payload::<Timed<A>>(node).with_mut(|cell| (*cell).assume_init_mut().armed = Some(armed));
        if !slot::announce(node) {
            payload::<Timed<A>>(node).with_mut(|cell| Payload::cancelled((*cell).as_mut_ptr()));
        }
    }
}
