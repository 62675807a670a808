//! The safe face of the tree: a counted reference to a node. Everything above it is safe code.

use super::memory::{Bin, empty_graveyard};
use super::release::release;
use super::state::HANDLE;
use super::{Node, at, birth, cancel};
use crate::primitives::Acquire;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;
use core::task::Waker;

/// A handle on a node: the right to touch it, and what keeps it.
pub(crate) struct Handle(NonNull<Node>);

// SAFETY: a node is shared by design: its atomics by the protocol of the module's head, its cells each under a claim
// that one thread holds at a time (ledger, "Ownership"). What it owns for others, a `Waker`, is `Send` and `Sync`.
unsafe impl Send for Handle {}
// SAFETY: as above; `&Handle` allows nothing that is not done by atomics.
unsafe impl Sync for Handle {}
// No operation can be seen half done: foreign code runs only where a panic in it leaves the tree whole (C15).
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl Handle {
    /// # Safety
    /// The caller owns one handle claim on the node and gives it to the result.
    unsafe fn adopt(node: *mut Node) -> Self {
        // SAFETY: a node that is claimed is not null.
        Self(unsafe { NonNull::new_unchecked(node) })
    }

    pub(super) fn node(&self) -> *mut Node {
        self.0.as_ptr()
    }

    /// A tree of one node. One allocation.
    pub(crate) fn root() -> Self {
        // SAFETY: a new node comes with one handle.
        unsafe { Self::adopt(birth::root()) }
    }

    /// A child. One allocation.
    pub(crate) fn child(&self) -> Self {
        // SAFETY: our handle on the parent; a new node comes with one handle.
        unsafe { Self::adopt(birth::child(self.node())) }
    }

    /// A hidden child with `waker` in its slot, unless the token is cancelled. One allocation.
    pub(super) fn waiter(&self, waker: Waker) -> Result<Self, Waker> {
        // SAFETY: as in `child`.
        unsafe { birth::waiter(self.node(), waker).map(|node| Self::adopt(node)) }
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: our handle.
        // Acquire (E6): what came before the cancel comes before what the caller does now (C11).
        unsafe { at(self.node()).flag.load(Acquire) != 0 }
    }

    pub(crate) fn cancel(&self) {
        // SAFETY: our handle.
        unsafe { cancel::cancel(self.node()) }
    }

    /// What makes a token this token: the node's address, which no other node has while this handle lives.
    pub(crate) fn id(&self) -> NonNull<Node> {
        self.0
    }
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: our handle keeps the node; the new claim is the clone's.
        unsafe { at(self.node()).state.retain() };
        Self(self.0)
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: our handle, not used again.
        unsafe { release(self.node(), HANDLE, &mut Bin::immediate()) };
        empty_graveyard();
    }
}
