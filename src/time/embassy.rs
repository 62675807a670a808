//! Alarms at the time driver of Embassy.
//!
//! That driver may insist that the wakers it is given are those of Embassy's own tasks. So one task of the program, which
//! awaits [`EmbassyTimer::run`], owns the [queue](super::queue) and sleeps until the next deadline.

use super::queue::{Armed, Core, Home, NEVER, Tag};
use super::{Alarm, Timer};
use atomic_waker::AtomicWaker;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use embassy_time::{Instant, TICK_HZ};

/// A timer that leaves its alarms to the time driver of Embassy. Made to be a `static`, with one task that runs it:
///
/// ```
/// use cancel_tree::time::EmbassyTimer;
///
/// static TIMER: EmbassyTimer = EmbassyTimer::new();
///
/// // #[embassy_executor::task]
/// async fn timer() -> ! {
///     TIMER.run().await
/// }
/// # let _ = timer;
/// ```
///
/// It is `&'static EmbassyTimer` that is a [`Timer`]. Its clock counts from the start of the machine, as Embassy's does,
/// and has its resolution; deadlines are rounded up to the next tick. Any executor can run the task, if the time driver
/// takes its wakers.
///
/// Alarms are fired by the task, one after the other, in the order of their deadlines. While nobody runs it, they wait.
///
/// # Progress
///
/// Arming is one allocation of 48 bytes (on 64-bit targets) and otherwise lock-free, but for the wake-up of the task, which
/// is the executor's. Disarming is lock-free, wakes nobody, and allocates and frees nothing: it may be done in an interrupt.
/// What has been disarmed is given back by the task when it is next up, at the latest after the token has been dropped.
///
/// Without a heap: a [`StaticTimer`](super::StaticTimer), polled by a task; `firmware/embassy` in the repository does that.
///
/// # Limits
///
/// A deadline of 2⁶³ − 1 ns (292 years) or more never comes.
pub struct EmbassyTimer {
    core: Core,
    waker: AtomicWaker,
}

impl EmbassyTimer {
    /// A timer that nobody runs yet. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { core: Core::new(), waker: AtomicWaker::new() }
    }

    /// Fires the alarms when their time has come; for ever. If the future is dropped, everything stays as it is, and
    /// another may go on with it.
    ///
    /// # Panics
    ///
    /// When it is first polled while another such future of this timer, polled before, is alive. With `std`, a waker that
    /// panics is reported by the panic hook and goes no further; without, its panic leaves this future.
    pub async fn run(&self) -> ! {
        let Some(mut owner) = self.core.own() else { panic!("cancel-tree: this EmbassyTimer is being run already") };
        loop {
            owner.absorb(Tag::Awake);
            while let Some(alarm) = owner.pop_due(clock()) {
                fire(alarm);
            }
            if !self.core.rest(Tag::Awake) {
                continue;
            }
            let mut sleep = owner.next().map(|at| embassy_time::Timer::at(instant(at)));
            poll_fn(|cx| {
                self.waker.register(cx.waker());
                // After the registration: who turned the tag before it may have found no waker.
                if self.core.tag() == Tag::Awake {
                    return Poll::Ready(());
                }
                sleep.as_mut().map_or(Poll::Pending, |sleep| Pin::new(sleep).poll(cx))
            })
            .await;
        }
    }
}

impl Default for EmbassyTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EmbassyTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbassyTimer").finish_non_exhaustive()
    }
}

impl Timer for &'static EmbassyTimer {
    type Armed = EmbassyArmed;

    fn now(&self) -> Duration {
        Duration::from_nanos(clock())
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> EmbassyArmed {
        EmbassyArmed(Armed::new(Static(self), at, alarm))
    }

    fn disarm(armed: &EmbassyArmed) {
        armed.0.remove();
    }
}

/// An alarm at an [`EmbassyTimer`].
pub struct EmbassyArmed(Armed<Static>);

impl fmt::Debug for EmbassyArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbassyArmed").finish_non_exhaustive()
    }
}

struct Static(&'static EmbassyTimer);

// SAFETY: the core is in a static place.
unsafe impl Home for Static {
    fn core(&self) -> &Core {
        &self.0.core
    }

    fn wake(&self) {
        self.0.waker.wake();
    }
}

#[cfg(feature = "std")]
fn fire(alarm: Alarm) {
    if let Err(panic) = super::queue::fire(alarm) {
        super::queue::discard(panic);
    }
}

#[cfg(not(feature = "std"))]
fn fire(alarm: Alarm) {
    alarm.fire();
}

const SECOND: u128 = 1_000_000_000;

/// What the clock says, in nanoseconds, rounded down.
fn clock() -> u64 {
    let nanos = u128::from(Instant::now().as_ticks()) * SECOND / u128::from(TICK_HZ);
    u64::try_from(nanos).unwrap_or(NEVER).min(NEVER - 1)
}

/// The first tick at which [`clock`] says at least so much.
fn instant(nanos: u64) -> Instant {
    let ticks = (u128::from(nanos) * u128::from(TICK_HZ)).div_ceil(SECOND);
    Instant::from_ticks(u64::try_from(ticks).unwrap_or(u64::MAX))
}
