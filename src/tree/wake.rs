//! Phase two of a cancel: the nodes that the walk has found to be waited for, and their wakers.

use super::memory::Bin;
use super::release::release;
use super::state::HANDLE;
use super::{Node, at, slot};
use core::ptr;
use core::task::Waker;

/// The nodes whose waiters are one cancel's to wake, chained through `link`; on each the list holds a handle.
pub(super) struct Waited {
    first: *mut Node,
}

impl Waited {
    pub(super) fn none() -> Self {
        Self { first: ptr::null_mut() }
    }

    /// Notes a node that this cancel has marked, and that has been waited for.
    ///
    /// Its slot is left alone until its turn to be woken has come: so a future that is dropped before that, by another
    /// waker for example, still takes its waker back and is not woken (C12).
    ///
    /// # Safety
    /// The caller has changed the node's CANCELLED from 0 to 1 (I8), and keeps it by a visit or a handle.
    #[cold]
    pub(super) unsafe fn add(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract; from `try_retain` on, our handle.
        unsafe {
            // Without a handle there is no future: nobody waits, and the node may be in its dropper's hands (I12).
            if at(node).state.try_retain() {
                at(node).link.with_mut(|link| *link = self.first);
                self.first = node;
            }
        }
    }

    /// The next waker. The node is given back before the waker is run, so that a panic leaves nothing behind and a
    /// waker that drops what it wakes finds nobody in its way (C15, C16).
    fn next(&mut self) -> Option<Waker> {
        while !self.first.is_null() {
            let node = self.first;
            // SAFETY: our handle, until it is released; the waker is ours by `fire` (I8).
            unsafe {
                self.first = at(node).link.with(|link| *link);
                let waker = slot::fire(node);
                release(node, HANDLE, &mut Bin::deferred());
                if waker.is_some() {
                    return waker;
                }
            }
        }
        None
    }

    /// Wakes all, whatever each of them does. If some panic, the first panic is raised again when all have run.
    pub(super) fn wake_all(mut self) {
        #[cfg(feature = "std")]
        {
            use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

            let mut first_panic = None;
            // Unwind safe: `next` has taken a waker out before it runs; what is left is untouched by its panic.
            while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.wake_rest())) {
                match first_panic {
                    None => first_panic = Some(panic),
                    // What a panic carries may panic when dropped, too.
                    Some(_) => drop_quietly(panic),
                }
            }
            if let Some(panic) = first_panic {
                resume_unwind(panic);
            }
        }
        #[cfg(not(feature = "std"))]
        self.wake_rest();
    }

    fn wake_rest(&mut self) {
        while let Some(waker) = self.next() {
            waker.wake();
        }
    }
}

/// Without std nothing can catch a panic, but this goes on with the rest while it unwinds. A second panic aborts then.
impl Drop for Waited {
    fn drop(&mut self) {
        self.wake_rest();
    }
}

#[cfg(feature = "std")]
#[cold]
fn drop_quietly(payload: std::boxed::Box<dyn core::any::Any + Send>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(another);
    }
}
