//! A future's output, or why its token was cancelled.

use crate::race::{Look, Race};
use crate::tree::{Handle, Wait};
use crate::{CancellationToken, Cancelled};
use core::borrow::Borrow;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use pin_project_lite::pin_project;

/// Futures that say why they were cancelled.
impl CancellationToken {
    /// Runs a future to its end, unless this token is cancelled before that: the reason then, as an error. If both are ready,
    /// the **future** comes first.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, Cancelled};
    /// # async fn fetch() -> u32 { 42 }
    /// async fn answer(token: &CancellationToken) -> Result<u32, Cancelled> {
    ///     let half = token.run_or_cancelled(fetch()).await?;
    ///     Ok(half * 2)
    /// }
    /// # futures_lite::future::block_on(async {
    /// let token = CancellationToken::new();
    /// assert_eq!(answer(&token).await.unwrap(), 84);
    /// token.cancel_with(std::io::Error::other("disk full"));
    /// assert_eq!(answer(&token).await.unwrap_err().cause().unwrap().to_string(), "disk full");
    /// # });
    /// ```
    ///
    /// [`run_until_cancelled`](Self::run_until_cancelled), with its fairness and its cancel safety, but for what it gives. See
    /// [`OrCancelledFuture`].
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason) why this token is cancelled.
    pub fn run_or_cancelled<F: Future>(&self, future: F) -> OrCancelledFuture<'_, F> {
        OrCancelledFuture::new(self, future, Look::First)
    }

    /// As [`run_or_cancelled`](Self::run_or_cancelled), but if both are ready, the **token** comes first.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// # futures_lite::future::block_on(async {
    /// let token = CancellationToken::new();
    /// let canceller = token.clone();
    /// let work = async move {
    ///     canceller.cancel();
    ///     futures_lite::future::yield_now().await;
    ///     unreachable!("nothing of it runs after the cancel, but its drop")
    /// };
    /// assert!(token.run_unless_cancelled(work).await.is_err());
    /// # });
    /// ```
    ///
    /// # Fairness
    ///
    /// The token is looked at before each poll of the future, which is never polled once it is seen to be cancelled. (A
    /// poll that has begun is not interrupted: its output counts.) So an output that was about to come is lost with the
    /// future: take this for one that is cancel safe, where nothing more is to happen, and otherwise
    /// [`run_or_cancelled`](Self::run_or_cancelled). A future that is pending gives way in both.
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason) why this token is cancelled.
    pub fn run_unless_cancelled<F: Future>(&self, future: F) -> OrCancelledFuture<'_, F> {
        OrCancelledFuture::new(self, future, Look::Each)
    }
}

pin_project! {
    /// The output of a future, or why the borrowed token is cancelled: [`CancellationToken::run_or_cancelled`],
    /// [`run_unless_cancelled`](CancellationToken::run_unless_cancelled) and the methods of
    /// [`FutureExt`](crate::future::FutureExt).
    ///
    /// A poll costs what one of [`WaitForCancellationFuture`](crate::WaitForCancellationFuture) costs, beside the future's
    /// own, and promises the same of wake-ups. When it is decided, the future and the registration are dropped at once.
    ///
    /// # Panics
    ///
    /// A poll panics after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct OrCancelledFuture<'a, F> {
        #[pin]
        race: Race<&'a Handle, F>,
    }
}

pin_project! {
    /// As [`OrCancelledFuture`], with a token of its own, which it drops when it is decided:
    /// [`FutureExt::or_cancelled_owned`](crate::future::FutureExt::or_cancelled_owned),
    /// [`unless_cancelled_owned`](crate::future::FutureExt::unless_cancelled_owned).
    ///
    /// # Panics
    ///
    /// A poll panics after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct OrCancelledFutureOwned<F> {
        #[pin]
        race: Race<Handle, F>,
    }
}

impl<'a, F> OrCancelledFuture<'a, F> {
    pub(crate) fn new(token: &'a CancellationToken, future: F, look: Look) -> Self {
        Self { race: Race::new(token.handle(), future, look) }
    }
}

impl<F> OrCancelledFutureOwned<F> {
    pub(crate) fn new(token: CancellationToken, future: F, look: Look) -> Self {
        Self { race: Race::new(token.into_handle(), future, look) }
    }
}

impl<F: Future> Future for OrCancelledFuture<'_, F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        once(self.project().race.poll(cx, why))
    }
}

impl<F: Future> Future for OrCancelledFutureOwned<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        once(self.project().race.poll(cx, why))
    }
}

/// Of a wait that is ready.
pub(crate) fn why<H: Borrow<Handle>>(wait: &Wait<H>) -> Cancelled {
    Cancelled::new(wait.reason().expect("a token has a reason when a wait for it is ready"))
}

fn once<T>(first: Poll<Option<T>>) -> Poll<T> {
    first.map(|first| first.expect("not polled after it was ready"))
}

impl<F> fmt::Debug for OrCancelledFuture<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrCancelledFuture").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for OrCancelledFutureOwned<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrCancelledFutureOwned").finish_non_exhaustive()
    }
}
