//! Floors for what a tree of children cannot do without: the read-modify-writes that its promises ask for, on blocks of a
//! node's size, and nothing else. Whoever wants less has to promise less.
//!
//! - All are flagged before anybody is woken (C5), each is reached by whatever races with its creation (C4), and afterwards its memory
//!   depends on its own handles alone (C8): so a cancel comes to each child twice, and changes it by a step each time, for its
//!   owner may be doing the same. After that who drops the last handle looks whether he is alone.
//! - The same without a cancel: children whose parent goes first are told so by a step.
//! - Who comes to a list, and who leaves it, changes its head, and the claims on its owner.

use crate::clock::Stopwatch;
use crate::floors::{allocate_node, batches, free_node};
use crate::harness::Sample;
use crate::parallel::together;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// As large as a node; what a pass changes is on one cache line, what pollers read on another.
#[repr(C)]
struct Block {
    mark: AtomicUsize,
    state: AtomicUsize,
    rest: [usize; 9],
    reason: AtomicUsize,
}

/// A step on a word that others may change.
fn step(word: &AtomicUsize) {
    let mut seen = word.load(Ordering::Relaxed);
    while let Err(newer) = word.compare_exchange(seen, seen.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed) {
        seen = newer;
    }
}

struct Blocks(Vec<*mut Block>);

impl Blocks {
    fn new(nodes: usize) -> Self {
        let new = || {
            let block = allocate_node().cast::<Block>();
            let (mark, state, reason) = (AtomicUsize::new(0), AtomicUsize::new(1), AtomicUsize::new(0));
            // SAFETY: fresh memory of that size and alignment.
            unsafe { block.write(Block { mark, state, rest: [0; 9], reason }) };
            block
        };
        Self((0..nodes).map(|_| new()).collect())
    }

    /// The youngest first, as in a list; each is on its way from memory when its turn comes.
    fn pass(&self, visit: impl Fn(&Block)) {
        for at in (0..self.0.len()).rev() {
            prefetch(self.0[at.saturating_sub(16)]);
            // SAFETY: alive, and shared.
            visit(unsafe { &*self.0[at] });
        }
    }

    fn cancel(&self) {
        self.pass(|block| {
            step(&block.mark);
            block.reason.store(1, Ordering::Release);
        });
        self.leave();
    }

    fn leave(&self) {
        self.pass(|block| _ = block.state.fetch_add(1, Ordering::AcqRel));
    }

    /// The oldest first, as the handles of a tree are dropped.
    fn free(&mut self) {
        for block in self.0.drain(..) {
            // SAFETY: alive.
            if unsafe { (*block).state.load(Ordering::Acquire) } != 0 {
                // SAFETY: from `allocate_node`, and freed once.
                unsafe { free_node(block.cast()) };
            }
        }
    }
}

fn prefetch(block: *const Block) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which may name any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(block.cast());
            _mm_prefetch::<_MM_HINT_T0>(block.cast::<i8>().wrapping_add(64));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = block;
}

fn timed(nodes: usize, lists: usize, first: impl Fn(&Blocks)) -> [Sample; 2] {
    let (mut begin, mut end) = (Duration::ZERO, Duration::ZERO);
    for batch in batches(nodes, lists) {
        let mut all: Vec<_> = (0..batch).map(|_| Blocks::new(nodes)).collect();
        let watch = Stopwatch::start();
        all.iter().for_each(&first);
        begin += watch.elapsed();
        let watch = Stopwatch::start();
        black_box(&mut all).iter_mut().for_each(Blocks::free);
        end += watch.elapsed();
    }
    let units = (nodes * lists) as u64;
    [Sample::new(begin, units), Sample::new(end, units)]
}

/// A cancel of so many children, and their drop afterwards.
pub(crate) fn cancel_and_drop(nodes: usize, lists: usize) -> impl FnMut(u64) -> [Sample; 2] {
    move |_| timed(nodes, lists, Blocks::cancel)
}

/// A drop of so many children, after their parent.
pub(crate) fn drop_uncancelled(nodes: usize, lists: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let [leave, free] = timed(nodes, lists, Blocks::leave);
        [leave.and(free)]
    }
}

/// What the children in one list write when they come and go.
#[derive(Default)]
#[repr(align(64))]
struct Line {
    head: AtomicUsize,
    claims: AtomicUsize,
}

/// Children that come and go, on each thread in a list of its own.
pub(crate) fn come_and_go_on(threads: usize, window: Duration) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        [together(threads, window, Line::default, |line| {
            let node = black_box(allocate_node());
            line.claims.fetch_add(1, Ordering::Relaxed);
            step(&line.head);
            step(black_box(&line.head));
            line.claims.fetch_sub(1, Ordering::AcqRel);
            // SAFETY: from `allocate_node`, and freed once.
            unsafe { free_node(node) };
        })]
    }
}
