//! Time, on a machine that has other things to do.
//!
//! What happens on one thread is timed by the processor time of that thread: where nothing blocks it is what a clock on
//! the wall would show if nobody else were there. Where threads meet, waiting counts, so there the wall clock is used,
//! and a sample in which the scheduler took a measured thread's core away is taken again, if it is not too often.

use std::mem::MaybeUninit;
use std::time::Duration;

/// A stopwatch for what happens on the current thread alone. A look at it costs some 100 ns: to be started rarely.
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(processor_time())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        processor_time().saturating_sub(self.0)
    }
}

fn processor_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call writes a `timespec` to where it is told to.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    assert_eq!(failed, 0, "every thread has a clock of its own");
    // SAFETY: the call succeeded, so it has written it.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How often the scheduler has taken the core from the current thread against its will.
pub(crate) fn preemptions() -> libc::c_long {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the call writes a `rusage` to where it is told to.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    assert_eq!(failed, 0, "every thread's use is known");
    // SAFETY: the call succeeded, so it has written it.
    (unsafe { usage.assume_init() }).ru_nivcsw
}

/// Of so many tries the sample with the fewest preemptions; the first that has none ends the search. `take` says how many there were, on
/// all threads and from before they met: two threads of which one is not on a core do not meet, and that looks calm.
pub(crate) fn calmest<R>(tries: usize, mut take: impl FnMut() -> (R, libc::c_long)) -> R {
    let mut best = take();
    for _ in 1..tries {
        if best.1 == 0 {
            break;
        }
        let next = take();
        if next.1 < best.1 {
            best = next;
        }
    }
    best.0
}
