//! Readers and writers that fail when a token is cancelled.
//!
//! [`Cancellable`] wraps what the loops of others read from and write to (`copy`, `read_to_end`, a parser), so that a cancel ends
//! them. It has the traits of [`futures_io`] and of [`std::io`] that the wrapped one has. (For tokio's, there is
//! `tokio_util::compat` on both sides of it.)

use crate::{CancellationToken, Cancelled, WaitForCancellationFutureOwned};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use pin_project_lite::pin_project;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

pin_project! {
    /// A reader, a writer, or both, until a token is cancelled: from then on all that it is asked for fails.
    ///
    /// ```
    /// use cancel_tree::{CancellationToken, Cancelled, io::Cancellable};
    /// use futures_lite::io::{AsyncReadExt, repeat};
    /// # futures_lite::future::block_on(async {
    /// let token = CancellationToken::new();
    /// // It never ends, and is always ready.
    /// let mut noise = Cancellable::new(repeat(0x55), token.clone());
    /// let mut sample = [0; 16];
    /// noise.read_exact(&mut sample).await.unwrap();
    ///
    /// token.cancel();
    /// let error = noise.read_exact(&mut sample).await.unwrap_err();
    /// assert!(error.get_ref().unwrap().is::<Cancelled>());
    /// # });
    /// ```
    ///
    /// # The error
    ///
    /// Its kind is [`Other`](io::ErrorKind::Other), for a deadline, too, and the [`Cancelled`] is inside of it:
    /// [`get_ref`](io::Error::get_ref), [`downcast`](io::Error::downcast). It is not `Interrupted`, upon which `read_exact`,
    /// `read_to_end`, `write_all` and `copy` try again, for ever; nor `WouldBlock` or `TimedOut`, upon which other loops do, or
    /// `ConnectionAborted`, which servers that accept ignore. Each is two allocations.
    ///
    /// # Fairness
    ///
    /// The **token** comes first: it is looked at before each call, with one load. Once it is seen to be cancelled, the
    /// inner one is not touched: nothing is read and then lost, or written without being said to be. What a call has
    /// transferred is reported, though the token be cancelled meanwhile. A poll that finds the inner one pending, and so
    /// has transferred nothing, gives way when the token is cancelled. (`consume` always goes through: it only says what
    /// has been done with bytes that were there before.)
    ///
    /// A call that moves several times, such as `write_all`, does not say how far it has come when it fails; that is so
    /// with any error.
    ///
    /// # Flushing and closing after a cancel
    ///
    /// These fail like all else, for a flush can hang as long as a write. The inner one is not harmed: whoever wants to end
    /// it properly takes it out of here, or reaches for it.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, io::Cancellable};
    /// # use futures_lite::io::{AsyncWriteExt, BufWriter};
    /// # futures_lite::future::block_on(async {
    /// # let token = CancellationToken::new();
    /// let mut log = Cancellable::new(BufWriter::new(Vec::new()), token.clone());
    /// log.write_all(b"begun").await?;
    /// token.cancel();
    /// assert!(log.write_all(b"never").await.is_err());
    /// assert!(log.close().await.is_err());
    ///
    /// let mut log = log.into_inner();
    /// log.write_all(b", cancelled").await?;
    /// log.close().await?;
    /// assert_eq!(log.get_ref(), b"begun, cancelled");
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Polling
    ///
    /// What reads (and seeks) waits for the token beside what writes (and flushes, and closes): the two halves of one that
    /// was split may be polled by two tasks, and a cancel wakes both. Each is at most one waiter, with the promises and the
    /// costs of a [`WaitForCancellationFuture`](crate::WaitForCancellationFuture); it is registered when the inner one is
    /// pending for the first time, until this is dropped. The futures made of this are as cancel safe as those of the inner
    /// one.
    ///
    /// # Blocking
    ///
    /// [`Read`], [`BufRead`], [`Write`] and [`Seek`] of `std` **may block** as those of the inner one do. The token is
    /// looked at between calls, and interrupts none: that is for what never blocks for long, such as a file in a loop of
    /// `std::io::copy`.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, io::Cancellable};
    /// # let token = CancellationToken::new().child_with_timeout(std::time::Duration::from_millis(1));
    /// // Ends with the token, and not before.
    /// let error = std::io::copy(&mut Cancellable::new(std::io::repeat(0), token), &mut std::io::sink()).unwrap_err();
    /// assert_eq!(error.to_string(), "deadline exceeded");
    /// ```
    pub struct Cancellable<T> {
        #[pin]
        inner: T,
        token: CancellationToken,
        reading: Side,
        writing: Side,
    }
}

/// What polls one side waits here for the token. A task of its own may poll the other.
#[derive(Default)]
struct Side {
    wait: Option<WaitForCancellationFutureOwned>,
}

impl Side {
    /// What the inner one says, unless the token is cancelled before that.
    fn poll<R>(
        &mut self,
        token: &CancellationToken,
        cx: &mut Context<'_>,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        token.check()?;
        let result = inner(cx);
        if result.is_pending() {
            let wait = self.wait.get_or_insert_with(|| token.clone().cancelled_owned());
            if Pin::new(wait).poll(cx).is_ready() {
                token.check()?;
            }
        }
        result
    }
}

impl<T> Cancellable<T> {
    /// Wraps `inner`. Nothing is registered before something is polled and pending; no allocation.
    pub fn new(inner: T, token: CancellationToken) -> Self {
        Self { inner, token, reading: Side::default(), writing: Side::default() }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// What is wrapped.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What is wrapped. What is done with it here, passes the token by.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// As [`get_mut`](Self::get_mut), pinned.
    #[must_use]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut T> {
        self.project().inner
    }

    /// What was wrapped, as the last call has left it.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}

/// The error of a [`Cancellable`], of kind [`Other`](io::ErrorKind::Other): so that
/// [`check`](CancellationToken::check)`()?` does where an [`io::Result`] is returned. Two allocations.
impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}

impl<T: AsyncRead> AsyncRead for Cancellable<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.reading.poll(this.token, cx, |cx| this.inner.poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.reading.poll(this.token, cx, |cx| this.inner.poll_read_vectored(cx, buffers))
    }
}

impl<T: AsyncBufRead> AsyncBufRead for Cancellable<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        this.reading.poll(this.token, cx, |cx| this.inner.poll_fill_buf(cx))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.project().inner.consume(amount);
    }
}

impl<T: AsyncSeek> AsyncSeek for Cancellable<T> {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        let this = self.project();
        this.reading.poll(this.token, cx, |cx| this.inner.poll_seek(cx, to))
    }
}

impl<T: AsyncWrite> AsyncWrite for Cancellable<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.writing.poll(this.token, cx, |cx| this.inner.poll_write(cx, buffer))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.writing.poll(this.token, cx, |cx| this.inner.poll_write_vectored(cx, buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.writing.poll(this.token, cx, |cx| this.inner.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.writing.poll(this.token, cx, |cx| this.inner.poll_close(cx))
    }
}

impl<T: Read> Read for Cancellable<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.token.check()?;
        self.inner.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.token.check()?;
        self.inner.read_vectored(buffers)
    }
}

impl<T: BufRead> BufRead for Cancellable<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.token.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

impl<T: Seek> Seek for Cancellable<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.token.check()?;
        self.inner.seek(to)
    }
}

impl<T: Write> Write for Cancellable<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.token.check()?;
        self.inner.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.token.check()?;
        self.inner.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.token.check()?;
        self.inner.flush()
    }
}

impl<T> fmt::Debug for Cancellable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellable").field("is_cancelled", &self.token.is_cancelled()).finish_non_exhaustive()
    }
}
