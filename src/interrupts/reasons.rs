//! Reasons that can be told from each other.

use crate::{CancelKind, Cancelled, StaticCause};
use core::{error, fmt, ptr};

/// How something is cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Plain = 1,
    /// With the cause of an interrupt.
    Interrupted = 2,
    /// With the operation's, a static one.
    Operated = 4,
    /// With the operation's, one on the heap.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there is no heap"))]
    OnTheHeap = 8,
    /// By an alarm.
    Deadline = 16,
}

impl Why {
    /// The cause, if it is a static one.
    pub(super) fn cause(self) -> Option<&'static StaticCause> {
        static INTERRUPTED: StaticCause = StaticCause::new(&Text("interrupted"));
        static OPERATED: StaticCause = StaticCause::new(&Text("operated"));
        match self {
            Why::Interrupted => Some(&INTERRUPTED),
            Why::Operated => Some(&OPERATED),
            Why::Plain | Why::OnTheHeap | Why::Deadline => None,
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reasons(u8);

impl Reasons {
    pub(super) const NONE: Reasons = Reasons(0);

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl From<Why> for Reasons {
    fn from(why: Why) -> Self {
        Self(why as u8)
    }
}

impl From<&Cancelled> for Reasons {
    fn from(reason: &Cancelled) -> Self {
        let Some(error) = reason.cause() else {
            return match reason.kind() {
                CancelKind::Cancelled => Why::Plain.into(),
                CancelKind::DeadlineExceeded => Why::Deadline.into(),
            };
        };
        let is = |why: &Why| why.cause().is_some_and(|cause| ptr::addr_eq(error, cause.error()));
        [Why::Interrupted, Why::Operated].into_iter().find(is).unwrap_or(Why::OnTheHeap).into()
    }
}

/// A cause.
#[derive(Debug)]
pub(super) struct Text(pub(super) &'static str);
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl error::Error for Text {}
