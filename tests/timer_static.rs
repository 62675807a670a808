//! The timer with a number of places, in a static.
#![cfg(feature = "std")]

#[path = "support/probe.rs"]
mod probe;
mod support;
#[path = "support/ticks.rs"]
#[macro_use]
mod ticks;

use cancel_tree::time::{Alarm, Clock, StaticArmed, StaticTimer, Timer};
use cancel_tree::{CancelKind, CancellationToken};
use probe::Probe;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use support::{Random, wait_until};
use ticks::ms;

/// An alarm that notes its name.
fn noting(probe: &Probe, log: &Arc<Mutex<Vec<usize>>>, name: usize) -> Alarm {
    let log = log.clone();
    probe.alarm_with(move || log.lock().unwrap().push(name))
}

#[test]
fn a_poll_fires_what_is_due_and_says_what_comes_next() {
    timer!(TIMER, 4);
    let root = CancellationToken::new();
    assert_eq!((TIMER.poll(), TIMER.in_use(), TIMER.capacity()), (None, 0, 4));
    let [late, soon, now] = [30, 20, 10].map(|at| root.child_with_timer(&&TIMER, ms(at)));
    assert_eq!((TIMER.poll(), TIMER.in_use()), (Some(ms(10)), 3));
    it_is(9);
    assert_eq!((TIMER.poll(), now.is_cancelled()), (Some(ms(10)), false));
    it_is(10);
    assert_eq!(TIMER.poll(), Some(ms(20)));
    assert_eq!(now.reason().unwrap().kind(), CancelKind::DeadlineExceeded);
    assert!(!soon.is_cancelled() && !late.is_cancelled());
    it_is(1000);
    assert_eq!(TIMER.poll(), None);
    assert!(soon.is_cancelled() && late.is_cancelled() && !root.is_cancelled());
    assert_eq!(TIMER.in_use(), 3, "a token keeps its place");
    drop((now, soon, late));
    assert_eq!(TIMER.in_use(), 0);
    assert!(root.child_with_timer(&&TIMER, ms(1000)).is_cancelled());
    assert_eq!(TIMER.in_use(), 0, "what is over is not armed");
    assert_eq!(format!("{TIMER:?}"), "StaticTimer { in_use: 0, capacity: 4 }");
}

#[test]
fn the_earlier_deadline_is_fired_first_whatever_its_place() {
    timer!(TIMER, 6);
    let (probe, log) = (Probe::default(), Arc::default());
    let armed = [5, 3, 6, 1, 4, 9].map(|at| (&TIMER).arm(ms(at), noting(&probe, &log, at)));
    it_is(6);
    assert_eq!(TIMER.poll(), Some(ms(9)));
    assert_eq!(*log.lock().unwrap(), [1, 3, 4, 5, 6]);
    drop(armed);
    assert_eq!((probe.live(), TIMER.in_use()), (0, 0));
}

#[test]
fn deadlines_are_told_apart_to_the_nanosecond() {
    timer!(TIMER, 3);
    let probe = Probe::default();
    let nanos = [Duration::new(3, 999_999_999), Duration::new(4, 1), Duration::new(4, 0)];
    let armed = nanos.map(|at| (&TIMER).arm(at, probe.alarm()));
    assert_eq!(TIMER.poll(), Some(nanos[0]));
    it_is(4000);
    assert_eq!((TIMER.poll(), probe.fired()), (Some(nanos[1]), 2));
    drop(armed);
}

#[test]
fn a_token_that_is_cancelled_first_has_that_reason_and_gives_its_place_back_when_it_is_dropped() {
    timer!(TIMER, 1);
    let token = CancellationToken::new().child_with_timer(&&TIMER, ms(10));
    token.cancel();
    assert_eq!((TIMER.poll(), TIMER.in_use()), (Some(ms(10)), 1));
    it_is(10);
    assert_eq!(TIMER.poll(), None);
    assert_eq!(token.reason().unwrap().kind(), CancelKind::Cancelled);
    drop(token);
    assert_eq!(TIMER.in_use(), 0);
}

#[test]
fn a_drop_takes_the_alarm_out_at_once() {
    timer!(TIMER, 2);
    let probe = Probe::default();
    let [first, second] = [10, 20].map(|at| (&TIMER).arm(ms(at), probe.alarm()));
    drop(first);
    assert_eq!((TIMER.in_use(), probe.live(), TIMER.poll()), (1, 1, Some(ms(20))));
    it_is(20);
    assert_eq!((TIMER.poll(), probe.fired()), (None, 1));
    drop(second);
    assert_eq!((TIMER.in_use(), probe.live(), probe.fired()), (0, 0, 1));
}

#[test]
fn a_full_timer_gives_the_alarm_back_and_has_room_again_after_a_drop() {
    timer!(TIMER, 3);
    let probe = Probe::default();
    let try_arm = |at| (&TIMER).try_arm(ms(at), probe.alarm());
    let mut armed: Vec<_> = (1..=3).map(|at| try_arm(at).expect("room")).collect();
    let refused = try_arm(4).expect_err("no room");
    assert_eq!((probe.live(), TIMER.in_use()), (4, 3));
    assert!(refused.fire(), "what is given back can be used");
    drop(refused);
    assert_eq!((probe.live(), probe.fired()), (3, 1));

    it_is(2);
    TIMER.poll();
    assert!(try_arm(4).is_err(), "what has been fired has its place");
    for gone in [1, 0, 2, 0, 1, 2] {
        drop(armed.swap_remove(gone));
        assert_eq!(TIMER.in_use(), 2);
        armed.push(try_arm(9).expect("room again"));
        assert!(try_arm(9).is_err());
    }
    drop(armed);
    assert_eq!((probe.live(), TIMER.in_use()), (0, 0));
}

#[test]
fn arming_a_full_timer_panics_and_leaves_nothing() {
    timer!(TIMER, 1);
    let (parent, probe) = (CancellationToken::new(), Probe::default());
    let first = parent.child_with_timer(&&TIMER, ms(5));
    for _ in 0..2 {
        let second = catch_unwind(AssertUnwindSafe(|| parent.child_with_timer(&&TIMER, ms(5)))).unwrap_err();
        assert!(second.downcast_ref::<&str>().is_some_and(|text| text.contains("no room")));
        assert!(catch_unwind(AssertUnwindSafe(|| (&TIMER).arm(ms(5), probe.alarm()))).is_err());
        assert_eq!((probe.live(), TIMER.in_use()), (0, 1));
    }
    it_is(5);
    TIMER.poll();
    assert!(first.is_cancelled() && !parent.is_cancelled());
    drop(first);
    drop(parent.child_with_timer(&&TIMER, ms(6)));
    assert_eq!(TIMER.in_use(), 0);
}

#[test]
fn an_alarm_may_poll_again_which_fires_the_rest() {
    timer!(TIMER, 4);
    let (probe, log) = (Probe::default(), Arc::new(Mutex::new(Vec::new())));
    let nested = {
        let log = log.clone();
        probe.alarm_with(move || {
            assert_eq!(TIMER.poll(), Some(ms(9)));
            log.lock().unwrap().push(1);
        })
    };
    let armed = [
        (&TIMER).arm(ms(3), noting(&probe, &log, 3)),
        (&TIMER).arm(ms(1), nested),
        (&TIMER).arm(ms(9), noting(&probe, &log, 9)),
        (&TIMER).arm(ms(2), noting(&probe, &log, 2)),
    ];
    it_is(5);
    assert_eq!(TIMER.poll(), Some(ms(9)));
    assert_eq!(*log.lock().unwrap(), [2, 3, 1]);
    drop(armed);
}

#[test]
fn alarms_may_arm_and_drop() {
    timer!(TIMER, 4);
    let (probe, log) = (Probe::default(), Arc::new(Mutex::new(Vec::new())));
    let doomed = Arc::new(Mutex::new(Some((&TIMER).arm(ms(2), noting(&probe, &log, 2)))));
    let kept = Arc::new(Mutex::new(Vec::<StaticArmed>::new()));
    let hook = {
        let (probe, log, kept) = (probe.clone(), log.clone(), kept.clone());
        move || {
            log.lock().unwrap().push(1);
            drop(doomed.lock().unwrap().take());
            let armed = [(&TIMER).arm(ms(0), noting(&probe, &log, 0)), (&TIMER).arm(ms(20), noting(&probe, &log, 20))];
            assert!((&TIMER).try_arm(ms(1), probe.alarm()).is_err());
            kept.lock().unwrap().extend(armed);
        }
    };
    let armed = [(&TIMER).arm(ms(1), probe.alarm_with(hook)), (&TIMER).arm(ms(3), noting(&probe, &log, 3))];
    it_is(5);
    assert_eq!(TIMER.poll(), Some(ms(20)));
    assert_eq!(*log.lock().unwrap(), [1, 0, 3]);
    drop((armed, kept.lock().unwrap().split_off(0)));
    assert_eq!((probe.live(), TIMER.in_use()), (0, 0));
}

#[test]
fn a_panic_comes_after_the_others() {
    timer!(TIMER, 5);
    let (probe, log) = (Probe::default(), Arc::default());
    let armed = [
        (&TIMER).arm(ms(1), noting(&probe, &log, 1)),
        (&TIMER).arm(ms(2), probe.alarm_with(|| panic!("the first"))),
        (&TIMER).arm(ms(3), noting(&probe, &log, 3)),
        (&TIMER).arm(ms(4), probe.alarm_with(|| panic!("the second"))),
        (&TIMER).arm(ms(5), noting(&probe, &log, 5)),
    ];
    it_is(9);
    let panic = catch_unwind(|| TIMER.poll()).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first"));
    assert_eq!(*log.lock().unwrap(), [1, 3, 5]);
    assert_eq!((TIMER.poll(), probe.live(), TIMER.in_use()), (None, 0, 5));
    drop(armed);
    assert_eq!(TIMER.in_use(), 0);
}

static TOLD: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

struct Told;
impl Clock for Told {
    fn now() -> Duration {
        ms(10)
    }
    fn armed(at: Duration) {
        assert_ne!(at, ms(13), "no hardware timer for that");
        TOLD.lock().unwrap().push(at);
        TELLING.poll();
    }
}
static TELLING: StaticTimer<Told, 2> = StaticTimer::new();

#[test]
fn the_clock_is_told_what_has_been_armed_when_a_poll_can_find_it() {
    let (timer, probe) = (&TELLING, Probe::default());
    let late = timer.arm(ms(11), probe.alarm());
    let due = timer.arm(ms(10), probe.alarm());
    assert_eq!((probe.fired(), probe.live()), (1, 1));
    assert!(timer.try_arm(ms(12), probe.alarm()).is_err());
    assert_eq!(*TOLD.lock().unwrap(), [ms(11), ms(10)]);
    drop(late);
    // A panic there leaves nothing armed.
    assert!(catch_unwind(AssertUnwindSafe(|| timer.arm(ms(13), probe.alarm()))).is_err());
    assert_eq!((timer.in_use(), probe.live()), (1, 0));
    drop(due);
}

#[test]
fn what_never_comes_keeps_its_place_and_is_not_fired() {
    timer!(TIMER, 1);
    let probe = Probe::default();
    let armed = (&TIMER).arm(Duration::MAX, probe.alarm());
    it_is(usize::MAX >> 1);
    TIMER.poll();
    assert_eq!((probe.fired(), TIMER.in_use()), (0, 1));
    drop(armed);
    assert_eq!(probe.live(), 0);
    drop(CancellationToken::new().child_with_timer(&&TIMER, Duration::MAX));
    assert_eq!(TIMER.in_use(), 0);
}

#[test]
fn an_armed_alarm_is_one_word() {
    assert_eq!(size_of::<Option<StaticArmed>>(), size_of::<usize>());
    fn is_free_to_move<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    struct NotEvenSend(#[expect(dead_code, reason = "never made")] *const u8);
    impl Clock for NotEvenSend {
        fn now() -> Duration {
            ms(0)
        }
    }
    is_free_to_move::<StaticTimer<NotEvenSend, 3>>();
    is_free_to_move::<StaticArmed>();
}

/// No room in the program's image.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_static_timer_is_all_zero() {
    // SAFETY: by the linker, at the ends of what is zero when the program starts; only their addresses are used.
    unsafe extern "C" {
        static __bss_start: u8;
        static _end: u8;
    }
    timer!(TIMER, 9);
    let zero = (&raw const __bss_start).addr()..(&raw const _end).addr();
    let timer = (&raw const TIMER).addr();
    assert!(zero.contains(&timer) && zero.contains(&(timer + size_of_val(&TIMER) - 1)), "{timer:x} in {zero:x?}");
    static WORD: AtomicUsize = AtomicUsize::new(1);
    assert!(!zero.contains(&(&raw const WORD).addr()), "the range says nothing");
}

/// Room for the two alarms of each actor, and one that each poll may have to give back: nobody is refused.
#[test]
fn many_threads_arm_drop_and_poll() {
    const ACTORS: usize = 3;
    const OTHERS: usize = 2;
    timer!(TIMER, 2 * ACTORS + ACTORS + OTHERS);
    let rounds = if cfg!(miri) { 40 } else { 4000 };
    let (probe, left, start) = (Probe::default(), AtomicUsize::new(ACTORS), Barrier::new(ACTORS + OTHERS));
    /// Also if it panics.
    struct Gone<'a>(&'a AtomicUsize);
    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let actor = |seed| {
        let _gone = Gone(&left);
        let mut random = Random(seed);
        let mut armed = [None, None];
        start.wait();
        for _ in 0..rounds {
            let (at, which) = (NOW.load(SeqCst) + random.below(3), random.below(2));
            armed[which] = None;
            let fired = Arc::new(AtomicBool::new(false));
            let note = fired.clone();
            let alarm = probe.alarm_with(move || {
                assert!(NOW.load(SeqCst) >= at, "too early");
                assert!(!note.swap(true, SeqCst), "twice");
            });
            armed[which] = Some(((&TIMER).arm(ms(at), alarm), fired));
            match random.below(6) {
                0 => drop(TIMER.poll()),
                1 => drop(NOW.fetch_add(1, SeqCst)),
                2 => armed[which] = None,
                _ => {}
            }
        }
        // What is still there comes when its time has, by this poll or another.
        NOW.fetch_add(3, SeqCst);
        TIMER.poll();
        wait_until(|| armed.iter().flatten().all(|(_, fired)| fired.load(SeqCst)));
    };
    thread::scope(|scope| {
        for seed in 0..ACTORS {
            let actor = &actor;
            scope.spawn(move || actor(seed as u64));
        }
        for _ in 0..OTHERS {
            scope.spawn(|| {
                start.wait();
                while left.load(SeqCst) != 0 {
                    TIMER.poll();
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!((probe.live(), TIMER.in_use(), TIMER.poll()), (0, 0, None));
}

/// With nobody who polls.
#[test]
fn with_room_for_all_nobody_is_refused() {
    const ACTORS: usize = 4;
    timer!(TIMER, ACTORS);
    let rounds = if cfg!(miri) { 40 } else { 20_000 };
    let start = Barrier::new(ACTORS);
    thread::scope(|scope| {
        for _ in 0..ACTORS {
            scope.spawn(|| {
                let token = CancellationToken::new();
                start.wait();
                for round in 0..rounds {
                    drop(token.child_with_timer(&&TIMER, ms(1 + round % 3)));
                }
            });
        }
    });
    assert_eq!(TIMER.in_use(), 0);
}
