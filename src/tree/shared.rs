//! Causes on the heap, and who counts on them.

use crate::primitives::{AcqRel, AtomicUsize, Life, Relaxed, abort};
use alloc::boxed::Box;
use core::error::Error;

/// A cause on the heap. Its alignment leaves room for the tags of the reason word.
#[repr(align(8))]
pub(super) struct Shared {
    counts: AtomicUsize,
    error: Box<dyn Error + Send + Sync>,
    /// Watches over it in models; nothing otherwise.
    life: Life,
}

impl Shared {
    /// With one count. One allocation.
    pub(super) fn new(error: Box<dyn Error + Send + Sync>) -> *mut Self {
        Box::into_raw(Box::new(Self { counts: AtomicUsize::new(1), error, life: Life::new() }))
    }

    pub(super) fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.life.check();
        &*self.error
    }

    /// Takes a count.
    #[cold]
    pub(super) fn retain(&self) {
        // Relaxed: as in `Arc`, nothing is read on the strength of it.
        if self.counts.fetch_add(1, Relaxed) > usize::MAX / 2 {
            abort();
        }
    }

    /// # Safety
    /// The caller has a count, which he gives up.
    #[cold]
    pub(super) unsafe fn give_back(shared: *mut Self) {
        // SAFETY: the caller's count keeps it until the step; the last one frees it.
        unsafe {
            // Release: my uses come before the free. Acquire: if I free it, everybody's do. (As in `Arc`.)
            if (*shared).counts.fetch_sub(1, AcqRel) == 1 {
                #[cfg(cancel_tree_loom)]
                (*shared).life.end();
                drop(Box::from_raw(shared));
            }
        }
    }
}
