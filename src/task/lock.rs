//! A lock that is held for a few steps, with no foreign code under it.

#[cfg(feature = "std")]
mod ground {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    pub(in crate::task) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(in crate::task) const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }
        pub(in crate::task) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

/// Spins: there is nothing else to do.
#[cfg(not(feature = "std"))]
mod ground {
    use core::panic::{RefUnwindSafe, UnwindSafe};
    use spin::mutex::{SpinMutex, SpinMutexGuard};

    pub(in crate::task) struct Lock<T>(SpinMutex<T>);

    // As with std: what is under the lock does not panic.
    impl<T> UnwindSafe for Lock<T> {}
    impl<T> RefUnwindSafe for Lock<T> {}

    impl<T> Lock<T> {
        pub(in crate::task) const fn new(value: T) -> Self {
            Self(SpinMutex::new(value))
        }
        pub(in crate::task) fn lock(&self) -> SpinMutexGuard<'_, T> {
            self.0.lock()
        }
    }
}

pub(super) use ground::Lock;
