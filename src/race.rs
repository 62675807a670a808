//! A future that gives way to a token: what the adapters have in common, and those of tokio-util.

use crate::CancellationToken;
use crate::tree::{Handle, Wait};
use core::borrow::Borrow;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use pin_project_lite::pin_project;

pin_project! {
    /// All adapters: a future and a wait, until one of them is ready.
    pub(crate) struct Race<H, F> where H: Borrow<Handle> {
        // Dropped as soon as the race is decided.
        #[pin]
        running: Option<Running<H, F>>,
        look: Look,
    }
}

pin_project! {
    struct Running<H, F> where H: Borrow<Handle> {
        #[pin]
        future: F,
        wait: Wait<H>,
    }
}

/// At which polls the token is looked at before the future: the first, each, or never. (After it, at each that is pending.)
#[derive(Clone, Copy)]
pub(crate) enum Look {
    First,
    Each,
    Never,
}

impl<H: Borrow<Handle>, F> Race<H, F> {
    pub(crate) fn new(handle: H, future: F, look: Look) -> Self {
        Self { running: Some(Running { future, wait: Wait::new(handle) }), look }
    }

    /// Looks at the token now, and does not keep the future if it is cancelled.
    fn new_checked(handle: H, future: F) -> Self {
        let running = !handle.borrow().is_cancelled();
        Self { running: running.then(|| Running { future, wait: Wait::new(handle) }), look: Look::Never }
    }
}

impl<H: Borrow<Handle>, F: Future> Race<H, F> {
    /// Who came first; of a token, what `why` says of it then. `None` if it has been decided before.
    pub(crate) fn poll<W>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        why: impl FnOnce(&Wait<H>) -> W,
    ) -> Poll<Option<Result<F::Output, W>>> {
        let mut this = self.project();
        let Some(running) = this.running.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let running = running.project();
        let look = match *this.look {
            Look::First => {
                *this.look = Look::Never;
                true
            }
            Look::Each => true,
            Look::Never => false,
        };
        let mut output = None;
        if !look || !running.wait.is_cancelled() {
            match running.future.poll(cx) {
                Poll::Ready(ready) => output = Some(ready),
                Poll::Pending if running.wait.poll(cx).is_pending() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        let first = output.ok_or_else(|| why(running.wait));
        this.running.set(None);
        Poll::Ready(Some(first))
    }

    /// The output, if it came first.
    fn poll_output(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        self.poll(cx, |_| ()).map(|first| first.and_then(Result::ok))
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
        Self { race: Race::new(token.handle(), future, Look::First) }
    }
    pub(crate) fn new_checked(token: &'a CancellationToken, future: F) -> Self {
        Self { race: Race::new_checked(token.handle(), future) }
    }
}

impl<F> RunUntilCancelledFutureOwned<F> {
    pub(crate) fn new(token: CancellationToken, future: F) -> Self {
        Self { race: Race::new(token.into_handle(), future, Look::First) }
    }
    pub(crate) fn new_checked(token: CancellationToken, future: F) -> Self {
        Self { race: Race::new_checked(token.into_handle(), future) }
    }
}

impl<F: Future> Future for RunUntilCancelledFuture<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll_output(cx)
    }
}

impl<F: Future> Future for RunUntilCancelledFutureOwned<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll_output(cx)
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
