//! Cancellation for any future, as a method of it. The same path as in tokio-util.
//!
//! | | gives | the token is looked at | if both are ready |
//! |---|---|---|---|
//! | [`with_cancellation_token`](FutureExt::with_cancellation_token) | `Option` | when it is made | the future |
//! | [`run_until_cancelled`](CancellationToken::run_until_cancelled) | `Option` | at the first poll | the future |
//! | [`or_cancelled`](FutureExt::or_cancelled), [`run_or_cancelled`](CancellationToken::run_or_cancelled) | `Result` | at the first poll | the future |
//! | [`unless_cancelled`](FutureExt::unless_cancelled), [`run_unless_cancelled`](CancellationToken::run_unless_cancelled) | `Result` | at each poll | the token |
//!
//! In any of them, a future that is pending gives way when the token is cancelled.

use crate::CancellationToken;
pub use crate::or_cancelled::{OrCancelledFuture, OrCancelledFutureOwned};
use crate::race::Look;
pub use crate::race::{RunUntilCancelledFuture, RunUntilCancelledFutureOwned};
use core::future::Future;

/// Adapters for every [`Future`].
///
/// ```
/// use cancel_tree::{CancellationToken, future::FutureExt};
/// # futures_lite::future::block_on(async {
/// let token = CancellationToken::new();
/// assert_eq!(async { 42 }.with_cancellation_token(&token).await, Some(42));
/// token.cancel();
/// assert_eq!(async { 42 }.with_cancellation_token(&token).await, None);
/// # });
/// ```
pub trait FutureExt: Future {
    /// Runs this future to its end, unless `cancellation_token` is cancelled before that: `None` then.
    ///
    /// As [`CancellationToken::run_until_cancelled`], but the token is looked at here and now: if it is cancelled, this
    /// future is dropped at once and never polled. From then on this future comes first: if both are ready, its
    /// result counts.
    fn with_cancellation_token(self, cancellation_token: &CancellationToken) -> RunUntilCancelledFuture<'_, Self>
    where
        Self: Sized,
    {
        RunUntilCancelledFuture::new_checked(cancellation_token, self)
    }

    /// As [`with_cancellation_token`](Self::with_cancellation_token), for a future that has to own its token.
    fn with_cancellation_token_owned(self, cancellation_token: CancellationToken) -> RunUntilCancelledFutureOwned<Self>
    where
        Self: Sized,
    {
        RunUntilCancelledFutureOwned::new_checked(cancellation_token, self)
    }

    /// Runs this future to its end, unless `token` is cancelled before that: the reason then, as an error. If both are
    /// ready, this future comes first.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, Cancelled, future::FutureExt};
    /// # async fn fetch() -> u32 { 42 }
    /// async fn answer(token: &CancellationToken) -> Result<u32, Cancelled> {
    ///     let half = fetch().or_cancelled(token).await?;
    ///     Ok(half * 2)
    /// }
    /// # let token = CancellationToken::new();
    /// # assert_eq!(futures_lite::future::block_on(answer(&token)).unwrap(), 84);
    /// ```
    ///
    /// [`CancellationToken::run_or_cancelled`], as a method of the future.
    ///
    /// # Errors
    ///
    /// Why `token` is cancelled.
    fn or_cancelled(self, token: &CancellationToken) -> OrCancelledFuture<'_, Self>
    where
        Self: Sized,
    {
        OrCancelledFuture::new(token, self, Look::First)
    }

    /// As [`or_cancelled`](Self::or_cancelled), for a future that has to own its token.
    ///
    /// # Errors
    ///
    /// Why `token` is cancelled.
    fn or_cancelled_owned(self, token: CancellationToken) -> OrCancelledFutureOwned<Self>
    where
        Self: Sized,
    {
        OrCancelledFutureOwned::new(token, self, Look::First)
    }

    /// As [`or_cancelled`](Self::or_cancelled), but if both are ready, `token` comes first: it is looked at before each poll, and
    /// once it is cancelled, this future is not polled any more.
    ///
    /// [`CancellationToken::run_unless_cancelled`], as a method of the future; there is said when to take which.
    ///
    /// # Errors
    ///
    /// Why `token` is cancelled.
    fn unless_cancelled(self, token: &CancellationToken) -> OrCancelledFuture<'_, Self>
    where
        Self: Sized,
    {
        OrCancelledFuture::new(token, self, Look::Each)
    }

    /// As [`unless_cancelled`](Self::unless_cancelled), for a future that has to own its token.
    ///
    /// # Errors
    ///
    /// Why `token` is cancelled.
    fn unless_cancelled_owned(self, token: CancellationToken) -> OrCancelledFutureOwned<Self>
    where
        Self: Sized,
    {
        OrCancelledFutureOwned::new(token, self, Look::Each)
    }
}

impl<F: Future + ?Sized> FutureExt for F {}
