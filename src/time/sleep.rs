//! Sleep that a cancel ends.

#[cfg(all(feature = "std", not(cancel_tree_loom)))]
use super::{ThreadTimer, deadline::after, default::default_timer, since_origin};
use crate::time::Timer;
use crate::tree::{Deadline, Handle, Wait};
use crate::{CancellationToken, Cancelled, PoolFull, StaticCause};
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

/// Waits until `duration` has passed, on the default timer, or until `token` is cancelled.
///
/// ```
/// use cancel_tree::{CancellationToken, time::sleep};
/// use std::time::Duration;
/// # futures_lite::future::block_on(async {
/// let token = CancellationToken::new();
/// assert!(sleep(Duration::from_millis(1), &token).await.is_ok());
///
/// let nap = sleep(Duration::from_secs(3600), &token);
/// token.cancel();
/// assert!(nap.await.is_err());
/// # });
/// ```
///
/// It lasts from this call on, not from the first poll. A duration of zero is over at once; one that ends later than the
/// clock can say is never over. For a thread that may block there is [`wait_timeout`](CancellationToken::wait_timeout).
/// Otherwise as [`sleep_with_timer`].
///
/// # Errors
///
/// Why `token` is cancelled, if that came first.
///
/// # Panics
///
/// If the timer's thread has to be started and cannot be.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub fn sleep(duration: Duration, token: &CancellationToken) -> Sleep {
    on_the_default_timer(after(duration), token)
}

/// As [`sleep`], until `deadline`: if that has passed, it is over at once.
///
/// # Errors
///
/// Why `token` is cancelled, if that came first.
///
/// # Panics
///
/// If the timer's thread has to be started and cannot be.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
pub fn sleep_until(deadline: std::time::Instant, token: &CancellationToken) -> Sleep {
    on_the_default_timer(since_origin(deadline), token)
}

/// Waits until `duration` has passed on the clock of `timer`, or until `token` is cancelled.
///
/// ```
/// use cancel_tree::{CancellationToken, time::{ManualTimer, sleep_with_timer}};
/// use std::time::Duration;
/// # futures_lite::future::block_on(async {
/// let (timer, token) = (ManualTimer::new(), CancellationToken::new());
/// let nap = sleep_with_timer(&timer, Duration::from_secs(60), &token);
/// timer.advance(Duration::from_secs(60));
/// token.cancel();
/// assert!(nap.await.is_ok(), "it was over before");
/// # });
/// ```
///
/// # Which came first
///
/// is decided when it happens, not when it is polled: if the token is cancelled before the time is over, it is an error,
/// and if after that, it is none, whenever the task comes to look. A token's own deadline, or an ancestor's, counts as a
/// cancel: a sleep that ends at that deadline or later fails with it, if both are on the [system's
/// clock](Timer::is_system_clock); on other clocks, if that deadline's alarm is fired first. If `token` is cancelled
/// already, it is an error, though the duration be zero.
///
/// # Progress
///
/// It is a [child](CancellationToken::child_with_timer) of `token` with a deadline, and a wait for that: lock-free, but for
/// what the timer does; one node, and the timer's own. Where `token` is cancelled already or its deadline comes first, it
/// is only a handle on `token`.
///
/// # Errors
///
/// Why `token` is cancelled, if that came first.
///
/// # Panics
///
/// Those of the timer, here.
#[cfg(feature = "alloc")]
pub fn sleep_with_timer<T: Timer>(timer: &T, duration: Duration, token: &CancellationToken) -> Sleep {
    until(timer, timer.now().saturating_add(duration), token)
}

/// As [`sleep_with_timer`], with a node from where `token` came from: from its [pool](crate::TokenPool), or the heap.
///
/// # Errors
///
/// If the pool, or the timer, is full. Of the future: why `token` is cancelled, if that came first.
///
/// # Panics
///
/// Those of the timer, here.
pub fn try_sleep_with_timer<T: Timer>(
    timer: &T,
    duration: Duration,
    token: &CancellationToken,
) -> Result<Sleep, PoolFull> {
    let at = timer.now().saturating_add(duration);
    let child = if ends_first(token, timer, at) {
        token.clone()
    } else {
        token.try_child_with_timer_cause(timer, at, &OVER)?
    };
    Ok(Sleep::new(child))
}

#[cfg(all(feature = "std", not(cancel_tree_loom)))]
fn on_the_default_timer(at: Duration, token: &CancellationToken) -> Sleep {
    match default_timer() {
        None => until(&ThreadTimer::new(), at, token),
        Some(timer) => until(timer, at, token),
    }
}

#[cfg(feature = "alloc")]
fn until<T: Timer>(timer: &T, at: Duration, token: &CancellationToken) -> Sleep {
    Sleep::new(if ends_first(token, timer, at) {
        token.clone()
    } else {
        token.child_with_timer_cause(timer, at, &OVER)
    })
}

/// Whether it is plain already that the token ends before the sleep would be over.
fn ends_first<T: Timer>(token: &CancellationToken, timer: &T, at: Duration) -> bool {
    token.is_cancelled() || token.handle().deadline().covers(Deadline::new(at, timer.is_system_clock()))
}

/// Why a sleep is over that was not cancelled. No token has this cause but the children that are made here, and nobody else
/// sees them.
static OVER: StaticCause = StaticCause::new(&Over);

#[derive(Debug)]
struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sleep is over")
    }
}

impl Error for Over {}

/// Ready when its time is over, or its token is cancelled: [`sleep_with_timer`], `sleep` and others.
///
/// A poll after it was ready says the same again. It has no lifetime: the token that it was made with need not outlive it.
/// Dropping it takes it out of the timer. Its polls are those of
/// [`WaitForCancellationFuture`](crate::WaitForCancellationFuture).
///
/// # Cancel safety
///
/// It may be kept over several polls by reference; dropped and made anew it starts anew.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    wait: Wait<Handle>,
}

impl Sleep {
    fn new(token: CancellationToken) -> Self {
        Self { wait: Wait::new(token.into_handle()) }
    }
}

impl Future for Sleep {
    type Output = Result<(), Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = &mut self.get_mut().wait;
        wait.poll(cx).map(|()| {
            let reason = crate::or_cancelled::why(wait);
            if reason.cause().is_some_and(|cause| cause.is::<Over>()) { Ok(()) } else { Err(reason) }
        })
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
