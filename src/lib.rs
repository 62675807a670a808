#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
// In the unit tests for their hooks.
#[cfg(any(feature = "std", cancel_tree_loom, test))]
extern crate std;
// For what the unit tests share with those in `tests/`.
#[cfg(test)]
extern crate self as cancel_tree;

#[cfg(feature = "alloc")]
mod primitives;

#[cfg(all(test, feature = "alloc", not(cancel_tree_loom)))]
mod interrupts;

#[cfg(feature = "alloc")]
mod guard;
#[cfg(feature = "alloc")]
mod race;
#[cfg(feature = "alloc")]
mod reason;
#[cfg(feature = "alloc")]
mod registration;
#[cfg(feature = "alloc")]
mod token;
#[cfg(feature = "alloc")]
mod tree;
#[cfg(feature = "alloc")]
mod wait;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "std")]
mod blocking_wait;
#[cfg(feature = "std")]
mod cancel_when;
// Its values are in an `Arc`, which targets without compare-and-swap do not have.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr", not(cancel_tree_loom)))]
pub mod context;
#[cfg(feature = "alloc")]
pub mod future;
#[cfg(feature = "alloc")]
pub mod time;

#[cfg(feature = "std")]
pub use cancel_when::CancelWhen;
#[cfg(feature = "alloc")]
pub use guard::{DropGuard, DropGuardRef};
#[cfg(feature = "alloc")]
pub use reason::{CancelKind, Cancelled, Cause, StaticCause};
#[cfg(feature = "alloc")]
pub use registration::{Finished, Registration, Unregister};
#[cfg(feature = "alloc")]
pub use token::CancellationToken;
#[cfg(feature = "alloc")]
pub use wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};

/// The types under the path that they have in tokio-util.
#[cfg(feature = "alloc")]
pub mod sync {
    pub use crate::{
        CancellationToken, DropGuard, DropGuardRef, WaitForCancellationFuture, WaitForCancellationFutureOwned,
    };
}

/// For the models in `loom-tests/`.
#[cfg(cancel_tree_loom)]
pub mod model {
    pub use crate::tree::memory::{live_nodes, settle};
}
