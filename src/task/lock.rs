//! A lock that is held for a few steps, with no foreign code under it but the allocator.

use core::panic::{RefUnwindSafe, UnwindSafe};
#[cfg(cancel_tree_loom)]
use loom::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(cancel_tree_loom))]
use std::sync::{Mutex, MutexGuard};

pub(super) struct Lock<T> {
    data: Mutex<T>,
    /// How often it was taken; and a place where tests can interrupt before it is.
    #[cfg(all(test, not(cancel_tree_loom)))]
    pub(super) gate: crate::primitives::AtomicUsize,
}

// What is done under the lock does not panic.
impl<T> UnwindSafe for Lock<T> {}
impl<T> RefUnwindSafe for Lock<T> {}

impl<T> Lock<T> {
    pub(super) fn new(data: T) -> Self {
        Self {
            data: Mutex::new(data),
            #[cfg(all(test, not(cancel_tree_loom)))]
            gate: crate::primitives::AtomicUsize::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(all(test, not(cancel_tree_loom)))]
        self.gate.fetch_add(1, crate::primitives::Relaxed);
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(all(test, not(cancel_tree_loom)))]
    pub(super) fn is_free(&self) -> bool {
        self.data.try_lock().is_ok()
    }
}
