//! One scenario on every executor: `.ci/run conformance` runs this, those in `tests/conformance-more`, and keeps the table in
//! the README.
#![cfg(feature = "std")]

mod harness;
#[path = "../support/nodes.rs"]
mod nodes;
mod scenario;

mod async_std;
mod blocking;
mod by_hand;
mod futures;
mod hand_written;
mod smol;
mod threads;
mod tokio;
