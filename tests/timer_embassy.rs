//! Alarms at Embassy's time driver (on the host: its `std` driver).
#![cfg(feature = "embassy-time")]
#[path = "support/probe.rs"]
mod probe;

use cancel_tree::time::{EmbassyTimer, Timer};
use futures_lite::future::{block_on, or, poll_once};
use probe::Probe;
use std::thread;
use std::time::{Duration, Instant};

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
fn fires_after_its_time_and_gives_back() {
    static TIMER: EmbassyTimer = EmbassyTimer::new();
    let (timer, probe) = (&TIMER, Probe::default());
    let before = timer.arm(timer.now() + ms(10), probe.alarm());
    thread::spawn(|| block_on(TIMER.run()));
    until(|| probe.fired() == 1);
    drop(before);
    for n in 0..20_u64 {
        let late = timer.arm(timer.now() + Duration::from_secs(3600), probe.alarm());
        let at = timer.now() + ms(n % 4);
        let armed = timer.arm(at, probe.alarm_with(move || assert!(timer.now() >= at)));
        until(|| probe.fired() == n as usize + 2);
        drop((late, armed));
        until(|| probe.live() == 0);
    }
    // If the machine stalls so long that one is due before it is disarmed, that shows nothing: again, with more time.
    let in_time = [20, 200, 2_000].into_iter().any(|delay| {
        let (probe, other, at) = (Probe::default(), Probe::default(), timer.now() + ms(delay));
        let disarmed = timer.arm(at, probe.alarm());
        <&EmbassyTimer as Timer>::disarm(&disarmed);
        let in_time = timer.now() < at;
        let _kept = timer.arm(at + ms(10), other.alarm());
        until(|| other.fired() == 1);
        assert!(!in_time || probe.fired() == 0);
        drop(disarmed);
        until(|| probe.live() == 0);
        in_time
    });
    assert!(in_time, "stalled for seconds, again and again");
}

#[test]
fn another_run_goes_on_where_one_was_dropped() {
    static TIMER: EmbassyTimer = EmbassyTimer::new();
    let (timer, probe) = (&TIMER, Probe::default());
    // Time enough to poll once, on any machine.
    let at = timer.now() + ms(2_000);
    let _early = timer.arm(at, probe.alarm());
    let late = timer.arm(timer.now() + Duration::from_secs(3600), probe.alarm());
    {
        let mut run = Box::pin(TIMER.run());
        assert!(block_on(poll_once(&mut run)).is_none());
    }
    drop(late);
    assert_eq!((probe.fired(), probe.live()), (0, 2));
    until(|| timer.now() >= at);
    block_on(or(async { TIMER.run().await }, async {
        futures_lite::future::yield_now().await;
        futures_lite::future::yield_now().await;
    }));
    assert_eq!((probe.fired(), probe.live()), (1, 0));
}

#[test]
fn one_run_at_a_time() {
    static TIMER: EmbassyTimer = EmbassyTimer::new();
    let mut run = Box::pin(TIMER.run());
    assert!(block_on(poll_once(&mut run)).is_none());
    let second = std::panic::catch_unwind(|| block_on(poll_once(TIMER.run())).is_none());
    assert!(second.is_err());
    fn is_send(_: &(impl Send + ?Sized)) {}
    is_send(&run);
}
