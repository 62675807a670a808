//! The real thing.

use core::cell;

#[cfg(not(feature = "portable-atomic"))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};
#[cfg(feature = "portable-atomic")]
pub(crate) use portable_atomic::{AtomicPtr, AtomicU32, AtomicUsize};

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use self::AtomicU32 as AtomicWord;
/// The word that holds a node's counts: 64 bits wherever the target has 64-bit atomics, also on 32-bit ones
/// (x86, armv7, wasm32), and 32 bits on microcontrollers.
#[cfg(all(not(feature = "portable-atomic"), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::AtomicU64 as AtomicWord;
#[cfg(all(feature = "portable-atomic", target_has_atomic = "64"))]
pub(crate) use portable_atomic::AtomicU64 as AtomicWord;

/// `core::cell::UnsafeCell` behind loom's closure interface.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(cell::UnsafeCell::new(value))
    }
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Nothing, outside loom.
#[derive(Debug)]
pub(crate) struct Life;

impl Life {
    pub(crate) const fn new() -> Self {
        Self
    }
    #[inline(always)]
    pub(crate) fn check(&self) {}
}
