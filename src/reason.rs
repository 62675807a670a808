//! Why a token is cancelled.

use crate::tree::Reason;
#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

/// Why a token is cancelled: the kind, and perhaps a cause.
///
/// What [`CancellationToken::reason`](crate::CancellationToken::reason) tells and
/// [`check`](crate::CancellationToken::check) returns for `?`. It is decided at one point and never changes: by the call
/// that cancelled the token, or by the ancestor's that did.
///
/// ```
/// use cancel_tree::{CancelKind, CancellationToken};
/// use std::io;
///
/// let token = CancellationToken::new();
/// assert!(token.cancel_with(io::Error::other("disk on fire")));
///
/// let reason = token.child_token().reason().unwrap();
/// assert_eq!(reason.kind(), CancelKind::Cancelled);
/// assert!(reason.cause().unwrap().is::<io::Error>());
/// assert_eq!(reason.to_string(), "cancelled");
/// ```
///
/// One word. Cloning and dropping are wait-free and allocate nothing; the last of those who share a cause on the heap, the
/// cancelled tokens among them, drops it.
#[derive(Clone)]
pub struct Cancelled {
    reason: Reason,
}

/// What kind of cancellation it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CancelKind {
    /// Somebody cancelled it. (Go: `context.Canceled`.)
    Cancelled,
    /// A deadline passed. (Go: `context.DeadlineExceeded`.)
    DeadlineExceeded,
}

/// A cause, as [`CancellationToken::cancel_with`](crate::CancellationToken::cancel_with) takes it: any error (one
/// allocation beside the error's own; with `alloc`), or a reference to a [`StaticCause`] (none).
#[derive(Debug)]
pub struct Cause(Inner);

#[derive(Debug)]
enum Inner {
    Static(&'static StaticCause),
    #[cfg(feature = "alloc")]
    Boxed(Box<dyn Error + Send + Sync>),
}

/// A cause that needs no allocation, for a `static`: for interrupt and signal handlers, and for targets without a heap.
///
/// ```
/// use cancel_tree::{CancellationToken, StaticCause};
///
/// #[derive(Debug)]
/// struct BrownOut;
/// impl core::fmt::Display for BrownOut {
///     fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
///         f.write_str("supply voltage too low")
///     }
/// }
/// impl core::error::Error for BrownOut {}
///
/// static BROWN_OUT: StaticCause = StaticCause::new(&BrownOut);
///
/// let token = CancellationToken::new();
/// token.cancel_with(&BROWN_OUT);
/// assert!(token.reason().unwrap().cause().unwrap().is::<BrownOut>());
/// ```
// Aligned for the tags of the reason word.
#[repr(align(8))]
#[derive(Debug)]
pub struct StaticCause {
    error: &'static (dyn Error + Send + Sync),
}

impl StaticCause {
    /// A cause that is this error.
    #[must_use]
    pub const fn new(error: &'static (dyn Error + Send + Sync)) -> Self {
        Self { error }
    }

    pub(crate) fn error(&self) -> &'static (dyn Error + Send + Sync) {
        self.error
    }
}

impl Cause {
    /// A cause from an error that is boxed already, whatever its type. No further allocation for the box.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self(Inner::Boxed(error))
    }

    pub(crate) fn into_reason(self, kind: CancelKind) -> Reason {
        match self.0 {
            Inner::Static(cause) => Reason::with_static(kind, cause),
            #[cfg(feature = "alloc")]
            Inner::Boxed(error) => Reason::with_error(kind, error),
        }
    }
}

#[cfg(feature = "alloc")]
impl<E: Error + Send + Sync + 'static> From<E> for Cause {
    fn from(error: E) -> Self {
        Self(Inner::Boxed(Box::new(error)))
    }
}

impl From<&'static StaticCause> for Cause {
    fn from(cause: &'static StaticCause) -> Self {
        Self(Inner::Static(cause))
    }
}

impl Cancelled {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// What kind of cancellation it was; always there, beside the cause.
    #[must_use]
    pub fn kind(&self) -> CancelKind {
        self.reason.kind()
    }

    /// The error that the canceller gave, if any. It can be downcast: `cause.downcast_ref::<MyError>()`.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.reason.cause()
    }

    /// Whether a deadline passed: `kind() == CancelKind::DeadlineExceeded`.
    #[must_use]
    pub fn is_deadline_exceeded(&self) -> bool {
        self.kind() == CancelKind::DeadlineExceeded
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("kind", &self.kind()).field("cause", &self.cause()).finish()
    }
}

impl fmt::Display for CancelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CancelKind::Cancelled => "cancelled",
            CancelKind::DeadlineExceeded => "deadline exceeded",
        })
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The kind alone: the cause is the `source`, and whoever prints a chain of sources prints it once.
        self.kind().fmt(f)
    }
}

impl Error for Cancelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}
