//! Stopping the parts of a program, one after the other.

use super::report::{Report, StageReport};
use super::{TaskTracker, task_tracker::TaskTrackerWaitFuture};
use crate::time::Timer;
use crate::{CancellationToken, Cause};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

/// One part of a program that is to be shut down: what tells it to stop, what knows when it has, and how long it may take.
///
/// What is done with it, in this order:
///
/// 1. Its tracker is [closed](TaskTracker::close).
/// 2. *Drain*: it waits until all that is tracked has ended by itself, but no longer than [`drain`](Self::drain).
/// 3. Its token is [cancelled](CancellationToken::cancel), in any case: for what is not tracked, and for what comes late.
/// 4. *Grace*: it waits until all that is tracked has ended, but no longer than [`grace`](Self::grace).
///
/// Whether something has ended is decided as by [`TaskTracker::wait`], from before the close on: a moment at which the tracker is
/// closed and empty ends the waiting, though something be tracked again after it.
#[must_use = "a stage does nothing before it is in a `Shutdown` that runs"]
pub struct Stage {
    name: Cow<'static, str>,
    tracker: TaskTracker,
    token: CancellationToken,
    cause: Option<Cause>,
    drain: Duration,
    /// `None`: for ever.
    grace: Option<Duration>,
}

impl Stage {
    /// A stage without a time to drain, and with an unlimited time of grace. It keeps handles on the tracker and the token.
    pub fn new(name: impl Into<Cow<'static, str>>, tracker: &TaskTracker, token: &CancellationToken) -> Self {
        let (tracker, token) = (tracker.clone(), token.clone());
        Self { name: name.into(), tracker, token, cause: None, drain: Duration::ZERO, grace: None }
    }

    /// How long what is tracked may go on by itself before the token is cancelled. Not at all, if it is not said.
    ///
    /// With `Duration::MAX`, or any time that ends later than the clock can say: until it has ended.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How long it may take to stop after the token was cancelled. For ever, if it is not said.
    ///
    /// With `Duration::ZERO` nothing is waited for; what has ended by then has.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Cancels the token [with](CancellationToken::cancel_with) a cause.
    pub fn cancel_with(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    async fn run(self, limit: &impl Fn(Duration) -> CancellationToken, panics: &mut Panics) -> StageReport {
        let Self { name, tracker, token, cause, drain, grace } = self;
        // Before the close, so that it misses nothing.
        let mut over = tracker.wait();
        panics.catch(|| _ = tracker.close());
        let begun = tracker.len();
        let left = if within(&mut over, Some(drain), limit).await { 0 } else { tracker.len() };
        panics.catch(|| match cause {
            None => token.cancel(),
            Some(cause) => _ = token.cancel_with(cause),
        });
        let remaining = if within(&mut over, grace, limit).await { 0 } else { tracker.len() };
        let (drained, stopped) = (begun.saturating_sub(left), left.saturating_sub(remaining));
        StageReport { name, drained, stopped, remaining }
    }
}

/// Waits, but not longer than `time`. Whether it is over.
async fn within(
    over: &mut TaskTrackerWaitFuture<'_>,
    time: Option<Duration>,
    limit: &impl Fn(Duration) -> CancellationToken,
) -> bool {
    let mut late = None;
    poll_fn(|cx| {
        // This first: if both are ready, it has ended.
        if Pin::new(&mut *over).poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        match time {
            None => Poll::Pending,
            Some(time) => {
                let late = late.get_or_insert_with(|| limit(time).cancelled_owned());
                Pin::new(late).poll(cx).map(|()| false)
            }
        }
    })
    .await
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("name", &self.name)
            .field("tracker", &self.tracker)
            .field("token", &self.token)
            .field("cause", &self.cause)
            .field("drain", &self.drain)
            .field("grace", &self.grace)
            .finish()
    }
}

/// An orderly shutdown: [stages](Stage), each begun when the one before has ended or was given up.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use cancel_tree::CancellationToken;
/// use cancel_tree::task::{Shutdown, Stage, TaskTracker};
/// use std::time::Duration;
///
/// # futures_lite::future::block_on(async {
/// let (acceptor, accepting) = (TaskTracker::new(), CancellationToken::new());
/// let (workers, working) = (TaskTracker::new(), CancellationToken::new());
/// // ... acceptor.track_future(...), workers.track_future(...) ...
///
/// let report = Shutdown::new()
///     .stage(Stage::new("acceptor", &acceptor, &accepting))
///     .stage(
///         Stage::new("workers", &workers, &working)
///             .drain(Duration::from_secs(10)) // what is begun may be finished
///             .grace(Duration::from_secs(5)), // then what is cancelled may clean up
///     )
///     .run()
///     .await;
/// assert!(report.is_complete());
/// println!("{report}");
/// # });
/// # }
/// ```
///
/// Tokens of stages should not be children of one another, unless they are to be cancelled together: a cancel goes down the
/// tree whatever the stages are.
///
/// # If the future is dropped
///
/// It does nothing before it is polled, and nothing more once it is dropped: stages that are over stay so; of the one that is
/// under way the tracker is closed, and the token cancelled if the drain was over; those that come after it are as they were. To go on,
/// run another shutdown of the same trackers and tokens: what is done already takes no time, and is counted as ended no more.
///
/// # Panics
///
/// A waker or callback may panic, in the cancel of a token or the close of a tracker. The shutdown goes on to its end
/// all the same, and then the first panic goes on, in place of the report. One of the timer leaves the future, as if that were
/// dropped, where it cannot be armed. A poll after the report panics.
#[must_use = "a shutdown does nothing before it runs"]
#[derive(Debug, Default)]
pub struct Shutdown {
    stages: Vec<Stage>,
}

impl Shutdown {
    /// A shutdown without stages.
    pub const fn new() -> Self {
        Self { stages: Vec::new() }
    }

    /// Adds a stage, after those that are there.
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// Shuts down stage by stage, with times on this timer.
    ///
    /// A stage arms an alarm only if it has to wait. For the progress of a poll: it takes the steps that are said at
    /// [`Stage`], with the wakers and callbacks that a cancel runs; it waits for nothing else than the lock of
    /// [`TaskTracker::wait`].
    pub async fn run_with_timer<T: Timer>(self, timer: &T) -> Report {
        let limit = |time| CancellationToken::new().child_with_timer(timer, timer.now().saturating_add(time));
        self.run_with(&limit).await
    }

    async fn run_with(self, limit: &impl Fn(Duration) -> CancellationToken) -> Report {
        let mut panics = Panics::default();
        let mut reports = Vec::with_capacity(self.stages.len());
        for stage in self.stages {
            reports.push(stage.run(limit, &mut panics).await);
        }
        panics.raise();
        Report::new(reports)
    }
}

/// On the default timer.
impl Shutdown {
    /// Shuts down stage by stage, with times on the default timer. Otherwise as [`run_with_timer`](Self::run_with_timer).
    pub async fn run(self) -> Report {
        self.run_with(&|time| CancellationToken::new().child_with_timeout(time)).await
    }

    /// As [`run`](Self::run), for threads that may block. **May block**, for ever if a stage without a limit does not end.
    ///
    /// It parks the thread, and uses up a token that [`unpark`](std::thread::Thread::unpark) may have left for it. One
    /// allocation more.
    pub fn run_blocking(self) -> Report {
        let waker = crate::blocking_wait::unpark_this_thread();
        let mut cx = core::task::Context::from_waker(&waker);
        let mut run = core::pin::pin!(self.run());
        loop {
            match run.as_mut().poll(&mut cx) {
                Poll::Ready(report) => return report,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl TaskTracker {
    /// Closes this tracker, cancels `token`, and waits until all that is tracked has ended, but no longer than `grace`: a
    /// [`Shutdown`] of one [`Stage`], on the default timer. Whether all has ended.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, task::TaskTracker};
    /// # use std::time::Duration;
    /// # futures_lite::future::block_on(async {
    /// let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
    /// let work = tracker.track_future(token.clone().cancelled_owned());
    /// # std::thread::spawn(|| futures_lite::future::block_on(work));
    /// assert!(tracker.shutdown(&token, Duration::from_secs(60)).await);
    /// # });
    /// ```
    ///
    /// What is said of [`Shutdown`] holds: if the future is dropped, if something panics.
    pub async fn shutdown(&self, token: &CancellationToken, grace: Duration) -> bool {
        Shutdown::new().stage(Stage::new("", self, token).grace(grace)).run().await.is_complete()
    }
}

/// Panics that are kept until everything has been done.
#[derive(Default)]
struct Panics {
    first: Option<alloc::boxed::Box<dyn core::any::Any + Send>>,
}

impl Panics {
    fn catch(&mut self, f: impl FnOnce()) {
        use std::panic::{AssertUnwindSafe, catch_unwind};

        // Unwind safe: a cancel, or a close, is done when its first waker runs.
        let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { return };
        if self.first.is_none() {
            self.first = Some(panic);
        } else if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            // What a panic carries may panic when dropped, too.
            core::mem::forget(another);
        }
    }

    fn raise(self) {
        if let Some(panic) = self.first {
            std::panic::resume_unwind(panic);
        }
    }
}
