//! Calls that block, and that their caller can walk away from.
//!
//! A call into code that knows nothing of tokens cannot be stopped, but it need not be waited for: it runs on a thread of the
//! pool of the crate [`blocking`](https://docs.rs/blocking), and when the token is cancelled the caller goes on without it.
//! (Go: a goroutine that sends its result to a buffered channel, and a `select`.)

use crate::blocking_wait::unpark_this_thread;
use crate::{CancellationToken, Cancelled, WaitForCancellationFutureOwned};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::thread;

/// Runs `f` on the pool's threads, until the token is cancelled: then the caller leaves, and `f` is on its own.
///
/// ```
/// use cancel_tree::{CancellationToken, blocking::run_blocking};
///
/// # fn read_sensor() -> u32 { 20 }
/// # futures_lite::future::block_on(async {
/// let token = CancellationToken::new();
/// let celsius = run_blocking(&token, read_sensor).await?;
/// assert_eq!(celsius, 20);
/// # Ok::<(), cancel_tree::Cancelled>(())
/// # }).unwrap();
/// ```
///
/// The call is handed to the pool here and now, not at the first poll. If the token is cancelled before a thread of the pool
/// begins with it, `f` is not run; if it is cancelled already, `f` is not even handed over.
///
/// # What becomes of a call that was left
///
/// It runs to its end. What it returns is dropped, on the thread of the pool; if it panics, that is reported by the panic hook
/// and goes no further. So nothing is left behind, but until then it occupies a thread. If it can, it should look
/// at the token itself:
///
/// ```
/// # use cancel_tree::{CancellationToken, Cancelled, blocking::run_blocking};
/// # let token = CancellationToken::new();
/// let within = token.clone();
/// let sum = run_blocking(&token, move || {
///     let mut sum = 0_u64;
///     for number in 0..100_000 {
///         within.check()?;
///         sum += number;
///     }
///     Ok::<_, Cancelled>(sum)
/// });
/// assert_eq!(sum.wait().unwrap().unwrap(), 4_999_950_000);
/// ```
///
/// # Progress
///
/// May block for a moment: the pool has a lock, and may start a thread. Some allocations, here and there. The threads of the
/// pool are bounded in number (500, or `BLOCKING_MAX_THREADS`) and shared by the process; further calls wait for their turn.
pub fn run_blocking<T, F>(token: &CancellationToken, f: F) -> RunBlocking<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if let Err(cancelled) = token.check() {
        return RunBlocking { state: State::Cancelled(cancelled) };
    }
    let within = token.clone();
    let call = ::blocking::unblock(move || {
        within.check()?;
        // The call may take its time: it does not keep the token.
        drop(within);
        Ok(f())
    });
    RunBlocking { state: State::Running { call, token: token.clone(), wait: token.clone().cancelled_owned() } }
}

/// What a blocking call returns, or that the token was cancelled: [`run_blocking`].
///
/// Each poll looks at the call first: if it has returned, that counts, though the token be cancelled meanwhile. Dropping this
/// leaves the call as a cancellation does; if the call has returned already, its result is dropped here. Either is lock-free;
/// only [`wait`](Self::wait) blocks.
///
/// # Panics
///
/// A poll panics if the call has panicked, with that panic; and after it was ready.
#[must_use = "dropping it leaves the call to itself, and if it has not begun, it never will"]
pub struct RunBlocking<T> {
    state: State<T>,
}

enum State<T> {
    Running {
        call: ::blocking::Task<Result<T, Cancelled>>,
        token: CancellationToken,
        wait: WaitForCancellationFutureOwned,
    },
    /// It was cancelled before the call.
    Cancelled(Cancelled),
    Over,
}

// What is pinned is the pool's.
impl<T> Unpin for RunBlocking<T> {}

impl<T> RunBlocking<T> {
    /// Blocks this thread until the call has returned, or the token is cancelled. **May block.**
    ///
    /// It parks the thread, and uses up a token that [`unpark`](thread::Thread::unpark) may have left for it. For callers outside of
    /// async code; within it, await.
    ///
    /// # Errors
    ///
    /// Why the token is cancelled.
    ///
    /// # Panics
    ///
    /// If the call has panicked, with that panic.
    pub fn wait(mut self) -> Result<T, Cancelled> {
        let waker = unpark_this_thread();
        let mut cx = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut cx) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl<T> Future for RunBlocking<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Running { call, token, wait } => match Pin::new(call).poll(cx) {
                Poll::Ready(result) => Some(result),
                Poll::Pending if Pin::new(wait).poll(cx).is_pending() => return Poll::Pending,
                Poll::Pending => token.reason().map(Err),
            },
            State::Cancelled(cancelled) => Some(Err(cancelled.clone())),
            State::Over => None,
        };
        // The call is left to itself, if it is still running.
        self.state = State::Over;
        Poll::Ready(result.expect("not polled after it was ready"))
    }
}

impl<T> fmt::Debug for RunBlocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunBlocking").finish_non_exhaustive()
    }
}
