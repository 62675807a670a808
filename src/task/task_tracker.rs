//! [`TaskTracker`] and what belongs to it. The same path as in tokio-util.

use super::state::{Snapshot, State};
use super::waiters::Waiter;
use crate::blocking_wait::park_until;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use pin_project_lite::pin_project;

/// Counts work that is under way, and lets others wait until there is none.
///
/// What is tracked is a future ([`track_future`](Self::track_future)) or anything else that can keep a
/// [token](TaskTrackerToken): a thread, an entry in a queue. It counts until it is *dropped*, not until it is ready; so when a
/// [`wait`](Self::wait) is over, whatever the futures had is gone, too.
///
/// A tracker that is empty may be so because all is over, or because nothing has begun. So a wait is over only when the tracker is
/// *closed* and empty, at the same time. Closing does not keep anything from being tracked: it says that whoever finds the tracker empty
/// may take it as the end.
///
/// ```
/// use cancel_tree::task::TaskTracker;
///
/// # futures_lite::future::block_on(async {
/// let tracker = TaskTracker::new();
/// let executor = async_executor();
/// for number in 0..10 {
///     executor.spawn(tracker.track_future(async move { number * 2 })).detach();
/// }
/// tracker.close();
/// executor.run(tracker.wait()).await;
/// assert!(tracker.is_empty());
/// # });
/// # fn async_executor() -> smol::Executor<'static> { smol::Executor::new() }
/// ```
///
/// Clones are the same tracker. Dropping it ends nothing, and stops nothing: to stop work is for a
/// [`CancellationToken`](crate::CancellationToken), and both together are a [`Stage`](super::Stage).
///
/// # Progress
///
/// Tracking, exits, `close` and `reopen` are steps on one word: wait-free to track and to reopen, lock-free the others. They
/// allocate nothing.
///
/// Where somebody waits, the exit or the `close` that ends his wait **may block** for a moment: who waits is in a list behind a
/// lock. It is held for a few steps at a time, and never while a waker runs. So that exit is not for interrupt or signal handlers.
///
/// Up to 4096 waits at a time have room in the tracker (32 bytes each, on 64-bit targets), which makes it when it is first needed, and
/// keeps it: from then on a wait that comes and goes there, and its end, allocate nothing. Those beyond are in the list of an event of
/// the crate `event-listener`: each takes two allocations, and the end of their round some more.
///
/// # Who runs the wakers
///
/// The exit or the `close` that ends the wait, on its thread, after the lock; or another that ends a round at the same time. They may
/// do anything to the tracker, and to other waits. If one panics, the others run all the same, and then the panic goes on in the
/// call that runs them. (A drop in a thread that is unwinding already aborts then, as ever.) The exit counts in any case.
///
/// # Overflow
///
/// More than 2²⁹ at the same time abort the process, as with [`Arc`]; more than 2¹⁹ on targets without 64-bit atomics.
pub struct TaskTracker {
    state: Arc<State>,
}

impl TaskTracker {
    /// A tracker that is open and tracks nothing. One allocation.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Arc::new(State::new()) }
    }

    /// A future that is ready as soon as the tracker has been closed and empty at some moment since this call; at once, if it is so
    /// now.
    ///
    /// Such a moment is never missed, though nobody polls the future during it, and though the tracker is reopened,
    /// or tracks something again, right after it. And one that came before this call does not count.
    ///
    /// Wait-free, allocates nothing. It is exact but for this: a future that is not polled while 2³² such moments pass (2¹⁰ on
    /// targets without 64-bit atomics) does not see that any has.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time and leaves nothing behind. (If that comes while its end is being told, by another waker for example,
    /// its own waker is perhaps still woken.) But one that is made anew counts from then on: a moment that
    /// came between the two is missed by both. To look for other things meanwhile, keep the future.
    pub fn wait(&self) -> TaskTrackerWaitFuture<'_> {
        TaskTrackerWaitFuture { tracker: self, begun: Some(self.state.look()), waiter: None }
    }

    /// Says that the tracker may be taken as over when it is empty. True if it was open.
    ///
    /// What comes before a `close` that says `true` happens before what comes after the `reopen` that says `true` next.
    ///
    /// Lock-free; or it ends waits, as [above](Self#who-runs-the-wakers), panics and all, if it is empty.
    pub fn close(&self) -> bool {
        self.state.close()
    }

    /// Takes back a [`close`](Self::close). True if the tracker was closed. Waits that are over stay so, polled or not.
    ///
    /// Wait-free. Wakes nobody.
    pub fn reopen(&self) -> bool {
        self.state.reopen()
    }

    /// Whether the tracker is closed. Wait-free: one load.
    #[inline]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.look().is_closed()
    }

    /// How much is tracked. Wait-free: one load.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.look().len()
    }

    /// Whether nothing is tracked. Wait-free: one load. Who sees `true` sees all that came before the exits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same future, tracked until it is dropped. It counts from this call on, polled or not.
    ///
    /// Wait-free; allocates nothing.
    #[inline]
    pub fn track_future<F: Future>(&self, future: F) -> TrackedFuture<F> {
        TrackedFuture { future, token: self.token() }
    }

    /// Something that is tracked until it is dropped: for threads, and whatever else is no future.
    ///
    /// ```
    /// # use cancel_tree::task::TaskTracker;
    /// let tracker = TaskTracker::new();
    /// let tracked = tracker.token();
    /// std::thread::spawn(move || {
    ///     // ... work ...
    ///     drop(tracked);
    /// });
    /// tracker.close();
    /// tracker.wait_blocking();
    /// ```
    ///
    /// Wait-free; allocates nothing.
    #[inline]
    pub fn token(&self) -> TaskTrackerToken {
        self.state.enter();
        TaskTrackerToken { tracker: self.clone() }
    }

    /// Whether two handles are of the same tracker.
    #[inline]
    #[must_use]
    pub fn ptr_eq(left: &Self, right: &Self) -> bool {
        Arc::ptr_eq(&left.state, &right.state)
    }
}

/// For threads that may block.
impl TaskTracker {
    /// Blocks this thread until the tracker has been closed and empty at some moment since this call. **May block**, for ever if
    /// that does not come: also if this thread itself holds something that is tracked.
    ///
    /// It parks the thread, and uses up a token that [`unpark`](std::thread::Thread::unpark) may have left for it.
    pub fn wait_blocking(&self) {
        let mut wait = self.wait();
        park_until(None, |cx| wait.poll_here(cx));
    }

    /// As [`wait_blocking`](Self::wait_blocking), but no longer than `timeout`. **May block.** True if such a moment has come.
    ///
    /// A timeout of zero only looks. One that ends later than the clock can say never does.
    pub fn wait_blocking_timeout(&self, timeout: core::time::Duration) -> bool {
        let mut wait = self.wait();
        park_until(std::time::Instant::now().checked_add(timeout), |cx| wait.poll_here(cx)) || wait.is_over()
    }
}

impl Default for TaskTracker {
    fn default() -> Self {
        Self::new()
    }
}

/// The same tracker again. Wait-free, allocates nothing.
impl Clone for TaskTracker {
    #[inline]
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl fmt::Debug for TaskTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen: Snapshot = self.state.look();
        f.debug_struct("TaskTracker").field("len", &seen.len()).field("is_closed", &seen.is_closed()).finish()
    }
}

/// Counts as work in a [`TaskTracker`] until it is dropped: [`TaskTracker::token`].
///
/// One that is forgotten counts for ever. The drop is lock-free, or ends waits, as said
/// [there](TaskTracker#who-runs-the-wakers).
#[must_use = "a token that is dropped at once tracks nothing"]
#[derive(Debug)]
pub struct TaskTrackerToken {
    tracker: TaskTracker,
}

impl TaskTrackerToken {
    /// The tracker that it counts in.
    #[inline]
    #[must_use]
    pub fn task_tracker(&self) -> &TaskTracker {
        &self.tracker
    }
}

/// One more that is tracked: `token.task_tracker().token()`.
impl Clone for TaskTrackerToken {
    #[inline]
    fn clone(&self) -> Self {
        self.tracker.token()
    }
}

impl Drop for TaskTrackerToken {
    #[inline]
    fn drop(&mut self) {
        self.tracker.state.leave();
    }
}

pin_project! {
    /// A future that counts as work in a [`TaskTracker`] until it is dropped: [`TaskTracker::track_future`].
    ///
    /// It is the future in it, in all other respects. That is dropped first, then it ceases to count; also if that drop panics.
    #[must_use = "futures do nothing unless polled"]
    pub struct TrackedFuture<F> {
        #[pin]
        future: F,
        token: TaskTrackerToken,
    }
}

impl<F: Future> Future for TrackedFuture<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F: fmt::Debug> fmt::Debug for TrackedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracker = self.token.task_tracker();
        f.debug_struct("TrackedFuture").field("future", &self.future).field("task_tracker", tracker).finish()
    }
}

/// Ready when a [`TaskTracker`] has been closed and empty since this was made: [`TaskTracker::wait`].
///
/// A poll after `Ready` says `Ready` again.
///
/// A poll, and the drop of one that has been polled, **may block** for a moment, and the first poll may allocate, as said
/// [there](TaskTracker#progress); they may be done in the waker of another wait, or of this one. One that is forgotten after it was
/// polled keeps its place until its round is over, and its waker; or, if that is in the event's list, the memory of its tracker for ever.
#[must_use = "futures do nothing unless polled"]
pub struct TaskTrackerWaitFuture<'a> {
    tracker: &'a TaskTracker,
    /// The tracker when the wait began. `None` when it is over.
    begun: Option<Snapshot>,
    waiter: Option<Waiter<'a>>,
}

impl TaskTrackerWaitFuture<'_> {
    /// Whether the round in which it began is over. Looks, and nothing else.
    fn is_over(&self) -> bool {
        self.begun.is_none_or(|begun| self.tracker.state.has_ended(begun))
    }

    fn poll_here(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = &self.tracker.state;
        let Some(begun) = self.begun else { return Poll::Ready(()) };
        while !state.has_ended(begun) {
            if let Some(waiter) = &self.waiter {
                if waiter.poll(cx.waker()).is_pending() {
                    return Poll::Pending;
                }
                // Told, perhaps of an older round (calibration `who_is_told_looks_again`).
                self.waiter = None;
            }
            // First (calibration `who_waits_is_found_first`): the round may have ended before anybody could find us.
            self.waiter = Some(Waiter::new(state, cx.waker()));
            if state.await_end(begun) {
                return Poll::Pending;
            }
        }
        self.begun = None;
        self.waiter = None;
        Poll::Ready(())
    }
}

impl Future for TaskTrackerWaitFuture<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_here(cx)
    }
}

impl fmt::Debug for TaskTrackerWaitFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.begun.is_some();
        f.debug_struct("TaskTrackerWaitFuture").field("task_tracker", self.tracker).field("waiting", &waiting).finish()
    }
}
