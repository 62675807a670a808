#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", cancel_tree_loom))]
extern crate std;

#[cfg(feature = "alloc")]
mod primitives;

#[cfg(feature = "alloc")]
mod guard;
#[cfg(feature = "alloc")]
mod race;
#[cfg(feature = "alloc")]
mod token;
#[cfg(feature = "alloc")]
mod tree;
#[cfg(feature = "alloc")]
mod wait;

#[cfg(feature = "alloc")]
pub mod future;

#[cfg(feature = "alloc")]
pub use guard::{DropGuard, DropGuardRef};
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
