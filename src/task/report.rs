//! How a shutdown went.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

/// How a [`Shutdown`](super::Shutdown) went, stage by stage. It prints as a line for each.
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use cancel_tree::{CancellationToken, task::{Shutdown, Stage, TaskTracker}};
/// # use cancel_tree::time::ManualTimer;
/// # use core::time::Duration;
/// # futures_lite::future::block_on(async {
/// # let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
/// # let _stuck = [tracker.token(), tracker.token()];
/// let stage = Stage::new("workers", &tracker, &token).grace(Duration::ZERO);
/// let report = Shutdown::new().stage(stage).run_with_timer(&ManualTimer::new()).await;
/// assert!(!report.is_complete());
/// assert_eq!(report.to_string(), "workers: 2 have not ended");
/// # });
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    stages: Vec<StageReport>,
}

impl Report {
    pub(super) fn new(stages: Vec<StageReport>) -> Self {
        Self { stages }
    }

    /// The stages, in the order in which they were shut down.
    #[must_use]
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }

    /// How much had not ended when its stage was given up, in all stages.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.stages.iter().map(StageReport::remaining).sum()
    }

    /// Whether everything has ended: no stage was given up.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stages.iter().all(StageReport::is_complete)
    }
}

/// How one [`Stage`](super::Stage) went.
///
/// The numbers are those that its tracker tells when it is closed, when the token is cancelled, and at the end. So what begins to be
/// tracked after the close, and takes the place of something that ends, is not told apart from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageReport {
    pub(super) name: Cow<'static, str>,
    pub(super) drained: usize,
    pub(super) stopped: usize,
    pub(super) remaining: usize,
}

impl StageReport {
    /// The name that the stage was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much ended by itself, before the token was cancelled.
    #[must_use]
    pub fn drained(&self) -> usize {
        self.drained
    }

    /// How much ended after the token was cancelled.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.stopped
    }

    /// How much had not ended when the time of grace was over.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether everything has ended.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.remaining == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stage) in self.stages.iter().enumerate() {
            if index != 0 {
                f.write_str("\n")?;
            }
            stage.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        let parts = [
            (self.drained, "ended by itself", "ended by themselves"),
            (self.stopped, "ended when cancelled", "ended when cancelled"),
            (self.remaining, "has not ended", "have not ended"),
        ];
        let mut separator = " ";
        for (count, one, many) in parts.into_iter().filter(|(count, ..)| *count != 0) {
            write!(f, "{separator}{count} {}", if count == 1 { one } else { many })?;
            separator = ", ";
        }
        if separator == " " {
            f.write_str(" nothing was under way")?;
        }
        Ok(())
    }
}
