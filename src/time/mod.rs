//! Clocks, and what calls when a token's time has come.
//!
//! With `std` nothing needs to be set up: [`child_with_timeout`](crate::CancellationToken::child_with_timeout) and its
//! siblings use the default timer, a [`ThreadTimer`] unless [`set_default_timer`] has chosen another.
//! [`child_with_timer`](crate::CancellationToken::child_with_timer) takes any [`Timer`]: a [`ManualTimer`] in tests, an
//! async runtime's, the hardware's. Without a heap there is [`StaticTimer`], which a tick interrupt polls, or a task.
//!
//! `sleep`, `sleep_until` and [`sleep_with_timer`] are futures that wait for a time, on any of these, or for a cancel.
//!
//! A timer never keeps a token: it has an [`Alarm`], a weak claim, and when the token goes, what the timer gave for it goes,
//! too.

use core::time::Duration;

mod alarm;
#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "std")]
mod clock;
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub(crate) mod deadline;
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
mod default;
#[cfg(all(feature = "embassy-time", not(cancel_tree_loom)))]
mod embassy;
mod fixed;
#[cfg(feature = "std")]
mod manual;
#[cfg(all(test, feature = "std"))]
#[path = "../../tests/support/probe.rs"]
mod probe;
#[cfg(any(feature = "std", feature = "embassy-time"))]
#[cfg_attr(
    any(not(feature = "std"), cancel_tree_loom),
    allow(dead_code, reason = "naps, and clocks set by hand, are for std")
)]
mod queue;
mod sleep;
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
mod thread;
#[cfg(feature = "tokio")]
mod tokio;

pub use self::alarm::Alarm;
#[cfg(feature = "async-io")]
pub use self::async_io::{AsyncIoArmed, AsyncIoTimer};
#[cfg(feature = "std")]
pub use self::clock::{instant, origin, since_origin};
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub use self::default::set_default_timer;
#[cfg(all(feature = "embassy-time", not(cancel_tree_loom)))]
pub use self::embassy::{EmbassyArmed, EmbassyTimer};
pub use self::fixed::{Clock, StaticArmed, StaticTimer};
#[cfg(feature = "std")]
pub use self::manual::{ManualArmed, ManualTimer};
#[cfg(feature = "alloc")]
pub use self::sleep::sleep_with_timer;
pub use self::sleep::{Sleep, try_sleep_with_timer};
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub use self::sleep::{sleep, sleep_until};
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub use self::thread::{ThreadArmed, ThreadTimer};
#[cfg(feature = "tokio")]
pub use self::tokio::{TokioArmed, TokioTimer};

/// A clock that can call back: the seam between deadlines and whatever keeps time.
///
/// Times are counted from the clock's origin. Timers whose times are to be compared, as the effective deadline of a token
/// below another one is, have to have the same; with `std` that is [`origin`].
///
/// ```
/// use cancel_tree::{CancellationToken, time::{Alarm, Timer}};
/// use core::time::Duration;
/// use std::sync::Mutex;
///
/// /// One alarm at a time, on a clock that has to be told the time.
/// #[derive(Default)]
/// struct EggTimer(Mutex<Option<(Duration, Alarm)>>);
///
/// impl EggTimer {
///     fn it_is(&self, now: Duration) {
///         let due = self.0.lock().unwrap().take_if(|(at, _)| *at <= now);
///         // Outside of the lock: what is cancelled may arm the next.
///         if let Some((_, alarm)) = due {
///             alarm.fire();
///         }
///     }
/// }
///
/// impl Timer for EggTimer {
///     type Armed = ();
///     fn now(&self) -> Duration {
///         Duration::ZERO
///     }
///     fn arm(&self, at: Duration, alarm: Alarm) {
///         *self.0.lock().unwrap() = Some((at, alarm));
///     }
///     fn disarm((): &()) {}
/// }
///
/// let timer = EggTimer::default();
/// let egg = CancellationToken::new().child_with_timer(&timer, Duration::from_secs(300));
/// timer.it_is(Duration::from_secs(299));
/// assert!(!egg.is_cancelled());
/// timer.it_is(Duration::from_secs(300));
/// assert!(egg.reason().unwrap().is_deadline_exceeded());
/// ```
pub trait Timer: Send + Sync {
    /// What the token keeps while the alarm is armed. It is dropped when the token is gone, never inside of a `cancel()`;
    /// dropping it should take the alarm out, if `disarm` has not.
    type Armed: Send + 'static;

    /// The time since the clock's origin. It never goes back, and it may stand still.
    fn now(&self) -> Duration;

    /// Whether `now` is the time since [`origin`] that has passed in the world, to the resolution of the timer. A deadline on this
    /// clock that is later than one which an ancestor has on it needs no alarm of its own. False if not said otherwise.
    fn is_system_clock(&self) -> bool {
        false
    }

    /// Sees to it that [`alarm.fire()`](Alarm::fire) is called as soon as `now() >= at`, by whom is the timer's affair. The
    /// token is not visible to anybody else yet. If this panics, the token is dropped.
    fn arm(&self, at: Duration, alarm: Alarm) -> Self::Armed;

    /// As [`arm`](Self::arm), for a timer that has room for so many alarms and no more.
    ///
    /// # Errors
    ///
    /// The alarm, if there is no room for it; nothing is armed then. A timer that does not say otherwise always has room.
    fn try_arm(&self, at: Duration, alarm: Alarm) -> Result<Self::Armed, Alarm> {
        Ok(self.arm(at, alarm))
    }

    /// The token has been cancelled: the alarm is of no use any more. Called at most once, in `cancel()`, on the thread that
    /// cancels, and so perhaps in a signal or interrupt handler: it must not lock, wait, allocate or free. It need not
    /// prevent that the alarm is fired, which has no effect now; and it may do nothing, if the drop of `armed`, which
    /// follows with the token's own, is soon enough.
    fn disarm(armed: &Self::Armed);
}
