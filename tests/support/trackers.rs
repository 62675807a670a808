//! Trackers that many wait for.

use cancel_tree::task::TaskTracker;
use cancel_tree::task::task_tracker::TaskTrackerWaitFuture;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};

/// More than have room in the tracker itself.
pub(crate) const CROWD: usize = 4100;

/// That many waits, polled once; and no others have room in the tracker, as long as this round goes on.
pub(crate) fn crowd(tracker: &TaskTracker) -> Vec<TaskTrackerWaitFuture<'_>> {
    let mut crowd: Vec<_> = (0..CROWD).map(|_| tracker.wait()).collect();
    for wait in &mut crowd {
        let _ = Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()));
    }
    crowd
}
