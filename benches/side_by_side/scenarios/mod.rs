//! The rows.

mod attached;
mod children;
mod latency;
pub(crate) mod memory;
mod polling;
mod trackers;
pub(crate) mod trees;
mod waiters;

use crate::bench::Bench;
use memory::Footprint;

pub(crate) fn all(bench: &mut Bench) -> Vec<Footprint> {
    polling::rows(bench);
    children::rows(bench);
    trees::rows(bench);
    waiters::rows(bench);
    attached::rows(bench);
    trackers::rows(bench);
    latency::rows(bench);
    // Last: while it counts, the allocator is slow.
    memory::footprints(bench)
}
