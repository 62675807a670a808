//! Tokens with a deadline of their own: the token carries the armed timer, and the timer a weak claim on the token.

use super::extended::{Payload, Role, payload};
use super::{Node, slot};
use crate::time::Timer;
use core::marker::PhantomData;

/// What a timer gave for an alarm that it has armed.
pub(super) struct Timed<T: Timer> {
    armed: Option<T::Armed>,
    disarm: PhantomData<fn(&T)>,
}

impl<T: Timer> Timed<T> {
    pub(super) fn new() -> Self {
        Self { armed: None, disarm: PhantomData }
    }
}

impl<T: Timer> Payload for Timed<T> {
    const ROLE: Role = Role::Timed;

    unsafe fn cancelled(payload: *mut Self) {
        // SAFETY: the payload is the caller's; it stays, and is dropped with the node, outside of the cancel (C10).
        let timed = unsafe { &*payload };
        if let Some(armed) = &timed.armed {
            T::disarm(armed);
        }
    }
}

/// Puts the armed timer into its token. If that has been cancelled meanwhile, disarms the timer.
///
/// # Safety
/// The caller made `node` with this type, holds a handle on it, and calls this once, before anybody else can wait for it.
pub(super) unsafe fn set<T: Timer>(node: *mut Node, armed: T::Armed) {
    // SAFETY: nobody looks at the payload before WAITED is set: it is written before that, and looked at after.
    unsafe {
        payload::<Timed<T>>(node).with_mut(|cell| (*cell).assume_init_mut().armed = Some(armed));
        if !slot::announce(node) {
            payload::<Timed<T>>(node).with_mut(|cell| Payload::cancelled((*cell).as_mut_ptr()));
        }
    }
}
