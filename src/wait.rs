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
/// The first waiter of a token allocates nothing. The second takes a block of 296 bytes (64-bit targets), for itself and nine more at
/// a time, and the twelfth 520 bytes, for itself and thirty more, as do the 43rd and the 74th; the token keeps these as long as it
/// lives. Beyond those, waiters share blocks of 4160 bytes, 248 in each, of which one stays when they have gone. So waiters that come
/// and go allocate nothing, however many wait beside them; only where a whole crowd changes places, one allocation for 248 of them. (In a [pool](crate::TokenPool) each further waiter is one of its nodes; if none is free, the
/// future wakes its task and is polled again.) Polling and dropping are lock-free. A future that was dropped is
/// not woken after that; but a cancel on another thread may just be about to wake it, and dropping does not wait for that.
/// Its waker is dropped with it, or, if a cancel is running that has it already, by that.
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
