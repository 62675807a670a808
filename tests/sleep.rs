//! Sleep that a cancel ends: which of the two came first, what is woken, what stays in the timer.
//!
//! All on clocks that are set by hand; of the real one, only what has passed already, and what never comes.
#![cfg(feature = "std")]

mod support;
#[path = "support/ticks.rs"]
#[macro_use]
mod ticks;

use cancel_tree::time::{
    Alarm, ManualArmed, ManualTimer, Sleep, Timer, origin, sleep, sleep_until, sleep_with_timer, try_sleep_with_timer,
};
use cancel_tree::{CancelKind, CancellationToken, Cancelled, PoolFull, StaticCause, TokenPool};
use proptest::collection::vec;
use proptest::prelude::*;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::fmt::Debug;
use std::future::Future;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::{Duration, Instant};
use support::wakers::Counter;
use support::{balanced, measure, settles};
use ticks::ms;

const HOUR: Duration = Duration::from_secs(3600);
static WHY: StaticCause = StaticCause::new(&std::fmt::Error);

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A clock that is set by hand, and says that it is the system's.
struct AsSystem<'a>(&'a ManualTimer);

impl Timer for AsSystem<'_> {
    type Armed = ManualArmed;
    fn now(&self) -> Duration {
        self.0.now()
    }
    fn is_system_clock(&self) -> bool {
        true
    }
    fn arm(&self, at: Duration, alarm: Alarm) -> ManualArmed {
        self.0.arm(at, alarm)
    }
    fn disarm(armed: &ManualArmed) {
        ManualTimer::disarm(armed);
    }
}

/// One result of a sleep.
fn outcome(result: &Poll<Result<(), Cancelled>>) -> &'static str {
    match result {
        Poll::Pending => "pending",
        Poll::Ready(Ok(())) => "over",
        Poll::Ready(Err(why)) if why.is_deadline_exceeded() => "deadline",
        Poll::Ready(Err(why)) if why.cause().is_some() => "cancelled",
        Poll::Ready(Err(_)) => "cancelled without a cause",
    }
}

#[test]
fn it_is_over_when_its_time_has_come_and_not_before() {
    balanced(|| {
        let (timer, token, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
        timer.advance(s(1));
        let mut nap = sleep_with_timer(&timer, s(10), &token);
        assert_eq!(timer.pending(), 1);
        assert_eq!(outcome(&counter.poll(&mut nap)), "pending");
        timer.set(s(11) - Duration::from_nanos(1));
        assert_eq!((outcome(&counter.poll(&mut nap)), counter.wakes()), ("pending", 0));
        timer.set(s(11));
        assert_eq!((counter.wakes(), counter.kept(), timer.pending()), (1, 0, 0));
        assert_eq!(outcome(&counter.poll(&mut nap)), "over");
        assert_eq!(outcome(&counter.poll(&mut nap)), "over", "it says the same again");
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_cancel_ends_it_with_its_reason() {
    balanced(|| {
        let (timer, root, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
        let token = root.child_token();
        let mut nap = sleep_with_timer(&timer, s(10), &token);
        // It keeps what is above the token, and not the token.
        drop(token);
        assert!(counter.poll(&mut nap).is_pending());
        root.cancel_with(&WHY);
        assert_eq!((counter.wakes(), counter.kept(), timer.pending()), (1, 0, 0), "taken out of the timer");
        let Poll::Ready(Err(why)) = counter.poll(&mut nap) else { panic!("cancelled") };
        assert!(why.kind() == CancelKind::Cancelled && why.cause().unwrap().is::<std::fmt::Error>());
        timer.advance(HOUR);
        assert_eq!(outcome(&counter.poll(&mut nap)), "cancelled");
    });
}

/// Whichever poll comes to see it.
#[test]
fn what_happened_first_counts_not_what_is_polled_first() {
    balanced(|| {
        for polled in [false, true] {
            let (timer, token, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
            let mut naps = [1, 3].map(|seconds| sleep_with_timer(&timer, s(seconds), &token));
            if polled {
                assert!(naps.iter_mut().all(|nap| counter.poll(nap).is_pending()));
            }
            timer.advance(s(2));
            token.cancel();
            timer.advance(s(2));
            assert_eq!(naps.each_mut().map(|nap| outcome(&counter.poll(nap))), ["over", "cancelled without a cause"]);
        }
    });
}

#[test]
fn a_sleep_of_no_time_is_over_at_once_unless_the_token_is_cancelled() {
    settles(|| {
        let (timer, token, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
        let past = origin();
        let make = |token: &CancellationToken| {
            [
                sleep_with_timer(&timer, Duration::ZERO, token),
                try_sleep_with_timer(&timer, Duration::ZERO, token).unwrap(),
                sleep(Duration::ZERO, token),
                sleep_until(past, token),
                sleep_until(Instant::now(), token),
            ]
        };
        assert!(make(&token).iter_mut().all(|nap| outcome(&counter.poll(nap)) == "over"));
        token.cancel_with(&WHY);
        assert!(make(&token).iter_mut().all(|nap| outcome(&counter.poll(nap)) == "cancelled"));
        assert_eq!((counter.wakes(), counter.kept(), timer.pending()), (0, 0, 0));
    });
}

#[test]
fn a_sleep_that_ends_later_than_the_clock_can_say_is_ended_by_the_token_alone() {
    settles(|| {
        let (timer, token, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
        timer.advance(s(1));
        let mut naps = [
            sleep_with_timer(&timer, Duration::MAX, &token),
            try_sleep_with_timer(&timer, Duration::MAX, &token).unwrap(),
            sleep(Duration::MAX, &token),
        ];
        assert_eq!(timer.pending(), 0, "nothing is armed");
        timer.advance(Duration::MAX);
        assert!(naps.iter_mut().all(|nap| counter.poll(nap).is_pending()));
        token.cancel();
        assert_eq!(counter.wakes(), 3);
        assert!(naps.iter_mut().all(|nap| outcome(&counter.poll(nap)) == "cancelled without a cause"));
    });
}

/// On the same clock, whether or not it says that it is the system's.
#[test]
fn a_deadline_of_the_token_that_is_earlier_or_equal_is_an_error() {
    fn follow<T: Timer>(clock: &ManualTimer, timer: &T, deadline: Duration, end: Duration, deeper: bool) {
        let counter = Counter::new();
        let timed = CancellationToken::new().child_with_timer_cause(timer, clock.now() + deadline, &WHY);
        let token = if deeper { timed.child_token() } else { timed };
        let mut nap = sleep_with_timer(timer, end, &token);
        assert!(counter.poll(&mut nap).is_pending());
        clock.advance(deadline.min(end));
        assert_eq!(counter.wakes(), 1);
        let Poll::Ready(result) = counter.poll(&mut nap) else { panic!("one has come") };
        if end < deadline {
            assert!(result.is_ok() && !token.is_cancelled());
        } else {
            let why = result.unwrap_err();
            assert!(why.is_deadline_exceeded() && why.cause().unwrap().is::<std::fmt::Error>(), "the token's own");
        }
    }
    balanced(|| {
        for (deadline, end) in [(2, 1), (1, 1), (1, 2)] {
            for deeper in [false, true] {
                let clock = ManualTimer::new();
                follow(&clock, &clock, s(deadline), s(end), deeper);
                follow(&clock, &AsSystem(&clock), s(deadline), s(end), deeper);
                assert_eq!(clock.pending(), 0);
            }
        }
    });
}

/// The alarm of the token's deadline may be late: a sleep that would be over at once is not over before it.
#[test]
fn a_deadline_that_has_passed_unfired_counts_on_the_systems_clock() {
    /// Time passes, and no alarm is fired before it is asked for.
    #[derive(Default)]
    struct Late(std::sync::Mutex<(Duration, Vec<Alarm>)>);
    impl Timer for Late {
        type Armed = ();
        fn now(&self) -> Duration {
            self.0.lock().unwrap().0
        }
        fn is_system_clock(&self) -> bool {
            true
        }
        fn arm(&self, _: Duration, alarm: Alarm) {
            self.0.lock().unwrap().1.push(alarm);
        }
        fn disarm((): &()) {}
    }
    balanced(|| {
        let (timer, counter) = (Late::default(), Counter::new());
        let token = CancellationToken::new().child_with_timer(&timer, s(1));
        timer.0.lock().unwrap().0 = s(2);
        let mut naps = [sleep_with_timer(&timer, Duration::ZERO, &token), sleep_with_timer(&timer, s(1), &token)];
        assert!(naps.iter_mut().all(|nap| counter.poll(nap).is_pending()));
        let alarms = std::mem::take(&mut timer.0.lock().unwrap().1);
        assert_eq!(alarms.len(), 1);
        assert!(alarms[0].fire());
        assert!(naps.iter_mut().all(|nap| outcome(&counter.poll(nap)) == "deadline"));
    });
}

#[test]
fn where_the_token_ends_first_nothing_is_made() {
    settles(|| {
        let token = CancellationToken::new().child_with_timeout(HOUR);
        let (nap, account) = measure(|| sleep(2 * HOUR, &token));
        assert_eq!((account.calls, account.bytes), (0, 0));
        drop(nap);
        token.cancel();
        let (mut nap, account) = measure(|| sleep(s(1), &token));
        assert_eq!((account.calls, account.bytes), (0, 0));
        assert_eq!(outcome(&Counter::new().poll(&mut nap)), "cancelled without a cause");
    });
}

#[test]
fn a_sleep_that_is_dropped_leaves_nothing() {
    balanced(|| {
        let (_, account) = measure(|| {
            let (timer, token, counter) = (ManualTimer::new(), CancellationToken::new(), Counter::new());
            for polled in [false, true] {
                let mut nap = sleep_with_timer(&timer, HOUR, &token);
                if polled {
                    assert!(counter.poll(&mut nap).is_pending());
                }
                assert_eq!(timer.pending(), 1);
                drop(nap);
                assert_eq!((timer.pending(), counter.kept()), (0, 0));
            }
            token.cancel();
            assert_eq!(counter.wakes(), 0);
        });
        assert_eq!(account.bytes, 0);
    });
    settles(|| {
        let token = CancellationToken::new();
        for _ in 0..100 {
            drop((sleep(HOUR, &token), sleep_until(Instant::now() + HOUR, &token)));
        }
    });
}

#[test]
fn a_sleep_outlives_its_token_and_may_move_to_another_thread() {
    settles(|| {
        let token = CancellationToken::new();
        let nap = sleep(HOUR, &token);
        let thread = std::thread::spawn(move || futures_lite::future::block_on(nap));
        token.cancel();
        drop(token);
        assert!(thread.join().unwrap().is_err());
    });
}

/// A timer that panics when it is to arm: the token, and what the caller has, are as they were.
#[test]
fn a_panic_of_the_timer_is_the_callers() {
    struct Panics;
    impl Timer for Panics {
        type Armed = ();
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn arm(&self, _: Duration, _: Alarm) {
            panic!("no timer today")
        }
        fn disarm((): &()) {}
    }
    balanced(|| {
        let token = CancellationToken::new();
        for _ in 0..2 {
            assert!(catch_unwind(AssertUnwindSafe(|| sleep_with_timer(&Panics, s(1), &token))).is_err());
        }
        assert!(!token.is_cancelled());
    });
}

/// Without a heap: pool and timer of a static, and each may be full.
#[test]
fn in_a_pool() {
    balanced(|| {
        static POOL: TokenPool<4> = TokenPool::new();
        timer!(TIMER, 2);
        let counter = Counter::new();
        let token = POOL.try_token().unwrap();
        let mut short = try_sleep_with_timer(&&TIMER, ms(10), &token).unwrap();
        let mut long = try_sleep_with_timer(&&TIMER, ms(20), &token).unwrap();
        assert!(matches!(try_sleep_with_timer(&&TIMER, ms(30), &token), Err(PoolFull)), "the timer is");
        let other = POOL.try_token().unwrap();
        assert!(matches!(try_sleep_with_timer(&&TIMER, ms(30), &other), Err(PoolFull)), "the pool is");
        assert_eq!((POOL.in_use(), TIMER.in_use()), (4, 2));
        let (_, account) = measure(|| assert!(short_and_long(&mut short, &mut long).iter().all(Poll::is_pending)));
        assert_eq!((account.calls, account.bytes), (0, 0));
        it_is(10);
        TIMER.poll();
        token.cancel_with(&WHY);
        assert_eq!([&mut short, &mut long].map(|nap| outcome(&counter.poll(nap))), ["over", "cancelled"]);
        drop((short, long, token, other));
        assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0));
    });
}

fn short_and_long(short: &mut Sleep, long: &mut Sleep) -> [Poll<Result<(), Cancelled>>; 2] {
    let waker = std::task::Waker::noop();
    [short, long].map(|nap| support::wakers::poll(nap, waker))
}

/// What happens around some sleeps.
#[derive(Clone, Copy, Debug)]
enum Step {
    Sleep(u8),
    Advance(u8),
    Poll(usize),
    Cancel,
}

/// In seconds; the token's deadline, if any, has been armed before all others. Results as the plain rule gives them.
fn follow(deadline: Option<u8>, as_system: bool, steps: &[Step]) {
    struct Nap {
        sleep: Sleep,
        end: u64,
        expected: &'static str,
        polled: bool,
        counter: Counter,
    }
    let clock = ManualTimer::new();
    let root = CancellationToken::new();
    let system = AsSystem(&clock);
    let token = match deadline {
        Some(at) if as_system => root.child_with_timer(&system, s(at.into())),
        Some(at) => root.child_with_timer(&clock, s(at.into())),
        None => root.child_token(),
    };
    let (mut now, mut ended) = (0_u64, if deadline == Some(0) { Some("deadline") } else { None });
    let mut naps: Vec<Nap> = Vec::new();
    for step in steps {
        match *step {
            Step::Sleep(duration) => {
                let duration = u64::from(duration);
                let sleep = match as_system {
                    true => sleep_with_timer(&system, s(duration), &token),
                    false => sleep_with_timer(&clock, s(duration), &token),
                };
                let expected = ended.unwrap_or(if duration == 0 { "over" } else { "pending" });
                naps.push(Nap { sleep, end: now + duration, expected, polled: false, counter: Counter::new() });
            }
            Step::Advance(by) => {
                now += u64::from(by);
                clock.advance(s(by.into()));
                let deadline = deadline.map(u64::from).filter(|at| *at <= now && ended.is_none());
                for nap in naps.iter_mut().filter(|nap| nap.expected == "pending") {
                    if nap.end <= now && deadline.is_none_or(|at| nap.end < at) {
                        nap.expected = "over";
                    } else if deadline.is_some() {
                        nap.expected = "deadline";
                    }
                }
                ended = ended.or(deadline.map(|_| "deadline"));
            }
            Step::Poll(which) => {
                let count = naps.len();
                if let Some(nap) = naps.get_mut(which % count.max(1)) {
                    nap.polled |= nap.expected == "pending";
                    assert_eq!(outcome(&nap.counter.poll(&mut nap.sleep)), nap.expected);
                }
            }
            Step::Cancel => {
                root.cancel_with(&WHY);
                if ended.is_none() {
                    ended = Some("cancelled");
                    naps.iter_mut().filter(|nap| nap.expected == "pending").for_each(|nap| nap.expected = "cancelled");
                }
            }
        }
        for nap in &naps {
            let woken = nap.polled && nap.expected != "pending";
            assert_eq!(nap.counter.wakes(), usize::from(woken), "who has waited is woken once");
        }
    }
    for nap in &mut naps {
        assert_eq!(outcome(&nap.counter.poll(&mut nap.sleep)), nap.expected);
    }
    drop((naps, token));
    assert_eq!(clock.pending(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 500 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_ends_as_the_plain_rule_says(
        deadline in prop::option::of(0_u8..8),
        as_system in any::<bool>(),
        steps in vec(prop_oneof![
            3 => (0_u8..6).prop_map(Step::Sleep),
            2 => (0_u8..4).prop_map(Step::Advance),
            3 => (0_usize..6).prop_map(Step::Poll),
            1 => Just(Step::Cancel),
        ], 0..14),
    ) {
        balanced(|| follow(deadline, as_system, &steps));
    }
}

assert_impl_all!(Sleep: Future<Output = Result<(), Cancelled>>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_not_impl_any!(Sleep: Clone);

#[test]
fn what_it_says_of_itself() {
    settles(|| assert_eq!(format!("{:?}", sleep(HOUR, &CancellationToken::new())), "Sleep { .. }"));
}
