//! What a tracker does with the allocator, on the thread that calls it.
#![cfg(feature = "std")]

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::task::TaskTracker;
use std::task::Waker;
use support::wakers::{Counter, poll};
use support::{Account, balanced, measure};

const NOTHING: Account = Account { calls: 0, bytes: 0 };

#[test]
fn a_tracker_is_one_allocation() {
    balanced(|| {
        let (tracker, account) = measure(TaskTracker::new);
        assert_eq!(account.calls, 1);
        assert_eq!(size_of::<TaskTracker>(), size_of::<*const ()>());
        assert_eq!(size_of_val(&tracker.token()), size_of::<*const ()>());
        let ((), account) = measure(|| drop(tracker));
        assert_eq!(account.calls, 1);
    });
}

#[test]
fn tracking_and_exits_and_looks_do_without_the_allocator() {
    balanced(|| {
        let tracker = TaskTracker::new();
        let ((), account) = measure(|| {
            for _ in 0..100 {
                let token = tracker.token();
                let another = token.clone();
                let future = tracker.track_future(std::future::pending::<()>());
                tracker.close();
                assert_eq!(tracker.clone().len(), 3);
                drop((token, another, future));
                // Closed and empty: so this waits for nothing.
                assert!(poll(&mut tracker.wait(), Waker::noop()).is_ready());
                tracker.reopen();
            }
        });
        assert_eq!(account, NOTHING);
    });
}

#[test]
fn the_first_wait_of_a_round_is_one_token_and_its_end_allocates_nothing() {
    balanced(|| {
        let (_token, one_token) = measure(CancellationToken::new);
        let tracker = TaskTracker::new();
        for _ in 0..3 {
            let (mut wait, account) = measure(|| tracker.wait());
            assert_eq!(account, one_token);
            let counter = Counter::new();
            // The first that is polled has its place in the token.
            let waker = Waker::noop();
            assert_eq!(measure(|| poll(&mut wait, waker).is_pending()), (true, NOTHING));
            let (others, account) = measure(|| [(); 5].map(|()| tracker.wait()));
            assert_eq!(account, NOTHING);
            let (closed, account) = measure(|| tracker.close());
            assert_eq!((closed, account), (true, NOTHING));
            assert!(counter.poll(&mut wait).is_ready());
            tracker.reopen();
            drop(others);
        }
    });
}

#[test]
fn waits_that_come_and_go_leave_nothing_more() {
    balanced(|| {
        let tracker = TaskTracker::new();
        drop(tracker.wait());
        let ((), account) = measure(|| {
            for _ in 0..1000 {
                assert!(poll(&mut tracker.wait(), Waker::noop()).is_pending());
            }
        });
        assert_eq!(account, NOTHING);
        drop(tracker);
    });
}
