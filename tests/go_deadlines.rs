//! What Go's package `context` promises, and its tests pin: deadlines. Where time matters, it is set by hand.

mod support;

use cancel_tree::context::Context;
use cancel_tree::time::{ManualTimer, origin};
use cancel_tree::{CancelKind, CancellationToken, Unregister};
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::contexts::{HOUR, PLAIN, Why, because, derive, look};
use support::nodes::live;
use support::wakers::Counter;
use support::{measure, settles};

type Look = Option<(CancelKind, Option<usize>)>;

const EXPIRED: Look = Some((CancelKind::DeadlineExceeded, None));

fn expired_because(number: usize) -> Look {
    Some((CancelKind::DeadlineExceeded, Some(number)))
}

const SECOND: Duration = Duration::from_secs(1);

/// C19.
#[test]
fn a_deadline_that_has_come_gives_a_context_that_is_done_from_the_start() {
    settles(|| {
        let timer = ManualTimer::new();
        timer.set(HOUR);
        let top = Context::background();
        for (ctx, _) in [
            top.with_timer(&timer, HOUR),
            top.with_timer(&timer, HOUR - SECOND),
            top.with_timer(&timer, Duration::ZERO),
            top.with_timeout(Duration::ZERO),
            top.with_deadline(Instant::now()),
            top.with_deadline(origin()),
        ] {
            assert_eq!(look(&ctx), EXPIRED);
            derive(&ctx, &timer).iter().for_each(|child| assert_eq!(look(child), EXPIRED));
        }
        assert_eq!(look(&top.with_timeout_cause(Duration::ZERO, Why(1)).0), expired_because(1));
        assert_eq!(look(&top.with_deadline_cause(origin(), Why(2)).0), expired_because(2));
        assert_eq!(look(&top.with_timer_cause(&timer, HOUR, Why(3)).0), expired_because(3));
        // The parent was first.
        let (parent, canceller) = top.with_cancel();
        canceller.cancel_with(Why(4));
        assert_eq!(look(&parent.with_timeout_cause(Duration::ZERO, Why(5)).0), because(4));
        assert_eq!(timer.pending(), 0);
    });
}

/// C20: nobody polls.
#[test]
fn a_deadline_ends_the_context_and_all_below_at_its_time_and_not_before() {
    settles(|| {
        let timer = ManualTimer::new();
        let (top, _top) = Context::background().with_cancel();
        let (ctx, _canceller) = top.with_timer(&timer, HOUR);
        let (sibling, _sibling) = top.with_timer(&timer, HOUR + SECOND);
        let children = derive(&ctx.with_value(()), &timer);
        let counter = Counter::new();
        let mut wait = children[0].done();
        assert!(counter.poll(&mut wait).is_pending());
        timer.set(HOUR - Duration::from_nanos(1));
        assert_eq!((look(&ctx), look(&children[0]), counter.wakes()), (None, None, 0));
        timer.set(HOUR);
        assert_eq!((look(&ctx), counter.wakes()), (EXPIRED, 1));
        assert!(counter.poll(&mut wait).is_ready());
        for child in &children[..6] {
            assert_eq!(look(child), EXPIRED);
        }
        // This one has the same deadline, and a cause: which of the two is first is not said.
        assert!(children[6].err().is_some_and(|cancelled| cancelled.is_deadline_exceeded()));
        assert_eq!((look(&sibling), look(&top)), (None, None));
    });
}

/// C19.
#[test]
fn the_earlier_deadline_counts_the_parents_or_ones_own() {
    settles(|| {
        let timer = ManualTimer::new();
        let at = |seconds| Some(origin() + seconds * SECOND);
        let (parent, _parent) = Context::background().with_timer(&timer, 20 * SECOND);
        let (early, _early) = parent.with_timer(&timer, 10 * SECOND);
        let (late, _late) = parent.with_timer_cause(&timer, 30 * SECOND, Why(1));
        assert_eq!((parent.deadline(), early.deadline(), late.deadline()), (at(20), at(10), at(20)));
        assert_eq!(late.with_value(1_u8).with_cancel().0.deadline(), at(20));
        assert_eq!(late.without_cancel().deadline(), None);
        timer.set(10 * SECOND);
        assert_eq!((look(&early), look(&parent), look(&late)), (EXPIRED, None, None));
        timer.set(20 * SECOND);
        assert_eq!((look(&parent), look(&late)), (EXPIRED, EXPIRED));
        timer.set(30 * SECOND);
        assert_eq!((look(&late), late.deadline()), (EXPIRED, at(20)));

        let soon = Instant::now() + HOUR;
        let (parent, _parent) = Context::background().with_deadline(soon);
        let (late, _late) = parent.with_timeout(2 * HOUR);
        let (early, _early) = parent.with_deadline(soon - SECOND);
        assert_eq!((late.deadline(), early.deadline()), (Some(soon), Some(soon - SECOND)));
        assert_eq!(Context::background().with_timeout(Duration::MAX).0.deadline(), None);
    });
}

/// C6, C19.
#[test]
fn of_a_cancel_and_an_expiry_the_first_says_why_and_the_other_changes_nothing() {
    settles(|| {
        let timer = ManualTimer::new();
        let make = |cause: Option<usize>| match cause {
            None => Context::background().with_timer(&timer, timer.now() + HOUR),
            Some(number) => Context::background().with_timer_cause(&timer, timer.now() + HOUR, Why(number)),
        };
        for cause in [None, Some(1)] {
            let expired = Some((CancelKind::DeadlineExceeded, cause));

            let (ctx, canceller) = make(cause);
            canceller.cancel();
            assert_eq!((look(&ctx), timer.pending()), (PLAIN, 0));
            timer.advance(HOUR);
            assert_eq!(look(&ctx), PLAIN);

            let (ctx, canceller) = make(cause);
            assert!(canceller.cancel_with(Why(2)));
            timer.advance(HOUR);
            assert_eq!(look(&ctx), because(2));

            let (ctx, canceller) = make(cause);
            timer.advance(HOUR);
            assert!(!canceller.cancel_with(Why(3)));
            canceller.cancel();
            assert_eq!(look(&ctx), expired);

            let (ctx, _canceller) = make(cause);
            let (child, of_child) = ctx.with_cancel();
            assert!(of_child.cancel_with(Why(4)));
            timer.advance(HOUR);
            assert_eq!((look(&ctx), look(&child)), (expired, because(4)));
        }
    });
}

/// C6, C19.
#[test]
fn a_cancel_and_an_expiry_at_the_same_time_leave_one_reason() {
    settles(|| {
        for round in 0..200 {
            let timer = ManualTimer::new();
            let (ctx, canceller) = Context::background().with_timer_cause(&timer, HOUR, Why(1));
            let leaf = ctx.with_cancel().0;
            let start = Barrier::new(2);
            let cancelled = thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    timer.set(HOUR);
                });
                start.wait();
                canceller.cancel_with(Why(2))
            });
            let expected = if cancelled { because(2) } else { expired_because(1) };
            assert_eq!((look(&ctx), look(&leaf)), (expected, expected), "round {round}");
            assert_eq!(timer.pending(), 0);
        }
    });
}

#[test]
fn a_callback_runs_after_the_expiry_or_at_once_if_that_is_over() {
    settles(|| {
        let timer = ManualTimer::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = || {
            let runs = runs.clone();
            move || {
                runs.fetch_add(1, Relaxed);
            }
        };
        let (ctx, _canceller) = Context::background().with_timer(&timer, HOUR);
        let (kept, stopped) = (ctx.after_func(count()), ctx.with_value(()).after_func(count()));
        ctx.with_cancel().0.after_func(count()).detach();
        assert_eq!(stopped.unregister(), Unregister::Prevented);
        timer.set(HOUR);
        assert_eq!(runs.load(Relaxed), 1, "the callback that was detached went with its context");
        assert_eq!(kept.unregister(), Unregister::Done);
        ctx.after_func(count()).detach();
        assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (2, 1));
    });
}

/// What a timer fires may start the next.
#[test]
fn a_callback_may_derive_and_cancel_what_has_deadlines() {
    settles(|| {
        let timer = ManualTimer::new();
        let top = CancellationToken::new();
        let ctx = Context::from(top.clone());
        let (first, _first) = ctx.with_timer(&timer, SECOND);
        let callback = first.after_func({
            let (ctx, timer) = (ctx.clone(), timer.clone());
            move || {
                assert_eq!(look(&ctx.with_timer(&timer, SECOND).0), EXPIRED);
                let (later, canceller) = ctx.with_timer(&timer, HOUR);
                let (_, _canceller) = ctx.with_timer(&timer, HOUR);
                canceller.cancel();
                assert_eq!((look(&later), timer.pending()), (PLAIN, 1));
            }
        });
        timer.set(SECOND);
        assert_eq!((callback.unregister(), timer.pending()), (Unregister::Done, 0));
        top.cancel();
    });
}

/// C20. In Go, this is what leaks, for an hour.
#[test]
fn a_hundred_thousand_timeouts_of_an_hour_leave_nothing() {
    const MANY: usize = if cfg!(miri) { 100 } else { 100_000 };
    settles(|| {
        let timer = ManualTimer::new();
        let (top, _top) = Context::background().with_cancel();
        let (_, account) = measure(|| {
            let before = live();
            for number in 0..MANY {
                let (ctx, canceller) = top.with_timer(&timer, HOUR);
                assert_eq!(timer.pending(), 1);
                if number % 2 == 0 {
                    canceller.cancel();
                    assert_eq!((ctx.is_done(), timer.pending()), (true, 0));
                }
            }
            assert_eq!((live(), timer.pending()), (before, 0));
        });
        // What the timer keeps in reserve does not grow with their number.
        assert!(account.bytes < 64 << 10, "{account:?}");
        let timed: Vec<_> = (0..MANY).map(|_| top.with_timer(&timer, HOUR)).collect();
        assert_eq!(timer.pending(), timed.len());
        drop(timed);
        assert_eq!(timer.pending(), 0);
    });
}

/// C20, C21: without any set-up, on a real clock.
#[test]
fn a_real_timeout_comes_though_nobody_looks() {
    settles(|| {
        let begin = Instant::now();
        let delay = Duration::from_millis(20);
        let (ctx, _canceller) = Context::background().with_timeout_cause(delay, Why(1));
        let (below, of_below) = ctx.with_timeout(HOUR);
        let (other, _other) = Context::background().with_deadline(begin + delay);
        below.wait();
        assert!(begin.elapsed() >= delay);
        assert_eq!(look(&below), expired_because(1));
        assert_eq!(look(&ctx), expired_because(1));
        assert!(!of_below.cancel_with(Why(2)));
        other.wait();
        assert_eq!(look(&other), EXPIRED);
    });
}
