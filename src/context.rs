//! For those who come from Go: what its package `context` offers, on top of [`CancellationToken`].
//!
//! A [`Context`] is a token that its holder cannot cancel, and a list of values. Cancelling is the right of whoever has the
//! [`Canceller`] that came with it. There is no mechanism of its own here: every promise is the token's. (On targets without
//! compare-and-swap there is no such module.)
//!
//! | Go | here |
//! |---|---|
//! | `context.Background()` | [`Context::background`] |
//! | `ctx, cancel := WithCancel(parent)` | `let (ctx, canceller) = parent.with_cancel();` |
//! | `defer cancel()` | not needed; [`Canceller::drop_guard`] if leaving the scope has to cancel |
//! | `WithCancelCause`, `cancel(err)` | [`with_cancel`](Context::with_cancel), [`Canceller::cancel_with`] |
//! | `WithTimeout`, `WithDeadline`, `…Cause` | `with_timeout`, `with_deadline`, `…_cause` |
//! | `WithValue`, `ctx.Value(key)` | [`with_value`](Context::with_value), [`value`](Context::value); the type is the key |
//! | `WithoutCancel` | [`without_cancel`](Context::without_cancel) |
//! | `ctx.Err()`, `context.Cause(ctx)` | [`err`](Context::err) or [`check`](Context::check)`?`; [`cause`](Context::cause) |
//! | `ctx.Deadline()` | `deadline` |
//! | `<-ctx.Done()` | [`done`](Context::done)`().await`; `wait()` on a thread |
//! | `AfterFunc`, `stop()` | [`after_func`](Context::after_func), [`unregister`](Registration::unregister) |
//!
//! ```
//! use cancel_tree::context::Context;
//!
//! struct RequestId(u64);
//!
//! fn handle(ctx: &Context) -> Result<u64, cancel_tree::Cancelled> {
//!     ctx.check()?;
//!     Ok(ctx.value::<RequestId>().map_or(0, |id| id.0))
//! }
//!
//! let (ctx, canceller) = Context::background().with_cancel();
//! let request = ctx.with_value(RequestId(7));
//! assert_eq!(handle(&request).unwrap(), 7);
//! canceller.cancel();
//! assert!(handle(&request).is_err());
//! ```

use crate::time::Timer;
use crate::{CancellationToken, Cancelled, Cause, DropGuard, Registration, WaitForCancellationFuture};
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{self, Poll};
use core::time::Duration;
use values::Values;

mod values;

/// A token that its holder cannot cancel, and values: what is passed down a chain of calls.
///
/// Clones are the same context. Dropping contexts cancels nothing, and leaves nothing behind. Each operation is what the
/// one of [`CancellationToken`] is that stands behind it; where more happens, it is said.
#[derive(Clone, Default)]
pub struct Context {
    /// `None`: the background, which nobody cancels and which costs nothing.
    token: Option<CancellationToken>,
    values: Values,
}

impl Context {
    /// A context that is never cancelled and has no deadline and no values: where contexts begin. (Go: `Background`.)
    ///
    /// Free of charge: it has no node, so there is nothing that its users share. What is derived from it is a tree of its own.
    #[must_use]
    pub const fn background() -> Self {
        Self { token: None, values: Values::NONE }
    }

    /// A child, and the right to cancel it. (Go: `WithCancel`, `WithCancelCause`.)
    ///
    /// [`child_token`](CancellationToken::child_token): lock-free, one allocation.
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_cancel(&self) -> (Self, Canceller) {
        self.with_token(self.child_token())
    }

    /// A child that is cancelled when `timer` says that it is `at`, and the right to cancel it before that.
    ///
    /// [`child_with_timer`](CancellationToken::child_with_timer), panics and all; below the background a root is made for it,
    /// which is one allocation more.
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_timer<T: Timer>(&self, timer: &T, at: Duration) -> (Self, Canceller) {
        self.derive(|token| token.child_with_timer(timer, at))
    }

    /// As [`with_timer`](Self::with_timer). The cause shows only if it is the timer that cancels the child.
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_timer_cause<T: Timer>(&self, timer: &T, at: Duration, cause: impl Into<Cause>) -> (Self, Canceller) {
        self.derive(|token| token.child_with_timer_cause(timer, at, cause))
    }

    /// The same context with one value more. It hides one of the same type further up; to have two values that differ only in
    /// meaning, give each a type of its own. (Go: `WithValue`, with a key beside the value.)
    ///
    /// It makes no node in the tree: it is cancelled in the same instant as this one. One allocation, for the value; it is
    /// dropped when the last context that has it is. A value that holds a context that has a value, and so on, is dropped
    /// recursively, as any such structure is; long chains of `with_value` are not.
    #[must_use = "the values of the context that it is called on stay as they are"]
    pub fn with_value<T: Send + Sync + 'static>(&self, value: T) -> Self {
        Self { token: self.token.clone(), values: self.values.with(value) }
    }

    /// The value of this type that was added last, by this context or one that it was derived from. (Go: `Value`.)
    ///
    /// Wait-free; a walk over the values that were added after it.
    #[must_use]
    pub fn value<T: 'static>(&self) -> Option<&T> {
        self.values.get()
    }

    /// A context with the values of this one, and nothing else of it: it is never cancelled and has no deadline, and what is
    /// derived from it is a tree of its own. (Go: `WithoutCancel`.)
    ///
    /// Wait-free; allocates nothing.
    #[must_use]
    pub fn without_cancel(&self) -> Self {
        Self { token: None, values: self.values.clone() }
    }

    /// Why this context is cancelled; `None` while it is not. (Go: `Err`. There, a cause has to be asked for separately;
    /// here it is [inside](Cancelled::cause).)
    #[must_use]
    pub fn err(&self) -> Option<Cancelled> {
        self.token.as_ref()?.reason()
    }

    /// An error if this context is cancelled, for `?`. (Go: `if err := ctx.Err(); err != nil { return err }`.)
    ///
    /// # Errors
    ///
    /// What [`err`](Self::err) tells.
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        self.token.as_ref().map_or(Ok(()), CancellationToken::check)
    }

    /// The error that the canceller gave; if he gave none, the [`Cancelled`] itself; `None` while it is not cancelled.
    /// (Go: `context.Cause`, which says `Canceled` or `DeadlineExceeded` where there is no cause.)
    ///
    /// ```
    /// # use cancel_tree::{Cancelled, context::Context};
    /// let (ctx, canceller) = Context::background().with_cancel();
    /// assert!(ctx.cause().is_none());
    /// canceller.cancel_with(std::io::Error::other("disk full"));
    /// assert_eq!(ctx.cause().unwrap().to_string(), "disk full");
    ///
    /// let (ctx, canceller) = Context::background().with_cancel();
    /// canceller.cancel();
    /// assert!(ctx.cause().unwrap().is::<Cancelled>());
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<ContextCause> {
        self.err().map(ContextCause)
    }

    /// Whether this context is cancelled. Once `true`, it is so for ever. Wait-free: one load.
    #[inline]
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.token.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// A future that is ready when this context is cancelled; of the background's, never. (Go: `<-ctx.Done()`.)
    pub fn done(&self) -> Done<'_> {
        Done { wait: self.token.as_ref().map(CancellationToken::cancelled) }
    }

    /// Registers `f`, to be run once when this context is cancelled, on the thread that cancels it; here and now if it is
    /// cancelled already. (Go: `AfterFunc`, which starts a goroutine for it.)
    ///
    /// ```
    /// # use cancel_tree::{context::Context, Unregister};
    /// let (ctx, canceller) = Context::background().with_cancel();
    /// let stop = ctx.after_func(|| unreachable!("it was stopped"));
    /// assert_eq!(stop.unregister(), Unregister::Prevented);
    /// canceller.cancel();
    /// ```
    ///
    /// [`on_cancel`](CancellationToken::on_cancel). On the background, `f` is kept until the registration goes and never runs;
    /// that is one allocation more.
    pub fn after_func<F: FnOnce() + Send + 'static>(&self, f: F) -> Registration {
        match &self.token {
            Some(token) => token.on_cancel(f),
            None => CancellationToken::new().on_cancel(f),
        }
    }

    /// A token that is cancelled when this context is: for all that takes a token. Cancelling it does not cancel the context.
    ///
    /// Lock-free, one allocation. (The context's own token is with its [`Canceller`].)
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_token(&self) -> CancellationToken {
        self.token.as_ref().map_or_else(CancellationToken::new, CancellationToken::child_token)
    }

    fn derive(&self, child: impl FnOnce(&CancellationToken) -> CancellationToken) -> (Self, Canceller) {
        let child = match &self.token {
            Some(token) => child(token),
            None => child(&CancellationToken::new()),
        };
        self.with_token(child)
    }

    fn with_token(&self, token: CancellationToken) -> (Self, Canceller) {
        (Self { token: Some(token.clone()), values: self.values.clone() }, Canceller { token })
    }
}

/// Deadlines, on the default timer, and blocking.
#[cfg(feature = "std")]
impl Context {
    /// A child that is cancelled after `timeout`, and the right to cancel it before that. (Go: `WithTimeout`.)
    ///
    /// [`child_with_timeout`](CancellationToken::child_with_timeout), panics and all; below the background a root is made for
    /// it, which is one allocation more.
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_timeout(&self, timeout: Duration) -> (Self, Canceller) {
        self.derive(|token| token.child_with_timeout(timeout))
    }

    /// As [`with_timeout`](Self::with_timeout). The cause shows only if it is the timeout that cancels the child. (Go:
    /// `WithTimeoutCause`.)
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_timeout_cause(&self, timeout: Duration, cause: impl Into<Cause>) -> (Self, Canceller) {
        self.derive(|token| token.child_with_timeout_cause(timeout, cause))
    }

    /// As [`with_timeout`](Self::with_timeout), at a point in time: one in the past gives a child that is cancelled from birth.
    /// (Go: `WithDeadline`.)
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_deadline(&self, deadline: std::time::Instant) -> (Self, Canceller) {
        self.derive(|token| token.child_with_deadline(deadline))
    }

    /// As [`with_deadline`](Self::with_deadline). The cause shows only if it is the deadline that cancels the child. (Go:
    /// `WithDeadlineCause`.)
    #[must_use = "what cannot be cancelled need not be derived"]
    pub fn with_deadline_cause(&self, deadline: std::time::Instant, cause: impl Into<Cause>) -> (Self, Canceller) {
        self.derive(|token| token.child_with_deadline_cause(deadline, cause))
    }

    /// The earliest deadline of this context and those that it was derived from, up to the last
    /// [`without_cancel`](Self::without_cancel). It stays the same when the context is cancelled. (Go: `Deadline`.)
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.token.as_ref()?.deadline()
    }

    /// Blocks this thread until this context is cancelled; the background's for ever. **May block.** (Go: `<-ctx.Done()`.)
    ///
    /// [`wait`](CancellationToken::wait).
    pub fn wait(&self) {
        match &self.token {
            Some(token) => token.wait(),
            None => loop {
                std::thread::park();
            },
        }
    }
}

/// The context of this token: it is cancelled when the token is, and its [deadline](CancellationToken::deadline) is that of
/// the token. Whoever has the token can cancel it. Allocates nothing.
impl From<CancellationToken> for Context {
    fn from(token: CancellationToken) -> Self {
        Self { token: Some(token), values: Values::NONE }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

/// The right to cancel one [`Context`] and what is derived from it. Clones are the same right.
///
/// Dropping it does nothing: in Go a `cancel` that is never called leaks the context, here a context goes when the last who
/// holds it does. If leaving a scope has to cancel, make it a [`drop_guard`](Self::drop_guard).
#[derive(Clone, Debug)]
pub struct Canceller {
    token: CancellationToken,
}

impl Canceller {
    /// Cancels the context: [`CancellationToken::cancel`], with its progress and its panics. (Go: `cancel()`.)
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// As [`cancel`](Self::cancel), and says why: [`CancellationToken::cancel_with`]. True if this call decided. (Go:
    /// `cancel(err)` of `WithCancelCause`.)
    pub fn cancel_with(&self, cause: impl Into<Cause>) -> bool {
        self.token.cancel_with(cause)
    }

    /// A guard that cancels the context when it is dropped. (Go: `defer cancel()`.)
    pub fn drop_guard(self) -> DropGuard {
        self.token.drop_guard()
    }

    /// The context's own token: who may cancel may have it.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Ready when a context is cancelled: [`Context::done`]. A poll after that says `Ready` again.
#[must_use = "futures do nothing unless polled"]
pub struct Done<'a> {
    wait: Option<WaitForCancellationFuture<'a>>,
}

impl Future for Done<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        match &mut self.wait {
            Some(wait) => Pin::new(wait).poll(cx),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").finish_non_exhaustive()
    }
}

/// Why a context is cancelled, as an error: [`Context::cause`]. It can be downcast.
#[derive(Clone)]
pub struct ContextCause(Cancelled);

impl Deref for ContextCause {
    type Target = dyn Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        self.0.cause().unwrap_or(&self.0)
    }
}

impl fmt::Debug for ContextCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for ContextCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
