//! The façade: the only file that names `core::sync::atomic`, `portable_atomic` or `loom`.
//!
//! The core is written against what stands here, once. Outside loom everything is a plain re-export or a zero-cost
//! wrapper; under `cfg(cancel_tree_loom)`, which only `loom-tests/build.rs` sets, the same source runs on loom's
//! types, and every node carries a [`Life`] that makes a use after free, or a free that some earlier access does not
//! happen before, a failure of the model.

pub(crate) use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

#[cfg(all(not(cancel_tree_loom), not(feature = "portable-atomic")))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};
#[cfg(all(not(cancel_tree_loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic::{AtomicPtr, AtomicU32, AtomicUsize};

#[cfg(cancel_tree_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use self::AtomicU32 as AtomicWord;
/// The word that holds a node's counts: 64 bits wherever the target has 64-bit atomics, also on 32-bit ones
/// (x86, armv7, wasm32), and 32 bits on microcontrollers.
#[cfg(all(not(cancel_tree_loom), not(feature = "portable-atomic"), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::AtomicU64 as AtomicWord;
#[cfg(cancel_tree_loom)]
pub(crate) use loom::sync::atomic::AtomicU64 as AtomicWord;
#[cfg(all(not(cancel_tree_loom), feature = "portable-atomic", target_has_atomic = "64"))]
pub(crate) use portable_atomic::AtomicU64 as AtomicWord;

#[cfg(target_has_atomic = "64")]
pub(crate) type Word = u64;
#[cfg(not(target_has_atomic = "64"))]
pub(crate) type Word = u32;

#[cfg(not(cancel_tree_loom))]
mod plain {
    use core::cell;

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
}
#[cfg(not(cancel_tree_loom))]
pub(crate) use plain::{Life, UnsafeCell};

#[cfg(cancel_tree_loom)]
mod model {
    pub(crate) use loom::cell::UnsafeCell;

    /// Watches over one node during a model: an access reads it, the free writes it, so that loom reports every
    /// access that is concurrent with the free, and the flag reports every access that comes after it.
    #[derive(Debug)]
    pub(crate) struct Life {
        cell: UnsafeCell<()>,
        ended: core::cell::Cell<bool>,
    }

    impl Life {
        pub(crate) fn new() -> Self {
            Self { cell: UnsafeCell::new(()), ended: core::cell::Cell::new(false) }
        }
        pub(crate) fn check(&self) {
            assert!(!self.ended.get(), "use after free: a node was accessed after it had been given back");
            self.cell.with(|_| ());
        }
        pub(crate) fn end(&self) {
            assert!(!self.ended.replace(true), "double free: a node was given back twice");
            self.cell.with_mut(|_| ());
        }
    }
}
#[cfg(cancel_tree_loom)]
pub(crate) use model::{Life, UnsafeCell};

#[cfg(cancel_tree_loom)]
pub(crate) use loom::thread::yield_now;
/// Lets another thread go first, in a loop that waits for it.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub(crate) use std::thread::yield_now;

/// Ends the process: the answer to a counter that is about to wrap, as in `Arc`.
#[cold]
#[inline(never)]
pub(crate) fn abort() -> ! {
    #[cfg(feature = "std")]
    std::process::abort();
    #[cfg(not(feature = "std"))]
    {
        // A panic may not leave an `extern "C"` function: the language turns it into an abort.
        extern "C" fn no_unwind() -> ! {
            panic!("cancel-tree: a counter overflowed");
        }
        no_unwind()
    }
}
