//! Names of tokens.

use crate::CancellationToken;
use crate::reason::{CancelKind, Cause};
use crate::time::Timer;
use crate::tree::{Handle, Named, Reason};
use alloc::borrow::Cow;
use core::cell::Cell;
use core::fmt;
use core::time::Duration;

/// What a token is called: text that is there for ever, or the token's own.
pub(crate) type Name = Cow<'static, str>;

/// Names, for those who look at the [living tree](crate::snapshot).
impl CancellationToken {
    /// As [`new`](Self::new), with a name.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let server = CancellationToken::named("server");
    /// assert_eq!(server.name(), Some("server"));
    /// ```
    ///
    /// One allocation of 144 bytes (64-bit targets): 48 more than without a name. A `String` moves in; text that is `'static` is not
    /// copied. Tokens without names pay nothing for that others have some. In a [pool](crate::TokenPool) there are none.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        let Ok(handle) = Handle::root_in(Named(&Cell::new(name.into())));
        Self::from_handle(handle)
    }

    /// A child with a name: what is called on the result says what kind of child.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use cancel_tree::CancellationToken;
    /// # use std::time::Duration;
    /// # let (connection, number) = (CancellationToken::new(), 7);
    /// let request = connection.naming(format!("request {number}")).child_with_timeout(Duration::from_secs(5));
    /// let query = request.naming("query").child_token();
    /// assert_eq!(request.name(), Some("request 7"));
    /// # }
    /// ```
    pub fn naming(&self, name: impl Into<Cow<'static, str>>) -> NamedChild<'_> {
        NamedChild { parent: self, name: name.into() }
    }

    /// What this token is called: what was said when it was made, and never changes.
    ///
    /// Wait-free.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.handle().name().map(|name| &**name)
    }
}

/// A child in the making, which has a name already: [`CancellationToken::naming`].
///
/// The methods are those of the token that are called the same, and do as these say; a node takes 24 bytes more.
#[must_use = "nothing is made before one of the methods is called"]
pub struct NamedChild<'a> {
    parent: &'a CancellationToken,
    name: Name,
}

impl<'a> NamedChild<'a> {
    /// [`CancellationToken::child_token`], in 144 bytes.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_token(self) -> CancellationToken {
        let (parent, name) = self.into_parts();
        let Ok(child) = parent.handle().child_in(Named(&name));
        CancellationToken::from_handle(child)
    }

    /// [`CancellationToken::child_with_timer`].
    ///
    /// # Panics
    ///
    /// Those of the timer.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timer<T: Timer>(self, timer: &T, at: Duration) -> CancellationToken {
        let (parent, name) = self.into_parts();
        parent.timed_in(Named(&name), timer, at, || Reason::new(CancelKind::DeadlineExceeded))
    }

    /// [`CancellationToken::child_with_timer_cause`].
    ///
    /// # Panics
    ///
    /// Those of the timer.
    #[must_use = "a token that is dropped at once cancels nothing"]
    pub fn child_with_timer_cause<T: Timer>(
        self,
        timer: &T,
        at: Duration,
        cause: impl Into<Cause>,
    ) -> CancellationToken {
        let (parent, name) = self.into_parts();
        parent.timed_in(Named(&name), timer, at, || cause.into().into_reason(CancelKind::DeadlineExceeded))
    }

    fn into_parts(self) -> (&'a CancellationToken, Cell<Name>) {
        (self.parent, Cell::new(self.name))
    }
}

/// On the default timer.
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
mod deadlines {
    use super::{CancellationToken, Cause, Duration, Named, NamedChild};
    use crate::time::deadline::{after, exceeded, exceeded_with};
    use crate::time::since_origin;
    use std::time::Instant;

    impl NamedChild<'_> {
        /// [`CancellationToken::child_with_deadline`].
        ///
        /// # Panics
        ///
        /// If the timer's thread has to be started and cannot be.
        #[must_use = "a token that is dropped at once cancels nothing"]
        pub fn child_with_deadline(self, deadline: Instant) -> CancellationToken {
            let (parent, name) = self.into_parts();
            parent.at(Named(&name), since_origin(deadline), exceeded)
        }

        /// [`CancellationToken::child_with_deadline_cause`].
        ///
        /// # Panics
        ///
        /// If the timer's thread has to be started and cannot be.
        #[must_use = "a token that is dropped at once cancels nothing"]
        pub fn child_with_deadline_cause(self, deadline: Instant, cause: impl Into<Cause>) -> CancellationToken {
            let (parent, name) = self.into_parts();
            parent.at(Named(&name), since_origin(deadline), || exceeded_with(cause))
        }

        /// [`CancellationToken::child_with_timeout`].
        ///
        /// # Panics
        ///
        /// If the timer's thread has to be started and cannot be.
        #[must_use = "a token that is dropped at once cancels nothing"]
        pub fn child_with_timeout(self, timeout: Duration) -> CancellationToken {
            let (parent, name) = self.into_parts();
            parent.at(Named(&name), after(timeout), exceeded)
        }

        /// [`CancellationToken::child_with_timeout_cause`].
        ///
        /// # Panics
        ///
        /// If the timer's thread has to be started and cannot be.
        #[must_use = "a token that is dropped at once cancels nothing"]
        pub fn child_with_timeout_cause(self, timeout: Duration, cause: impl Into<Cause>) -> CancellationToken {
            let (parent, name) = self.into_parts();
            parent.at(Named(&name), after(timeout), || exceeded_with(cause))
        }
    }
}

impl fmt::Debug for NamedChild<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedChild").field("name", &self.name).field("parent", self.parent).finish()
    }
}
