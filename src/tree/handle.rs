//! The safe face of the tree: a counted reference to a node. Everything above it is safe code.

use super::birth::Unborn;
use super::deadline::Deadline;
use super::extended::deadline;
#[cfg(feature = "alloc")]
use super::extended::name;
use super::linked::Links;
#[cfg(feature = "alloc")]
use super::look::{Seen, look};
use super::memory::{AnyHome, Home, empty_graveyard, home_of};
use super::reason::Reason;
use super::release::release_handle;
use super::timed::{self, Timed};
use super::weak::Weak;
use super::{Node, at, birth, callback, cancel};
use crate::PoolFull;
use crate::time::Timer;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;
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
    #[cfg(feature = "alloc")]
    pub(crate) fn root() -> Self {
        // SAFETY: a new node comes with one handle.
        unsafe { Self::adopt(birth::root()) }.born(None)
    }

    /// The same, anywhere.
    pub(crate) fn root_in<H: Home>(home: H) -> Result<Self, H::Full> {
        // SAFETY: a new node comes with one handle.
        unsafe { birth::root_in(home, ()).map(|node| Self::adopt(node).born(None)) }
    }

    /// A child. One allocation.
    #[cfg(feature = "alloc")]
    pub(crate) fn child(&self) -> Self {
        // SAFETY: our handle on the parent; a new node comes with one handle.
        unsafe { Self::adopt(birth::child(self.node())) }.born(Some(self))
    }

    /// A child where this node lives.
    pub(crate) fn child_at_home(&self) -> Result<Self, PoolFull> {
        // SAFETY: our handle on the parent; a new node comes with one handle.
        unsafe { birth::child_at_home(self.node()).map(|node| Self::adopt(node).born(Some(self))) }
    }

    /// A child anywhere.
    pub(crate) fn child_in<H: Home>(&self, home: H) -> Result<Self, H::Full> {
        // SAFETY: our handle on the parent; a new node comes with one handle.
        let child = unsafe { birth::child_in(home, self.node(), deadline(self.node()), ()) };
        // SAFETY: as above.
        child.map(|node| unsafe { Self::adopt(node) }.born(Some(self)))
    }

    /// A hidden child with `waker` in its slot. One node, where this one lives.
    pub(super) fn waiter(&self, waker: Waker) -> Result<Self, Unborn<Waker, PoolFull>> {
        // SAFETY: as in `child_at_home`.
        unsafe { birth::waiter(self.node(), waker).map(|node| Self::adopt(node)) }
    }

    /// Where this node lives.
    pub(crate) fn home(&self) -> AnyHome {
        // SAFETY: our handle.
        unsafe { home_of(self.node()) }
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

    /// Whether everything is cancelled, this and all below it, so that another cancel has nothing to do.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // SAFETY: our handle.
        unsafe { cancel::is_done(self.node()) }
    }

    /// True if this call decided the reason.
    #[inline]
    pub(crate) fn cancel(&self, reason: &Reason) -> bool {
        // SAFETY: our handle.
        let decided = unsafe { cancel::cancel_held(self.node(), reason) };
        #[cfg(feature = "tracing")]
        if decided {
            crate::trace::cancelled(self.id(), self.name().map(|name| &**name), reason);
        }
        decided
    }

    /// Tells who traces that this is new.
    #[inline]
    fn born(self, parent: Option<&Self>) -> Self {
        #[cfg(feature = "tracing")]
        crate::trace::born(&self, parent);
        let _ = parent;
        self
    }

    /// What the token is called.
    #[cfg(feature = "alloc")]
    pub(crate) fn name(&self) -> Option<&crate::name::Name> {
        // SAFETY: our handle.
        unsafe { name(self.node()) }
    }

    /// What there is to be seen of this token and all below it.
    #[cfg(feature = "alloc")]
    pub(crate) fn look(&self) -> Vec<Seen> {
        // SAFETY: our handle.
        unsafe { look(self.node()) }
    }

    /// As if many were making children of the token at once.
    #[cfg(any(all(test, feature = "std"), cancel_tree_loom))]
    pub(crate) fn open_branches(&self) {
        // SAFETY: our handle.
        unsafe { super::branch::open(self.node()) };
    }

    /// What makes a token this token: the node's address, which no other node has while this handle lives.
    pub(crate) fn id(&self) -> NonNull<Node> {
        self.0
    }
}

/// Callbacks. `self` is the callback's own node, but for the first and the last of these.
impl Handle {
    /// A hidden child that runs `f` when this token is cancelled. One node.
    pub(crate) fn callback<H: Home, F: FnOnce() + Send + 'static>(
        &self,
        home: H,
        f: F,
    ) -> Result<Self, Unborn<F, H::Full>> {
        // SAFETY: as in `child_at_home`.
        unsafe { birth::callback(home, self.node(), f).map(|node| Self::adopt(node)) }
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
    pub(crate) fn finished<H: Home>(&self, home: H) -> Result<Option<Self>, H::Full> {
        // SAFETY: our handle.
        unsafe { callback::finished(self.node(), home) }
    }

    /// Leaves the callback to this, its token.
    pub(crate) fn detach(self, callback: Self) {
        let home = self.home();
        // SAFETY: both handles are given up.
        unsafe { callback::detach(self.into_node(), callback.into_node()) }
        empty_graveyard(home);
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
    /// before that is done, the timer is disarmed at once. One node, and what `arm` takes.
    pub(crate) fn timed<H: Home, T: Timer>(
        &self,
        home: H,
        at: Deadline,
        arm: impl FnOnce(Weak) -> Result<T::Armed, H::Full>,
    ) -> Result<Self, H::Full> {
        // SAFETY: as in `child_at_home`. The node is an anchor with this payload, and nobody else has a handle on it yet.
        unsafe {
            let own = at.min(deadline(self.node()));
            let child = Self::adopt(birth::child_in(home, self.node(), own, Timed::<T>::new())?).born(Some(self));
            if !child.is_cancelled() {
                let armed = arm(Weak::new(child.node()))?;
                timed::set::<T>(child.node(), armed);
            }
            Ok(child)
        }
    }

    /// A child that is cancelled from birth, with the parent's reason or this one.
    pub(crate) fn expired<H: Home>(&self, home: H, at: Deadline, reason: &Reason) -> Result<Self, H::Full> {
        // SAFETY: as in `child_at_home`.
        let child = unsafe {
            let own = at.min(deadline(self.node()));
            Self::adopt(birth::child_in(home, self.node(), own, ())?).born(Some(self))
        };
        child.cancel(reason);
        Ok(child)
    }

    /// A root for a linked token.
    pub(super) fn linked<H: Home>(home: H, links: Links) -> Result<Self, H::Full> {
        // SAFETY: a new node comes with one handle.
        unsafe { birth::root_in(home, links).map(|node| Self::adopt(node).born(None)) }
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
    }
}
