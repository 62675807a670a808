//! Waiting for a token on a thread that may block.

use crate::CancellationToken;
use crate::tree::Wait;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::thread::{self, Thread};
use std::time::Instant;

/// Unparks the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker that unparks this thread. One allocation.
pub(crate) fn unpark_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// For threads that may block.
impl CancellationToken {
    /// Blocks this thread until the token is cancelled. **May block**, for ever if nobody cancels it.
    ///
    /// It parks the thread, and uses up a token that [`unpark`](Thread::unpark) may have left for it. One allocation, and
    /// that of a further waiter if the token has one.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Blocks this thread until the token is cancelled, or `timeout` has passed. **May block.** True if the token is
    /// cancelled.
    ///
    /// A timeout that ends later than the clock can say never does. Otherwise as [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// Blocks this thread until the token is cancelled, or it is `deadline`. **May block.** True if the token is cancelled.
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.is_cancelled() {
            return true;
        }
        let mut wait = Wait::new(self.handle());
        park_until(deadline, |cx| wait.poll(cx)) || self.is_cancelled()
    }
}

/// Blocks this thread until `poll` says that it is ready, or it is `deadline`. True if it was ready. One allocation.
pub(crate) fn park_until(deadline: Option<Instant>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>) -> bool {
    let waker = unpark_this_thread();
    // Each wake-up of the thread, whatever the cause, looks again.
    while poll(&mut Context::from_waker(&waker)).is_pending() {
        let Some(deadline) = deadline else {
            thread::park();
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::park_timeout(left);
    }
    true
}
