//! Waiting until work is over, and shutting down in order.
//!
//! A token tells work to stop; a [`TaskTracker`] knows when it has. [`Shutdown`] does both, for one part of a program after the
//! other, with a limit on how long each may take.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use cancel_tree::CancellationToken;
//! use cancel_tree::task::{Shutdown, Stage, TaskTracker};
//! use std::{thread, time::Duration};
//!
//! let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
//! for _ in 0..3 {
//!     let (tracked, token) = (tracker.token(), token.clone());
//!     thread::spawn(move || {
//!         token.wait(); // ... work until then ...
//!         drop(tracked);
//!     });
//! }
//! let report = Shutdown::new().stage(Stage::new("workers", &tracker, &token).grace(Duration::from_secs(60))).run_blocking();
//! assert!(report.is_complete());
//! # }
//! ```
//!
//! `TaskTracker` has the interface of `tokio_util::task::TaskTracker` (0.7.20), under the same paths; the methods that spawn are
//! there with the feature `tokio`, and [`track_future`](TaskTracker::track_future) works on any executor. (On targets without
//! compare-and-swap there is no such module.) A crowd of waits stands on an event of the crate `event-listener`.

#[cfg(cancel_tree_loom)]
mod event;
mod lock;
#[cfg(not(cancel_tree_loom))]
mod report;
mod seats;
#[cfg(not(cancel_tree_loom))]
mod shutdown;
#[cfg(feature = "tokio")]
mod spawn;
mod state;
pub mod task_tracker;
mod waiters;

#[cfg(not(cancel_tree_loom))]
pub use self::report::{Report, StageReport};
#[cfg(not(cancel_tree_loom))]
pub use self::shutdown::{Shutdown, Stage};
pub use self::task_tracker::TaskTracker;
