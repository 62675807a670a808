//! Waiting. Proves, within the bounds: C12 and C13: no wake-up is lost, each is given once, to the latest waker; a
//! registration ends with its future.

mod support;

use cancel_tree::{CancellationToken, model};
use loom::thread::spawn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use support::{Counter, explore, poll, together};

/// What a cancel that has returned owes to a waiter that said `polled`.
#[track_caller]
fn woken_or_ready(polled: Poll<()>, counter: &Counter) {
    match polled {
        Poll::Pending => assert_eq!(counter.wakes(), 1, "a wake-up was lost or given twice"),
        Poll::Ready(()) => assert!(counter.wakes() <= 1, "woken twice"),
    }
}

/// A token that is cancelled by the short way, if it has a waiter by then; and one with a child, so that the cancel walks, and lists
/// what it finds waited for.
fn alone_and_with_a_child(name: &str, bounds: [usize; 2], floor: usize, scene: fn(CancellationToken)) {
    explore(name, bounds[0], floor, move || scene(CancellationToken::new()));
    explore(&format!("{name}, with a child"), bounds[1], floor, move || {
        let token = CancellationToken::new();
        let _child = token.child_token();
        scene(token);
    });
}

#[test]
fn a_waiter_that_registers_during_a_cancel_is_ready_or_woken() {
    alone_and_with_a_child("register, cancel", [4, 3], 40, |root| {
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let (counter, waker) = Counter::new();
        let mut wait = root.cancelled();
        let polled = poll(&mut wait, &waker);
        assert!(polled.is_pending() || root.is_cancelled(), "ready before the token was cancelled");
        canceller.join().unwrap();
        woken_or_ready(polled, &counter);
        assert!(poll(&mut wait, &waker).is_ready());
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_the_future_that_is_ready() {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    explore("write and cancel, register", 4, 50, || {
        let root = CancellationToken::new();
        let written = Arc::new(AtomicUsize::new(0));
        let (other, for_canceller) = (root.clone(), written.clone());
        let canceller = spawn(move || {
            for_canceller.store(1, Relaxed);
            other.cancel();
        });
        let (_counter, waker) = Counter::new();
        if poll(&mut root.cancelled(), &waker).is_ready() {
            assert_eq!(written.load(Relaxed), 1, "ready, but what came before is not there");
            assert!(root.is_cancelled(), "ready, but not cancelled");
        }
        canceller.join().unwrap();
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_the_future_that_is_ready_after_others() {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    explore("write and cancel, register where another was", 4, 50, || {
        let root = CancellationToken::new();
        let (_counter, waker) = Counter::new();
        assert!(poll(&mut root.cancelled(), &waker).is_pending());
        let written = Arc::new(AtomicUsize::new(0));
        let (other, for_canceller) = (root.clone(), written.clone());
        let canceller = spawn(move || {
            for_canceller.store(1, Relaxed);
            other.cancel();
        });
        if poll(&mut root.cancelled(), &waker).is_ready() {
            assert_eq!(written.load(Relaxed), 1, "ready, but what came before is not there");
            assert!(root.is_cancelled(), "ready, but not cancelled");
        }
        canceller.join().unwrap();
    });
}

#[test]
fn a_waiter_of_a_child_is_woken_by_a_cancel_of_the_root() {
    explore("register below, cancel", 4, 20, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let canceller = spawn(move || root.cancel());
        let (counter, waker) = Counter::new();
        let mut wait = child.cancelled();
        let polled = poll(&mut wait, &waker);
        canceller.join().unwrap();
        woken_or_ready(polled, &counter);
    });
}

#[test]
fn a_waiter_dropped_during_a_cancel_leaves_nothing() {
    alone_and_with_a_child("drop waiter, cancel", [4, 3], 100, |root| {
        let (counter, waker) = Counter::new();
        let mut wait = Box::new(root.clone().cancelled_owned());
        assert!(poll(&mut wait, &waker).is_pending());
        drop(waker);
        together([actor!(drop(wait)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 1, "woken twice");
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
    });
}

#[test]
fn a_waiter_dropped_before_a_cancel_is_not_woken() {
    explore("drop waiter then cancel", 2, 1, || {
        let root = CancellationToken::new();
        let (counter, waker) = Counter::new();
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        drop(wait);
        root.cancel();
        assert_eq!(counter.wakes(), 0, "woken after its drop");
    });
}

#[test]
fn the_waker_of_the_latest_poll_is_the_one_that_is_woken() {
    alone_and_with_a_child("poll again with another waker, cancel", [4, 3], 20, |root| {
        let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &first_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let polled = poll(&mut wait, &second_waker);
        assert!(polled.is_pending() || root.is_cancelled(), "ready, but not cancelled");
        canceller.join().unwrap();
        if polled.is_pending() {
            assert_eq!((first.wakes(), second.wakes()), (0, 1), "not the latest waker was woken");
        } else {
            assert_eq!(second.wakes(), 0, "a waker was woken that had not been taken");
            assert!(first.wakes() <= 1, "woken twice");
        }
    });
}

#[test]
fn a_waiter_that_polls_again_with_the_same_waker_is_woken() {
    explore("poll again, cancel", 4, 20, || {
        let root = CancellationToken::new();
        let (counter, waker) = Counter::new();
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let polled = poll(&mut wait, &waker);
        assert!(polled.is_pending() || root.is_cancelled(), "ready, but not cancelled");
        canceller.join().unwrap();
        woken_or_ready(polled, &counter);
    });
}

#[test]
fn two_waiters_that_register_during_a_cancel_are_both_ready_or_woken() {
    explore("register, register, cancel", 1, 100, || {
        let root = CancellationToken::new();
        let waiter = || {
            let root = root.clone();
            let (counter, waker) = Counter::new();
            let thread = spawn(move || {
                let mut wait = root.cancelled_owned();
                let polled = poll(&mut wait, &waker);
                (wait, polled)
            });
            (thread, counter)
        };
        let ((one, one_counter), (two, two_counter)) = (waiter(), waiter());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let ((_one, one_polled), (_two, two_polled)) = (one.join().unwrap(), two.join().unwrap());
        canceller.join().unwrap();
        woken_or_ready(one_polled, &one_counter);
        woken_or_ready(two_polled, &two_counter);
    });
}

#[test]
fn a_second_waiter_that_registers_during_a_cancel_is_ready_or_woken() {
    explore("register second, cancel", 3, 100, || {
        let root = CancellationToken::new();
        let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &first_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let mut another = root.cancelled();
        let polled = poll(&mut another, &second_waker);
        canceller.join().unwrap();
        assert_eq!(first.wakes(), 1, "the first waiter was not woken once");
        woken_or_ready(polled, &second);
    });
}

#[test]
fn a_second_waiter_dropped_during_a_cancel_leaves_nothing() {
    explore("drop second, cancel", 4, 100, || {
        let root = CancellationToken::new();
        let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &first_waker).is_pending());
        let mut another = Box::new(root.clone().cancelled_owned());
        assert!(poll(&mut another, &second_waker).is_pending());
        drop(second_waker);
        let other = root.clone();
        together([actor!(drop(another)), actor!(other.cancel())]);
        assert_eq!(first.wakes(), 1, "the first waiter was not woken once");
        assert!(second.wakes() <= 1, "woken twice");
        assert_eq!(Arc::strong_count(&second), 1, "a waker was kept");
    });
}

#[test]
fn the_second_waiter_polls_again_with_another_waker_during_a_cancel() {
    explore("poll second again, cancel", 3, 50, || {
        let root = CancellationToken::new();
        let (_first, first_waker) = Counter::new();
        let ((old, old_waker), (new, new_waker)) = (Counter::new(), Counter::new());
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &first_waker).is_pending());
        let mut another = root.cancelled();
        assert!(poll(&mut another, &old_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let polled = poll(&mut another, &new_waker);
        canceller.join().unwrap();
        if polled.is_pending() {
            assert_eq!((old.wakes(), new.wakes()), (0, 1), "not the latest waker was woken");
        } else {
            assert!(old.wakes() + new.wakes() <= 1, "woken twice");
        }
    });
}

#[test]
fn a_slot_goes_from_one_future_to_another_during_a_cancel() {
    alone_and_with_a_child("drop waiter and register, cancel", [4, 3], 90, |root| {
        let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &first_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        drop(wait);
        let mut another = root.cancelled();
        let polled = poll(&mut another, &second_waker);
        canceller.join().unwrap();
        assert!(first.wakes() <= 1, "woken twice");
        woken_or_ready(polled, &second);
    });
}

#[test]
fn a_slot_goes_from_one_thread_to_another() {
    explore("register and drop, register and drop", 3, 500, || {
        let root = CancellationToken::new();
        together([(); 2].map(|()| {
            let root = root.clone();
            actor!({
                let (counter, waker) = Counter::new();
                let mut wait = root.cancelled();
                assert!(poll(&mut wait, &waker).is_pending());
                drop(wait);
                drop(waker);
                assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
            })
        }));
        assert!(model::live_nodes() <= 2, "more than the token and its block are left");
    });
}

#[test]
fn the_last_handle_goes_while_its_waiter_is_woken() {
    explore("drop owned waiter, cancel root", 3, 100, || {
        let root = CancellationToken::new();
        let (counter, waker) = Counter::new();
        let mut wait = Box::new(root.child_token().cancelled_owned());
        assert!(poll(&mut wait, &waker).is_pending());
        together([actor!(drop(wait)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 1, "woken twice");
    });
}

#[test]
fn two_cancels_wake_a_waiter_once() {
    explore("cancel, cancel, one waiter", 1, 30, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let mut wait = Box::new(child.clone().cancelled_owned());
        assert!(poll(&mut wait, &waker).is_pending());
        together([actor!(root.cancel()), actor!(child.cancel())]);
        assert_eq!(counter.wakes(), 1, "not woken exactly once");
        drop(wait);
    });
}

#[test]
fn a_child_comes_while_a_lone_waiter_is_woken() {
    explore("create, cancel, one waiter", 4, 20, || {
        let root = CancellationToken::new();
        let (counter, waker) = Counter::new();
        let mut wait = root.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let child = root.child_token();
        canceller.join().unwrap();
        assert_eq!(counter.wakes(), 1, "not woken exactly once");
        assert!(root.is_cancelled() && child.is_cancelled(), "the cancel has returned, and has not cancelled");
    });
}

#[test]
fn a_relay_collapses_above_a_waiter_during_a_cancel() {
    explore("relay above a waiter, cancel", 2, 500, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let child = relay.child_token();
        let (counter, waker) = Counter::new();
        let mut wait = Box::new(child.cancelled_owned());
        assert!(poll(&mut wait, &waker).is_pending());
        together([actor!(drop(relay)), actor!(root.cancel())]);
        assert_eq!(counter.wakes(), 1, "a wake-up was lost or given twice");
        drop(wait);
    });
}

#[test]
fn a_waiter_below_a_relay_is_dropped_during_a_cancel() {
    explore("relay, drop waiter below, cancel", 1, 100, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let child = relay.child_token();
        let (counter, waker) = Counter::new();
        let mut wait = Box::new(child.cancelled_owned());
        assert!(poll(&mut wait, &waker).is_pending());
        together([actor!(drop(relay)), actor!(drop(wait)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 1, "woken twice");
    });
}

/// A waker that panics when it is first woken. It owns nothing, so that a second wake shows in the count alone.
fn panicking(wakes: &'static AtomicUsize) -> Waker {
    use std::task::{RawWaker, RawWakerVTable};
    fn wake(wakes: *const ()) {
        // SAFETY: from a reference to a static.
        let wakes = unsafe { &*wakes.cast::<AtomicUsize>() };
        assert!(wakes.fetch_add(1, Ordering::Relaxed) != 0, "the waker's own panic");
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_| {});
    // SAFETY: nothing is owned, and what is counted may be counted by anybody.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(wakes).cast(), &TABLE)) }
}

#[test]
fn a_waker_of_a_block_that_panics_is_not_woken_again() {
    static WAKES: AtomicUsize = AtomicUsize::new(0);
    // One is in the token, two are in its first block, and two in another one; the first of a block panics.
    for panics in [1, 3] {
        explore("cancel, a further waiter's waker panics", 0, 1, move || {
            WAKES.store(0, Ordering::Relaxed);
            let token = CancellationToken::new();
            let (counter, waker) = Counter::new();
            let panicking = panicking(&WAKES);
            let _waits: Vec<_> = (0..5)
                .map(|number| {
                    let mut wait = token.clone().cancelled_owned();
                    assert!(poll(&mut wait, if number == panics { &panicking } else { &waker }).is_pending());
                    wait
                })
                .collect();
            let cancel = std::panic::AssertUnwindSafe(|| token.cancel());
            assert!(std::panic::catch_unwind(cancel).is_err(), "the panic has gone lost");
            assert_eq!(WAKES.load(Ordering::Relaxed), 1, "woken again");
            assert_eq!(counter.wakes(), 4, "others were not woken once");
        });
    }
}
