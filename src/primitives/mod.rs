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
/// A number that differs, as a rule, between threads that were started one after the other, and is the same for each most of the time:
/// by where its stack is. Neighbours are as far from each other as their stacks are large: 2 MiB in `std`, 8 in C, or less.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
#[inline]
pub(crate) fn thread_hint() -> usize {
    let here = 0_u8;
    let address = core::ptr::from_ref(&here).addr();
    (address >> 17) ^ (address >> 21) ^ (address >> 23)
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
