//! Alarms at the timer of a Tokio runtime.
#![cfg(feature = "tokio")]
#[path = "support/probe.rs"]
mod probe;

use cancel_tree::time::{Timer, TokioTimer, origin};
use probe::Probe;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

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

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock() {
    let (timer, probe) = (TokioTimer::current(), Probe::default());
    let start = timer.now();
    assert_eq!(timer.now(), start);
    let armed = timer.arm(start + HOUR, probe.alarm());
    tokio::time::advance(HOUR - ms(1)).await;
    assert_eq!((probe.fired(), timer.now() - start), (0, HOUR - ms(1)));
    tokio::time::advance(ms(2)).await;
    assert_eq!((probe.fired(), probe.live()), (1, 0));
    drop(armed);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_advances_to_the_alarm() {
    let (timer, probe) = (TokioTimer::current(), Probe::default());
    let start = timer.now();
    let notify = Arc::new(tokio::sync::Notify::new());
    let tell = notify.clone();
    let _armed = timer.arm(start + HOUR, probe.alarm_with(move || tell.notify_one()));
    notify.notified().await;
    assert_eq!(timer.now() - start, HOUR);
    assert_eq!(probe.fired(), 1);
}

#[tokio::test(start_paused = true)]
async fn in_a_task_without_budget() {
    let (timer, probe) = (TokioTimer::current(), Probe::default());
    let armed = tokio::spawn({
        let probe = probe.clone();
        async move {
            while tokio::task::coop::has_budget_remaining() {
                let mut consume = std::pin::pin!(tokio::task::coop::consume_budget());
                let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(consume.as_mut().poll(cx))).await;
            }
            timer.arm(timer.now() + ms(5), probe.alarm())
        }
    })
    .await
    .unwrap();
    tokio::time::sleep(ms(10)).await;
    assert_eq!(probe.fired(), 1);
    drop(armed);
}

#[test]
fn from_outside_of_the_runtime() {
    assert!(TokioTimer::try_current().is_err());
    let runtime = threads();
    let (timer, probe) = (TokioTimer::new(runtime.handle().clone()), Probe::default());
    assert!(timer.now() >= origin().elapsed() - Duration::from_secs(1));
    let at = timer.now() + ms(20);
    let clock = timer.clone();
    let _armed = timer.arm(at, probe.alarm_with(move || assert!(clock.now() >= at)));
    let _past = timer.arm(Duration::ZERO, probe.alarm());
    assert!(probe.fired() >= 1);
    until(|| probe.fired() == 2);
    until(|| probe.live() == 0);
}

#[test]
fn disarmed_and_dropped_alarms_do_not_fire() {
    let runtime = threads();
    let (timer, probe) = (TokioTimer::new(runtime.handle().clone()), Probe::default());
    // If the machine stalls so long that one is due before it is disarmed, that shows nothing: again, with more time.
    let in_time = [30, 300, 3_000].into_iter().any(|delay| {
        let (probe, other, at) = (Probe::default(), Probe::default(), timer.now() + ms(delay));
        let disarmed = timer.arm(at, probe.alarm());
        drop(timer.arm(at, probe.alarm()));
        TokioTimer::disarm(&disarmed);
        let in_time = timer.now() < at;
        let _kept = timer.arm(at + ms(10), other.alarm());
        until(|| other.fired() == 1);
        assert!(!in_time || probe.fired() == 0);
        in_time
    });
    assert!(in_time, "stalled for seconds, again and again");
    drop(timer.arm(Duration::MAX, probe.alarm()));
    for _ in 0..10_000 {
        drop(timer.arm(timer.now() + HOUR, probe.alarm()));
    }
    assert_eq!((probe.fired(), probe.live()), (0, 0));
}

#[test]
fn a_runtime_that_shuts_down() {
    for threaded in [false, true] {
        let runtime = if threaded { threads() } else { Builder::new_current_thread().enable_time().build().unwrap() };
        let (timer, probe) = (TokioTimer::new(runtime.handle().clone()), Probe::default());
        let armed = [timer.arm(timer.now() + HOUR, probe.alarm()), timer.arm(timer.now() + HOUR, probe.alarm())];
        drop(runtime);
        let [first, second] = armed;
        TokioTimer::disarm(&first);
        drop((first, second));
        assert_eq!((probe.fired(), probe.live()), (0, 0));
        let refused =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| timer.arm(timer.now() + HOUR, probe.alarm())));
        assert!(refused.is_err());
        assert_eq!(probe.live(), 0);
    }
}

#[test]
fn alarms_may_panic_and_arm_and_drop() {
    let runtime = threads();
    let (timer, probe) = (TokioTimer::new(runtime.handle().clone()), Probe::default());
    let slot = Arc::new(Mutex::new(Vec::new()));
    let (inner, kept, clock) = (probe.clone(), slot.clone(), timer.clone());
    let _panics = timer.arm(timer.now() + ms(5), probe.alarm_with(|| panic!("a waker that panics, for a test")));
    let _arms = timer.arm(
        timer.now() + ms(6),
        probe.alarm_with(move || {
            (0..100).for_each(|_| drop(clock.arm(clock.now() + HOUR, inner.alarm())));
            kept.lock().unwrap().push(clock.arm(clock.now() + ms(2), inner.alarm()));
        }),
    );
    until(|| probe.fired() == 3);
    until(|| probe.live() == 0);
    slot.lock().unwrap().clear();
}
