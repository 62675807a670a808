//! The tracker between threads, and wakers that do more than wake.
#![cfg(feature = "task")]

mod support;

use cancel_tree::task::TaskTracker;
use futures_lite::future::block_on;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};
use std::task::Waker;
use std::thread;
use support::callbacks::panic_of;
use support::trackers::crowd;
use support::wakers::{Counter, Hooks, poll};
use support::{Random, for_ever, until_done};

/// Three threads exit, one closes, two wait: both are told by one of these steps, in whatever order they come. (A wake-up that
/// is lost leaves the test hanging.) Every other time a crowd waits, too.
#[test]
fn the_close_and_the_last_exit_meet() {
    let mut done = until_done(2);
    let mut crowded = false;
    while !done() {
        crowded = !crowded;
        let tracker = TaskTracker::new();
        let _crowd = if crowded { crowd(&tracker) } else { Vec::new() };
        let seen = AtomicUsize::new(0);
        let start = Barrier::new(6);
        thread::scope(|scope| {
            for _ in 0..3 {
                let token = tracker.token();
                let (seen, start) = (&seen, &start);
                scope.spawn(move || {
                    start.wait();
                    seen.fetch_add(1, Relaxed);
                    drop(token);
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let wait = tracker.wait();
                    start.wait();
                    block_on(wait);
                    // What came before the exits happens before this.
                    assert_eq!(seen.load(Relaxed), 3);
                    assert!(tracker.is_closed() && tracker.is_empty());
                });
            }
            scope.spawn(|| {
                start.wait();
                assert!(tracker.close());
            });
        });
    }
}

/// A wait that was there before is told of the moment, whatever is done to the tracker right after it.
#[test]
fn a_reopening_takes_nothing_back() {
    let mut done = until_done(2);
    while !done() {
        let tracker = TaskTracker::new();
        let token = tracker.token();
        let start = Barrier::new(3);
        let early = tracker.wait();
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                block_on(early);
            });
            scope.spawn(|| {
                start.wait();
                drop(token);
                tracker.close();
                tracker.reopen();
                std::mem::forget(tracker.token());
            });
            start.wait();
            // Meanwhile others begin to wait, and give up.
            for _ in 0..3 {
                let _ = poll(&mut tracker.wait(), Waker::noop());
            }
        });
        assert!(poll(&mut tracker.wait(), Waker::noop()).is_pending());
    }
}

/// A wait is not told of a moment before it, however late the cancel of that comes. While this thread holds a token the tracker
/// is not empty; what makes it closed and empty before, and ends rounds of others for that, are two other threads.
#[test]
fn a_wait_is_not_told_of_what_came_before_it() {
    let tracker = TaskTracker::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut wait = tracker.wait();
                    let _ = poll(&mut wait, Waker::noop());
                    tracker.close();
                    tracker.reopen();
                }
            });
        }
        // Also if an assertion fails.
        let _stop = Stop(&stop);
        let mut done = until_done(2);
        while !done() {
            let token = tracker.token();
            let mut wait = tracker.wait();
            for _ in 0..10 {
                assert!(poll(&mut wait, Waker::noop()).is_pending());
                thread::yield_now();
            }
            drop(token);
        }
    });
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Waits that begin at any time, in rounds that end all the time: each ends.
#[test]
fn every_wait_ends_when_rounds_go_on() {
    const EACH: usize = if cfg!(miri) { 20 } else { 5_000 };
    let tracker = TaskTracker::new();
    let waiting = AtomicUsize::new(3);
    thread::scope(|scope| {
        for seed in 0..3 {
            let (tracker, waiting) = (&tracker, &waiting);
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..EACH {
                    let mut wait = tracker.wait();
                    match random.below(20) {
                        0..5 => {}
                        5..10 => drop(tracker.token()),
                        10..15 => _ = poll(&mut wait, Waker::noop()),
                        15..19 => block_on(wait),
                        _ => crowd(tracker).into_iter().for_each(block_on),
                    }
                }
                waiting.fetch_sub(1, Relaxed);
            });
        }
        let mut random = Random(7);
        while waiting.load(Relaxed) != 0 {
            let token = (random.below(2) == 0).then(|| tracker.token());
            tracker.close();
            drop(token);
            if random.below(2) == 0 {
                tracker.reopen();
            }
        }
    });
    assert!(tracker.is_empty());
}

#[test]
fn counts_add_up_between_threads() {
    const EACH: usize = if cfg!(miri) { 20 } else { 20_000 };
    let tracker = TaskTracker::new();
    let kept: Mutex<Vec<_>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..EACH {
                    let token = tracker.token();
                    if n % 100 == 0 {
                        kept.lock().unwrap().push(token.clone());
                    }
                    if n % 7 == 0 {
                        tracker.close();
                        tracker.reopen();
                    }
                }
            });
        }
    });
    let mut kept = kept.into_inner().unwrap();
    assert_eq!(tracker.len(), kept.len());
    tracker.close();
    let last = kept.pop();
    let mut wait = tracker.wait();
    drop(kept);
    assert!(poll(&mut wait, Waker::noop()).is_pending());
    drop(last);
    assert!(poll(&mut wait, Waker::noop()).is_ready());
}

/// One panics of those who wait; all others are woken, and the panic reaches who has ended the wait.
#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    for (by_exit, crowded) in [(false, false), (false, true), (true, false), (true, true)] {
        let (tracker, counters) = (TaskTracker::new(), Counter::many(5));
        let _crowd = if crowded { crowd(&tracker) } else { Vec::new() };
        let token = tracker.token();
        let hooks = Hooks::on_wake(|| resume_unwind(Box::new("waker")));
        let mut waits: Vec<_> = (0..6).map(|_| tracker.wait()).collect();
        for (index, wait) in waits.iter_mut().enumerate() {
            let pending = match index.checked_sub(1) {
                None => hooks.poll(wait),
                Some(index) => counters[index].poll(wait),
            };
            assert!(pending.is_pending());
        }
        let panic = if by_exit {
            tracker.close();
            panic_of(|| drop(token))
        } else {
            drop(token);
            panic_of(|| _ = tracker.close())
        };
        assert_eq!(panic, Some("waker"));
        assert!(counters.iter().all(|counter| counter.wakes() == 1) && hooks.wakes() == 1);
        assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()).is_ready()));
        // And the tracker is as it should be.
        assert!(tracker.is_closed() && tracker.is_empty() && tracker.reopen());
        let mut wait = tracker.wait();
        assert!(counters[0].poll(&mut wait).is_pending());
        tracker.close();
        assert_eq!(counters[0].wakes(), 2);
        assert!(counters[0].poll(&mut wait).is_ready());
    }
}

/// Whatever a waker does with the tracker, and with other waits of it, nothing is locked.
#[test]
fn a_waker_may_do_anything_with_the_tracker() {
    type Wait = cancel_tree::task::task_tracker::TaskTrackerWaitFuture<'static>;
    let tracker = for_ever(TaskTracker::new());
    let others: &Mutex<Vec<Wait>> = for_ever(Mutex::default());
    let counter = for_ever(Counter::new());
    let hooks = Hooks::on_wake(move || {
        let mut others = others.lock().unwrap();
        drop(others.pop());
        assert!(others.iter_mut().all(|wait| counter.poll(wait).is_ready()));
        assert!(tracker.is_closed() && tracker.is_empty());
        assert!(poll(&mut tracker.wait(), Waker::noop()).is_ready());
        assert!(tracker.reopen());
        let token = tracker.token();
        let mut next = tracker.wait();
        assert!(counter.poll(&mut next).is_pending());
        tracker.close();
        drop(token);
        assert!(counter.poll(&mut next).is_ready());
        tracker.reopen();
        others.push(tracker.wait());
    });
    let mut wait = tracker.wait();
    assert!(hooks.poll(&mut wait).is_pending());
    let _crowd = crowd(tracker);
    for _ in 0..3 {
        let mut other = tracker.wait();
        assert!(counter.poll(&mut other).is_pending());
        others.lock().unwrap().push(other);
    }
    tracker.close();
    assert_eq!(hooks.wakes(), 1);
    assert!(poll(&mut wait, Waker::noop()).is_ready());
    assert!(!tracker.is_closed());
    let mut last = others.lock().unwrap().pop().unwrap();
    assert!(poll(&mut last, Waker::noop()).is_pending());
    tracker.close();
    assert!(poll(&mut last, Waker::noop()).is_ready());
}

/// The executor that polls in the wake-up itself, as that of `cancel_when` does.
#[test]
fn a_wait_may_be_polled_by_its_own_wake_up() {
    let (tracker, token) = (TaskTracker::new(), cancel_tree::CancellationToken::new());
    let tracked = tracker.token();
    let again = tracker.clone();
    let rounds = std::sync::Arc::new(AtomicUsize::new(0));
    let watch = token.cancel_when({
        let rounds = rounds.clone();
        async move {
            for _ in 0..3 {
                again.wait().await;
                rounds.fetch_add(1, Relaxed);
                again.reopen();
            }
        }
    });
    drop(tracked);
    for round in 1..=3 {
        assert!(!token.is_cancelled());
        tracker.close();
        assert_eq!(rounds.load(Relaxed), round);
    }
    assert!(token.is_cancelled());
    drop(watch);
}
