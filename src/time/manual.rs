//! A clock that is set by hand.

use super::queue::{Armed, Core, Home, NEVER, Tag, discard, fire, nanos};
use super::{Alarm, Timer};
use crate::primitives::{AtomicUsize, Relaxed, yield_now};
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::panic::resume_unwind;

/// A timer whose clock moves when it is told to: for tests, simulations, and programs with a time of their own.
///
/// It starts at zero and stands still until [`advance`](Self::advance) or [`set`](Self::set) moves it, for ever if
/// need be. Clones are handles on the same clock. What is armed keeps the clock alive, nothing keeps the alarms alive
/// but their tokens.
///
/// # Who fires
///
/// `advance` and `set` fire what has become due, on the calling thread, in the order of the deadlines, and of equal
/// ones in the order in which they were armed. They return when nothing is left that is due. Arming an alarm whose
/// time has come already fires it at once.
///
/// What is run by an alarm may arm, disarm and advance. If one of these, on this thread or on another, finds the clock
/// already firing, it hands over what has become due to that call, which fires it before it returns, and does not
/// wait for it. So a callback that advances the clock returns before the later alarms are fired, and of two threads
/// that advance at the same time one may return early.
///
/// The clock is moved first, then alarms are fired: they all see the time after the step.
///
/// # Limits
///
/// A deadline of 2⁶³ − 1 ns (292 years) or more never comes; the clock stops at 2⁶⁴ − 2 ns.
#[derive(Clone)]
pub struct ManualTimer {
    shared: Shared,
}

impl ManualTimer {
    /// A clock at zero. One allocation.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { core: Core::new(), now: now::Now::new(), pending: AtomicUsize::new(0) };
        inner.core.turn(Tag::Awake, Tag::Rest);
        Self { shared: Shared(Arc::new(inner)) }
    }

    /// What the clock says. Wait-free: one load. (A short lock on targets without 64-bit atomics.)
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.shared.0.now.get())
    }

    /// Moves the clock on and fires what has become due, as said [above](Self#who-fires).
    ///
    /// **May block**: it yields until another thread is through that is in the middle of arming or dropping an alarm of this
    /// clock; never for an alarm that is running. And it tidies up what other threads arm and drop meanwhile, for as long as
    /// they do that faster than it can.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker or callback, after all that is due has been fired.
    pub fn advance(&self, by: Duration) {
        self.shared.0.now.update(|now| now.saturating_add(nanos(by)).min(NEVER - 1));
        self.shared.fire_due();
    }

    /// Moves the clock on to `to`, and fires what has become due. Never moves it back: for a time that has passed it
    /// moves nothing.
    ///
    /// Otherwise as [`advance`](Self::advance).
    pub fn set(&self, to: Duration) {
        self.shared.0.now.update(|now| now.max(nanos(to).min(NEVER - 1)));
        self.shared.fire_due();
    }

    /// How many alarms are armed: neither fired nor disarmed, and not without a time. Wait-free: one load.
    #[must_use]
    pub fn pending(&self) -> usize {
        // Relaxed: a count, to look at.
        self.shared.0.pending.load(Relaxed)
    }
}

impl Default for ManualTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualTimer").field("now", &self.now()).field("pending", &self.pending()).finish()
    }
}

/// By identity: whether two handles are of the same clock.
impl PartialEq for ManualTimer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared.0, &other.shared.0)
    }
}

impl Eq for ManualTimer {}

/// Arming is one allocation, and lock-free; what it finds to tidy up, or due, is done by it on the calling thread.
/// Disarming is lock-free, and allocates and frees nothing.
impl Timer for ManualTimer {
    type Armed = ManualArmed;

    fn now(&self) -> Duration {
        self.now()
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> ManualArmed {
        if nanos(at) != NEVER {
            // Relaxed: the push publishes it, so that whoever counts it down again comes later.
            self.shared.0.pending.fetch_add(1, Relaxed);
        }
        let armed = ManualArmed(Armed::new(self.shared.clone(), at, alarm));
        // Read after the push: if a step of the clock did not find the alarm, the step is seen here.
        if at <= self.now() {
            self.shared.fire_due();
        }
        armed
    }

    fn disarm(armed: &ManualArmed) {
        armed.0.remove();
    }
}

/// An alarm at a [`ManualTimer`].
pub struct ManualArmed(Armed<Shared>);

impl fmt::Debug for ManualArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualArmed").finish_non_exhaustive()
    }
}

struct Inner {
    core: Core,
    now: now::Now,
    pending: AtomicUsize,
}

/// The owner is whoever has turned the tag away from `Rest`: to `Awake` in order to tidy up, which is short and runs
/// nothing of the user's, or to `Firing`. He gives back the seat, and then the tag.
#[derive(Clone)]
struct Shared(Arc<Inner>);

// SAFETY: the core is in the allocation that the home shares.
unsafe impl Home for Shared {
    fn core(&self) -> &Core {
        &self.0.core
    }

    /// There is nobody to wake: who has called the owner is the owner.
    fn wake(&self) {
        loop {
            if let Some(mut owner) = self.0.core.own() {
                owner.absorb(Tag::Awake);
            }
            if self.0.core.rest(Tag::Awake) {
                return;
            }
        }
    }

    fn left(&self) {
        // Relaxed: a count.
        self.0.pending.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    fn fire_due(&self) {
        let core = &self.0.core;
        let met = loop {
            // A read-modify-write in any case: it releases the step of the clock to who is firing.
            match core.retag(|tag, _| match tag {
                Tag::Rest => Some(Tag::Firing),
                Tag::Firing | Tag::Again => Some(Tag::Again),
                Tag::Awake | Tag::Nap => None,
            }) {
                Ok(tag) => break tag,
                Err(_tidying) => yield_now(),
            }
        };
        if met != Tag::Rest {
            return;
        }
        let mut first = None;
        loop {
            // The clock is read after the stack has been taken: who leaves his work to this loop has released both by
            // one step, which the `absorb` or else the `rest` acquires.
            let due = core.own().and_then(|mut owner| {
                owner.absorb(Tag::Firing);
                owner.pop_due(self.0.now.get())
            });
            if let Some(alarm) = due {
                self.left();
                match fire(alarm) {
                    Err(panic) if first.is_none() => first = Some(panic),
                    Err(panic) => discard(panic),
                    Ok(()) => {}
                }
            } else if core.rest(Tag::Firing) {
                break;
            }
        }
        if let Some(panic) = first {
            resume_unwind(panic);
        }
    }
}

#[cfg(target_has_atomic = "64")]
mod now {
    use crate::primitives::{AcqRel, Acquire, AtomicWord, Relaxed};

    pub(super) struct Now(AtomicWord);

    impl Now {
        pub(super) fn new() -> Self {
            Self(AtomicWord::new(0))
        }
        pub(super) fn get(&self) -> u64 {
            // Acquire: pairs with the release in `update`: who sees the time sees what came before it.
            self.0.load(Acquire)
        }
        pub(super) fn update(&self, next: impl Fn(u64) -> u64) {
            // Release: pairs with the acquire in `get`, and of the next update.
            let _ = self.0.fetch_update(AcqRel, Relaxed, |now| Some(next(now)));
        }
    }
}

#[cfg(not(target_has_atomic = "64"))]
mod now {
    use std::sync::{Mutex, PoisonError};

    pub(super) struct Now(Mutex<u64>);

    impl Now {
        pub(super) fn new() -> Self {
            Self(Mutex::new(0))
        }
        pub(super) fn get(&self) -> u64 {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
        pub(super) fn update(&self, next: impl Fn(u64) -> u64) {
            let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *now = next(*now);
        }
    }
}
