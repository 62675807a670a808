//! Weak claims: what timers and links hold on the tokens that they cancel.

#[cfg(feature = "tracing")]
use super::extended::name;
use super::extended::{give_memory_back, tail};
use super::memory::{self, AnyHome, Bin};
use super::reason::Reason;
use super::release::release;
use super::state::CHILD;
use super::{Node, at, cancel};
use crate::primitives::{Relaxed, abort};
use core::ptr::NonNull;

/// A weak claim on an anchor: it keeps its memory, not the token.
pub(crate) struct Weak(NonNull<Node>);

// SAFETY: as `Handle`.
unsafe impl Send for Weak {}
// SAFETY: as `Handle`.
unsafe impl Sync for Weak {}

impl Weak {
    /// # Safety
    /// The node is an anchor, and the caller holds a handle on it.
    pub(super) unsafe fn new(node: *mut Node) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            // Relaxed: as in `Arc`.
            if tail(node).memory.fetch_add(1, Relaxed) > usize::MAX / 2 {
                abort();
            }
            Self(NonNull::new_unchecked(node))
        }
    }

    /// The node, with a child claim on it that is the caller's to give back; unless it is dead.
    pub(super) fn claim(&self) -> Option<*mut Node> {
        let node = self.0.as_ptr();
        // SAFETY: our count keeps the memory. An anchor STAYS, so nobody minds a claim that comes out of nowhere (I13).
        unsafe { at(node).state.try_add_child() }.then_some(node)
    }

    /// Where the token lives, or lived.
    pub(crate) fn home(&self) -> AnyHome {
        // SAFETY: our count keeps the memory; the state word in it says for ever that it is extended.
        unsafe { memory::home_of(self.0.as_ptr()) }
    }

    /// Cancels the token, if it is not gone. True if this decided the reason. Frees nothing.
    pub(crate) fn cancel(&self, reason: &Reason) -> bool {
        self.claim().is_some_and(|node| {
            /// Also if a waker panics.
            struct Claim(*mut Node);
            impl Drop for Claim {
                fn drop(&mut self) {
                    // SAFETY: the claim.
                    unsafe { release(self.0, CHILD, &mut Bin::deferred()) };
                }
            }
            let claim = Claim(node);
            // SAFETY: the claim keeps the node as well as a handle would.
            let decided = unsafe { cancel::cancel(claim.0, reason) };
            #[cfg(feature = "tracing")]
            if decided {
                // SAFETY: the claim.
                crate::trace::cancelled(self.0, unsafe { name(claim.0) }.map(|name| &**name), reason);
            }
            decided
        })
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        // SAFETY: our count.
        unsafe { give_memory_back(self.0.as_ptr()) };
    }
}
