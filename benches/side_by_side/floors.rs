//! What each row is held against: the least that anything of the kind could cost.

use crate::clock::Stopwatch;
use crate::harness::Sample;
use crate::parallel::together;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Of so many small trees, some at a time: built before the clock starts, so that it is not looked at for every dozen of
/// nodes, and not so many that one meets only cold memory.
pub(crate) fn batches(size: usize, trees: usize) -> impl Iterator<Item = usize> {
    let at_once = (5_000 / size).clamp(1, trees);
    (0..trees).step_by(at_once).map(move |done| at_once.min(trees - done))
}

/// Times `repeat` calls of `step`, which neither waits nor meets other threads.
pub(crate) fn timed(repeat: u64, mut step: impl FnMut()) -> [Sample; 1] {
    let start = Stopwatch::start();
    for _ in 0..repeat {
        step();
    }
    [Sample::new(start.elapsed(), repeat)]
}

/// The same for calls of a nanosecond: so many in a row that a turn of the loop, wherever it comes to stand, is no part of them.
pub(crate) fn timed_in_rows(repeat: u64, mut step: impl FnMut()) -> [Sample; 1] {
    const ROW: usize = 16;
    let [sample] = timed(repeat.div_ceil(ROW as u64), || _ = [(); ROW].map(|()| step()));
    [sample.times(ROW as u64)]
}

/// Of a shared flag: what one would poll who needs no tree.
pub(crate) fn flag_load() -> impl FnMut(u64) -> [Sample; 1] {
    let flag = Arc::new(AtomicBool::new(false));
    move |repeat| timed_in_rows(repeat, || _ = black_box(black_box(&flag).load(Ordering::Acquire)))
}

pub(crate) fn flag_load_on(threads: usize, window: Duration) -> impl FnMut(u64) -> [Sample; 1] {
    let flag = Arc::new(AtomicBool::new(false));
    move |_| [together(threads, window, || flag.clone(), |flag| _ = black_box(flag.load(Ordering::Acquire)))]
}

/// A block as large as a node of cancel-tree.
const NODE: Layout = match Layout::from_size_align(96, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("96 bytes, aligned to 16"),
};

pub(crate) fn allocate_node() -> *mut u8 {
    // SAFETY: the layout's size is not zero.
    let block = unsafe { alloc(NODE) };
    if block.is_null() {
        handle_alloc_error(NODE);
    }
    block
}

/// # Safety
/// The block is from `allocate_node`, and not used again.
pub(crate) unsafe fn free_node(block: *mut u8) {
    // SAFETY: the same layout.
    unsafe { dealloc(block, NODE) };
}

fn malloc_and_free() {
    let block = black_box(allocate_node());
    // SAFETY: allocated above, and freed once.
    unsafe { free_node(block) };
}

pub(crate) fn node_block() -> impl FnMut(u64) -> [Sample; 1] {
    |repeat| timed(repeat, malloc_and_free)
}

pub(crate) fn node_block_on(threads: usize, window: Duration) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| [together(threads, window, || (), |()| malloc_and_free())]
}

pub(crate) fn arc_clone() -> impl FnMut(u64) -> [Sample; 1] {
    let shared = Arc::new(0u64);
    move |repeat| timed(repeat, || drop(black_box(black_box(&shared).clone())))
}

/// The start of a block of a node's size; the rest of it is left as it is.
struct Flagged {
    next: *mut Flagged,
    flag: AtomicBool,
}

impl Flagged {
    /// A list of blocks. Walked and freed in the order in which the handles of a tree are dropped: the oldest first.
    fn list(nodes: usize) -> *mut Self {
        let blocks: Vec<_> = (0..nodes).map(|_| allocate_node().cast::<Flagged>()).collect();
        let mut first = ptr::null_mut();
        for node in blocks.into_iter().rev() {
            // SAFETY: a block of its own, large enough and aligned.
            unsafe { node.write(Flagged { next: first, flag: AtomicBool::new(false) }) };
            first = node;
        }
        first
    }

    /// # Safety
    /// The list is alive.
    unsafe fn raise_all(mut node: *mut Self) {
        while !node.is_null() {
            // SAFETY: the caller's contract.
            let here = unsafe { &*node };
            here.flag.store(true, Ordering::Release);
            node = here.next;
        }
    }

    /// # Safety
    /// The list is alive, and not used again.
    unsafe fn free_all(mut node: *mut Self) {
        while !node.is_null() {
            // SAFETY: alive; read before it is freed.
            let next = unsafe { (*node).next };
            // SAFETY: from `allocate_node`; its only pointer is gone after this.
            unsafe { free_node(node.cast()) };
            node = next;
        }
    }
}

/// Lists of blocks: raises the flag of each, and frees them. The floors of a cancel and of a drop, per node.
pub(crate) fn flag_list(nodes: usize, lists: usize) -> impl FnMut(u64) -> [Sample; 2] {
    move |_| {
        let (mut cancel, mut free) = (Duration::ZERO, Duration::ZERO);
        for batch in batches(nodes, lists) {
            let all: Vec<_> = (0..batch).map(|_| Flagged::list(nodes)).collect();
            let watch = Stopwatch::start();
            for list in &all {
                // SAFETY: just built.
                unsafe { Flagged::raise_all(*list) };
            }
            cancel += watch.elapsed();
            let watch = Stopwatch::start();
            for list in black_box(all) {
                // SAFETY: from `list`, and given up here.
                unsafe { Flagged::free_all(list) };
            }
            free += watch.elapsed();
        }
        let units = (nodes * lists) as u64;
        [Sample::new(cancel, units), Sample::new(free, units)]
    }
}

/// What any waiter list behind a mutex costs at the least: one lock to get in, and one to get out.
fn lock_twice(mutex: &Mutex<u64>) {
    *black_box(mutex).lock().unwrap_or_else(PoisonError::into_inner) += 1;
    *black_box(mutex).lock().unwrap_or_else(PoisonError::into_inner) -= 1;
}

pub(crate) fn two_locks() -> impl FnMut(u64) -> [Sample; 1] {
    let mutex = Mutex::new(0);
    move |repeat| timed(repeat, || lock_twice(&mutex))
}

pub(crate) fn two_locks_on(threads: usize, window: Duration, shared: bool) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let one = Arc::new(Mutex::new(0));
        let state = || if shared { one.clone() } else { Arc::new(Mutex::new(0)) };
        [together(threads, window, state, |mutex| lock_twice(mutex))]
    }
}

/// The crate atomic-waker: a slot for one waiter, without a tree.
pub(crate) fn waker_slot() -> impl FnMut(u64) -> [Sample; 1] {
    let slot = atomic_waker::AtomicWaker::new();
    move |repeat| {
        timed(repeat, || {
            black_box(&slot).register(black_box(Waker::noop()));
            drop(black_box(slot.take()));
        })
    }
}

/// Wakers in a vector, woken one after the other.
pub(crate) fn waker_list(waiters: usize, lists: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let all: Vec<Vec<Waker>> = (0..lists).map(|_| vec![black_box(Waker::noop()).clone(); waiters]).collect();
        let start = Stopwatch::start();
        for list in all {
            list.into_iter().for_each(Waker::wake);
        }
        [Sample::new(start.elapsed(), (waiters * lists) as u64)]
    }
}
