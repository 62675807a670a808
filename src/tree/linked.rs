//! Linked tokens: several sources, the first of which that is cancelled cancels the token (C22).
//!
//! The token is a root that STAYS. In each source it has a *link*, a hidden child that holds a weak claim on it; the token
//! has a handle on each link, and lets go of them when it ends. So nothing stays behind in a source, and no source keeps
//! the token. A cancel that comes upon a link goes on in the linked token before it wakes anybody.

use super::Node;
use super::extended::{Payload, Role, Weak, payload};
use super::handle::Handle;
use super::memory::Bin;
use super::release::release;
use super::state::HANDLE;
use alloc::vec::Vec;

/// What a linked token has in its sources.
pub(super) struct Links(pub(super) Vec<Handle>);
impl Payload for Links {
    const ROLE: Role = Role::Linked;
}

/// What a source has of a linked token.
pub(super) struct Link(pub(super) Weak);
impl Payload for Link {
    const ROLE: Role = Role::Link;
}

/// The linked token of a link, with a child claim on it, unless it is gone.
///
/// # Safety
/// The caller keeps `link`, whose role that is.
pub(super) unsafe fn target(link: *mut Node) -> Option<*mut Node> {
    // SAFETY: the payload is only written at birth and dropped at the end.
    unsafe { payload::<Link>(link).with(|cell| (*cell).assume_init_ref().0.claim()) }
}

/// Puts the links into a linked token.
///
/// # Safety
/// The caller made `node`, and nobody else reads or writes its payload before it is freed.
pub(super) unsafe fn set_links(node: *mut Node, links: Vec<Handle>) {
    // SAFETY: the caller's contract.
    unsafe { payload::<Links>(node).with_mut(|cell| (*cell).assume_init_mut().0 = links) }
}

/// The end of a linked token: lets go of its links. Not by their own drops: the token may be the last to hold another
/// linked token, and that a further one.
///
/// # Safety
/// By I2 the node is the caller's alone.
pub(super) unsafe fn let_go(node: *mut Node, bin: &mut Bin) {
    // SAFETY: the caller's contract.
    unsafe {
        let Links(links) = payload::<Links>(node).with_mut(|cell| (*cell).assume_init_read());
        for link in links {
            release(link.into_node(), HANDLE, bin);
        }
    }
}
