//! Waiting for a token: what a future keeps between its polls.

use super::birth::Unborn;
#[cfg(feature = "alloc")]
use super::block::{self, NoPlace, Place};
use super::handle::Handle;
#[cfg(feature = "alloc")]
use super::memory::AnyHome;
use super::reason::Reason;
use super::slot::{self, Arm};
use core::borrow::Borrow;
use core::mem::{self, ManuallyDrop};
use core::task::{Context, Poll, Waker};

/// A wait for one token, by a borrowed or an owned handle. Registers nothing before its first poll (C12).
pub(crate) struct Wait<H: Borrow<Handle>> {
    handle: H,
    registration: Registration,
}

/// Where this wait has put its waker. What it holds is given back by [`Wait::deregister`], not by a drop.
enum Registration {
    None,
    /// Into the token's own slot: the first waiter allocates nothing.
    Own,
    /// Into a slot of the token's first block, because another wait had the token's own.
    #[cfg(feature = "alloc")]
    First(u8),
    /// Into a slot of another block of the token's, with a handle on that.
    #[cfg(feature = "alloc")]
    Further(ManuallyDrop<Handle>, u8),
    /// Into that of a hidden child of the token: in a pool there are no blocks.
    Hidden(ManuallyDrop<Handle>),
}

impl<H: Borrow<Handle>> Wait<H> {
    pub(crate) fn new(handle: H) -> Self {
        Self { handle, registration: Registration::None }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.handle.borrow().is_cancelled()
    }

    /// Why the token is cancelled.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.handle.borrow().reason()
    }

    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_cancelled() && self.register(cx.waker()) {
            return Poll::Pending;
        }
        self.deregister();
        Poll::Ready(())
    }

    /// Sees to it that the next cancel wakes `waker`. False if the token is cancelled.
    #[inline]
    fn register(&mut self, waker: &Waker) -> bool {
        let node = self.handle.borrow().node();
        // SAFETY: our handle. The slot of a registration is this wait's, for nobody else sets `registration`.
        unsafe {
            match self.registration {
                Registration::None => match slot::arm(node, waker.clone()) {
                    Arm::Armed(()) => self.registration = Registration::Own,
                    Arm::Cancelled(_waker) => return false,
                    Arm::Taken(waker) => return self.register_further(waker),
                },
                Registration::Own => return slot::rearm(node, waker),
                _ => return self.rearm_further(waker),
            }
        }
        true
    }

    /// The token's own slot is taken.
    #[inline(never)]
    fn register_further(&mut self, waker: Waker) -> bool {
        let handle = self.handle.borrow();
        #[cfg(feature = "alloc")]
        let waker = if let AnyHome::Heap = handle.home() {
            // SAFETY: our handle.
            match unsafe { block::wait(handle.node(), waker) } {
                Ok(place) => {
                    self.registration = match place {
                        Place::First(slot) => Registration::First(slot),
                        Place::Further(block, slot) => Registration::Further(ManuallyDrop::new(block), slot),
                    };
                    return true;
                }
                Err(NoPlace::Cancelled(_waker)) => return false,
                Err(NoPlace::Spent(waker)) => waker,
            }
        } else {
            waker
        };
        match handle.waiter(waker) {
            Ok(hidden) => self.registration = Registration::Hidden(ManuallyDrop::new(hidden)),
            Err(Unborn::Cancelled(_waker)) => return false,
            // To be polled again, until there is room: so no wake-up can be lost (C13).
            Err(Unborn::Full(waker, _)) => waker.wake(),
        }
        true
    }

    #[inline(never)]
    fn rearm_further(&mut self, waker: &Waker) -> bool {
        // SAFETY: our handle on the token, which keeps its first block, or on the node or block of the registration, whose slot
        // is this wait's.
        unsafe {
            match &self.registration {
                Registration::None | Registration::Own => unreachable!(),
                #[cfg(feature = "alloc")]
                Registration::First(slot) => block::rearm(block::first(self.handle.borrow().node()), *slot, waker),
                #[cfg(feature = "alloc")]
                Registration::Further(block, slot) => block::rearm(block.node(), *slot, waker),
                Registration::Hidden(hidden) => slot::rearm(hidden.node(), waker),
            }
        }
    }

    /// Takes the waker back, if no canceller has it. The waker is dropped last, when nothing is held any more: its drop
    /// may do what it likes with the tree (C14).
    #[inline]
    fn deregister(&mut self) {
        let _waker = match self.registration {
            Registration::None => None,
            Registration::Own => {
                self.registration = Registration::None;
                // SAFETY: our handle; as in `register`.
                unsafe { slot::disarm(self.handle.borrow().node()) }
            }
            _ => self.deregister_further(),
        };
    }

    #[inline(never)]
    fn deregister_further(&mut self) -> Option<Waker> {
        // SAFETY: as in `rearm_further`. The registration is over: so it is done once, and the handle is ours to drop.
        unsafe {
            match mem::replace(&mut self.registration, Registration::None) {
                Registration::None | Registration::Own => unreachable!(),
                #[cfg(feature = "alloc")]
                Registration::First(slot) => block::disarm_first(block::first(self.handle.borrow().node()), slot),
                #[cfg(feature = "alloc")]
                Registration::Further(block, slot) => block::leave(ManuallyDrop::into_inner(block), slot),
                Registration::Hidden(hidden) => {
                    let hidden = ManuallyDrop::into_inner(hidden);
                    slot::disarm(hidden.node())
                }
            }
        }
    }
}

impl<H: Borrow<Handle>> Drop for Wait<H> {
    #[inline]
    fn drop(&mut self) {
        self.deregister();
    }
}
