//! Linked tokens: several sources, the first of which that is cancelled cancels the token (C22).
//!
//! The token is a root that STAYS. In each source it has a *link*, a hidden child that holds a weak claim on it; the token
//! has a handle on each link, by a chain through the links, and lets go of them when it ends. So nothing stays behind in a
//! source, and no source keeps the token. A cancel that comes upon a link goes on in the linked token before it wakes
//! anybody.

use super::annex::Annex;
use super::birth;
use super::extended::{Payload, Role, deadline, payload, set_deadline};
use super::handle::Handle;
use super::memory::{Bin, Home};
use super::reason::Reason;
use super::release::{release, release_handle_into};
use super::state::HANDLE;
use super::weak::Weak;
use super::{Node, at};
use crate::primitives::Relaxed;
#[cfg(feature = "alloc")]
use alloc::collections::BTreeSet;
use core::ptr;

/// What a linked token has: the first of its links, or null, with a handle on each.
pub(super) struct Links(*mut Node);
// SAFETY: the right to the links' handles, which are `Send`.
unsafe impl Send for Links {}
impl Payload for Links {
    const ROLE: Role = Role::Linked;
}

/// What a source has of a linked token. The link before this one stands in the node's `annex`, for which a link has no other
/// use; it belongs to the token.
pub(super) struct Link {
    token: Weak,
    /// The source: a handle that belongs to the token in the making, so that no other source can have this address. When the
    /// token is made, it is not to be touched any more.
    source: *mut Node,
}
// SAFETY: as `Links`, and `Weak`.
unsafe impl Send for Link {}
impl Payload for Link {
    const ROLE: Role = Role::Link;
}

/// So many sources are compared with each other; from then on a set of them is kept, if that may be.
#[cfg(feature = "alloc")]
const FEW: usize = 16;

/// A linked token in the making.
pub(crate) struct Linking<H: Home> {
    token: Handle,
    home: H,
    #[cfg(feature = "alloc")]
    links: usize,
    /// The sources, if they are more than a few.
    #[cfg(feature = "alloc")]
    seen: BTreeSet<usize>,
}

impl<H: Home> Linking<H> {
    /// One node.
    pub(crate) fn new(home: H) -> Result<Self, H::Full> {
        Ok(Self {
            token: Handle::linked(home, Links(ptr::null_mut()))?,
            home,
            #[cfg(feature = "alloc")]
            links: 0,
            #[cfg(feature = "alloc")]
            seen: BTreeSet::new(),
        })
    }

    /// One source more. One node; on the heap, from the 17th on, also what the set takes.
    pub(crate) fn add(&mut self, source: &Handle) -> Result<(), H::Full> {
        let token = self.token.node();
        // SAFETY: the handles. Nobody else looks at the token's deadline or payload before it is finished.
        unsafe {
            set_deadline(token, deadline(token).min(deadline(source.node())));
            if self.token.is_cancelled() {
                return Ok(());
            }
            if let Some(reason) = source.reason() {
                self.cancel(&reason);
                return Ok(());
            }
            let Links(first) = payload::<Links>(token).with(|cell| Links((*cell).assume_init_ref().0));
            if self.is_known(source.node(), first) {
                return Ok(());
            }
            match birth::link(self.home, source.node(), Link { token: Weak::new(token), source: source.node() })? {
                Some(link) => {
                    at(source.node()).state.retain();
                    at(link).annex.store(Annex::of(first), Relaxed); // Relaxed: read by whoever has the token.
                    payload::<Links>(token).with_mut(|cell| (*cell).assume_init_mut().0 = link);
                }
                // Cancelled this moment.
                None => {
                    if let Some(reason) = source.reason() {
                        self.cancel(&reason);
                    }
                    return Ok(());
                }
            }
            #[cfg(feature = "alloc")]
            {
                self.links += 1;
            }
            Ok(())
        }
    }

    pub(crate) fn finish(self) -> Handle {
        self.token.clone()
    }

    fn cancel(&mut self, reason: &Reason) {
        self.token.cancel(reason);
        self.let_go_of_sources();
        // SAFETY: as in `add`.
        unsafe { let_go(self.token.node(), &mut Bin::immediate()) };
    }

    /// Gives the handles on the sources back; to be done once for each link.
    fn let_go_of_sources(&self) {
        let mut bin = Bin::immediate();
        // SAFETY: the token's handles on its links; the handles on the sources.
        unsafe {
            let mut link = payload::<Links>(self.token.node()).with(|cell| (*cell).assume_init_ref().0);
            while !link.is_null() {
                let (next, source) = neighbours(link);
                release_handle_into(source, &mut bin);
                link = next;
            }
        }
    }

    /// Whether the source has been added before.
    ///
    /// # Safety
    /// `first` is the first link of the token.
    unsafe fn is_known(&mut self, source: *mut Node, first: *mut Node) -> bool {
        #[cfg(feature = "alloc")]
        if H::IS_HEAP && self.links > FEW {
            return !self.seen.insert(source.addr());
        }
        let mut link = first;
        while !link.is_null() {
            // SAFETY: the token's handle on the link.
            let (next, other) = unsafe { neighbours(link) };
            if ptr::eq(other, source) {
                return true;
            }
            #[cfg(feature = "alloc")]
            if H::IS_HEAP && self.links == FEW {
                self.seen.insert(other.addr());
            }
            link = next;
        }
        #[cfg(feature = "alloc")]
        if H::IS_HEAP && self.links == FEW {
            self.seen.insert(source.addr());
        }
        false
    }
}

/// Also if the caller's iterator panics, or there is no room.
impl<H: Home> Drop for Linking<H> {
    fn drop(&mut self) {
        self.let_go_of_sources();
    }
}

/// The link before this one, and the source.
///
/// # Safety
/// The caller keeps `link`, whose role that is.
unsafe fn neighbours(link: *mut Node) -> (*mut Node, *mut Node) {
    // SAFETY: the payload is only written at birth and dropped at the end; `annex` belongs to the linked token.
    unsafe {
        let source = payload::<Link>(link).with(|cell| (*cell).assume_init_ref().source);
        (at(link).annex.load(Relaxed).node(), source)
    }
}

/// The linked token of a link, with a child claim on it, unless it is gone.
///
/// # Safety
/// The caller keeps `link`, whose role that is.
pub(super) unsafe fn target(link: *mut Node) -> Option<*mut Node> {
    // SAFETY: the payload is only written at birth and dropped at the end.
    unsafe { payload::<Link>(link).with(|cell| (*cell).assume_init_ref().token.claim()) }
}

/// The end of a linked token, or of its use for its sources: lets go of its links. Iterative, and not by drops: the token may
/// be the last to hold another linked token, and that a further one.
///
/// # Safety
/// By I2 the node is the caller's alone, or nobody else has seen it but the links.
pub(super) unsafe fn let_go(node: *mut Node, bin: &mut Bin) {
    // SAFETY: the caller's contract; a link is kept by the token's handle until that is released.
    unsafe {
        let mut link = payload::<Links>(node)
            .with_mut(|cell| core::mem::replace(&mut (*cell).assume_init_mut().0, ptr::null_mut()));
        while !link.is_null() {
            let next = at(link).annex.load(Relaxed).node();
            release(link, HANDLE, bin);
            link = next;
        }
    }
}
