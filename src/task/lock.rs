//! A lock that is held for a few steps, with no foreign code under it but the allocator.

use core::panic::{RefUnwindSafe, UnwindSafe};
#[cfg(cancel_tree_loom)]
use loom::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(cancel_tree_loom))]
use std::sync::{Mutex, MutexGuard};

pub(super) struct Lock<T>(Mutex<T>);

// What is done under the lock does not panic.
impl<T> UnwindSafe for Lock<T> {}
impl<T> RefUnwindSafe for Lock<T> {}

impl<T> Lock<T> {
    pub(super) fn new(data: T) -> Self {
        Self(Mutex::new(data))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
