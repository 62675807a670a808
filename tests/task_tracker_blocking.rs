//! Threads that wait for a tracker.
#![cfg(feature = "task")]

mod support;

use cancel_tree::task::TaskTracker;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::PATIENCE;

#[test]
fn it_is_over_at_once_if_it_is_closed_and_empty() {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker.wait_blocking();
    for timeout in [Duration::ZERO, PATIENCE, Duration::MAX] {
        assert!(tracker.wait_blocking_timeout(timeout));
    }
}

#[test]
fn a_timeout_ends_it_and_zero_only_looks() {
    let tracker = TaskTracker::new();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(!tracker.wait_blocking_timeout(timeout), "open");
    }
    let token = tracker.token();
    tracker.close();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(!tracker.wait_blocking_timeout(timeout), "not empty");
    }
    drop(token);
    assert!(tracker.wait_blocking_timeout(Duration::ZERO));
}

#[test]
fn threads_wait_until_the_last_exit() {
    const WORKERS: usize = 4;
    let (tracker, done) = (TaskTracker::new(), AtomicUsize::new(0));
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            let token = tracker.token();
            let (done, gate) = (&done, &gate);
            scope.spawn(move || {
                gate.lock().unwrap().recv().unwrap();
                done.fetch_add(1, Relaxed);
                drop(token);
            });
        }
        tracker.close();
        for timeout in [None, Some(PATIENCE), Some(Duration::MAX)] {
            let (tracker, done) = (&tracker, &done);
            scope.spawn(move || {
                match timeout {
                    None => tracker.wait_blocking(),
                    Some(timeout) => assert!(tracker.wait_blocking_timeout(timeout)),
                }
                assert_eq!(done.load(Relaxed), WORKERS);
            });
        }
        (0..WORKERS).for_each(|_| go.send(()).unwrap());
    });
}

#[test]
fn the_close_ends_it_and_a_reopening_does_not_take_that_back() {
    let tracker = TaskTracker::new();
    let (told, waiting) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            told.send(()).unwrap();
            tracker.wait_blocking();
        });
        waiting.recv().unwrap();
        // It may begin to wait at any time during this: what it waits for comes again and again, and then for good.
        for _ in 0..1000 {
            tracker.close();
            tracker.reopen();
        }
        tracker.close();
    });
}

/// A token that somebody left for the thread's park is no end.
#[test]
fn wake_ups_for_nothing_are_no_end() {
    let tracker = TaskTracker::new();
    let token = tracker.token();
    tracker.close();
    thread::current().unpark();
    assert!(!tracker.wait_blocking_timeout(Duration::from_millis(5)));
    drop(token);
    tracker.wait_blocking();
}
