//! Callbacks that know what has become of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a callback captures: it knows how often the callback ran, and whether it is still there.
#[derive(Default)]
pub(crate) struct Watch {
    runs: AtomicUsize,
    drops: AtomicUsize,
}

pub(crate) struct Captured(Arc<Watch>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Relaxed);
    }
}

impl Watch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }
    pub(crate) fn callback(self: &Arc<Self>) -> impl FnOnce() + Send + 'static {
        let captured = Captured(self.clone());
        move || {
            captured.0.runs.fetch_add(1, Relaxed);
        }
    }
    /// How often it ran, and how often it was dropped.
    pub(crate) fn so_far(&self) -> (usize, usize) {
        (self.runs.load(Relaxed), self.drops.load(Relaxed))
    }
}

pub(crate) const KEPT: (usize, usize) = (0, 0);
pub(crate) const DROPPED: (usize, usize) = (0, 1);
pub(crate) const RUN: (usize, usize) = (1, 1);

/// Raises a panic that the hook does not report.
pub(crate) fn panics(what: &'static str) -> impl FnOnce() + Send + 'static {
    move || resume_unwind(Box::new(what))
}

pub(crate) fn panic_of(f: impl FnOnce()) -> Option<&'static str> {
    catch_unwind(AssertUnwindSafe(f)).err().map(|panic| *panic.downcast().expect("a panic from here"))
}
