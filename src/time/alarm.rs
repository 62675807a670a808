//! What a timer fires.

#[cfg(feature = "alloc")]
use crate::Cause;
use crate::reason::CancelKind;
#[cfg(feature = "alloc")]
use crate::tree::Heap;
use crate::tree::{Deadline, Home, Reason, Weak, empty_graveyard};
use crate::{CancellationToken, PoolFull, StaticCause, time::Timer};
#[cfg(feature = "alloc")]
use core::convert::Infallible;
use core::fmt;
use core::mem::ManuallyDrop;
use core::time::Duration;

/// The right to cancel one token, because its deadline has passed: what a [`Timer`] gets to fire.
///
/// It does not keep the token, let alone its parents: once they are gone, firing does nothing. Dropping it without firing
/// is fine.
pub struct Alarm {
    token: Weak,
    reason: ManuallyDrop<Reason>,
}

impl Alarm {
    /// Cancels the token, for the reason that its deadline is exceeded. True if that decided; false if the token is
    /// cancelled already, or gone.
    ///
    /// It is a [`cancel`](CancellationToken::cancel): lock-free, allocates and frees nothing, runs wakers and callbacks on
    /// the calling thread, and raises their panics when all have run.
    pub fn fire(&self) -> bool {
        self.token.cancel(&self.reason)
    }

    /// For a timer without room: ends what cancels have left behind, which may be armed.
    pub(super) fn after_the_dead(self) -> Self {
        empty_graveyard(self.token.home());
        self
    }
}

/// Frees what cancels have left behind, as the drop of a token does. If it is the last to hold a cause, that is dropped here;
/// a panic in that goes no further (with `std`), so that no timer is harmed.
impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: not used again.
        let reason = unsafe { ManuallyDrop::take(&mut self.reason) };
        #[cfg(feature = "std")]
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(reason))) {
            core::mem::forget(panic);
        }
        #[cfg(not(feature = "std"))]
        drop(reason);
        // What the cancel has left: in a program that does nothing else, no other drop may come.
        empty_graveyard(self.token.home());
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

/// Deadlines on any clock.
impl CancellationToken {
    /// A child that is cancelled when `timer` says that it is `at` (time since the timer's origin), or when this token is:
    /// the first of the two decides. The [kind](crate::Cancelled::kind) of the one is
    /// [`DeadlineExceeded`](CancelKind::DeadlineExceeded).
    ///
    /// A time that has come already gives a child that is cancelled from birth. One of 2⁶³ − 1 ns (292 years) or more never
    /// comes, and arms nothing. If the time is after the deadline of this token, that one comes first, as `deadline` tells;
    /// then nothing is armed either, if both are on the [system's clock](Timer::is_system_clock).
    ///
    /// The timer is taken out when the child is cancelled or gone. It fires although nobody awaits or polls the child, and
    /// also for what is below a child whose handles have been dropped. (So such a child stays, armed, as long as there is
    /// something below it: a chain of ever earlier deadlines is kept whole by its last token.)
    ///
    /// Lock-free, but for what the timer does. One allocation, of 128 bytes and what the timer keeps there (64-bit targets: 144
    /// bytes with a `ThreadTimer`), and the timer's own.
    ///
    /// # Panics
    ///
    /// Those of the timer; the child is dropped then.
    #[cfg(feature = "alloc")]
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timer<T: Timer>(&self, timer: &T, at: Duration) -> Self {
        self.timed_in(Heap, timer, at, || Reason::new(CancelKind::DeadlineExceeded))
    }

    /// As [`child_with_timer`](Self::child_with_timer). The cause shows only if it is the deadline that cancels the child.
    #[cfg(feature = "alloc")]
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timer_cause<T: Timer>(&self, timer: &T, at: Duration, cause: impl Into<Cause>) -> Self {
        self.timed_in(Heap, timer, at, || cause.into().into_reason(CancelKind::DeadlineExceeded))
    }

    /// The same, somewhere where there is room.
    #[cfg(feature = "alloc")]
    pub(crate) fn timed_in<H: Home<Full = Infallible>, T: Timer>(
        &self,
        home: H,
        timer: &T,
        at: Duration,
        reason: impl FnOnce() -> Reason,
    ) -> Self {
        let Ok(child) = self.timed(home, timer, at, reason, |alarm| Ok(timer.arm(at, alarm)));
        child
    }

    /// As [`child_with_timer`](Self::child_with_timer), where this token came from: from its pool, or the heap.
    ///
    /// A node of a pool has room for two words of what the timer keeps there: an `Option<T::Armed>` that is larger does not
    /// compile.
    ///
    /// # Errors
    ///
    /// If the pool, or the timer, is full. Then nothing is left of the child.
    pub fn try_child_with_timer<T: Timer>(&self, timer: &T, at: Duration) -> Result<Self, PoolFull> {
        self.try_timed(timer, at, || Reason::new(CancelKind::DeadlineExceeded))
    }

    /// As [`try_child_with_timer`](Self::try_child_with_timer). The cause shows only if it is the deadline that cancels the child.
    ///
    /// # Errors
    ///
    /// If the pool, or the timer, is full.
    pub fn try_child_with_timer_cause<T: Timer>(
        &self,
        timer: &T,
        at: Duration,
        cause: &'static StaticCause,
    ) -> Result<Self, PoolFull> {
        self.try_timed(timer, at, || Reason::with_static(CancelKind::DeadlineExceeded, cause))
    }

    fn try_timed<T: Timer>(&self, timer: &T, at: Duration, reason: impl FnOnce() -> Reason) -> Result<Self, PoolFull> {
        let arm = |alarm| timer.try_arm(at, alarm).or_else(|alarm| timer.try_arm(at, alarm.after_the_dead()));
        self.timed(self.handle().home(), timer, at, reason, |alarm| arm(alarm).map_err(|_alarm| PoolFull))
    }

    fn timed<H: Home, T: Timer>(
        &self,
        home: H,
        timer: &T,
        at: Duration,
        reason: impl FnOnce() -> Reason,
        arm: impl FnOnce(Alarm) -> Result<T::Armed, H::Full>,
    ) -> Result<Self, H::Full> {
        let deadline = Deadline::new(at, timer.is_system_clock());
        let child = if at <= timer.now() {
            self.handle().expired(home, deadline, &reason())
        } else if deadline == Deadline::NEVER || self.handle().deadline().covers(deadline) {
            self.handle().child_in(home)
        } else {
            let alarm = |token| Alarm { token, reason: ManuallyDrop::new(reason()) };
            self.handle().timed::<H, T>(home, deadline, |token| arm(alarm(token)))
        };
        child.map(Self::from_handle)
    }
}
