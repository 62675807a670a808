//! A future that gives way to a token.

use crate::CancellationToken;
use crate::tree::{Handle, Wait};
use core::borrow::Borrow;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use pin_project_lite::pin_project;

pin_project! {
    /// Both adapters: a future and a wait, until one of them is ready.
    struct Race<H, F> where H: Borrow<Handle> {
        // Dropped as soon as the race is decided.
        #[pin]
        running: Option<Running<H, F>>,
        // Whether the token is still to be looked at before the future.
        unchecked: bool,
    }
}

pin_project! {
    struct Running<H, F> where H: Borrow<Handle> {
        #[pin]
        future: F,
        wait: Wait<H>,
    }
}

impl<H: Borrow<Handle>, F> Race<H, F> {
    /// Looks at the token when it is first polled.
    fn new(handle: H, future: F) -> Self {
        Self { running: Some(Running { future, wait: Wait::new(handle) }), unchecked: true }
    }

    /// Looks at the token now, and does not keep the future if it is cancelled.
    fn new_checked(handle: H, future: F) -> Self {
        let running = !handle.borrow().is_cancelled();
        Self { running: running.then(|| Running { future, wait: Wait::new(handle) }), unchecked: false }
    }
}

impl<H: Borrow<Handle>, F: Future> Race<H, F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut this = self.project();
        let Some(running) = this.running.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let running = running.project();
        let mut output = None;
        if !core::mem::take(this.unchecked) || !running.wait.is_cancelled() {
            match running.future.poll(cx) {
                Poll::Ready(ready) => output = Some(ready),
                Poll::Pending if running.wait.poll(cx).is_pending() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        this.running.set(None);
        Poll::Ready(output)
    }
}

pin_project! {
    /// `Some` of the future's output, or `None` if the borrowed token is cancelled first:
    /// [`CancellationToken::run_until_cancelled`], [`FutureExt::with_cancellation_token`].
    ///
    /// When it is decided, the future and the registration are dropped at once. A poll after that says `Ready(None)`.
    ///
    /// [`FutureExt::with_cancellation_token`]: crate::future::FutureExt::with_cancellation_token
    #[must_use = "futures do nothing unless polled"]
    pub struct RunUntilCancelledFuture<'a, F> {
        #[pin]
        race: Race<&'a Handle, F>,
    }
}

pin_project! {
    /// As [`RunUntilCancelledFuture`], with a token of its own, which it drops when it is decided:
    /// [`CancellationToken::run_until_cancelled_owned`], [`FutureExt::with_cancellation_token_owned`].
    ///
    /// [`FutureExt::with_cancellation_token_owned`]: crate::future::FutureExt::with_cancellation_token_owned
    #[must_use = "futures do nothing unless polled"]
    pub struct RunUntilCancelledFutureOwned<F> {
        #[pin]
        race: Race<Handle, F>,
    }
}

impl<'a, F> RunUntilCancelledFuture<'a, F> {
    pub(crate) fn new(token: &'a CancellationToken, future: F) -> Self {
        Self { race: Race::new(token.handle(), future) }
    }
    pub(crate) fn new_checked(token: &'a CancellationToken, future: F) -> Self {
        Self { race: Race::new_checked(token.handle(), future) }
    }
}

impl<F> RunUntilCancelledFutureOwned<F> {
    pub(crate) fn new(token: CancellationToken, future: F) -> Self {
        Self { race: Race::new(token.into_handle(), future) }
    }
    pub(crate) fn new_checked(token: CancellationToken, future: F) -> Self {
        Self { race: Race::new_checked(token.into_handle(), future) }
    }
}

impl<F: Future> Future for RunUntilCancelledFuture<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll(cx)
    }
}

impl<F: Future> Future for RunUntilCancelledFutureOwned<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll(cx)
    }
}

impl<F> fmt::Debug for RunUntilCancelledFuture<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUntilCancelledFuture").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for RunUntilCancelledFutureOwned<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUntilCancelledFutureOwned").finish_non_exhaustive()
    }
}
