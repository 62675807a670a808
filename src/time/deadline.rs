//! Deadlines on the clock of `std`.

use super::default::{Default, default_timer};
use super::{ThreadTimer, Timer, instant, since_origin};
use crate::{CancellationToken, Cause};
use core::time::Duration;
use std::time::Instant;

/// Deadlines, on the default timer.
impl CancellationToken {
    /// A child that is cancelled at `deadline`, or when this token is: the first of the two decides.
    ///
    /// A deadline that has passed gives a child that is cancelled from birth. See
    /// [`child_with_timer`](Self::child_with_timer) for the details, and [`ThreadTimer`] for what the default timer
    /// promises. (Go: `WithDeadline`.)
    ///
    /// # Panics
    ///
    /// If the timer's thread has to be started and cannot be.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_deadline(&self, deadline: Instant) -> Self {
        self.at(since_origin(deadline))
    }

    /// As [`child_with_deadline`](Self::child_with_deadline). The cause shows only if it is the deadline that cancels the
    /// child. (Go: `WithDeadlineCause`.)
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_deadline_cause(&self, deadline: Instant, cause: impl Into<Cause>) -> Self {
        self.at_with_cause(since_origin(deadline), cause)
    }

    /// A child that is cancelled after `timeout`, or when this token is: the first of the two decides.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// # use std::time::Duration;
    /// let token = CancellationToken::new().child_with_timeout(Duration::from_millis(1));
    /// token.wait();
    /// assert!(token.reason().unwrap().is_deadline_exceeded());
    /// ```
    ///
    /// A timeout of zero gives a child that is cancelled from birth. One that ends later than the clock can say never does.
    /// Otherwise as [`child_with_deadline`](Self::child_with_deadline). (Go: `WithTimeout`.)
    ///
    /// # Panics
    ///
    /// If the timer's thread has to be started and cannot be.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timeout(&self, timeout: Duration) -> Self {
        self.at(after(timeout))
    }

    /// As [`child_with_timeout`](Self::child_with_timeout). The cause shows only if it is the timeout that cancels the
    /// child. (Go: `WithTimeoutCause`.)
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timeout_cause(&self, timeout: Duration, cause: impl Into<Cause>) -> Self {
        self.at_with_cause(after(timeout), cause)
    }

    /// The effective deadline: the earliest of this token's own, its ancestors' and, if it is [linked](Self::any), its
    /// sources'. It stays the same when the token is cancelled.
    ///
    /// Wait-free; allocates nothing. The deadlines of all [timers](Timer) are taken as times since
    /// [`origin`](super::origin); to the nanosecond.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        instant(self.handle().deadline().since_origin()?)
    }

    fn at(&self, at: Duration) -> Self {
        match default_timer() {
            None => self.child_with_timer(&ThreadTimer::new(), at),
            Some(timer) => self.child_with_timer(timer, at),
        }
    }

    fn at_with_cause(&self, at: Duration, cause: impl Into<Cause>) -> Self {
        match default_timer() {
            None => self.child_with_timer_cause(&ThreadTimer::new(), at, cause),
            Some(timer) => self.child_with_timer_cause(timer, at, cause),
        }
    }
}

/// `timeout` from now, on the default timer's clock.
pub(super) fn after(timeout: Duration) -> Duration {
    default_timer().map_or_else(|| ThreadTimer::new().now(), Default::now).saturating_add(timeout)
}
