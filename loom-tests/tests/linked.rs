//! Tokens with several sources, and tokens with a deadline: others cancel them by a weak claim.

mod support;

use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{CancelKind, CancellationToken, StaticCause};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Counter, explore, poll, together};

static A: StaticCause = StaticCause::new(&std::fmt::Error);
static B: StaticCause = StaticCause::new(&std::fmt::Error);

/// Which of the two it was.
fn why(token: &CancellationToken) -> Option<*const ()> {
    token.reason().map(|reason| std::ptr::from_ref(reason.cause().unwrap()).cast())
}

#[test]
fn a_linked_token_hears_one_of_two_sources() {
    explore("any: cancel, cancel", 3, 100, || {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let linked = CancellationToken::any([&a, &b]);
        let below = linked.child_token();
        let (a1, b1) = (a.clone(), b.clone());
        together([
            actor!({
                a1.cancel_with(&A);
            }),
            actor!({
                b1.cancel_with(&B);
            }),
        ]);
        assert!(linked.is_cancelled() && below.is_cancelled(), "not reached");
        assert_eq!(why(&linked), why(&below));
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_who_finds_a_linked_token_cancelled() {
    explore("any: write and cancel, look", 4, 5, || {
        let linked = CancellationToken::any([&CancellationToken::new()]);
        let written = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let (for_canceller, other) = (written.clone(), linked.clone());
        let canceller = loom::thread::spawn(move || {
            for_canceller.store(1, Relaxed);
            other.cancel();
        });
        if linked.is_cancelled() {
            assert_eq!(written.load(Relaxed), 1, "cancelled, but what came before is not there");
        }
        canceller.join().unwrap();
    });
}

#[test]
fn a_linked_token_goes_while_its_source_is_cancelled() {
    explore("any: cancel, drop", 3, 100, || {
        let source = CancellationToken::new();
        let linked = CancellationToken::any([&source]);
        let other = source.clone();
        together([actor!(drop(linked)), actor!(other.cancel())]);
    });
}

#[test]
fn a_linked_token_goes_while_both_its_sources_are_cancelled() {
    explore("any: cancel, cancel, drop", 2, 1_000, || {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let linked = CancellationToken::any([&a, &b]);
        together([actor!(drop(linked)), actor!(a.cancel()), actor!(b.cancel())]);
    });
}

#[test]
fn a_linked_token_goes_while_its_source_collapses_during_a_cancel() {
    explore("any: relay, cancel and drop", 2, 1_000, || {
        let root = CancellationToken::new();
        let source = root.child_token();
        let linked = CancellationToken::any([&source]);
        // The link is the source's only child: the heir, which dies under the pin.
        together([
            actor!(drop(source)),
            actor!({
                root.cancel();
                drop(linked);
            }),
        ]);
    });
}

#[test]
fn a_linked_token_made_during_a_cancel_is_cancelled() {
    explore("any: create, cancel", 4, 50, || {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let other = a.clone();
        let canceller = loom::thread::spawn(move || other.cancel());
        let linked = CancellationToken::any([&b, &a]);
        canceller.join().unwrap();
        assert!(linked.is_cancelled(), "missed");
        assert!(!b.is_cancelled());
    });
}

#[test]
fn a_linked_token_made_of_a_child_during_a_cancel_is_cancelled() {
    explore("any of a child: create, cancel root", 4, 50, || {
        let root = CancellationToken::new();
        let child = Arc::new(root.child_token());
        let (source, linked) = (child.clone(), Arc::new(Mutex::new(None)));
        let links = linked.clone();
        together([
            actor!(root.cancel()),
            actor!({
                let linked = CancellationToken::any([&*source]);
                *links.lock().unwrap() = Some(linked);
            }),
        ]);
        assert!(linked.lock().unwrap().take().unwrap().is_cancelled(), "missed");
    });
}

#[test]
fn a_cancel_goes_on_through_linked_tokens_before_it_wakes() {
    explore("any of any: cancel, drop in between", 3, 100, || {
        let source = CancellationToken::new();
        let first = CancellationToken::any([&source]);
        let second = CancellationToken::any([&first]);
        let (counter, waker) = Counter::new();
        let mut wait = second.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        let other = source.clone();
        together([actor!(drop(first)), actor!(other.cancel())]);
        assert!(second.is_cancelled(), "the chain was broken");
        assert_eq!(counter.wakes(), 1);
    });
}

#[test]
fn a_linked_token_cancelled_by_itself_and_by_its_source() {
    explore("any: cancel of both", 3, 100, || {
        let source = CancellationToken::new();
        let linked = CancellationToken::any([&source]);
        let (counter, waker) = Counter::new();
        let mut wait = linked.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        let (other, source) = (linked.clone(), source.clone());
        together([
            actor!({
                other.cancel_with(&A);
            }),
            actor!({
                source.cancel_with(&B);
            }),
        ]);
        assert_eq!(counter.wakes(), 1);
    });
}

/// Hands its alarm out, and counts what is done with what it armed.
#[derive(Clone, Default)]
struct ByHand(Arc<Hand>);

#[derive(Default)]
struct Hand {
    alarm: Mutex<Option<Alarm>>,
    disarms: AtomicUsize,
    drops: AtomicUsize,
}

struct Armed(ByHand);
impl Drop for Armed {
    fn drop(&mut self) {
        self.0.0.drops.fetch_add(1, Relaxed);
    }
}

impl Timer for ByHand {
    type Armed = Armed;
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) -> Armed {
        *self.0.alarm.lock().unwrap() = Some(alarm);
        Armed(self.clone())
    }
    fn disarm(armed: &Armed) {
        armed.0.0.disarms.fetch_add(1, Relaxed);
    }
}

impl ByHand {
    fn alarm(&self) -> Alarm {
        self.0.alarm.lock().unwrap().take().unwrap()
    }
}

const LATER: Duration = Duration::from_secs(1);

#[test]
fn an_alarm_a_cancel_and_a_drop_meet() {
    explore("alarm, cancel, drop", 2, 1_000, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let timed = root.child_with_timer(&timer, LATER);
        let alarm = timer.alarm();
        together([
            actor!({
                alarm.fire();
            }),
            actor!(drop(timed)),
            actor!(root.cancel()),
        ]);
        assert!(timer.0.disarms.load(Relaxed) <= 1);
        drop(CancellationToken::new()); // What a cancel finds dead is freed by the next drop.
        assert_eq!(timer.0.drops.load(Relaxed), 1, "what was armed is left");
    });
}

#[test]
fn an_alarm_a_cancel_and_the_last_of_two_waiters_meet() {
    explore("alarm, cancel, drop of the last owned waiter", 1, 1_000, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let timed = root.child_with_timer(&timer, LATER);
        let alarm = timer.alarm();
        let (counter, waker) = Counter::new();
        let mut waits = [(); 2].map(|()| timed.clone().cancelled_owned());
        assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
        drop((timed, waker));
        together([
            actor!({
                alarm.fire();
            }),
            actor!(drop(waits)),
            actor!(root.cancel()),
        ]);
        assert!(counter.wakes() <= 2, "woken twice");
        drop(CancellationToken::new()); // What a cancel finds dead is freed by the next drop.
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
        assert_eq!(timer.0.drops.load(Relaxed), 1, "what was armed is left");
    });
}

#[test]
fn an_alarm_and_a_cancel_decide_between_them() {
    explore("alarm, cancel", 3, 100, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let timed = Arc::new(root.child_with_timer(&timer, LATER));
        let (alarm, other) = (timer.alarm(), timed.clone());
        let fired = Arc::new(AtomicUsize::new(0));
        let first = fired.clone();
        together([
            actor!({
                first.store(usize::from(alarm.fire()), Relaxed);
            }),
            actor!({
                root.cancel();
                assert!(other.is_cancelled(), "returned too early");
            }),
        ]);
        let late = timed.reason().unwrap().kind() == CancelKind::DeadlineExceeded;
        assert_eq!(late, fired.load(Relaxed) == 1);
        assert_eq!(timer.0.disarms.load(Relaxed), 1, "disarmed by the one who marks it");
    });
}

#[test]
fn a_parent_is_cancelled_while_a_timer_is_armed() {
    explore("arm, cancel", 4, 50, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let other = root.clone();
        let canceller = loom::thread::spawn(move || other.cancel());
        let timed = root.child_with_timer(&timer, LATER);
        canceller.join().unwrap();
        assert!(timed.is_cancelled());
        let armed = timer.0.alarm.lock().unwrap().take().is_some();
        assert_eq!(timer.0.disarms.load(Relaxed), usize::from(armed), "armed for nothing, and not disarmed");
        drop(timed);
        assert_eq!(timer.0.drops.load(Relaxed), usize::from(armed));
    });
}

/// Fires when it is armed, before anybody waits for the token; and before that makes a younger child, if there is a parent.
#[derive(Clone)]
struct AtOnce(Arc<Mutex<Option<bool>>>, Option<Arc<CancellationToken>>);
impl Timer for AtOnce {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) {
        let _younger = self.1.as_ref().map(|parent| parent.child_token());
        let fired = alarm.fire();
        *self.0.lock().unwrap() = Some(fired);
    }
    fn disarm((): &()) {}
}

#[test]
fn an_alarm_that_fires_while_it_is_armed_and_a_cancel_decide_between_them() {
    explore("arm and fire, cancel", 4, 50, || armed_at_once(false));
}

#[test]
fn an_alarm_that_fires_while_it_is_armed_has_a_younger_sibling() {
    explore("arm and fire behind another, cancel", 2, 50, || armed_at_once(true));
}

fn armed_at_once(behind_another: bool) {
    let root = Arc::new(CancellationToken::new());
    let timer = AtOnce(Arc::default(), behind_another.then(|| root.clone()));
    let (other, parent, arms) = (root.clone(), root.clone(), timer.clone());
    let made = Arc::new(Mutex::new(None));
    let makes = made.clone();
    together([
        actor!({
            let timed = parent.child_with_timer(&arms, LATER);
            let kind = timed.reason().map(|reason| reason.kind());
            *makes.lock().unwrap() = Some((timed, kind));
        }),
        actor!(other.cancel()),
    ]);
    let (timed, kind) = made.lock().unwrap().take().unwrap();
    assert_eq!(timed.reason().map(|reason| reason.kind()), kind, "a reason changed");
    let late = kind == Some(CancelKind::DeadlineExceeded);
    assert_eq!(late, timer.0.lock().unwrap().unwrap_or(false), "the alarm was told otherwise");
}

#[test]
fn an_alarm_reaches_what_is_below_a_token_that_is_dropped() {
    explore("alarm, drop above a child", 3, 100, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let timed = root.child_with_timer(&timer, LATER);
        let child = Arc::new(timed.child_token());
        let (alarm, other) = (timer.alarm(), child.clone());
        together([
            actor!(drop(timed)),
            actor!({
                assert!(alarm.fire(), "the chain was broken");
                assert!(other.is_cancelled(), "returned too early");
            }),
        ]);
        assert!(!root.is_cancelled());
    });
}

#[test]
fn an_alarm_of_a_token_that_is_gone_does_nothing() {
    explore("alarm, last drop", 4, 20, || {
        let timer = ByHand::default();
        let root = CancellationToken::new();
        let timed = root.child_with_timer(&timer, LATER);
        let alarm = timer.alarm();
        together([
            actor!({
                alarm.fire();
            }),
            actor!(drop(timed)),
        ]);
        drop(root);
        assert_eq!(timer.0.drops.load(Relaxed), 1);
    });
}
