//! Cancellation for any future, as a method of it. The same path as in tokio-util.

use crate::CancellationToken;
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
}

impl<F: Future + ?Sized> FutureExt for F {}
