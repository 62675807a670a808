//! The façade: the only place that names `core::sync::atomic`, `portable_atomic` or `loom`.
//!
//! The core is written against what stands here, once. It stands on one of three grounds:
//!
//! - `plain`: re-exports and zero-cost wrappers; what is published.
//! - `hooked`: the same with a hook before each access, in the crate's own unit tests: the ground of `interrupts`.
//! - `model`: loom's types under `cfg(cancel_tree_loom)`, which only `loom-tests/build.rs` sets. There every node carries
//!   a [`Life`] that makes a use after free, or a free that some earlier access does not happen before, a failure of the
//!   model.

pub(crate) use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

#[cfg(all(test, not(cancel_tree_loom)))]
pub(crate) mod hooked;
#[cfg(cancel_tree_loom)]
mod model;
#[cfg(not(cancel_tree_loom))]
mod plain;

#[cfg(all(test, not(cancel_tree_loom)))]
use hooked as ground;
#[cfg(cancel_tree_loom)]
use model as ground;
#[cfg(not(any(test, cancel_tree_loom)))]
use plain as ground;

pub(crate) use ground::{AtomicPtr, AtomicU32, AtomicUsize, AtomicWord, Life, UnsafeCell};

#[cfg(target_has_atomic = "64")]
pub(crate) type Word = u64;
#[cfg(not(target_has_atomic = "64"))]
pub(crate) type Word = u32;

#[cfg(cancel_tree_loom)]
pub(crate) use loom::thread::yield_now;
/// Lets another thread go first, in a loop that waits for it.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub(crate) use std::thread::yield_now;

#[cfg(cancel_tree_loom)]
pub use model::{set_thread_hint, thread_hint};
/// A number of the current thread's own: the next one, when it asks for the first time. So of threads that came to ask one after the other
/// no two have the same, nor the same modulo how many they are.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
#[inline]
pub(crate) fn thread_hint() -> usize {
    static NEXT: plain::AtomicUsize = plain::AtomicUsize::new(1);
    std::thread_local! {
        static OWN: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }
    OWN.with(|own| {
        if own.get() == 0 {
            own.set(NEXT.fetch_add(1, Relaxed)); // Relaxed: a number. (If it wraps, one thread asks again and again.)
        }
        own.get()
    })
}

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
