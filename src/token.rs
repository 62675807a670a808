use crate::guard::{DropGuard, DropGuardRef};
use crate::race::{RunUntilCancelledFuture, RunUntilCancelledFutureOwned};
use crate::tree::Handle;
use crate::wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};
use core::fmt;
use core::future::Future;
use core::hash::{Hash, Hasher};

/// A handle on a node of a cancellation tree.
///
/// Clones are the same token: they are equal, hash alike, and cancel together. [`child_token`](Self::child_token) makes
/// a token of its own below this one: it is cancelled when this one is, and never the other way round. Dropping tokens,
/// in any order, cancels nothing and leaves nothing behind; a token whose handles are gone still passes on what its
/// ancestors say to the tokens below it.
///
/// ```
/// use cancel_tree::CancellationToken;
///
/// let server = CancellationToken::new();
/// let request = server.child_token();
/// let query = request.child_token();
///
/// request.cancel();
/// assert!(query.is_cancelled());
/// assert!(!server.is_cancelled());
/// ```
///
/// # Progress
///
/// No operation locks, spins, yields, or waits for another thread to be scheduled. What each one is, is said beside it,
/// in the usual terms: *wait-free* is a bounded number of steps; *lock-free* is that a step is only ever repeated
/// because another thread's step went through.
///
/// Any operation may be interrupted at any instruction by a signal handler or interrupt that calls
/// [`is_cancelled`](Self::is_cancelled) or [`cancel`](Self::cancel) on the same tree, if the wakers that this `cancel`
/// finds may be run there. Creating, cloning and dropping tokens there is as safe as the allocator is.
///
/// # Overflow
///
/// More than half of what the counters hold (2³² handles of one token and 2²⁸ living children on targets with 64-bit
/// atomics, 2¹³ and 2¹⁵ on others) aborts the process, as it does for [`Arc`](alloc::sync::Arc).
pub struct CancellationToken {
    handle: Handle,
}

impl CancellationToken {
    /// A token that is not cancelled and has no parent.
    ///
    /// One allocation of 96 bytes (64-bit targets); therefore not `const`. In a `static`:
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use cancel_tree::CancellationToken;
    /// use std::sync::LazyLock;
    ///
    /// static SHUTDOWN: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
    /// assert!(!SHUTDOWN.is_cancelled());
    /// # }
    /// ```
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn new() -> Self {
        Self { handle: Handle::root() }
    }

    /// A token that is cancelled when this one is.
    ///
    /// If this one is cancelled already, the child is born cancelled. If it is being cancelled by another thread
    /// meanwhile, the child is either reached by that cancel or born cancelled.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let parent = CancellationToken::new();
    /// parent.cancel();
    /// assert!(parent.child_token().is_cancelled());
    /// ```
    ///
    /// Lock-free. One allocation of 96 bytes (64-bit targets), given back when the child and all below it are dropped.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_token(&self) -> Self {
        Self { handle: self.handle.child() }
    }

    /// Cancels this token and all below it.
    ///
    /// When the call returns, on any thread, whether or not it was the first, every descendant whose
    /// [`child_token`](Self::child_token) had returned before the call began says `true` to
    /// [`is_cancelled`](Self::is_cancelled). All of them do so before the first waker is run. The tree is not cancelled
    /// in one instant: another thread may see a child cancelled before its parent, or the other way round, while the
    /// call runs.
    ///
    /// The wakers of waiting tasks are run here, on the calling thread, after everything has been marked. Of
    /// cancels that run at the same time, each wakes the waiters that it came to first: when a call returns, some may
    /// still be about to be woken by another call.
    ///
    /// # Progress
    ///
    /// Lock-free, and O(1) when all is cancelled already. It allocates nothing, and frees nothing: nodes that it finds
    /// to be dead are freed by the next drop of any token. The depth of the tree costs no stack.
    ///
    /// # Panics
    ///
    /// If a waker panics, the others are woken all the same, and then the first panic goes on. (Without the feature
    /// `std`, a second panic aborts the process.) The cancellation itself cannot fail.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether this token is cancelled, by itself or by an ancestor. Once `true`, it is so for ever.
    ///
    /// Wait-free: one load. All that a thread wrote before its `cancel()` that cancelled the token is visible to who
    /// sees `true` here (release and acquire).
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.handle.is_cancelled()
    }

    /// A future that is ready when this token is cancelled.
    ///
    /// It registers nothing before it is first polled, and leaves nothing behind when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and made anew at any time; no wake-up is lost.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        WaitForCancellationFuture::new(self)
    }

    /// As [`cancelled`](Self::cancelled), for a future that has to own its token.
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        WaitForCancellationFutureOwned::new(self)
    }

    /// A guard that cancels this token when it is dropped. What [`cancel`](Self::cancel) says of panics holds for that drop;
    /// in a thread that is unwinding already, a waker that panics aborts the process.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard::new(self)
    }

    /// A guard that cancels this token when it is dropped, without a handle of its own.
    pub fn drop_guard_ref(&self) -> DropGuardRef<'_> {
        DropGuardRef::new(self)
    }

    /// Runs a future to its end, unless this token is cancelled before that: `None` then.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// # futures_lite::future::block_on(async {
    /// let token = CancellationToken::new();
    /// assert_eq!(token.run_until_cancelled(async { 42 }).await, Some(42));
    /// token.cancel();
    /// assert_eq!(token.run_until_cancelled(async { 42 }).await, None);
    /// # });
    /// ```
    ///
    /// # Fairness
    ///
    /// The token is looked at once when the adapter is first polled: a future under a cancelled token is never polled.
    /// From then on the future comes first: if both are ready, its result counts. It is dropped as soon as either is.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped with the adapter.
    pub fn run_until_cancelled<F: Future>(&self, future: F) -> RunUntilCancelledFuture<'_, F> {
        RunUntilCancelledFuture::new(self, future)
    }

    /// As [`run_until_cancelled`](Self::run_until_cancelled), for a future that has to own its token.
    pub fn run_until_cancelled_owned<F: Future>(self, future: F) -> RunUntilCancelledFutureOwned<F> {
        RunUntilCancelledFutureOwned::new(self, future)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }
}

/// The same token again. Wait-free, allocates nothing.
impl Clone for CancellationToken {
    #[inline]
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

/// By identity: a token equals its clones, and nothing else.
impl PartialEq for CancellationToken {
    fn eq(&self, other: &Self) -> bool {
        self.handle.id() == other.handle.id()
    }
}

impl Eq for CancellationToken {}

impl Hash for CancellationToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.handle.id().hash(state);
    }
}
