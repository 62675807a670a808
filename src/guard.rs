//! Guards: leaving a scope cancels.

use crate::CancellationToken;

/// Cancels its token when it is dropped, unless it is [disarmed](Self::disarm).
///
/// ```
/// # use cancel_tree::CancellationToken;
/// let token = CancellationToken::new();
/// let guard = token.clone().drop_guard();
/// drop(guard);
/// assert!(token.is_cancelled());
/// ```
#[must_use = "a guard that is dropped at once cancels its token at once"]
#[derive(Debug)]
pub struct DropGuard {
    token: Option<CancellationToken>,
}

impl DropGuard {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// The guarded token.
    pub fn token(&self) -> &CancellationToken {
        self.token.as_ref().expect("only disarm and drop take the token")
    }

    /// Gives the token back, not cancelled by this guard.
    pub fn disarm(mut self) -> CancellationToken {
        self.token.take().expect("only disarm and drop take the token")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            token.cancel();
        }
    }
}

/// For work that ends with its scope.
#[cfg(feature = "alloc")]
impl CancellationToken {
    /// A [child](Self::child_token) that is cancelled when the guard is dropped: for what may not outlive the scope that it was
    /// started in. This token is not touched by that.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let request = CancellationToken::new();
    /// let query = {
    ///     let guard = request.child_drop_guard();
    ///     guard.token().clone()
    /// };
    /// assert!(query.is_cancelled());
    /// assert!(!request.is_cancelled());
    /// ```
    ///
    /// `child_token().drop_guard()` in one call, with the progress and the allocation of the one, and the panics of the
    /// [other](Self::drop_guard).
    pub fn child_drop_guard(&self) -> DropGuard {
        self.child_token().drop_guard()
    }
}

/// Cancels a borrowed token when it is dropped, unless it is [disarmed](Self::disarm).
///
/// ```
/// # use cancel_tree::CancellationToken;
/// let token = CancellationToken::new();
/// {
///     let _guard = token.drop_guard_ref();
/// }
/// assert!(token.is_cancelled());
/// ```
#[must_use = "a guard that is dropped at once cancels its token at once"]
#[derive(Debug)]
pub struct DropGuardRef<'a> {
    token: Option<&'a CancellationToken>,
}

impl<'a> DropGuardRef<'a> {
    pub(crate) fn new(token: &'a CancellationToken) -> Self {
        Self { token: Some(token) }
    }

    /// The guarded token.
    pub fn token(&self) -> &CancellationToken {
        self.token.expect("only disarm and drop take the token")
    }

    /// Gives the token back, not cancelled by this guard.
    pub fn disarm(mut self) -> &'a CancellationToken {
        self.token.take().expect("only disarm and drop take the token")
    }
}

impl Drop for DropGuardRef<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            token.cancel();
        }
    }
}
