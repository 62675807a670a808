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

            /// One piece of work, and so many that wait for its end; and it is open again.
            pub(super) fn round(waits: u64) -> impl FnMut(u64) -> [Sample; 1] {
                let tracker = TaskTracker::new();
                move |repeat| {
                    let [sample] = floors::timed(repeat, || {
                        let mut token = Some(black_box(&tracker).token());
                        wait_during(&tracker, waits, &mut || {
                            tracker.close();
                            token = None;
                        });
                        tracker.reopen();
                    });
                    [sample.times(waits)]
                }
            }

            fn wait_during(tracker: &TaskTracker, waits: u64, work: &mut dyn FnMut()) {
                let mut wait = pin!(tracker.wait());
                assert!(poll_once(wait.as_mut()).is_pending(), "something is tracked");
                if waits == 1 {
                    work()
                } else {
                    wait_during(tracker, waits - 1, work)
                }
                assert!(poll_once(wait.as_mut()).is_ready(), "all is over");
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
    let waits =
        [(1, "one that waits"), (10, "ten that wait"), (100, "a hundred that wait"), (1000, "a thousand that wait")];
    for (waits, name) in waits {
        let row = Row::new(format!("tracker/round/{waits}"), format!("a round with {name}, per wait"));
        bench.run(plan, [row], || {
            vec![Entry::token::<Ours>(ours::round(waits)), Entry::token::<Tokio>(theirs::round(waits))]
        });
    }
}
