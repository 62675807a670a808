//! An allocator that can count. While it does not, which is whenever something is timed, it adds one load of a flag
//! that nobody writes and a branch that is always foretold, to the allocations of all competitors alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cold]
#[inline(never)]
fn count(bytes: isize, allocations: isize) {
    BYTES.fetch_add(bytes, Relaxed);
    ALLOCATIONS.fetch_add(allocations, Relaxed);
}

// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            count(layout.size() as isize, 1);
        }
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            count(-(layout.size() as isize), 0);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ON.load(Relaxed) {
            count(size as isize - layout.size() as isize, 1);
        }
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What `work` leaves allocated, in bytes, and how often it allocated. Its result is dropped after the count.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> (f64, f64) {
    let before = (BYTES.load(Relaxed), ALLOCATIONS.load(Relaxed));
    ON.store(true, Relaxed);
    let result = work();
    ON.store(false, Relaxed);
    drop(result);
    ((BYTES.load(Relaxed) - before.0) as f64, (ALLOCATIONS.load(Relaxed) - before.1) as f64)
}
