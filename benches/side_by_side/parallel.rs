//! The same work on several threads at once.

use crate::clock::{calmest, preemptions};
use crate::harness::Sample;
use libc::c_long;
use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a disturbed sample is taken, at most.
const TRIES: usize = 12;

/// Runs `step` on so many threads for so long, each on a state of its own. The figure is what one step takes on one
/// thread: with perfect scaling it stays the same.
///
/// By time, not by count: with a count, those that come first leave the last one alone, and contention looks small.
pub(crate) fn together<S>(
    threads: usize,
    window: Duration,
    state: impl Fn() -> S + Sync,
    step: impl Fn(&mut S) + Sync,
) -> Sample {
    calmest(TRIES, || once(threads, window, &state, &step))
}

fn once<S>(
    threads: usize,
    window: Duration,
    state: &(impl Fn() -> S + Sync),
    step: &(impl Fn(&mut S) + Sync),
) -> (Sample, c_long) {
    let (ready, there, stop) = (Barrier::new(threads), AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut own = state();
        let at_once = steps_between_looks(|| step(&mut own));
        ready.wait();
        let before = preemptions();
        // Those that are awake wait for the others on their cores, so that all start at the same time.
        there.fetch_add(1, Ordering::AcqRel);
        while there.load(Ordering::Acquire) < threads {
            spin_loop();
        }
        let (begin, mut units) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..at_once {
                step(&mut own);
            }
            units += at_once;
            if begin.elapsed() >= window {
                stop.store(true, Ordering::Relaxed);
            }
        }
        (begin.elapsed(), units, preemptions() - before)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = (Duration::ZERO, 0, 0);
        for worker in workers {
            let (elapsed, units, disturbed) = worker.join().expect("a worker does not panic");
            sum = (sum.0 + elapsed, sum.1 + units, sum.2 + disturbed);
        }
        (Sample::new(sum.0, sum.1), sum.2)
    })
}

/// So many steps that a look at the clock in between does not count. This is the warm-up, too.
fn steps_between_looks(mut step: impl FnMut()) -> u64 {
    let mut steps = 16;
    loop {
        let start = Instant::now();
        for _ in 0..steps {
            step();
        }
        if start.elapsed() >= Duration::from_micros(10) {
            return steps;
        }
        steps *= 2;
    }
}

/// Runs `main` while another thread repeats `aside`, and has begun to.
pub(crate) fn beside<R>(aside: impl Fn() + Sync, mut main: impl FnMut() -> R) -> R {
    calmest(TRIES, || {
        let (begun, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let before = preemptions();
                while !stop.load(Ordering::Relaxed) {
                    aside();
                    begun.store(true, Ordering::Relaxed);
                }
                preemptions() - before
            });
            while !begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let before = preemptions();
            let result = main();
            let disturbed = preemptions() - before;
            stop.store(true, Ordering::Relaxed);
            (result, disturbed + other.join().expect("it does not panic"))
        })
    })
}
