//! A token that its holder cannot cancel.

#[cfg(feature = "alloc")]
use crate::DropGuard;
use crate::future::{OrCancelledFuture, RunUntilCancelledFuture, RunUntilCancelledFutureOwned};
use crate::{
    CancellationToken, Cancelled, NotRegistered, PoolFull, Registration, WaitForCancellationFuture,
    WaitForCancellationFutureOwned,
};
use core::fmt;
use core::future::Future;
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
use {core::time::Duration, std::time::Instant};

/// A [`CancellationToken`] that can be looked at, waited for and derived from, but not cancelled: for functions that are to stop
/// when their caller says so, and must not be able to stop their caller.
///
/// ```
/// use cancel_tree::{CancellationObserver, CancellationToken, Cancelled};
///
/// fn search(haystack: &[u32], needle: u32, caller: &CancellationObserver) -> Result<Option<usize>, Cancelled> {
///     // What it starts itself, it may cancel.
///     let helpers = caller.child_drop_guard();
///     # let _ = helpers;
///     for (place, number) in haystack.iter().enumerate() {
///         caller.check()?;
///         if *number == needle {
///             return Ok(Some(place));
///         }
///     }
///     Ok(None)
/// }
///
/// let token = CancellationToken::new();
/// assert_eq!(search(&[3, 5, 8], 8, &token.observer()).unwrap(), Some(2));
/// assert!(!token.is_cancelled());
/// token.cancel();
/// assert!(search(&[3, 5, 8], 8, &token.observer()).is_err());
/// ```
///
/// It is a handle on the token, of the same size, and keeps it as any clone does. Each method is the token's of the same name:
/// its progress, its panics and what it allocates are said there. Observers are equal if their tokens are, and hash alike.
///
/// Of what may be cancelled there are only the tokens [below](Self::child_token). So a function that takes a token is given a
/// child of the observer's.
///
/// There is no way back to the token:
///
/// ```
/// # use cancel_tree::CancellationToken;
/// let observer = CancellationToken::new().observer();
/// observer.child_token().cancel();
/// assert!(!observer.is_cancelled());
/// ```
/// ```compile_fail,E0599
/// # use cancel_tree::CancellationToken;
/// let observer = CancellationToken::new().observer();
/// observer.cancel();
/// ```
/// ```compile_fail,E0599
/// # use cancel_tree::CancellationToken;
/// let observer = CancellationToken::new().observer();
/// observer.drop_guard();
/// ```
/// ```compile_fail,E0277
/// # use cancel_tree::CancellationToken;
/// let observer = CancellationToken::new().observer();
/// let token: CancellationToken = observer.into();
/// ```
/// ```compile_fail,E0308
/// # use cancel_tree::CancellationToken;
/// let observer = CancellationToken::new().observer();
/// let token: &CancellationToken = &observer;
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancellationObserver {
    token: CancellationToken,
}

const _: () = assert!(size_of::<CancellationObserver>() == size_of::<CancellationToken>());
const _: () = assert!(size_of::<Option<CancellationObserver>>() == size_of::<CancellationToken>());

/// For those who must not cancel.
impl CancellationToken {
    /// This token, for somebody who may see that it is cancelled, but may not cancel it.
    ///
    /// Wait-free; allocates nothing.
    #[must_use]
    pub fn observer(&self) -> CancellationObserver {
        self.into()
    }
}

impl CancellationObserver {
    /// Whether the token is cancelled: [`CancellationToken::is_cancelled`]. Wait-free: one load.
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why the token is cancelled; `None` while it is not: [`CancellationToken::reason`].
    #[must_use]
    pub fn reason(&self) -> Option<Cancelled> {
        self.token.reason()
    }

    /// An error if the token is cancelled, for `?` in loops: [`CancellationToken::check`].
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason).
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        self.token.check()
    }

    /// A future that is ready when the token is cancelled: [`CancellationToken::cancelled`].
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// As [`cancelled`](Self::cancelled), for a future that has to own its token: [`CancellationToken::cancelled_owned`].
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        self.token.cancelled_owned()
    }

    /// A token that is cancelled when the observed one is, and that may be cancelled: [`CancellationToken::child_token`].
    #[cfg(feature = "alloc")]
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// As [`child_token`](Self::child_token), from where the token came from: [`CancellationToken::try_child_token`].
    ///
    /// # Errors
    ///
    /// If its pool is full.
    pub fn try_child_token(&self) -> Result<CancellationToken, PoolFull> {
        self.token.try_child_token()
    }

    /// What the token is called: [`CancellationToken::name`]. Wait-free.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.token.name()
    }

    /// A child with a name: [`CancellationToken::naming`].
    #[cfg(feature = "alloc")]
    pub fn naming(&self, name: impl Into<alloc::borrow::Cow<'static, str>>) -> crate::NamedChild<'_> {
        self.token.naming(name)
    }

    /// What is below the token at the moment: [`CancellationToken::tree`].
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn tree(&self) -> crate::snapshot::TreeSnapshot {
        self.token.tree()
    }

    /// A child that is cancelled when the guard is dropped: [`CancellationToken::child_drop_guard`].
    #[cfg(feature = "alloc")]
    pub fn child_drop_guard(&self) -> DropGuard {
        self.token.child_drop_guard()
    }

    /// The future's output, or `None` if the token is cancelled first: [`CancellationToken::run_until_cancelled`].
    pub fn run_until_cancelled<F: Future>(&self, future: F) -> RunUntilCancelledFuture<'_, F> {
        self.token.run_until_cancelled(future)
    }

    /// As [`run_until_cancelled`](Self::run_until_cancelled), for a future that has to own its token:
    /// [`CancellationToken::run_until_cancelled_owned`].
    pub fn run_until_cancelled_owned<F: Future>(self, future: F) -> RunUntilCancelledFutureOwned<F> {
        self.token.run_until_cancelled_owned(future)
    }

    /// The future's output, or why the token is cancelled; the future comes first: [`CancellationToken::run_or_cancelled`].
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason).
    pub fn run_or_cancelled<F: Future>(&self, future: F) -> OrCancelledFuture<'_, F> {
        self.token.run_or_cancelled(future)
    }

    /// The future's output, or why the token is cancelled; the token comes first:
    /// [`CancellationToken::run_unless_cancelled`].
    ///
    /// # Errors
    ///
    /// The [reason](Self::reason).
    pub fn run_unless_cancelled<F: Future>(&self, future: F) -> OrCancelledFuture<'_, F> {
        self.token.run_unless_cancelled(future)
    }

    /// Registers `f`, to be run when the token is cancelled; here and now if it is already: [`CancellationToken::on_cancel`].
    #[cfg(feature = "alloc")]
    #[must_use = "dropping the registration unregisters the callback; `detach` leaves it registered"]
    pub fn on_cancel<F: FnOnce() + Send + 'static>(&self, f: F) -> Registration {
        self.token.on_cancel(f)
    }

    /// As [`on_cancel`](Self::on_cancel), but never runs `f` here: [`CancellationToken::try_on_cancel`].
    ///
    /// # Errors
    ///
    /// `f`, if the token is cancelled already.
    #[cfg(feature = "alloc")]
    pub fn try_on_cancel<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<Registration, F> {
        self.token.try_on_cancel(f)
    }

    /// Registers a function with a word of context, where the token came from: [`CancellationToken::try_on_cancel_fn`].
    ///
    /// # Errors
    ///
    /// If the token is cancelled already, or its pool is full.
    pub fn try_on_cancel_fn<C: Copy + Send + 'static>(
        &self,
        f: fn(C),
        context: C,
    ) -> Result<Registration, NotRegistered> {
        self.token.try_on_cancel_fn(f, context)
    }
}

/// Deadlines, and blocking.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
impl CancellationObserver {
    /// The effective deadline of the token: [`CancellationToken::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.token.deadline()
    }

    /// Blocks this thread until the token is cancelled: [`CancellationToken::wait`]. **May block.**
    pub fn wait(&self) {
        self.token.wait();
    }

    /// Blocks this thread until the token is cancelled, or `timeout` has passed: [`CancellationToken::wait_timeout`].
    /// **May block.** True if the token is cancelled.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.token.wait_timeout(timeout)
    }

    /// Blocks this thread until the token is cancelled, or it is `deadline`: [`CancellationToken::wait_deadline`].
    /// **May block.** True if the token is cancelled.
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.token.wait_deadline(deadline)
    }
}

/// An observer of this token. Wait-free, allocates nothing.
impl From<&CancellationToken> for CancellationObserver {
    fn from(token: &CancellationToken) -> Self {
        Self { token: token.clone() }
    }
}

/// This very handle, as an observer. Wait-free, allocates nothing.
impl From<CancellationToken> for CancellationObserver {
    fn from(token: CancellationToken) -> Self {
        Self { token }
    }
}

/// The context of the observed token: neither can be cancelled by its holder. Allocates nothing.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr", not(cancel_tree_loom)))]
impl From<CancellationObserver> for crate::context::Context {
    fn from(observer: CancellationObserver) -> Self {
        observer.token.into()
    }
}

impl fmt::Debug for CancellationObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationObserver").field("is_cancelled", &self.is_cancelled()).finish()
    }
}
