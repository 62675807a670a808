#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg), doc(auto_cfg(hide(cancel_tree_loom))))]

#[cfg(feature = "alloc")]
extern crate alloc;
// In the unit tests for their hooks.
#[cfg(any(feature = "std", cancel_tree_loom, test))]
extern crate std;
// For what the unit tests share with those in `tests/`.
#[cfg(test)]
extern crate self as cancel_tree;

mod guard;
#[cfg(feature = "alloc")]
mod name;
mod observer;
mod or_cancelled;
mod pool;
mod primitives;
mod race;
mod reason;
mod registration;
mod token;
#[cfg(feature = "tracing")]
mod trace;
mod tree;
mod wait;

#[cfg(all(test, not(cancel_tree_loom)))]
mod interrupts;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "std")]
mod blocking_wait;
#[cfg(feature = "std")]
mod cancel_when;
// Its values are in an `Arc`, which targets without compare-and-swap do not have.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr", not(cancel_tree_loom)))]
pub mod context;
#[cfg(doc)]
pub mod figures;
pub mod future;
// Its snippets use what `std` and `task` bring.
#[cfg(all(doc, feature = "task"))]
pub mod guide;
#[cfg(feature = "io")]
pub mod io;
#[cfg(feature = "alloc")]
pub mod snapshot;
#[cfg(feature = "stream")]
pub mod stream;
// Its state is in an `Arc`, too.
#[cfg(all(feature = "task", target_has_atomic = "ptr"))]
pub mod task;
pub mod time;

#[cfg(feature = "std")]
pub use cancel_when::CancelWhen;
pub use guard::{DropGuard, DropGuardRef};
#[cfg(feature = "alloc")]
pub use name::NamedChild;
pub use observer::CancellationObserver;
pub use pool::{NotRegistered, PoolFull, TokenPool};
pub use reason::{CancelKind, Cancelled, Cause, StaticCause};
pub use registration::{Finished, Registration, Unregister};
pub use token::CancellationToken;
pub use wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};

/// The types under the path that they have in tokio-util.
pub mod sync {
    pub use crate::{
        CancellationToken, DropGuard, DropGuardRef, WaitForCancellationFuture, WaitForCancellationFutureOwned,
    };
}

/// For the models in `loom-tests/`.
#[cfg(cancel_tree_loom)]
pub mod model {
    pub use crate::primitives::set_thread_hint;
    pub use crate::tree::memory::{keep_pool, live_nodes, settle};

    /// As if many were making children of the token at once.
    pub fn open_branches(token: &crate::CancellationToken) {
        token.handle().open_branches();
    }

    /// How many branches and directories of branches are in use.
    pub fn branches_in_use() -> (usize, usize) {
        crate::tree::branches_in_use()
    }
}
