//! Task trackers, which the hand-written token has nothing like.

use crate::bench::{Bench, Row};
use crate::floors;
use crate::harness::{Entry, Plan, Sample};
use crate::tokens::poll_once;
use std::hint::black_box;
use std::pin::pin;

/// Both have the same names.
macro_rules! scenarios {
    ($module:ident, $library:ident) => {
        mod $module {
            use super::*;
            use $library::task::TaskTracker;

            pub(super) fn token() -> impl FnMut(u64) -> [Sample; 1] {
                let tracker = TaskTracker::new();
                move |repeat| floors::timed(repeat, || drop(black_box(black_box(&tracker).token())))
            }

            /// One piece of work, one that waits for its end; and it is open again.
            pub(super) fn round() -> impl FnMut(u64) -> [Sample; 1] {
                let tracker = TaskTracker::new();
                move |repeat| {
                    floors::timed(repeat, || {
                        let token = black_box(&tracker).token();
                        let mut wait = pin!(tracker.wait());
                        assert!(poll_once(wait.as_mut()).is_pending(), "something is tracked");
                        tracker.close();
                        drop(token);
                        assert!(poll_once(wait.as_mut()).is_ready(), "all is over");
                        tracker.reopen();
                    })
                }
            }
        }
    };
}
scenarios!(ours, cancel_tree);
scenarios!(theirs, tokio_util);

pub(crate) fn rows(bench: &mut Bench) {
    type Ours = cancel_tree::CancellationToken;
    type Tokio = tokio_util::sync::CancellationToken;
    bench.section("Task trackers");
    let plan = Plan::repeated(&bench.options);
    let row = Row::new("tracker/token", "a token: made and dropped");
    bench.run(plan, [row], || vec![Entry::token::<Ours>(ours::token()), Entry::token::<Tokio>(theirs::token())]);
    let row = Row::new("tracker/round", "a round with one that waits");
    bench.run(plan, [row], || vec![Entry::token::<Ours>(ours::round()), Entry::token::<Tokio>(theirs::round())]);
}
