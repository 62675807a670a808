//! Wakers that do things to the tracker when they are cloned, woken or dropped; which never happens while anything is locked. All this
//! on a tracker where nobody else waits, and on one where a crowd does, so that who comes listens to the event.
#![cfg(feature = "task")]

mod support;

use cancel_tree::task::TaskTracker;
use cancel_tree::task::task_tracker::TaskTrackerWaitFuture;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use support::callbacks::panic_of;
use support::trackers::crowd;
use support::wakers::{Counter, Hooks, poll};
use support::{for_ever, on_a_small_stack};

type Wait = TaskTrackerWaitFuture<'static>;

/// One that has room for who waits, and one where a crowd waits already, for the end of this round.
fn trackers() -> [&'static TaskTracker; 2] {
    let trackers = [(); 2].map(|()| for_ever(TaskTracker::new()));
    std::mem::forget(crowd(trackers[1]));
    trackers
}

/// It uses the list: begins to wait, is told, goes.
fn use_the_list(tracker: &'static TaskTracker) {
    let counter = Counter::new();
    let was_closed = tracker.reopen();
    let mut wait = tracker.wait();
    assert!(counter.poll(&mut wait).is_pending());
    drop(wait);
    if was_closed {
        tracker.close();
    }
    assert_eq!((counter.wakes(), counter.kept()), (0, 0));
}

#[test]
fn a_wait_may_be_dropped_by_its_own_wake_up() {
    for tracker in trackers() {
        let waits: &Mutex<Vec<Option<Wait>>> = for_ever(Mutex::default());
        let counters = Counter::many(2);
        let hooks = Hooks::on_wake(|| {
            let own = waits.lock().unwrap()[1].take();
            drop(own);
        });
        for index in 0..3 {
            let mut wait = tracker.wait();
            let pending = match index {
                1 => hooks.poll(&mut wait),
                _ => counters[index / 2].poll(&mut wait),
            };
            assert!(pending.is_pending());
            waits.lock().unwrap().push(Some(wait));
        }
        assert!(tracker.close());
        assert!(counters.iter().all(|counter| counter.wakes() == 1) && hooks.wakes() == 1);
        let left = std::mem::take(&mut *waits.lock().unwrap());
        assert!(left[1].is_none());
        assert!(left.into_iter().flatten().all(|mut wait| poll(&mut wait, Waker::noop()).is_ready()));
        assert!(counters.iter().all(|counter| counter.kept() == 0));
    }
}

/// All others, and those that have been told but not woken, too: of those that listen, each is woken all the same.
#[test]
fn a_wake_up_may_drop_all_waits() {
    for (tracker, wakes) in trackers().into_iter().zip([0, 1]) {
        let waits: &Mutex<Vec<Wait>> = for_ever(Mutex::default());
        let hooks = Hooks::on_wake(|| waits.lock().unwrap().clear());
        let counters = Counter::many(40);
        for counter in &counters {
            let mut wait = tracker.wait();
            assert!(hooks.poll(&mut wait).is_pending());
            waits.lock().unwrap().push(wait);
            let mut wait = tracker.wait();
            assert!(counter.poll(&mut wait).is_pending());
            waits.lock().unwrap().push(wait);
        }
        tracker.close();
        assert!(counters.iter().all(|counter| counter.wakes() == wakes && counter.kept() == 0));
        assert!(tracker.reopen());
        use_the_list(tracker);
    }
}

/// A wait that was told and is dropped unpolled: who came after it hears nothing of that, though it has the same seat.
#[test]
fn who_was_told_and_goes_wakes_nobody() {
    for crowded in [false, true] {
        let (tracker, counters) = (TaskTracker::new(), Counter::many(2));
        let crowd = || if crowded { crowd(&tracker) } else { Vec::new() };
        let first_crowd = crowd();
        let (mut told, mut early) = (tracker.wait(), tracker.wait());
        assert!(counters[0].poll(&mut told).is_pending() && counters[0].poll(&mut early).is_pending());
        tracker.close();
        tracker.reopen();
        let second_crowd = crowd();
        let mut later = tracker.wait();
        assert!(counters[1].poll(&mut later).is_pending());
        drop((first_crowd, told));
        assert!(counters[0].poll(&mut early).is_ready());
        drop(early);
        assert_eq!((counters[0].wakes(), counters[1].wakes()), (2, 0));
        assert_eq!((counters[0].kept(), counters[1].kept()), (0, 1));
        drop(second_crowd);
        tracker.close();
        assert_eq!(counters[1].wakes(), 1);
        assert!(counters[1].poll(&mut later).is_ready());
        assert_eq!(counters[1].kept(), 0);
    }
}

/// While the end of one round is told, others begin to wait for the next. They have their seats before those that are told last.
#[test]
fn who_comes_while_an_end_is_told_is_not_told_of_it() {
    const WAITS: usize = 10;
    let tracker = for_ever(TaskTracker::new());
    let (counter, later) = (Counter::new(), for_ever(Counter::new()));
    let waits: &Mutex<Vec<Wait>> = for_ever(Mutex::default());
    let hooks = Hooks::on_wake(move || {
        tracker.reopen();
        for _ in 0..WAITS {
            let mut wait = tracker.wait();
            assert!(later.poll(&mut wait).is_pending());
            waits.lock().unwrap().push(wait);
        }
    });
    let mut told: Vec<_> = (0..WAITS).map(|_| tracker.wait()).collect();
    for (index, wait) in told.iter_mut().enumerate() {
        assert!(if index == 0 { hooks.poll(wait) } else { counter.poll(wait) }.is_pending());
    }
    tracker.close();
    assert_eq!((hooks.wakes(), counter.wakes(), later.wakes()), (1, WAITS - 1, 0));
    tracker.close();
    assert_eq!(later.wakes(), WAITS);
    assert!(waits.lock().unwrap().iter_mut().chain(&mut told).all(|wait| poll(wait, Waker::noop()).is_ready()));
}

#[test]
fn a_clone_and_a_drop_may_use_the_tracker() {
    for tracker in trackers() {
        let hooks = std::sync::Arc::new(Hooks {
            on_clone: Some(Box::new(move || use_the_list(tracker))),
            on_drop: Some(Box::new(move || use_the_list(tracker))),
            ..Hooks::default()
        });
        let counter = Counter::new();
        let mut wait = tracker.wait();
        // By another waker in its place, and by the wait's drop.
        assert!(hooks.poll(&mut wait).is_pending() && counter.poll(&mut wait).is_pending());
        assert_eq!(hooks.drops(), 1);
        assert!(hooks.poll(&mut wait).is_pending());
        drop(wait);
        assert_eq!(hooks.drops(), 2);
        let mut wait = tracker.wait();
        assert!(hooks.poll(&mut wait).is_pending());
        tracker.close();
        assert_eq!(hooks.wakes(), 1);
        assert!(counter.poll(&mut wait).is_ready());
        // One that is woken is used up by that.
        assert_eq!((hooks.drops(), counter.wakes(), counter.kept()), (2, 0, 0));
    }
}

/// The moment that is waited for comes while the waker is cloned.
#[test]
fn a_clone_may_end_the_wait() {
    for tracker in trackers() {
        let hooks = Hooks::on_clone(move || {
            tracker.close();
            tracker.reopen();
        });
        let mut wait = tracker.wait();
        assert!(hooks.poll(&mut wait).is_ready());
        let counter = Counter::new();
        let mut wait = tracker.wait();
        assert!(counter.poll(&mut wait).is_pending());
        assert!(hooks.poll(&mut wait).is_ready());
        assert_eq!((counter.wakes(), counter.kept()), (1, 0));
    }
}

#[test]
fn a_clone_that_panics_leaves_the_wait_as_it_was() {
    for tracker in trackers() {
        let hooks = Hooks::on_clone(|| resume_unwind(Box::new("clone")));
        let counter = Counter::new();
        let mut wait = tracker.wait();
        for _ in 0..2 {
            assert_eq!(panic_of(|| _ = hooks.poll(&mut wait)), Some("clone"));
            assert!(counter.poll(&mut wait).is_pending());
        }
        tracker.close();
        assert_eq!(counter.wakes(), 1);
        assert!(counter.poll(&mut wait).is_ready());
    }
}

#[test]
fn a_drop_that_panics_leaves_the_wait_as_it_should_be() {
    for tracker in trackers() {
        let panics = for_ever(AtomicBool::new(true));
        let hooks = Hooks::on_drop(|| {
            if panics.load(Relaxed) {
                resume_unwind(Box::new("drop"));
            }
        });
        let counter = Counter::new();
        let mut wait = tracker.wait();
        assert!(hooks.poll(&mut wait).is_pending());
        assert_eq!(panic_of(|| _ = counter.poll(&mut wait)), Some("drop"));
        tracker.close();
        assert_eq!((counter.wakes(), hooks.wakes()), (1, 0));
        assert!(counter.poll(&mut wait).is_ready());
        // The drop that comes with that of the wait.
        tracker.reopen();
        let mut wait = tracker.wait();
        assert!(hooks.poll(&mut wait).is_pending());
        assert_eq!(panic_of(|| drop(wait)), Some("drop"));
        panics.store(false, Relaxed);
        use_the_list(tracker);
    }
}

/// Each waker ends a round of its own. The stack does not grow with the number of those that are still to be woken.
#[test]
fn wakers_that_end_rounds_do_not_pile_up() {
    const WAITS: usize = if cfg!(miri) { 20 } else { 20_000 };
    on_a_small_stack(|| {
        let tracker = for_ever(TaskTracker::new());
        let (counter, inner) = (Counter::new(), for_ever(Counter::new()));
        let hooks = Hooks::on_wake(move || {
            tracker.reopen();
            let mut wait = tracker.wait();
            assert!(inner.poll(&mut wait).is_pending());
            tracker.close();
            assert!(inner.poll(&mut wait).is_ready());
        });
        let mut waits: Vec<_> = (0..WAITS).map(|_| tracker.wait()).collect();
        assert!(waits.iter_mut().all(|wait| hooks.poll(wait).is_pending()));
        let mut last = tracker.wait();
        assert!(counter.poll(&mut last).is_pending());
        tracker.close();
        assert_eq!((hooks.wakes(), inner.wakes(), counter.wakes()), (WAITS, WAITS, 1));
    });
}
