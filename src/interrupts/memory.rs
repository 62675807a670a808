//! The allocator of the unit tests. On a thread whose ledger is open it counts, and what is freed stays where it is until the
//! ledger is closed: so a late access is known by its address, and meets nobody else's memory.

use core::cell::RefCell;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::alloc::{GlobalAlloc, Layout, System};

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// So many blocks can be freed while the ledger is open.
const ROOM: usize = 256;

struct Ledger {
    open: bool,
    calls: usize,
    /// Blocks allocated less blocks freed.
    live: isize,
    fault: Option<&'static str>,
    freed: [(*mut u8, Layout); ROOM],
    length: usize,
}

std::thread_local! {
    static LEDGER: RefCell<Ledger> = const { RefCell::new(Ledger::new()) };
}

/// A bit for every 64 bytes, modulo 64, in which a ledger has something that is freed: so most questions are answered at once.
static MARKS: AtomicU64 = AtomicU64::new(0);

impl Ledger {
    const fn new() -> Self {
        let nothing = (ptr::null_mut(), Layout::new::<()>());
        Self { open: false, calls: 0, live: 0, fault: None, freed: [nothing; ROOM], length: 0 }
    }

    fn freed(&self) -> &[(*mut u8, Layout)] {
        &self.freed[..self.length]
    }

    fn count(&mut self, blocks: isize) {
        if self.open {
            self.calls += 1;
            self.live += blocks;
        }
    }

    /// True if the block is to stay.
    fn keep(&mut self, block: *mut u8, layout: Layout) -> bool {
        if !self.open {
            return false;
        }
        if self.freed().iter().any(|(freed, _)| ptr::eq(*freed, block)) {
            self.fault = Some("memory was freed twice");
            return true;
        }
        let Some(place) = self.freed.get_mut(self.length) else {
            self.fault = Some("the ledger is full");
            return false;
        };
        *place = (block, layout);
        self.length += 1;
        for line in block.addr() / 64..(block.addr() + layout.size()).div_ceil(64) {
            MARKS.fetch_or(1 << (line % 64), Relaxed);
        }
        true
    }
}

/// None on a thread that is ending.
fn with_ledger<R>(f: impl FnOnce(&mut Ledger) -> R) -> Option<R> {
    LEDGER.try_with(|ledger| f(&mut ledger.borrow_mut())).ok()
}

// SAFETY: everything is done by `System`, and what is kept back is given to it once, by `close`. The ledger allocates
// nothing, and does not panic: nothing in it calls what uses it.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        with_ledger(|ledger| ledger.count(1));
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let kept = with_ledger(|ledger| {
            ledger.count(-1);
            ledger.keep(block, layout)
        });
        if kept != Some(true) {
            // SAFETY: the caller's contract.
            unsafe { System.dealloc(block, layout) };
        }
    }
}

/// Opens this thread's ledger: one at a time, by who has the hook.
pub(super) fn open() {
    MARKS.store(0, Relaxed);
    with_ledger(|ledger| (ledger.open, ledger.calls, ledger.live, ledger.fault) = (true, 0, 0, None));
}

/// How often this thread has called the allocator since then.
pub(super) fn calls() -> usize {
    with_ledger(|ledger| ledger.calls).unwrap_or(0)
}

/// Whether this address has been freed since then.
pub(super) fn is_freed(address: usize) -> bool {
    if MARKS.load(Relaxed) & 1 << (address / 64 % 64) == 0 {
        return false;
    }
    let inside = |(block, layout): &(*mut u8, Layout)| address.wrapping_sub(block.addr()) < layout.size();
    with_ledger(|ledger| ledger.freed().iter().any(inside)).unwrap_or(false)
}

/// Closes the ledger, and says what is wrong if not all that was allocated since has been freed once.
pub(super) fn close() -> Option<&'static str> {
    while let Some((block, layout)) = with_ledger(Ledger::take).flatten() {
        // SAFETY: kept back by `dealloc`, and now out of the ledger.
        unsafe { System.dealloc(block, layout) };
    }
    with_ledger(|ledger| {
        let balance = (ledger.live != 0).then_some("memory is left, or too much was freed");
        ledger.fault.or(balance)
    })
    .flatten()
}

impl Ledger {
    fn take(&mut self) -> Option<(*mut u8, Layout)> {
        self.open = false;
        self.length = self.length.checked_sub(1)?;
        Some(self.freed[self.length])
    }
}
