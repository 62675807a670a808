//! Alarms at the timer of a Tokio runtime.
//!
//! No task is needed: a `tokio::time::Sleep` is polled once, with a waker that fires the alarm. The runtime's driver calls
//! it when the time has come.

use super::queue::{discard, fire};
use super::{Alarm, Timer, instant, since_origin};
use crate::primitives::{AtomicU32, Relaxed};
use ::tokio::runtime::{Handle, TryCurrentError};
use ::tokio::task::coop::{Unconstrained, unconstrained};
use ::tokio::time::{Instant, Sleep, sleep_until};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// A timer that leaves its alarms to a Tokio runtime, which must have its time driver enabled.
///
/// The clock is that of the runtime, counted from the [`origin`](super::origin) of the process. While Tokio's clock is
/// paused, so are the alarms, and they count among the timers to which a paused clock advances by itself.
///
/// Alarms are fired on the thread that runs the runtime's driver, outside of any task. Tokio rounds deadlines up to the
/// next millisecond. A runtime whose threads are all blocked fires nothing.
///
/// # Progress
///
/// Arming is two allocations and a registration with the driver, which locks its list of timers. Disarming is
/// wait-free: one store. The alarm, and the registration, are dropped with the token, which locks that list again.
///
/// # Panics
///
/// Arming panics if the runtime has no time driver, or has been shut down.
///
/// A waker that panics is reported by the panic hook and goes no further.
///
/// # Limits
///
/// An alarm whose runtime is shut down before its time is never fired; disarming and dropping it does nothing then.
/// A deadline that the platform's `Instant` cannot represent never comes. The timer keeps the handle of the runtime, not the
/// runtime itself.
#[derive(Clone)]
pub struct TokioTimer {
    handle: Handle,
}

impl TokioTimer {
    /// The timer of a runtime. Allocates nothing.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The timer of the runtime that this is called in. Allocates nothing.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self::new(Handle::current())
    }

    /// The timer of the runtime that this is called in, if any. Allocates nothing.
    ///
    /// # Errors
    ///
    /// Outside of a runtime.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::new)
    }
}

fn now(handle: &Handle) -> Duration {
    let _inside = handle.enter();
    since_origin(Instant::now().into_std())
}

impl Timer for TokioTimer {
    type Armed = TokioArmed;

    fn now(&self) -> Duration {
        now(&self.handle)
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> TokioArmed {
        let shared = Arc::new(Shared {
            at,
            handle: self.handle.clone(),
            off: AtomicU32::new(0),
            alarm: Mutex::new(Some(alarm)),
        });
        let Some(deadline) = instant(at) else { return TokioArmed { sleep: None, shared } };
        let waker = Waker::from(shared.clone());
        let inside = self.handle.enter();
        // Unconstrained: in a task whose budget is used up, the sleep would wake at once, and not register.
        let mut sleep = Box::pin(unconstrained(sleep_until(Instant::from_std(deadline))));
        let due = sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        drop(inside);
        if due {
            shared.fire();
        }
        TokioArmed { sleep: Some(sleep), shared }
    }

    fn disarm(armed: &TokioArmed) {
        // Relaxed: an alarm that is fired all the same is allowed for, and nothing is read on the strength of it.
        armed.shared.off.store(1, Relaxed);
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer").field("handle", &self.handle).finish()
    }
}

/// An alarm at a [`TokioTimer`].
pub struct TokioArmed {
    /// `None` for what never comes, and at the end.
    sleep: Option<Pin<Box<Unconstrained<Sleep>>>>,
    shared: Arc<Shared>,
}

impl Drop for TokioArmed {
    fn drop(&mut self) {
        TokioTimer::disarm(self);
        // Takes the waker out of the driver. Then the alarm goes, even if the driver is about to use that waker.
        drop(self.sleep.take());
        drop(self.shared.take());
    }
}

impl fmt::Debug for TokioArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioArmed").finish_non_exhaustive()
    }
}

/// What the waker holds, and the token.
struct Shared {
    at: Duration,
    handle: Handle,
    /// 1 when it shall not fire any more.
    off: AtomicU32,
    /// Locked for a `take`, never while anything is run.
    alarm: Mutex<Option<Alarm>>,
}

impl Shared {
    fn take(&self) -> Option<Alarm> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fire(&self) {
        // Relaxed: as in `disarm`.
        if self.off.load(Relaxed) != 0 {
            return;
        }
        if let Some(Err(panic)) = self.take().map(fire) {
            discard(panic);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The driver does not wake before the time, except all that it has when it is shut down. To register anew then would
    /// be a panic; so what comes early is ignored.
    fn wake_by_ref(self: &Arc<Self>) {
        // Entering a runtime panics on a thread whose thread-local variables are gone. Nothing may unwind into the driver.
        match catch_unwind(AssertUnwindSafe(|| now(&self.handle) >= self.at)) {
            Ok(true) => self.fire(),
            Ok(false) => {}
            Err(panic) => discard(panic),
        }
    }
}
