//! Streams that end when a token is cancelled.

use crate::or_cancelled::why;
use crate::tree::{Handle, Wait};
use crate::{CancellationToken, Cancelled};
use core::borrow::Borrow;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::stream::{FusedStream, Stream};
use pin_project_lite::pin_project;

/// Adapters for every [`Stream`].
///
/// The name is the usual one for such a trait; beside another of that name, `use cancel_tree::stream::StreamExt as _`.
///
/// ```
/// use cancel_tree::{CancellationToken, stream::StreamExt as _};
/// use futures_lite::stream::{self, StreamExt as _};
/// # futures_lite::future::block_on(async {
/// let token = CancellationToken::new();
/// // One that is always ready, and has no end of its own.
/// let mut numbers = stream::iter(1..).take_until_cancelled(&token);
/// let mut sum = 0;
/// while let Some(number) = numbers.next().await {
///     sum += number;
///     if number == 100 {
///         token.cancel();
///     }
/// }
/// assert_eq!(sum, 5050);
/// assert!(numbers.was_cancelled());
/// # });
/// ```
pub trait StreamExt: Stream {
    /// The items of this stream, until it ends or `token` is cancelled.
    ///
    /// # Fairness
    ///
    /// The **token** comes first: it is looked at before each poll of this stream, with one load. So a stream that is
    /// always ready ends, too. Once the token is seen to be cancelled, this stream is not polled any more, and so no item
    /// is taken from it and lost; what a poll has given is passed on, though the token be cancelled meanwhile. A stream
    /// that is pending gives way when the token is cancelled.
    ///
    /// # The rest of the stream
    ///
    /// This stream is dropped as soon as the adapter ends, for either reason. To go on with it after a cancel, lend it:
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, stream::StreamExt as _};
    /// # use futures_lite::stream::{self, StreamExt as _};
    /// # futures_lite::future::block_on(async {
    /// # let token = CancellationToken::new();
    /// let mut jobs = stream::iter(["a", "b", "c"]);
    /// let mut taken = (&mut jobs).take_until_cancelled(&token);
    /// assert_eq!(taken.next().await, Some("a"));
    /// token.cancel();
    /// assert_eq!(taken.next().await, None);
    /// assert_eq!(jobs.collect::<Vec<_>>().await, ["b", "c"]);
    /// # });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping a future that waits for the next item loses nothing, if that is so of this stream. No wake-up is lost.
    fn take_until_cancelled(self, token: &CancellationToken) -> TakeUntilCancelled<'_, Self>
    where
        Self: Sized,
    {
        TakeUntilCancelled { take: Take::new(token.handle(), self) }
    }

    /// As [`take_until_cancelled`](Self::take_until_cancelled), for a stream that has to own its token.
    fn take_until_cancelled_owned(self, token: CancellationToken) -> TakeUntilCancelledOwned<Self>
    where
        Self: Sized,
    {
        TakeUntilCancelledOwned { take: Take::new(token.into_handle(), self) }
    }
}

impl<S: Stream + ?Sized> StreamExt for S {}

pin_project! {
    /// Both adapters: a stream and a wait, until one of them is at its end.
    struct Take<H, S> where H: Borrow<Handle> {
        // Dropped as soon as the adapter has ended.
        #[pin]
        running: Option<Running<H, S>>,
        // Why it has ended, if not by itself.
        reason: Option<Cancelled>,
    }
}

pin_project! {
    struct Running<H, S> where H: Borrow<Handle> {
        #[pin]
        stream: S,
        wait: Wait<H>,
    }
}

impl<H: Borrow<Handle>, S> Take<H, S> {
    fn new(handle: H, stream: S) -> Self {
        Self { running: Some(Running { stream, wait: Wait::new(handle) }), reason: None }
    }

    fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut S>> {
        Some(self.project().running.as_pin_mut()?.project().stream)
    }
}

impl<H: Borrow<Handle>, S: Stream> Take<H, S> {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(running) = this.running.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let running = running.project();
        let ended = if running.wait.is_cancelled() {
            false
        } else {
            match running.stream.poll_next(cx) {
                Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
                Poll::Ready(None) => true,
                Poll::Pending if running.wait.poll(cx).is_pending() => return Poll::Pending,
                Poll::Pending => false,
            }
        };
        if !ended {
            *this.reason = Some(why(running.wait));
        }
        this.running.set(None);
        Poll::Ready(None)
    }

    /// The token may be cancelled before any item.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.running.as_ref().map_or(Some(0), |running| running.stream.size_hint().1))
    }
}

pin_project! {
    /// The items of a stream until the borrowed token is cancelled: [`StreamExt::take_until_cancelled`].
    ///
    /// A poll costs what the stream's costs and a load; one that finds the stream pending, also that of a
    /// [`WaitForCancellationFuture`](crate::WaitForCancellationFuture), whose promises hold for it. The registration stays
    /// while items come, until the adapter ends or is dropped, so a cancel wakes the task that last waited here. After the
    /// end, each poll says `None`; the stream and the registration have been dropped then.
    #[must_use = "streams do nothing unless polled"]
    pub struct TakeUntilCancelled<'a, S> {
        #[pin]
        take: Take<&'a Handle, S>,
    }
}

pin_project! {
    /// As [`TakeUntilCancelled`], with a token of its own, which it drops at its end: [`StreamExt::take_until_cancelled_owned`].
    #[must_use = "streams do nothing unless polled"]
    pub struct TakeUntilCancelledOwned<S> {
        #[pin]
        take: Take<Handle, S>,
    }
}

/// What both have.
macro_rules! take_until_cancelled {
    ($name:literal, $adapter:ty) => {
        impl<S> $adapter {
            /// Whether it was the token that ended it. False before the end, also if the token is cancelled already.
            #[must_use]
            pub fn was_cancelled(&self) -> bool {
                self.take.reason.is_some()
            }

            /// Why the token that ended it is cancelled; `None` before the end, and if the stream ended by itself. It is kept
            /// here until the adapter is dropped, and its cause with it.
            #[must_use]
            pub fn reason(&self) -> Option<&Cancelled> {
                self.take.reason.as_ref()
            }

            /// The stream; `None` after the end.
            #[must_use]
            pub fn get_ref(&self) -> Option<&S> {
                self.take.running.as_ref().map(|running| &running.stream)
            }

            /// The stream; `None` after the end. What is polled here, passes the token by.
            #[must_use]
            pub fn get_mut(&mut self) -> Option<&mut S> {
                self.take.running.as_mut().map(|running| &mut running.stream)
            }

            /// As [`get_mut`](Self::get_mut), pinned.
            #[must_use]
            pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut S>> {
                self.project().take.get_pin_mut()
            }

            /// The stream, with all that has not been taken from it; `None` after the end.
            #[must_use]
            pub fn into_inner(self) -> Option<S> {
                self.take.running.map(|running| running.stream)
            }
        }

        impl<S: Stream> Stream for $adapter {
            type Item = S::Item;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
                self.project().take.poll_next(cx)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.take.size_hint()
            }
        }

        impl<S: Stream> FusedStream for $adapter {
            fn is_terminated(&self) -> bool {
                self.take.running.is_none()
            }
        }

        impl<S> fmt::Debug for $adapter {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).finish_non_exhaustive()
            }
        }
    };
}

take_until_cancelled!("TakeUntilCancelled", TakeUntilCancelled<'_, S>);
take_until_cancelled!("TakeUntilCancelledOwned", TakeUntilCancelledOwned<S>);
