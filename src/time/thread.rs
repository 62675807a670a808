//! The default timer: one thread of the process, started when it is first needed.
//!
//! The thread is the owner of the [queue](super::queue). While something happens it looks into its inbox every 5 ms, and
//! nobody has to wake it but for an alarm that is due before it looks. When nothing has come for that long, it sleeps
//! until the next deadline, or for ever, and the next arming wakes it. So there is no periodic work in an idle process,
//! and no system call per alarm in a busy one.

use super::queue::{Armed, Core, Home, NEVER, Tag, discard, fire, nanos};
use super::{Alarm, Timer, since_origin};
use crate::primitives::{Acquire, AtomicU32, Relaxed, Release};
use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::Instant;

/// How long the thread leaves its inbox alone while there is traffic.
const NAP: Duration = Duration::from_millis(5);

static CORE: Core = Core::new();
/// Set by the thread itself, before anyone can find it napping or resting.
static THREAD: OnceLock<Thread> = OnceLock::new();
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The timer of programs with `std`: a thread named `cancel-tree timer`, one for all trees in the process.
///
/// It is started by the first alarm that is armed and stays until the process ends. Alarms are fired on that thread, one
/// after the other, in the order of their deadlines: wakers and callbacks that run for long delay the alarms after
/// theirs. Nothing is fired before its time; on an idle machine, within a millisecond after it.
///
/// # Progress
///
/// Arming is one allocation of 48 bytes (64-bit targets) and otherwise lock-free, but that the first starts the thread,
/// and that arming what is due before the thread next looks (while it sleeps: anything) unparks it. Disarming is
/// lock-free, makes no system call, and allocates and frees nothing: it may be interrupted by, and run in, a signal handler.
/// What has been disarmed is given back by the thread within about 5 ms after the token, too, has been dropped.
///
/// # Panics
///
/// Arming panics if the thread is needed and the operating system refuses to start it. Nothing has been armed then, and
/// the next arming tries again. (An alarm that another thread arms at that very moment waits for that next one.)
///
/// A waker that panics on the timer's thread is reported by the panic hook and goes no further: the thread and the
/// other alarms go on.
///
/// # Limits
///
/// A deadline of 2⁶³ − 1 ns (292 years) or more after the origin never comes. After a `fork` the child process has no
/// timer thread. The first arming is not for signal handlers. The thread has the signal mask of the one that started it.
/// WebAssembly has no threads, and without WASI no clock: there the timer panics, and [`StaticTimer`](super::StaticTimer) is of use.
#[derive(Clone, Copy, Default)]
pub struct ThreadTimer {
    _private: (),
}

impl ThreadTimer {
    /// A handle on the one timer. Starts nothing yet. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Timer for ThreadTimer {
    type Armed = ThreadArmed;

    fn now(&self) -> Duration {
        since_origin(Instant::now())
    }

    fn is_system_clock(&self) -> bool {
        true
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> ThreadArmed {
        start();
        ThreadArmed(Armed::new(Process, at, alarm))
    }

    fn disarm(armed: &ThreadArmed) {
        armed.0.remove();
    }
}

impl fmt::Debug for ThreadTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadTimer").finish_non_exhaustive()
    }
}

/// An alarm at the [`ThreadTimer`].
pub struct ThreadArmed(Armed<Process>);

impl fmt::Debug for ThreadArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadArmed").finish_non_exhaustive()
    }
}

/// The home that there is one of.
struct Process;

// SAFETY: the core is a static.
unsafe impl Home for Process {
    fn core(&self) -> &Core {
        &CORE
    }

    fn wake(&self) {
        // It is set: the tag that was met, `Nap` or `Rest`, comes from the thread, and was acquired.
        if let Some(thread) = THREAD.get() {
            thread.unpark();
        }
    }
}

/// Sees to it that the thread has been started, or is being started.
#[inline]
fn start() {
    // Relaxed: nothing is read on the strength of it. Who finds 1 pushes; the thread finds that whenever it comes.
    if STARTED.load(Relaxed) == 0 {
        spawn();
    }
}

#[cold]
fn spawn() {
    // Acquire: pairs with the release below, of a thread that has failed to start it.
    if STARTED.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
        if let Err(error) = thread::Builder::new().name("cancel-tree timer".into()).spawn(run) {
            STARTED.store(0, Release);
            panic!("cancel-tree: the timer thread could not be started: {error}");
        }
    }
}

fn clock() -> u64 {
    // `NEVER` is not reached by a clock.
    nanos(since_origin(Instant::now())).min(NEVER - 1)
}

fn run() {
    let _ = THREAD.set(thread::current());
    let Some(mut owner) = CORE.own() else { return };
    loop {
        let look = clock().saturating_add(nanos(NAP));
        owner.nap_until(look);
        let traffic = owner.absorb(Tag::Nap) != 0;
        while let Some(alarm) = owner.pop_due(clock()) {
            if let Err(panic) = fire(alarm) {
                // The panic hook has told of it.
                discard(panic);
            }
        }
        // With traffic, to a nap. Otherwise to rest, unless something has come while the alarms were fired. The tag is looked at
        // after those: a waker that parks on this thread may have swallowed an unpark.
        let until = match traffic {
            true if CORE.tag() == Tag::Awake => continue,
            true => Some(owner.next().map_or(look, |next| next.min(look))),
            false if !CORE.rest(Tag::Nap) => continue,
            false => owner.next(),
        };
        match until {
            None => thread::park(),
            Some(until) => thread::park_timeout(Duration::from_nanos(until.saturating_sub(clock()))),
        }
    }
}
