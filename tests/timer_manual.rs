//! The clock that is set by hand.
#![cfg(feature = "std")]
#[path = "support/probe.rs"]
mod probe;

use cancel_tree::time::{Alarm, ManualArmed, ManualTimer, Timer};
use probe::Probe;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An alarm that notes its name.
fn noting(probe: &Probe, log: &Arc<Mutex<Vec<u64>>>, name: u64) -> Alarm {
    let log = log.clone();
    probe.alarm_with(move || log.lock().unwrap().push(name))
}

#[test]
fn stands_still_and_steps() {
    let timer = ManualTimer::new();
    let probe = Probe::default();
    assert_eq!((timer.now(), timer.pending()), (Duration::ZERO, 0));
    let armed = timer.arm(s(10), probe.alarm());
    timer.advance(s(9));
    timer.set(s(5));
    assert_eq!((timer.now(), probe.fired(), timer.pending()), (s(9), 0, 1));
    timer.set(s(10));
    assert_eq!((timer.now(), probe.fired(), timer.pending(), probe.live()), (s(10), 1, 0, 0));
    drop(armed);
    assert_eq!(timer, timer.clone());
    assert_ne!(timer, ManualTimer::new());
    assert_eq!(format!("{timer:?}"), "ManualTimer { now: 10s, pending: 0 }");
}

#[test]
fn in_the_order_of_deadlines_then_of_arming() {
    let timer = ManualTimer::new();
    let (probe, log) = (Probe::default(), Arc::default());
    let _armed: Vec<_> = [5, 3, 5, 1, 3, 9]
        .into_iter()
        .enumerate()
        .map(|(n, at)| timer.arm(s(at), noting(&probe, &log, at * 10 + n as u64)))
        .collect();
    timer.advance(s(8));
    assert_eq!(*log.lock().unwrap(), [13, 31, 34, 50, 52]);
    assert_eq!(timer.pending(), 1);
}

#[test]
fn what_is_due_fires_when_armed() {
    let timer = ManualTimer::new();
    let probe = Probe::default();
    timer.advance(s(3));
    let _armed = [timer.arm(s(3), probe.alarm()), timer.arm(s(1), probe.alarm()), timer.arm(s(4), probe.alarm())];
    assert_eq!((probe.fired(), timer.pending()), (2, 1));
}

#[test]
fn removal_gives_back_without_a_step() {
    let timer = ManualTimer::new();
    let probe = Probe::default();
    let (first, second, third) =
        (timer.arm(s(1), probe.alarm()), timer.arm(s(1), probe.alarm()), timer.arm(s(1), probe.alarm()));
    ManualTimer::disarm(&first);
    ManualTimer::disarm(&first);
    assert_eq!(timer.pending(), 2);
    drop(second);
    assert_eq!((timer.pending(), probe.live()), (1, 1), "a drop tidies up");
    drop(first);
    timer.advance(s(1));
    drop(third);
    assert_eq!((timer.pending(), probe.live(), probe.fired()), (0, 0, 1));
}

#[test]
fn the_end_of_time() {
    let timer = ManualTimer::new();
    let probe = Probe::default();
    let _never = timer.arm(Duration::MAX, probe.alarm());
    let _far = timer.arm(s(1 << 34), probe.alarm());
    assert_eq!(timer.pending(), 1);
    timer.advance(Duration::MAX);
    timer.advance(Duration::MAX);
    timer.set(Duration::MAX);
    assert_eq!((timer.pending(), probe.fired()), (0, 1));
}

#[test]
fn alarms_arm_disarm_and_advance() {
    let timer = ManualTimer::new();
    let (probe, log) = (Probe::default(), Arc::new(Mutex::new(Vec::new())));
    let slot = Arc::new(Mutex::new(Vec::<ManualArmed>::new()));
    let doomed = Arc::new(Mutex::new(Some(timer.arm(s(2), noting(&probe, &log, 2)))));
    let hook = {
        let (timer, probe, log, slot) = (timer.clone(), probe.clone(), log.clone(), slot.clone());
        move || {
            log.lock().unwrap().push(1);
            drop(doomed.lock().unwrap().take());
            slot.lock().unwrap().push(timer.arm(s(1), noting(&probe, &log, 11)));
            slot.lock().unwrap().push(timer.arm(s(20), noting(&probe, &log, 20)));
            timer.advance(s(19));
            log.lock().unwrap().push(12);
        }
    };
    let _first = timer.arm(s(1), probe.alarm_with(hook));
    let _third = timer.arm(s(3), noting(&probe, &log, 3));
    timer.advance(s(1));
    assert_eq!(*log.lock().unwrap(), [1, 12, 11, 3, 20]);
    assert_eq!((timer.now(), timer.pending(), probe.live()), (s(20), 0, 0));
}

#[test]
fn a_panic_comes_after_the_others() {
    let timer = ManualTimer::new();
    let (probe, log) = (Probe::default(), Arc::default());
    let _armed = [
        timer.arm(s(1), noting(&probe, &log, 1)),
        timer.arm(s(2), probe.alarm_with(|| panic!("the first"))),
        timer.arm(s(3), noting(&probe, &log, 3)),
        timer.arm(s(4), probe.alarm_with(|| panic!("the second"))),
        timer.arm(s(5), noting(&probe, &log, 5)),
    ];
    let panic = catch_unwind(AssertUnwindSafe(|| timer.advance(s(9)))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first"));
    assert_eq!(*log.lock().unwrap(), [1, 3, 5]);
    assert_eq!((timer.pending(), probe.live()), (0, 0));
    timer.advance(s(1));
    assert_eq!(timer.now(), s(10));
}

#[test]
fn alarms_keep_the_clock_and_nothing_else() {
    let timer = ManualTimer::new();
    let probe = Probe::default();
    let armed = timer.arm(s(1), probe.alarm());
    drop(timer);
    assert_eq!(probe.live(), 1);
    drop(armed);
    assert_eq!((probe.live(), probe.fired()), (0, 0));
}

#[test]
fn many_threads() {
    let timer = ManualTimer::new();
    let (kept, dropped) = (Probe::default(), Probe::default());
    let rounds = if cfg!(miri) { 40 } else { 3000 };
    thread::scope(|scope| {
        for seed in 0..3_u64 {
            let (timer, kept, dropped) = (timer.clone(), &kept, &dropped);
            scope.spawn(move || {
                let mut armed = Vec::new();
                for round in 0..rounds {
                    armed.push(timer.arm(timer.now() + s((round + seed) % 3), kept.alarm()));
                    let other = timer.arm(s(1 << 30), dropped.alarm());
                    if round % 2 == 0 {
                        ManualTimer::disarm(&other);
                    }
                    drop(other);
                    if round % 5 == seed {
                        timer.advance(s(1));
                    }
                }
                armed
            });
        }
    });
    timer.advance(s(5));
    // The threads' own alarms were dropped when their results were.
    assert_eq!((kept.live(), dropped.live(), dropped.fired(), timer.pending()), (0, 0, 0, 0));
}

/// What an `advance` that has the clock to itself finds due has been fired when it returns, whatever others arm and drop.
#[test]
fn advance_does_not_return_early_for_tidying() {
    let timer = ManualTimer::new();
    let (probe, noisy) = (Probe::default(), Probe::default());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    thread::scope(|scope| {
        let (noise, noisy, stop_noise) = (timer.clone(), &noisy, &stop);
        scope.spawn(move || {
            // Not for ever: `advance` goes on for as long as others make more to tidy up than it can.
            for _ in 0..20_000 {
                if stop_noise.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                drop(noise.arm(s(1 << 30), noisy.alarm()));
            }
        });
        for round in 1..=rounds {
            let _armed = timer.arm(s(round), probe.alarm());
            timer.advance(s(1));
            assert_eq!(probe.fired() as u64, round);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(noisy.live(), 0);
}
