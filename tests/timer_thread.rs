//! The timer thread. (One process, one thread: the tests here share it, and run side by side.)
#![cfg(feature = "std")]
#[path = "support/probe.rs"]
mod probe;

use cancel_tree::time::{ThreadTimer, Timer};
use probe::Probe;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits for it, for a long time at most.
fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn fires_after_its_time() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let late = Arc::new(Mutex::new(Vec::new()));
    let armed: Vec<_> = (0..50_u64)
        .map(|n| {
            let at = timer.now() + ms(n * 7 % 40);
            let late = late.clone();
            let hook = move || late.lock().unwrap().push(timer.now().checked_sub(at).expect("fired too early"));
            timer.arm(at, probe.alarm_with(hook))
        })
        .collect();
    until(|| probe.fired() == 50);
    let mut late = late.lock().unwrap().clone();
    late.sort();
    println!("lateness: median {:?}, worst {:?}", late[25], late[49]);
    drop(armed);
    until(|| probe.live() == 0);
    assert_eq!(probe.fired(), 50);
}

#[test]
fn past_deadlines_fire_at_once() {
    let probe = Probe::default();
    let _armed = [Duration::ZERO, Duration::from_nanos(1)].map(|at| ThreadTimer::new().arm(at, probe.alarm()));
    until(|| probe.fired() == 2);
}

#[test]
fn disarmed_alarms_do_not_fire() {
    let timer = ThreadTimer::new();
    // If the machine stalls so long that one is due before it is disarmed, that shows nothing: again, with more time.
    for delay in [60, 600, 6_000] {
        let (gone, stays) = (Probe::default(), Probe::default());
        let at = timer.now() + ms(delay);
        let disarmed = timer.arm(at, gone.alarm());
        let dropped = timer.arm(at, gone.alarm());
        let _kept = timer.arm(at, stays.alarm());
        ThreadTimer::disarm(&disarmed);
        ThreadTimer::disarm(&disarmed);
        drop(dropped);
        if timer.now() < at {
            until(|| stays.fired() == 1);
            assert_eq!((gone.fired(), gone.live()), (0, 0));
            return;
        }
    }
    panic!("stalled for seconds, again and again");
}

#[test]
fn removed_alarms_are_given_back_though_nothing_is_due() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let armed: Vec<_> = (0..1000).map(|_| timer.arm(timer.now() + HOUR, probe.alarm())).collect();
    thread::sleep(ms(30));
    drop(armed);
    until(|| probe.live() == 0);
    let never = timer.arm(Duration::MAX, probe.alarm());
    assert_eq!(probe.live(), 0);
    drop(never);
}

#[test]
fn an_earlier_alarm_overtakes() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let _late = timer.arm(timer.now() + HOUR, probe.alarm());
    for _ in 0..20 {
        let before = probe.fired();
        let at = timer.now() + ms(1);
        let _armed = timer.arm(at, probe.alarm());
        until(|| probe.fired() == before + 1);
        assert!(timer.now() >= at);
    }
}

#[test]
fn panics_are_contained() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let at = timer.now() + ms(10);
    let _armed: Vec<_> = (0..6)
        .map(|n| {
            timer.arm(
                at,
                probe.alarm_with(move || {
                    if n % 2 == 0 {
                        panic!("a waker that panics, for a test")
                    }
                }),
            )
        })
        .collect();
    until(|| probe.fired() == 6);
    until(|| probe.live() == 0);
    let _more = timer.arm(timer.now() + ms(1), probe.alarm());
    until(|| probe.fired() == 7);
}

#[test]
fn alarms_may_arm_and_drop_and_park() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let inner = probe.clone();
    let slot = Arc::new(Mutex::new(Vec::new()));
    let kept = slot.clone();
    let _outer = timer.arm(
        timer.now(),
        probe.alarm_with(move || {
            // Swallows whatever unpark is under way.
            thread::park_timeout(ms(1));
            drop(timer.arm(timer.now() + HOUR, inner.alarm()));
            kept.lock().unwrap().push(timer.arm(timer.now() + ms(2), inner.alarm()));
            thread::park_timeout(ms(1));
        }),
    );
    until(|| probe.fired() == 2 && probe.live() == 0);
}

#[test]
fn many_threads() {
    let timer = ThreadTimer::new();
    let (kept, dropped) = (Probe::default(), Probe::default());
    thread::scope(|scope| {
        for seed in 0..4_u64 {
            let (kept, dropped) = (&kept, &dropped);
            scope.spawn(move || {
                let mut armed = Vec::new();
                for round in 0..2000_u64 {
                    armed
                        .push(timer.arm(timer.now() + Duration::from_micros((round * 37 + seed) % 3000), kept.alarm()));
                    let other = timer.arm(timer.now() + HOUR, dropped.alarm());
                    if round % 3 == 0 {
                        ThreadTimer::disarm(&other);
                    }
                }
                until(|| kept.fired() == 8000);
            });
        }
    });
    until(|| kept.live() + dropped.live() == 0);
    assert_eq!((kept.fired(), dropped.fired()), (8000, 0));
}

#[test]
fn a_million_timeouts_leave_nothing() {
    let timer = ThreadTimer::new();
    let probe = Probe::default();
    let start = Instant::now();
    for _ in 0..1_000_000 {
        drop(timer.arm(timer.now() + HOUR, probe.alarm()));
    }
    println!("{:?} per pair", start.elapsed() / 1_000_000);
    let start = Instant::now();
    until(|| probe.live() == 0);
    println!("gone after {:?}", start.elapsed());
    assert_eq!(probe.fired(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_thread_has_its_name() {
    let timer = ThreadTimer::new();
    let (tell, told) = std::sync::mpsc::channel();
    let probe = Probe::default();
    let _armed = timer
        .arm(timer.now(), probe.alarm_with(move || tell.send(thread::current().name().map(String::from)).unwrap()));
    assert_eq!(told.recv().unwrap().as_deref(), Some("cancel-tree timer"));
}
