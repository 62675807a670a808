//! Alarms at the reactor of `async-io`, which smol, async-std and others run on.
//!
//! No task is needed: an `async_io::Timer` is polled once, with a waker that fires the alarm. The reactor's thread calls
//! it when the time has come, or whoever drives the reactor at that moment.

use super::queue::{discard, fire};
use super::{Alarm, Timer, instant, since_origin};
use crate::primitives::{AcqRel, Acquire, AtomicU32, Relaxed, Release};
use alloc::sync::Arc;
use alloc::task::Wake;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A timer that leaves its alarms to the reactor of the crate `async-io`, and so needs no thread of its own where that
/// is in use.
///
/// The clock is that of [`ThreadTimer`](super::ThreadTimer). Alarms are fired on the thread that drives the reactor: its
/// own, `async-io`, or one that is inside `block_on` of `async-io`, smol or async-std. Nobody has to poll anything. The
/// first alarm starts the reactor and its thread.
///
/// # Progress
///
/// Arming is an allocation and what `async_io::Timer` does, which may lock the reactor's list of timers. Disarming is
/// wait-free: one store. The alarm is dropped with the token; what the reactor keeps for it (about 100 bytes), when it next
/// goes through its list, which it does after 1000 changes at the latest.
///
/// # Panics
///
/// A waker that panics is reported by the panic hook and goes no further. Arming panics if the reactor cannot be
/// started.
///
/// # Limits
///
/// A deadline that the platform's `Instant` cannot represent never comes.
#[derive(Clone, Copy, Default)]
pub struct AsyncIoTimer {
    _private: (),
}

impl AsyncIoTimer {
    /// A handle on the one reactor. Starts nothing yet. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Timer for AsyncIoTimer {
    type Armed = AsyncIoArmed;

    fn now(&self) -> Duration {
        since_origin(Instant::now())
    }

    fn is_system_clock(&self) -> bool {
        true
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> AsyncIoArmed {
        let Some(at) = instant(at) else { return AsyncIoArmed(None) };
        let armed = Arc::new(Shared {
            at,
            off: AtomicU32::new(0),
            gate: AtomicU32::new(IDLE),
            alarm: Mutex::new(Some(alarm)),
            timer: Mutex::new(None),
        });
        armed.register();
        AsyncIoArmed(Some(armed))
    }

    fn disarm(armed: &AsyncIoArmed) {
        if let Some(shared) = &armed.0 {
            // Relaxed: an alarm that is fired all the same is allowed for, and nothing is read on the strength of it.
            shared.off.store(1, Relaxed);
        }
    }
}

impl fmt::Debug for AsyncIoTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoTimer").finish_non_exhaustive()
    }
}

/// An alarm at the [`AsyncIoTimer`]. `None` for what never comes.
pub struct AsyncIoArmed(Option<Arc<Shared>>);

impl Drop for AsyncIoArmed {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        shared.off.store(1, Relaxed);
        // Each is dropped after its lock has been released. Whoever takes the timer's lock next sees `off`, and puts in no
        // other; so the circle (timer, waker, `Shared`) is broken for good.
        let timer = lock(&shared.timer).take();
        drop(timer);
        let alarm = lock(&shared.alarm).take();
        drop(alarm);
    }
}

impl fmt::Debug for AsyncIoArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoArmed").finish_non_exhaustive()
    }
}

/// What the waker holds, and the token.
struct Shared {
    at: Instant,
    /// 1 when it shall not fire any more.
    off: AtomicU32,
    gate: AtomicU32,
    /// Locked for a `take`, never while anything is run.
    alarm: Mutex<Option<Alarm>>,
    /// Locked for a change of the registration, by who is inside the gate, and at the end. No waker locks it that finds
    /// someone inside, so that a reactor may wake in the middle of a registration.
    timer: Mutex<Option<async_io::Timer>>,
}

/// Nobody is registering.
const IDLE: u32 = 0;
/// Someone is.
const INSIDE: u32 = 1;
/// Someone is, and has been woken too early meanwhile.
const AGAIN: u32 = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Registers a new timer with the reactor, and fires if it is too late for that.
    fn register(self: &Arc<Self>) {
        // Acquire: pairs with the release of who left the gate. Release: for who is inside.
        let met = self.gate.fetch_update(AcqRel, Relaxed, |gate| Some(if gate == IDLE { INSIDE } else { AGAIN }));
        if met != Ok(IDLE) {
            return;
        }
        loop {
            if self.register_once() {
                // The gate stays shut: there is nothing left to register.
                return self.fire();
            }
            // Release: pairs with the acquire of who comes next.
            if self.gate.compare_exchange(INSIDE, IDLE, AcqRel, Acquire).is_ok() {
                return;
            }
            self.gate.store(INSIDE, Release);
        }
    }

    /// Says whether the time has come.
    fn register_once(self: &Arc<Self>) -> bool {
        let waker = Waker::from(self.clone());
        let mut timer = async_io::Timer::at(self.at);
        let mut slot = lock(&self.timer);
        // Relaxed: the lock orders it after that of `AsyncIoArmed::drop`.
        if self.off.load(Relaxed) != 0 {
            return false;
        }
        if Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_ready() {
            return true;
        }
        let old = slot.replace(timer);
        drop(slot);
        drop(old);
        false
    }

    fn fire(&self) {
        // Relaxed: as in `disarm`.
        if self.off.load(Relaxed) != 0 {
            return;
        }
        let alarm = lock(&self.alarm).take();
        if let Some(Err(panic)) = alarm.map(fire) {
            discard(panic);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_due() {
            self.fire();
        } else {
            // No reactor so far has woken a timer too early. A waker may be woken at any time, though.
            self.register();
        }
    }
}
