//! The futures that are ready when a token is cancelled.

use crate::CancellationToken;
use crate::tree::{Handle, Wait};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Ready when a borrowed token is cancelled: [`CancellationToken::cancelled`].
///
/// A poll either says `Ready`, or sees to it that the waker of this poll, and no earlier one, is woken once by the
/// cancel. A poll after `Ready` says `Ready` again.
///
/// The first waiter of a token allocates nothing; each further one, while it waits, is a node of 96 bytes (64-bit
/// targets) that it keeps over all its polls. (In a [pool](crate::TokenPool) it is one of its nodes; if none is free, the future wakes
/// its task and is polled again.) Polling and dropping are lock-free. Dropping it drops its waker, which is
/// not woken after that; but a cancel on another thread may just be about to wake it, and dropping does not wait for that.
#[must_use = "futures do nothing unless polled"]
pub struct WaitForCancellationFuture<'a> {
    wait: Wait<&'a Handle>,
}

impl<'a> WaitForCancellationFuture<'a> {
    pub(crate) fn new(token: &'a CancellationToken) -> Self {
        Self { wait: Wait::new(token.handle()) }
    }
}

impl Future for WaitForCancellationFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().wait.poll(cx)
    }
}

impl fmt::Debug for WaitForCancellationFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFuture").finish_non_exhaustive()
    }
}

/// Ready when an owned token is cancelled: [`CancellationToken::cancelled_owned`].
///
/// As [`WaitForCancellationFuture`]; it keeps its token until it is dropped.
#[must_use = "futures do nothing unless polled"]
pub struct WaitForCancellationFutureOwned {
    wait: Wait<Handle>,
}

impl WaitForCancellationFutureOwned {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self { wait: Wait::new(token.into_handle()) }
    }
}

impl Future for WaitForCancellationFutureOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().wait.poll(cx)
    }
}

impl fmt::Debug for WaitForCancellationFutureOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFutureOwned").finish_non_exhaustive()
    }
}
