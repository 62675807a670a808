//! Shutting down in stages, on a clock that is set by hand.
#![cfg(feature = "task")]

mod support;

use cancel_tree::task::task_tracker::TaskTrackerToken;
use cancel_tree::task::{Report, Shutdown, Stage, TaskTracker};
use cancel_tree::time::{Alarm, ManualTimer, Timer};
use cancel_tree::{CancellationToken, StaticCause};
use futures_lite::future::block_on;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;
use support::callbacks::panic_of;
use support::wakers::Counter;
use support::{PATIENCE, balanced, settles};

const SECOND: Duration = Duration::from_secs(1);

/// A part of a program: so many tokens are its work.
struct Part {
    tracker: TaskTracker,
    token: CancellationToken,
    work: Vec<TaskTrackerToken>,
}

impl Part {
    fn new(work: usize) -> Self {
        let tracker = TaskTracker::new();
        let work = (0..work).map(|_| tracker.token()).collect();
        Self { tracker, token: CancellationToken::new(), work }
    }
    fn stage(&self, name: &'static str) -> Stage {
        Stage::new(name, &self.tracker, &self.token)
    }
    /// So much ends.
    fn end(&mut self, n: usize) {
        self.work.truncate(self.work.len() - n);
    }
    /// Closed, cancelled?
    fn state(&self) -> (bool, bool) {
        (self.tracker.is_closed(), self.token.is_cancelled())
    }
}

const UNTOUCHED: (bool, bool) = (false, false);
const DRAINING: (bool, bool) = (true, false);
const STOPPING: (bool, bool) = (true, true);

/// A run that is polled by hand.
struct Run {
    future: Pin<Box<dyn Future<Output = Report>>>,
    counter: Counter,
}

impl Run {
    fn new(shutdown: Shutdown, timer: &ManualTimer) -> Self {
        let timer = timer.clone();
        Self { future: Box::pin(async move { shutdown.run_with_timer(&timer).await }), counter: Counter::new() }
    }
    fn poll(&mut self) -> Option<Report> {
        match self.counter.poll(&mut self.future) {
            Poll::Ready(report) => Some(report),
            Poll::Pending => None,
        }
    }
}

/// The three numbers of each stage.
fn numbers(report: &Report) -> Vec<(usize, usize, usize)> {
    report.stages().iter().map(|stage| (stage.drained(), stage.stopped(), stage.remaining())).collect()
}

#[test]
fn without_stages_it_is_complete() {
    settles(|| {
        let report = block_on(Shutdown::new().run_with_timer(&ManualTimer::new()));
        assert!(report.is_complete() && report.stages().is_empty() && report.remaining() == 0);
        assert_eq!(report.to_string(), "");
        assert_eq!(block_on(Shutdown::default().run()), report);
    });
}

#[test]
fn a_stage_begins_when_the_one_before_it_is_over() {
    balanced(|| {
        let (mut first, mut second, third) = (Part::new(2), Part::new(1), Part::new(0));
        let shutdown = Shutdown::new().stage(first.stage("1")).stage(second.stage("2")).stage(third.stage("3"));
        let timer = ManualTimer::new();
        let mut run = Run::new(shutdown, &timer);
        assert_eq!(first.state(), UNTOUCHED, "it does nothing before it is polled");
        assert_eq!(run.poll(), None);
        assert_eq!((first.state(), second.state(), third.state()), (STOPPING, UNTOUCHED, UNTOUCHED));
        first.end(1);
        assert_eq!((run.counter.wakes(), run.poll()), (0, None));
        first.end(1);
        assert_eq!((run.counter.wakes(), run.poll()), (1, None));
        assert_eq!((second.state(), third.state()), (STOPPING, UNTOUCHED));
        assert_eq!(timer.pending(), 0, "no limit, no alarm");
        second.end(1);
        let report = run.poll().expect("it is over");
        assert_eq!(third.state(), STOPPING, "though nothing was under way");
        assert_eq!(numbers(&report), [(0, 2, 0), (0, 1, 0), (0, 0, 0)]);
        assert!(report.is_complete());
        assert_eq!(
            report.to_string(),
            "1: 2 ended when cancelled\n2: 1 ended when cancelled\n3: nothing was under way"
        );
        assert_eq!(report.stages()[1].name(), "2");
    });
}

#[test]
fn drain_then_cancel_then_grace() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(6));
        let stage = part.stage("workers").drain(10 * SECOND).grace(5 * SECOND);
        let mut run = Run::new(Shutdown::new().stage(stage), &timer);
        assert_eq!((run.poll(), part.state()), (None, DRAINING));
        part.end(1);
        timer.advance(9 * SECOND);
        assert_eq!((run.poll(), part.state(), run.counter.wakes()), (None, DRAINING, 0));
        timer.advance(SECOND);
        assert_eq!(run.counter.wakes(), 1, "by the timer");
        assert_eq!((run.poll(), part.state()), (None, STOPPING));
        part.end(2);
        timer.advance(4 * SECOND);
        assert_eq!(run.poll(), None);
        timer.advance(SECOND);
        let report = run.poll().expect("the time of grace is over");
        assert_eq!(numbers(&report), [(1, 2, 3)]);
        assert!(!report.is_complete() && !report.stages()[0].is_complete());
        assert_eq!(report.remaining(), 3);
        assert_eq!(report.to_string(), "workers: 1 ended by itself, 2 ended when cancelled, 3 have not ended");
        assert_eq!(timer.pending(), 0);
    });
}

#[test]
fn what_drains_in_time_is_not_waited_for_longer() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(2));
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(10 * SECOND).grace(SECOND)), &timer);
        assert_eq!(run.poll(), None);
        part.end(2);
        assert_eq!(run.counter.wakes(), 1);
        assert!(!part.token.is_cancelled());
        assert_eq!(numbers(&run.poll().expect("it is over")), [(2, 0, 0)]);
        assert_eq!((part.state(), timer.pending()), (STOPPING, 0));
    });
}

#[test]
fn at_the_last_moment_is_in_time() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(2));
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(SECOND).grace(SECOND)), &timer);
        assert_eq!(run.poll(), None);
        timer.advance(SECOND);
        part.end(2);
        assert_eq!(numbers(&run.poll().expect("both are ready: it has ended")), [(2, 0, 0)]);
    });
}

#[test]
fn no_time_at_all_is_one_poll() {
    balanced(|| {
        let timer = ManualTimer::new();
        let (some, none) = (Part::new(3), Part::new(0));
        let mut run = Run::new(
            Shutdown::new().stage(some.stage("1").grace(Duration::ZERO)).stage(none.stage("2").grace(Duration::ZERO)),
            &timer,
        );
        let report = run.poll().expect("nothing to wait for");
        assert_eq!(numbers(&report), [(0, 0, 3), (0, 0, 0)]);
        assert_eq!((some.state(), none.state(), timer.pending()), (STOPPING, STOPPING, 0));
    });
}

#[test]
fn what_ends_in_the_cancel_itself_has_ended() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(2));
        let tokens = part.work.split_off(0);
        let registration = part.token.on_cancel(move || drop(tokens));
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").grace(Duration::ZERO)), &timer);
        assert_eq!(numbers(&run.poll().expect("at once")), [(0, 2, 0)]);
        drop(registration);
    });
}

#[test]
fn for_ever_is_for_ever() {
    balanced(|| {
        for time in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(u64::MAX)] {
            let (timer, mut part) = (ManualTimer::new(), Part::new(2));
            timer.advance(SECOND);
            let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(time).grace(time)), &timer);
            assert_eq!((run.poll(), timer.pending()), (None, 0));
            timer.advance(Duration::from_secs(9_000_000_000));
            assert_eq!((run.poll(), part.state()), (None, DRAINING));
            part.end(2);
            assert_eq!(numbers(&run.poll().expect("it is over")), [(2, 0, 0)]);

            let mut part = Part::new(1);
            let mut run = Run::new(Shutdown::new().stage(part.stage("1").grace(time)), &timer);
            assert_eq!((run.poll(), timer.pending(), part.state()), (None, 0, STOPPING));
            timer.advance(Duration::from_secs(9_000_000_000));
            assert_eq!(run.poll(), None);
            part.end(1);
            assert_eq!(numbers(&run.poll().expect("it is over")), [(0, 1, 0)]);
        }
    });
}

#[test]
fn the_token_has_the_cause() {
    settles(|| {
        static WHY: StaticCause = StaticCause::new(&std::fmt::Error);
        let (part, other) = (Part::new(0), Part::new(0));
        let shutdown = Shutdown::new()
            .stage(part.stage("1").cancel_with(std::io::Error::other("restart")))
            .stage(other.stage("2").cancel_with(&WHY));
        assert!(shutdown.run_blocking().is_complete());
        assert_eq!(part.token.reason().unwrap().cause().unwrap().to_string(), "restart");
        assert!(other.token.reason().unwrap().cause().unwrap().is::<std::fmt::Error>());
    });
}

#[test]
fn a_moment_counts_though_something_is_tracked_right_after_it() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(1));
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(SECOND)), &timer);
        assert_eq!(run.poll(), None);
        part.end(1);
        part.tracker.reopen();
        let _late = part.tracker.token();
        assert_eq!(numbers(&run.poll().expect("it was over")), [(1, 0, 0)]);
    });
}

#[test]
fn the_close_itself_may_be_that_moment() {
    balanced(|| {
        let (timer, part) = (ManualTimer::new(), Part::new(0));
        let (tracker, late) = (part.tracker.clone(), Arc::new(Mutex::new(None)));
        let waker = support::wakers::Hooks::on_wake({
            let late = late.clone();
            move || {
                tracker.reopen();
                *late.lock().unwrap() = Some(tracker.token());
            }
        });
        let mut wait = Box::pin(part.tracker.wait());
        assert!(waker.poll(&mut wait).is_pending());
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(SECOND)), &timer);
        // What the waker tracks is late: it was over before.
        let report = run.poll().expect("it was over");
        assert!(report.is_complete() && late.lock().unwrap().take().is_some());
    });
}

#[test]
fn what_is_tracked_late_is_waited_for_and_told_to_stop() {
    balanced(|| {
        let (timer, mut part) = (ManualTimer::new(), Part::new(1));
        let mut run = Run::new(Shutdown::new().stage(part.stage("1").drain(SECOND).grace(SECOND)), &timer);
        assert_eq!(run.poll(), None);
        let late = [part.tracker.token(), part.tracker.token()];
        part.end(1);
        timer.advance(SECOND);
        assert_eq!((run.poll(), part.state()), (None, STOPPING));
        timer.advance(SECOND);
        // Two that were not there have taken the place of one: this says no more than that.
        assert_eq!(numbers(&run.poll().expect("the time of grace is over")), [(0, 0, 2)]);
        drop(late);
    });
}

#[test]
fn a_run_that_is_dropped_leaves_all_as_it_is_and_another_goes_on() {
    balanced(|| {
        let timer = ManualTimer::new();
        let (first, mut second, mut third) = (Part::new(0), Part::new(2), Part::new(1));
        let shutdown = || {
            let stages = [("1", &first.tracker, &first.token), ("2", &second.tracker, &second.token)];
            let stages = stages.into_iter().chain([("3", &third.tracker, &third.token)]);
            stages.fold(Shutdown::new(), |shutdown, (name, tracker, token)| {
                shutdown.stage(Stage::new(name, tracker, token).drain(SECOND))
            })
        };
        let runs = [(); 4].map(|()| shutdown());
        let [never, early, late, last] = runs;

        drop(Run::new(never, &timer));
        assert_eq!((first.state(), second.state(), third.state()), (UNTOUCHED, UNTOUCHED, UNTOUCHED));

        let mut run = Run::new(early, &timer);
        assert_eq!((run.poll(), timer.pending()), (None, 1));
        let counter = std::mem::take(&mut run.counter);
        drop(run);
        assert_eq!((first.state(), second.state(), third.state()), (STOPPING, DRAINING, UNTOUCHED));
        assert_eq!(timer.pending(), 0);
        timer.advance(10 * SECOND);
        assert_eq!((second.state(), counter.wakes(), counter.kept()), (DRAINING, 0, 0));

        let mut run = Run::new(late, &timer);
        assert_eq!(run.poll(), None);
        timer.advance(SECOND);
        assert_eq!((run.poll(), second.state()), (None, STOPPING));
        drop(run);
        second.end(1);
        assert_eq!((second.state(), third.state()), (STOPPING, UNTOUCHED));

        second.end(1);
        let mut run = Run::new(last, &timer);
        assert_eq!(run.poll(), None);
        third.end(1);
        assert_eq!(numbers(&run.poll().expect("it is over")), [(0, 0, 0), (0, 0, 0), (1, 0, 0)]);
    });
}

#[test]
fn a_panic_waits_until_everything_is_shut_down() {
    balanced(|| {
        let timer = ManualTimer::new();
        let (first, second, mut third) = (Part::new(0), Part::new(0), Part::new(1));
        // In the close of the one, the cancel of the other.
        let waker = support::wakers::Hooks::on_wake(|| resume_unwind(Box::new("in the close")));
        let mut wait = Box::pin(first.tracker.wait());
        assert!(waker.poll(&mut wait).is_pending());
        let registration = second.token.on_cancel(|| resume_unwind(Box::new("in the cancel")));
        let shutdown = Shutdown::new().stage(first.stage("1")).stage(second.stage("2")).stage(third.stage("3"));
        let mut run = Run::new(shutdown, &timer);
        assert_eq!(run.poll(), None);
        assert_eq!((first.state(), second.state(), third.state()), (STOPPING, STOPPING, STOPPING));
        third.end(1);
        assert_eq!(panic_of(|| _ = run.poll()), Some("in the close"));
        drop(registration);
    });
}

/// A timer that has none left.
struct NoTimer;

impl Timer for NoTimer {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _at: Duration, _alarm: Alarm) {
        resume_unwind(Box::new("no timer"));
    }
    fn disarm((): &()) {}
}

#[test]
fn a_panic_of_the_timer_is_as_if_the_run_were_dropped() {
    balanced(|| {
        let (first, second, third) = (Part::new(0), Part::new(1), Part::new(0));
        let limited = second.stage("2").drain(SECOND);
        let shutdown = Shutdown::new().stage(first.stage("1").drain(SECOND)).stage(limited).stage(third.stage("3"));
        assert_eq!(panic_of(|| drop(block_on(shutdown.run_with_timer(&NoTimer)))), Some("no timer"));
        assert_eq!((first.state(), second.state(), third.state()), (STOPPING, DRAINING, UNTOUCHED));
    });
}

#[test]
fn a_poll_after_the_report_panics() {
    balanced(|| {
        let mut run = Run::new(Shutdown::new(), &ManualTimer::new());
        assert!(run.poll().is_some());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.poll())).is_err());
    });
}

/// On the default timer; how fast that is, is not looked at.
#[test]
fn on_the_default_timer_threads_and_tasks_stop() {
    settles(|| {
        let (part, stuck) = (Part::new(0), Part::new(1));
        thread::scope(|scope| {
            for _ in 0..3 {
                let (tracked, token) = (part.tracker.token(), part.token.clone());
                scope.spawn(move || {
                    token.wait();
                    drop(tracked);
                });
            }
            let shutdown = || {
                let moment = Duration::from_millis(1);
                Shutdown::new()
                    .stage(part.stage("threads").drain(moment).grace(PATIENCE))
                    .stage(stuck.stage("stuck").drain(moment).grace(moment))
            };
            let report = shutdown().run_blocking();
            assert_eq!(numbers(&report), [(0, 3, 0), (0, 0, 1)]);
            assert_eq!(numbers(&block_on(shutdown().run())), [(0, 0, 0), (0, 0, 1)]);
        });
    });
}

#[test]
fn one_stage_in_one_call() {
    settles(|| {
        let (part, mut stuck) = (Part::new(0), Part::new(1));
        let (tracked, token) = (part.tracker.token(), part.token.clone());
        let worker = thread::spawn(move || {
            token.wait();
            drop(tracked);
        });
        assert!(block_on(part.tracker.shutdown(&part.token, PATIENCE)));
        worker.join().unwrap();
        assert!(!block_on(stuck.tracker.shutdown(&stuck.token, Duration::ZERO)));
        assert!(!block_on(stuck.tracker.shutdown(&stuck.token, Duration::from_millis(1))));
        stuck.end(1);
        assert!(block_on(stuck.tracker.shutdown(&stuck.token, Duration::ZERO)));
    });
}

/// It can be awaited by a task that moves between threads, and held by one that borrows.
#[test]
fn runs_may_move_between_threads() {
    settles(|| {
        fn assert_send<T: Send>(value: T) -> T {
            value
        }
        let (part, timer) = (Part::new(0), ManualTimer::new());
        assert!(block_on(assert_send(Shutdown::new().stage(part.stage("1")).run_with_timer(&timer))).is_complete());
        assert!(block_on(assert_send(Shutdown::new().stage(part.stage("1")).run())).is_complete());
        assert!(block_on(assert_send(part.tracker.shutdown(&part.token, SECOND))));
    });
}
