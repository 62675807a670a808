use crate::PoolFull;
use crate::guard::{DropGuard, DropGuardRef};
use crate::race::{RunUntilCancelledFuture, RunUntilCancelledFutureOwned};
use crate::reason::{CancelKind, Cancelled, Cause};
use crate::tree::{Handle, Reason};
#[cfg(feature = "alloc")]
use crate::tree::{Heap, Linking};
use crate::wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};
#[cfg(feature = "alloc")]
use core::borrow::Borrow;
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
/// because another thread's step went through. A drop may go through more than its own token: upwards through those that end with
/// it; through siblings made since a drop last did so; and, of the last handle of a token without ancestors, through its children.
/// Each is gone through once for each of these reasons.
///
/// Any operation may be interrupted at any instruction by a signal handler or interrupt that calls
/// [`is_cancelled`](Self::is_cancelled) or [`cancel`](Self::cancel) on the same tree, if the wakers and callbacks that
/// this `cancel` finds may be run there. What else may be called there, is said in
/// [the table](crate#without-a-heap-and-from-interrupts).
///
/// # Events
///
/// With the feature `tracing`, and target `cancel_tree`: `made`, at level `TRACE`, with the fields `token` (its identity, as an
/// address), `parent` and `name`; and `cancelled`, at level `DEBUG`, with `token`, `name`, `reason` and `cause`, for a token
/// that a call, a guard, or a deadline has cancelled, not for those below it. The subscriber runs on the thread that did it,
/// when it is done: that of `cancelled` after the wakers and callbacks, and not if one of these has panicked. It is foreign
/// code: with one that is not fit for signal handlers, `cancel()` is not either.
///
/// # Overflow
///
/// More than half of what the counters hold (2³² handles of one token and 2²⁵ living children on targets with 64-bit
/// atomics, 2¹² and 2¹³ on others) aborts the process, as it does for [`Arc`](alloc::sync::Arc).
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
    #[cfg(feature = "alloc")]
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
    /// Lock-free; with `std`, threads that collide here often get out of each other's way, as a rule, as long as fewer than
    /// 16 tokens have such crowds. One allocation of 96 bytes (64-bit targets; 120 below a deadline), given back when the child and all below it are
    /// dropped; also if this token lives in a [pool](crate::TokenPool): in that, [`try_child_token`](Self::try_child_token).
    #[cfg(feature = "alloc")]
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_token(&self) -> Self {
        Self { handle: self.handle.child() }
    }

    /// As [`child_token`](Self::child_token), from where this token came from: from its [pool](crate::TokenPool), or the heap.
    ///
    /// # Errors
    ///
    /// If the pool is full. A token on the heap can always have one more.
    pub fn try_child_token(&self) -> Result<Self, PoolFull> {
        self.handle.child_at_home().map(Self::from_handle)
    }

    /// Cancels this token and all below it.
    ///
    /// When the call returns, on any thread, whether or not it was the first, every descendant whose
    /// [`child_token`](Self::child_token) had returned before the call began says `true` to
    /// [`is_cancelled`](Self::is_cancelled). All of them do so before the first waker or callback is run. The tree is not cancelled
    /// in one instant: another thread may see a child cancelled before its parent, or the other way round, while the
    /// call runs.
    ///
    /// The wakers of waiting tasks and the [callbacks](Self::on_cancel) are run here, on the calling thread, after everything
    /// has been marked; in no particular order. Of cancels that run at the same time, each runs those that it came to
    /// first: when a call returns, some may still be about to be run by another call.
    ///
    /// # Progress
    ///
    /// Lock-free, and O(1) when all is cancelled already. It allocates nothing, and frees nothing: nodes that it finds
    /// to be dead are freed by the next drop of any token. The depth of the tree costs no stack.
    ///
    /// # Panics
    ///
    /// If a waker or callback panics, the others are run all the same, and then the first panic goes on. (Without the
    /// feature `std`, a second panic aborts the process.) The cancellation itself cannot fail.
    #[inline]
    pub fn cancel(&self) {
        // A repeated one: two loads, and no call.
        if !self.handle.is_done() {
            self.cancel_anew();
        }
    }

    /// As [`cancel`](Self::cancel), and says why. True if this call decided the [reason](Self::reason), for this token and
    /// all below it that were not cancelled before; false if it has another.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let token = CancellationToken::new();
    /// assert!(token.cancel_with(std::io::Error::other("disk full")));
    /// assert!(!token.cancel_with(std::io::Error::other("too late")));
    /// assert_eq!(token.reason().unwrap().cause().unwrap().to_string(), "disk full");
    /// ```
    ///
    /// An error is moved to the heap: two allocations, before the cancel. A [`StaticCause`](crate::StaticCause) allocates
    /// nothing, and so is for interrupt and signal handlers. A cause is dropped by whoever is the last to hold it; one that
    /// was not accepted, here, after the cancel.
    ///
    /// (Go: `WithCancelCause`.)
    pub fn cancel_with(&self, cause: impl Into<Cause>) -> bool {
        self.handle.cancel(&cause.into().into_reason(CancelKind::Cancelled))
    }

    /// Why this token is cancelled; `None` while it is not. Once there, it never changes: it is decided by the same step
    /// that makes [`is_cancelled`](Self::is_cancelled) true.
    ///
    /// The first reason to reach a token counts. A token that was cancelled before its parent keeps its own.
    ///
    /// Wait-free; allocates nothing.
    #[must_use]
    pub fn reason(&self) -> Option<Cancelled> {
        self.handle.reason().map(Cancelled::new)
    }

    /// An error if this token is cancelled, for `?` in loops.
    ///
    /// ```
    /// # use cancel_tree::{Cancelled, CancellationToken};
    /// fn sum(numbers: &[u64], token: &CancellationToken) -> Result<u64, Cancelled> {
    ///     let mut sum = 0;
    ///     for number in numbers {
    ///         token.check()?;
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// }
    /// # assert_eq!(sum(&[1, 2], &CancellationToken::new()).unwrap(), 3);
    /// ```
    ///
    /// Wait-free; while it says `Ok`, it is the one load of [`is_cancelled`](Self::is_cancelled).
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason).
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { self.reason().map_or(Ok(()), Err) } else { Ok(()) }
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

    /// A token that is cancelled when one of several is, for the reason of the first of them.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let (server, client) = (CancellationToken::new(), CancellationToken::new());
    /// let request = CancellationToken::any([&server, &client]);
    /// client.cancel();
    /// assert!(request.is_cancelled());
    /// assert!(!server.is_cancelled());
    /// ```
    ///
    /// If one of them is cancelled already, so is the result, for the reason of the first such one. A token that stands
    /// there twice counts once. Without any, the result is a token that nobody but its owner cancels. Its deadline is the
    /// earliest of theirs.
    ///
    /// The cancel that comes to a source goes on in the linked tokens, and in those linked to them, before it runs a waker
    /// or callback. It does not depend on anything being polled. Only the call that was the *first* to mark the source does
    /// this: a second `cancel()` of it may return a little before.
    ///
    /// Sources do not keep the linked token: when it is dropped, nothing stays behind in them. A source whose handles are all
    /// gone still passes on what its ancestors, or its own sources, say; so a chain of linked tokens is kept whole by its
    /// last one.
    ///
    /// Lock-free. One allocation for the token, and one for each source; from the 17th on, also of a set to find those that
    /// stand there twice, until the token is made.
    #[cfg(feature = "alloc")]
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn any<S: Borrow<Self>>(sources: impl IntoIterator<Item = S>) -> Self {
        let Ok(mut linking) = Linking::new(Heap);
        sources.into_iter().for_each(|source| {
            let Ok(()) = linking.add(&source.borrow().handle);
        });
        Self { handle: linking.finish() }
    }

    pub(crate) fn from_handle(handle: Handle) -> Self {
        Self { handle }
    }

    fn cancel_anew(&self) {
        self.handle.cancel(&Reason::new(CancelKind::Cancelled));
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

#[cfg(feature = "alloc")]
impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut token = f.debug_struct("CancellationToken");
        #[cfg(feature = "alloc")]
        if let Some(name) = self.name() {
            token.field("name", &name);
        }
        token.field("is_cancelled", &self.is_cancelled()).finish()
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
