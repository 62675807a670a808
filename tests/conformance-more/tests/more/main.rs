//! The scenario of `tests/conformance`, on executors that bring much with them.
#![cfg(target_os = "linux")]

#[path = "../../../conformance/harness.rs"]
mod harness;
#[path = "../../../support/nodes.rs"]
mod nodes;
#[path = "../../../conformance/scenario/mod.rs"]
mod scenario;

mod compio;
mod embassy;
mod glommio;
mod monoio;
