//! Shutdowns of random stages, whose work ends when it likes, on a clock that is set by hand, one tick after the other; beside what
//! is to come out of it, which is computed beforehand.
#![cfg(feature = "task")]

use cancel_tree::CancellationToken;
use cancel_tree::task::task_tracker::TaskTrackerToken;
use cancel_tree::task::{Shutdown, Stage, TaskTracker};
use cancel_tree::time::ManualTimer;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::explore::explore;

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
}

/// Work that ends at some time, and, if its token is cancelled, so long after that.
#[derive(Clone, Copy, Debug)]
struct Work {
    ends_at: Option<u64>,
    stops_after: Option<u64>,
}

#[derive(Clone, Debug)]
struct Plan {
    work: Vec<Work>,
    drain: u64,
    grace: Option<u64>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let work = (option::of(0..20_u64), option::of(1..6_u64));
    let work = vec(work.prop_map(|(ends_at, stops_after)| Work { ends_at, stops_after }), 0..5);
    (work, 0..8_u64, option::of(0..8_u64)).prop_map(|(work, drain, grace)| Plan { work, drain, grace })
}

const NEVER: u64 = u64::MAX;

impl Work {
    fn ends_at(self) -> u64 {
        self.ends_at.unwrap_or(NEVER)
    }
    fn ends(self, cancelled_at: u64) -> u64 {
        self.ends_at().min(self.stops_after.map_or(NEVER, |after| cancelled_at + after))
    }
}

#[derive(PartialEq, Debug)]
struct Outcome {
    /// Drained, stopped, remaining.
    numbers: (usize, usize, usize),
    cancelled_at: u64,
    over_at: u64,
}

/// What comes of a stage that begins at this time. `over_at` is `NEVER` if the shutdown hangs there.
fn expected(plan: &Plan, begin: u64) -> Outcome {
    let ends: Vec<Work> = plan.work.iter().copied().filter(|work| work.ends_at() > begin).collect();
    let last = ends.iter().map(|work| work.ends_at()).max().unwrap_or(begin);
    let cancelled_at = last.min(begin + plan.drain);
    let left: Vec<u64> =
        ends.iter().filter(|work| work.ends_at() > cancelled_at).map(|work| work.ends(cancelled_at)).collect();
    let last = left.iter().copied().max().unwrap_or(cancelled_at);
    let over_at = last.min(plan.grace.map_or(NEVER, |grace| cancelled_at + grace));
    let remaining = left.iter().filter(|&&end| end > over_at).count();
    let numbers = (ends.len() - left.len(), left.len() - remaining, remaining);
    Outcome { numbers, cancelled_at, over_at }
}

struct Part {
    tracker: TaskTracker,
    token: CancellationToken,
    work: Vec<(Work, TaskTrackerToken)>,
    cancelled_at: Option<u64>,
}

fn run(plans: &[Plan]) {
    let timer = ManualTimer::new();
    let mut parts: Vec<Part> = plans
        .iter()
        .map(|plan| {
            let tracker = TaskTracker::new();
            let work = plan.work.iter().map(|&work| (work, tracker.token())).collect();
            Part { tracker, token: CancellationToken::new(), work, cancelled_at: None }
        })
        .collect();
    let shutdown = plans.iter().zip(&parts).fold(Shutdown::new(), |shutdown, (plan, part)| {
        let stage = Stage::new("", &part.tracker, &part.token).drain(Duration::from_nanos(plan.drain));
        shutdown.stage(match plan.grace {
            None => stage,
            Some(grace) => stage.grace(Duration::from_nanos(grace)),
        })
    });
    let mut run = pin!(shutdown.run_with_timer(&timer));

    let mut begin = 0;
    let mut outcomes = Vec::new();
    for plan in plans {
        outcomes.push(expected(plan, begin));
        begin = outcomes[outcomes.len() - 1].over_at;
        if begin == NEVER {
            break;
        }
    }

    // Longer than anything that ends does.
    for now in 0..150 {
        for part in &mut parts {
            part.work.retain(|(work, _)| part.cancelled_at.map_or(work.ends_at(), |at| work.ends(at)) > now);
        }
        timer.set(Duration::from_nanos(now));
        let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        for part in &mut parts {
            if part.token.is_cancelled() {
                part.cancelled_at.get_or_insert(now);
            }
        }
        for (part, outcome) in parts.iter().zip(&outcomes) {
            assert_eq!(part.token.is_cancelled(), now >= outcome.cancelled_at);
        }
        assert!(parts[outcomes.len()..].iter().all(|part| !part.tracker.is_closed()));
        if let Poll::Ready(report) = polled {
            assert_eq!(now, begin, "when it was over");
            for (stage, outcome) in report.stages().iter().zip(&outcomes) {
                assert_eq!((stage.drained(), stage.stopped(), stage.remaining()), outcome.numbers);
            }
            assert_eq!(report.stages().len(), plans.len());
            assert_eq!(report.is_complete(), outcomes.iter().all(|outcome| outcome.numbers.2 == 0));
            assert_eq!(timer.pending(), 0);
            return;
        }
        assert!(now < begin, "it should have been over at {begin}");
    }
    assert_eq!(begin, NEVER);
}

#[test]
fn a_shutdown_does_what_the_reference_says() {
    explore(1500, vec(plan(), 1..5), |plans| run(&plans));
}
