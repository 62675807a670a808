//! The safe face of the tree: a counted reference to a node. Everything above it is safe code.

use super::deadline::Deadline;
use super::extended::{Weak, deadline};
use super::linked::Links;
use super::memory::empty_graveyard;
use super::reason::Reason;
use super::release::release_handle;
use super::timed::{self, Timed};
use super::{Node, at, birth, callback, cancel};
use core::mem::ManuallyDrop;
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
    pub(super) unsafe fn adopt(node: *mut Node) -> Self {
        // SAFETY: a node that is claimed is not null.
        Self(unsafe { NonNull::new_unchecked(node) })
    }

    pub(super) fn node(&self) -> *mut Node {
        self.0.as_ptr()
    }

    /// The node, with the handle claim, which is the caller's now.
    pub(super) fn into_node(self) -> *mut Node {
        ManuallyDrop::new(self).node()
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
        unsafe { at(self.node()).reason.is_set() }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        // SAFETY: our handle.
        unsafe { at(self.node()).reason.get() }
    }

    /// True if this call decided the reason.
    #[inline]
    pub(crate) fn cancel(&self, reason: &Reason) -> bool {
        // SAFETY: our handle.
        unsafe { cancel::cancel(self.node(), reason) }
    }

    /// What makes a token this token: the node's address, which no other node has while this handle lives.
    pub(crate) fn id(&self) -> NonNull<Node> {
        self.0
    }
}

/// Callbacks. `self` is the callback's own node, but for the first and the last of these.
impl Handle {
    /// A hidden child that runs `f` when this token is cancelled; or `f`, if it is. One allocation.
    pub(crate) fn callback<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<Self, F> {
        // SAFETY: as in `child`.
        unsafe { birth::callback(self.node(), f).map(|node| Self::adopt(node)) }
    }

    /// Sees to it that the closure does not run, and drops it, unless a canceller has it. To be called once.
    pub(crate) fn prevent(&self) -> bool {
        // SAFETY: our handle.
        unsafe { callback::prevent(self.node()) }
    }

    /// After `prevent`: cancels the token that waits for the end of the callback.
    pub(crate) fn finish(&self, reason: &Reason) {
        // SAFETY: our handle keeps the callback, and that its token.
        unsafe {
            let token = callback::finish(self.node());
            if !token.is_null() {
                cancel::cancel(token, reason);
            }
        }
    }

    pub(crate) fn has_finished(&self) -> bool {
        // SAFETY: our handle.
        unsafe { callback::has_finished(self.node()) }
    }

    /// A token that is cancelled when the callback has finished; none if it has.
    pub(crate) fn finished(&self) -> Option<Self> {
        // SAFETY: our handle.
        unsafe { callback::finished(self.node()) }
    }

    /// Leaves the callback to this, its token.
    pub(crate) fn detach(self, callback: Self) {
        // SAFETY: both handles are given up.
        unsafe { callback::detach(self.into_node(), callback.into_node()) }
        empty_graveyard();
    }
}

/// Deadlines and links.
impl Handle {
    /// The effective deadline.
    pub(crate) fn deadline(&self) -> Deadline {
        // SAFETY: our handle.
        unsafe { deadline(self.node()) }
    }

    /// A child with a deadline, which `arm` sets the timer for. If the child is cancelled
    /// before that is done, `disarm` is called at once. One allocation, and what `arm` does.
    pub(crate) fn timed<A: Send + 'static>(&self, at: Deadline, arm: impl FnOnce(Weak) -> A, disarm: fn(&A)) -> Self {
        // SAFETY: as in `child`. The node is an anchor with this payload, and nobody else has a handle on it yet.
        unsafe {
            let own = at.min(deadline(self.node()));
            let child = Self::adopt(birth::child_with(self.node(), own, Timed::new(disarm)));
            if !child.is_cancelled() {
                let armed = arm(Weak::new(child.node()));
                timed::set(child.node(), armed);
            }
            child
        }
    }

    /// A child that is cancelled from birth, with the parent's reason or this one.
    pub(crate) fn expired(&self, at: Deadline, reason: &Reason) -> Self {
        // SAFETY: as in `child`.
        let child = unsafe { Self::adopt(birth::child_with(self.node(), at.min(deadline(self.node())), ())) };
        child.cancel(reason);
        child
    }

    /// A root for a linked token.
    pub(super) fn linked(links: Links) -> Self {
        // SAFETY: a new node comes with one handle.
        unsafe { Self::adopt(birth::root_with(Deadline::NEVER, links)) }
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
        unsafe { release_handle(self.node()) };
        empty_graveyard();
    }
}
