//! What a tracker does with the allocator, on the thread that calls it.
#![cfg(feature = "task")]

mod support;

use cancel_tree::task::TaskTracker;
use std::task::Waker;
use support::trackers::crowd;
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
fn waits_of_a_few_allocate_in_the_first_round_alone() {
    balanced(|| {
        let tracker = TaskTracker::new();
        let counter = Counter::new();
        for round in 0..3 {
            let (mut wait, account) = measure(|| tracker.wait());
            assert_eq!(account, NOTHING);
            // Where the first four sit, and a bit for each.
            let (pending, account) = measure(|| poll(&mut wait, Waker::noop()).is_pending());
            assert_eq!((pending, account.calls), (true, 2 * usize::from(round == 0)));
            let (pending, account) = measure(|| counter.poll(&mut wait).is_pending());
            assert_eq!((pending, account), (true, NOTHING));
            let mut others = [tracker.wait(), tracker.wait(), tracker.wait()];
            let (pending, account) = measure(|| others.each_mut().map(|wait| poll(wait, Waker::noop()).is_pending()));
            assert_eq!((pending, account), ([true; 3], NOTHING));
            let (closed, account) = measure(|| tracker.close());
            assert_eq!((closed, account), (true, NOTHING));
            assert_eq!(measure(|| counter.poll(&mut wait).is_ready()), (true, NOTHING));
            tracker.reopen();
        }
    });
}

#[test]
fn a_wait_beyond_those_that_have_room_allocates_when_it_is_polled_and_its_end_once() {
    balanced(|| {
        let tracker = TaskTracker::new();
        let crowd = crowd(&tracker);
        for _ in 0..3 {
            let (mut wait, account) = measure(|| tracker.wait());
            assert_eq!(account, NOTHING);
            let counter = Counter::new();
            // Its entry in the event's list, and the waker in that.
            let (pending, account) = measure(|| poll(&mut wait, Waker::noop()).is_pending());
            assert_eq!((pending, account.calls), (true, 2));
            let (pending, account) = measure(|| counter.poll(&mut wait).is_pending());
            assert_eq!((pending, account), (true, NOTHING));
            drop(wait);
            assert_eq!(counter.kept(), 0);
        }
        let counter = Counter::new();
        let mut wait = tracker.wait();
        assert!(counter.poll(&mut wait).is_pending());
        // Where the wakers go that are to be woken; and it goes, too.
        let (closed, account) = measure(|| tracker.close());
        assert!(closed && account.calls > 0);
        assert!(counter.wakes() == 1 && counter.poll(&mut wait).is_ready());
        drop(crowd);
    });
}

#[test]
fn waits_that_come_and_go_leave_nothing_more() {
    balanced(|| {
        let tracker = TaskTracker::new();
        let ((), account) = measure(|| {
            for _ in 0..1000 {
                drop(tracker.wait());
            }
        });
        assert_eq!(account, NOTHING);
        drop(crowd(&tracker));
        let ((), account) = measure(|| {
            for _ in 0..1000 {
                assert!(poll(&mut tracker.wait(), Waker::noop()).is_pending());
            }
        });
        assert_eq!(account, NOTHING);
        let ((), account) = measure(|| drop(crowd(&tracker)));
        assert_eq!(account.bytes, 0);
        let ((), account) = measure(|| _ = tracker.close());
        assert_eq!(account.bytes, 0);
    });
}
