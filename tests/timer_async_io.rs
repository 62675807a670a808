//! Alarms at the reactor of async-io.
#![cfg(feature = "async-io")]
#[path = "support/probe.rs"]
mod probe;

use cancel_tree::time::{AsyncIoTimer, Timer};
use probe::Probe;
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        thread::sleep(ms(1));
    }
}

#[test]
fn fires_though_nobody_polls() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    let at = timer.now() + ms(30);
    let _armed = timer.arm(at, probe.alarm_with(move || assert!(timer.now() >= at)));
    until(|| probe.fired() == 1);
    assert!(timer.now() >= at);
    until(|| probe.live() == 0);
}

#[test]
fn fires_what_is_past_at_once() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    let _armed = timer.arm(Duration::ZERO, probe.alarm());
    assert_eq!((probe.fired(), probe.live()), (1, 0));
}

#[test]
fn fires_inside_smol_and_async_std() {
    let timer = AsyncIoTimer::new();
    let probe = Probe::default();
    smol::block_on(async {
        let _armed = timer.arm(timer.now() + ms(10), probe.alarm());
        until(|| probe.fired() == 1);
    });
    async_std::task::block_on(async {
        let _armed = timer.arm(timer.now() + ms(10), probe.alarm());
        until(|| probe.fired() == 2);
    });
    // Blocks the executor's thread: the reactor has its own.
    smol::block_on(async {
        let _armed = timer.arm(timer.now() + ms(10), probe.alarm());
        until(|| probe.fired() == 3);
    });
}

#[test]
fn disarmed_and_dropped_alarms_do_not_fire() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    // If the machine stalls so long that one is due before it is disarmed, that shows nothing: again, with more time.
    let in_time = [30, 300, 3_000].into_iter().any(|delay| {
        let (probe, other, at) = (Probe::default(), Probe::default(), timer.now() + ms(delay));
        let disarmed = timer.arm(at, probe.alarm());
        drop(timer.arm(at, probe.alarm()));
        AsyncIoTimer::disarm(&disarmed);
        let in_time = timer.now() < at;
        let _kept = timer.arm(at + ms(10), other.alarm());
        until(|| other.fired() == 1);
        assert!(!in_time || (probe.fired(), probe.live()) == (0, 1));
        drop(disarmed);
        assert_eq!(probe.live(), 0);
        in_time
    });
    assert!(in_time, "stalled for seconds, again and again");
    let never = timer.arm(Duration::MAX, probe.alarm());
    AsyncIoTimer::disarm(&never);
    assert_eq!(probe.live(), 0);
}

#[test]
fn churn_leaves_nothing() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    for _ in 0..100_000 {
        drop(timer.arm(timer.now() + HOUR, probe.alarm()));
    }
    assert_eq!((probe.live(), probe.fired()), (0, 0));
}

#[test]
fn alarms_may_panic_and_arm_and_drop() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    let slot = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (inner, kept) = (probe.clone(), slot.clone());
    let _panics = timer.arm(timer.now() + ms(5), probe.alarm_with(|| panic!("a waker that panics, for a test")));
    let _arms = timer.arm(
        timer.now() + ms(6),
        probe.alarm_with(move || {
            (0..5000).for_each(|_| drop(timer.arm(timer.now() + HOUR, inner.alarm())));
            kept.lock().unwrap().push(timer.arm(timer.now() + ms(2), inner.alarm()));
        }),
    );
    until(|| probe.fired() == 3);
    until(|| probe.live() == 0);
    slot.lock().unwrap().clear();
}

#[test]
fn many_threads() {
    let (timer, probe) = (AsyncIoTimer::new(), Probe::default());
    thread::scope(|scope| {
        for seed in 0..3_u64 {
            let probe = &probe;
            scope.spawn(move || {
                let armed: Vec<_> = (0..500)
                    .map(|n| timer.arm(timer.now() + Duration::from_micros((n * 13 + seed) % 3000), probe.alarm()))
                    .collect();
                until(|| probe.fired() == 1500);
                drop(armed);
            });
        }
    });
    until(|| probe.live() == 0);
}
