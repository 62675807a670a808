//! The tree on a heap of the program's own. Exit code 0 if it works.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{CancellationToken, StaticCause, Unregister};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::task::Context;
use core::time::Duration;

/// A heap that only counts what is given back.
struct Bump {
    memory: UnsafeCell<[u8; 1 << 20]>,
    used: AtomicUsize,
    live: AtomicUsize,
}

// SAFETY: `used` hands out each byte once.
unsafe impl Sync for Bump {}

// SAFETY: blocks are disjoint, aligned, and never taken back.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() + layout.align();
        let at = self.used.fetch_add(size, Relaxed);
        if at + size > 1 << 20 {
            return core::ptr::null_mut();
        }
        self.live.fetch_add(1, Relaxed);
        let start = self.memory.get().cast::<u8>().wrapping_add(at);
        start.wrapping_add(start.align_offset(layout.align()))
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        self.live.fetch_sub(1, Relaxed);
    }
}

#[global_allocator]
static HEAP: Bump =
    Bump { memory: UnsafeCell::new([0; 1 << 20]), used: AtomicUsize::new(0), live: AtomicUsize::new(0) };

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn works() -> bool {
    let root = CancellationToken::new();
    let children: Vec<_> = (0..10).map(|_| root.child_token()).collect();
    let mut last = root.clone();
    for _ in 0..100 {
        last = last.child_token();
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = count.clone().into();
    let mut wait = pin!(last.cancelled());
    let pending = wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
    root.cancel();
    pending
        && children.iter().all(CancellationToken::is_cancelled)
        && last.is_cancelled()
        && count.0.load(Relaxed) == 1
        && wait.poll(&mut Context::from_waker(&waker)).is_ready()
}

/// A timer that hands its only alarm out.
#[derive(Default)]
struct ByHand(UnsafeCell<Option<Alarm>>);

// SAFETY: this program has one thread.
unsafe impl Sync for ByHand {}

impl Timer for ByHand {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) {
        // SAFETY: as above, and nobody holds a reference to it.
        unsafe { *self.0.get() = Some(alarm) };
    }
    fn disarm((): &()) {}
}

static WHY: StaticCause = StaticCause::new(&core::fmt::Error);

fn has_reasons_callbacks_deadlines_and_links() -> bool {
    let root = CancellationToken::new();
    let timer = ByHand::default();
    let timed = root.child_with_timer(&timer, Duration::from_secs(1));
    let linked = CancellationToken::any([&timed, &CancellationToken::new()]);
    let runs = Arc::new(AtomicUsize::new(0));
    let [kept, detached, prevented] = [(); 3].map(|()| {
        let runs = runs.clone();
        linked.on_cancel(move || {
            runs.fetch_add(1, Relaxed);
        })
    });
    detached.detach();
    let prevented = prevented.unregister() == Unregister::Prevented;
    // SAFETY: as above.
    let fired = unsafe { (*timer.0.get()).take() }.is_some_and(|alarm| alarm.fire());
    let late = linked.reason().is_some_and(|reason| reason.is_deadline_exceeded());
    let first = root.cancel_with(&WHY) && !root.cancel_with(core::fmt::Error);
    let why = root.reason().is_some_and(|reason| reason.cause().is_some_and(|cause| cause.is::<core::fmt::Error>()));
    prevented && fired && late && first && why && runs.load(Relaxed) == 2 && kept.unregister() == Unregister::Done
}

fn check() -> i32 {
    let works = works() && has_reasons_callbacks_deadlines_and_links();
    // What a cancel has found dead goes with the next drop.
    drop(CancellationToken::new());
    let nothing_left = HEAP.live.load(Relaxed) == 0;
    i32::from(!works) + 2 * i32::from(!nothing_left)
}

no_std_proof::start!(check());
