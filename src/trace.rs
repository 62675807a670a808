//! Events of tokens, for the crate `tracing`. Without that feature there is nothing of it.
//!
//! The subscriber is foreign code: it is told when a step is over, and nothing of the tree is held.

use crate::tree::{Handle, Reason};
use core::fmt::Debug;

/// A token has been made.
pub(crate) fn born(token: &Handle, parent: Option<&Handle>) {
    tracing::trace!(
        target: "cancel_tree",
        token = ?token.id(),
        parent = parent.map(|parent| tracing::field::debug(parent.id())),
        name = token.name().map(|name| &**name),
        "made",
    );
}

/// A token has been cancelled, by itself and not by an ancestor.
pub(crate) fn cancelled(token: impl Debug, name: Option<&str>, reason: &Reason) {
    tracing::debug!(
        target: "cancel_tree",
        ?token,
        name,
        reason = ?reason.kind(),
        cause = reason.cause().map(tracing::field::display),
        "cancelled",
    );
}
