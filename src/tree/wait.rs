//! Waiting for a token: what a future keeps between its polls.

use super::birth::Unborn;
use super::handle::Handle;
use super::slot::{self, Arm};
use core::borrow::Borrow;
use core::task::{Context, Poll, Waker};

/// A wait for one token, by a borrowed or an owned handle. Registers nothing before its first poll (C12).
pub(crate) struct Wait<H: Borrow<Handle>> {
    handle: H,
    registration: Registration,
}

/// Where this wait has put its waker.
enum Registration {
    None,
    /// Into the token's own slot: the first waiter allocates nothing.
    Own,
    /// Into that of a hidden child of the token, because another wait had the token's own.
    Hidden(Handle),
}

impl<H: Borrow<Handle>> Wait<H> {
    pub(crate) fn new(handle: H) -> Self {
        Self { handle, registration: Registration::None }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.handle.borrow().is_cancelled()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let handle = self.handle.borrow();
        if !handle.is_cancelled() && self.register(cx.waker()) {
            return Poll::Pending;
        }
        self.deregister();
        Poll::Ready(())
    }

    /// Sees to it that the next cancel wakes `waker`. False if the token is cancelled.
    fn register(&mut self, waker: &Waker) -> bool {
        let handle = self.handle.borrow();
        // SAFETY: in each case a handle on the node is held here: the token's, or the hidden child's. The slot of a
        // registration is this wait's, for nobody else sets `registration`.
        unsafe {
            match &self.registration {
                Registration::None => match slot::arm(handle.node(), waker.clone()) {
                    Arm::Armed => self.registration = Registration::Own,
                    Arm::Cancelled(_waker) => return false,
                    Arm::Taken(waker) => match handle.waiter(waker) {
                        Ok(hidden) => self.registration = Registration::Hidden(hidden),
                        Err(Unborn::Cancelled(_waker)) => return false,
                        // To be polled again, until there is room: so no wake-up can be lost (C13).
                        Err(Unborn::Full(waker, _)) => waker.wake(),
                    },
                },
                Registration::Own => return slot::rearm(handle.node(), waker),
                Registration::Hidden(hidden) => return slot::rearm(hidden.node(), waker),
            }
        }
        true
    }

    /// Takes the waker back, if no canceller has it. The waker is dropped last, when nothing is held any more: its drop
    /// may do what it likes with the tree (C14).
    fn deregister(&mut self) {
        let handle = self.handle.borrow();
        // SAFETY: as in `register`.
        let _waker = unsafe {
            match core::mem::replace(&mut self.registration, Registration::None) {
                Registration::None => None,
                Registration::Own => slot::disarm(handle.node()),
                Registration::Hidden(hidden) => slot::disarm(hidden.node()),
            }
        };
    }
}

impl<H: Borrow<Handle>> Drop for Wait<H> {
    fn drop(&mut self) {
        self.deregister();
    }
}
