//! A lock that is held for a few steps, with no foreign code under it.

use core::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Lock<T> {
    data: Mutex<T>,
    /// How often it was taken; and a place where tests can interrupt before it is.
    #[cfg(test)]
    pub(super) gate: crate::primitives::AtomicUsize,
}

// What is done under the lock does not panic.
impl<T> UnwindSafe for Lock<T> {}
impl<T> RefUnwindSafe for Lock<T> {}

impl<T> Lock<T> {
    pub(super) const fn new(data: T) -> Self {
        Self {
            data: Mutex::new(data),
            #[cfg(test)]
            gate: crate::primitives::AtomicUsize::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(test)]
        self.gate.fetch_add(1, crate::primitives::Relaxed);
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.data.try_lock().is_ok()
    }
}
