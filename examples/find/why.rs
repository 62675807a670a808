//! Why a token is cancelled: the cause that all tokens of the search are given.

use cancel_tree::CancellationToken;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

/// Why, and when it was cancelled; of a deadline, the deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    pub(crate) why: Why,
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Why {
    MaxCount,
    Timeout,
    PerDirTimeout,
    Interrupt,
    /// Nobody reads the output any more.
    BrokenPipe,
    OutputFailed,
}

impl Stopped {
    pub(crate) fn of(token: &CancellationToken) -> Option<Self> {
        token.reason()?.cause()?.downcast_ref().copied()
    }
}

/// A token below `parent`, if there is a limit to be set, and not one beyond the end of the clock; else the same token.
pub(crate) fn limited(parent: &CancellationToken, limit: Option<Duration>, why: Why) -> CancellationToken {
    match limit.and_then(|limit| Instant::now().checked_add(limit)) {
        Some(at) => parent.child_with_deadline_cause(at, Stopped { why, at }),
        None => parent.clone(),
    }
}

impl Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::MaxCount => "--max-count",
            Why::Timeout => "--timeout",
            Why::PerDirTimeout => "--per-dir-timeout",
            Why::Interrupt => "Ctrl-C",
            Why::BrokenPipe => "the end of the output's reader",
            Why::OutputFailed => "the failure of the output",
        })
    }
}
