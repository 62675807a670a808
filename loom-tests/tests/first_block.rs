//! The first block of a token's further waiters, which is in no list: who marks the token has heard of it, and nobody looks into it
//! after its end. (In models it has two segments with one slot each.) Proves, within the bounds: whoever comes or goes meanwhile finds all
//! as after any cancel.

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use std::sync::{Arc, Mutex};
use support::{Counter, explore, in_every_order, poll, together, wait};

/// Two wait for the token: one in its slot, one in its first block.
fn two_wait_for(token: &CancellationToken) -> ([WaitForCancellationFutureOwned; 2], Arc<Counter>) {
    let (counter, waker) = Counter::new();
    let mut waits = [(); 2].map(|()| token.clone().cancelled_owned());
    assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
    (waits, counter)
}

#[test]
fn a_child_comes_while_two_waiters_are_woken() {
    in_every_order(2, || {
        explore("create, cancel, two waiters", 4, 20, || {
            let token = CancellationToken::new();
            let (waits, counter) = two_wait_for(&token);
            let [creates, cancels] = [token.clone(), token.clone()];
            let child = Arc::new(Mutex::new(None));
            let made = child.clone();
            together([actor!(*made.lock().unwrap() = Some(creates.child_token())), actor!(cancels.cancel())]);
            assert_eq!(counter.wakes(), 2, "not woken exactly once");
            let child = child.lock().unwrap().take().unwrap();
            assert!(token.is_cancelled() && child.is_cancelled(), "the cancel has returned, and has not cancelled");
            drop(waits);
        });
    });
}

#[test]
fn a_child_goes_while_two_waiters_are_woken() {
    for elder in [false, true] {
        explore("drop child, cancel, two waiters", 4, 100, move || {
            let token = CancellationToken::new();
            let first = elder.then(|| token.child_token());
            let (waits, counter) = two_wait_for(&token);
            let child = first.unwrap_or_else(|| token.child_token());
            let cancels = token.clone();
            together([actor!(drop(child)), actor!(cancels.cancel())]);
            assert_eq!(counter.wakes(), 2, "not woken exactly once");
            drop(waits);
        });
    }
}

#[test]
fn a_child_that_is_elder_than_a_block_is_cancelled() {
    explore("cancel, two waiters, elder child", 0, 1, || {
        let token = CancellationToken::new();
        let child = token.child_token();
        let (waits, counter) = two_wait_for(&token);
        token.cancel();
        assert!(child.is_cancelled() && counter.wakes() == 2);
        drop(waits);
    });
}

#[test]
fn both_of_two_cancels_return_with_a_token_cancelled_that_two_wait_for() {
    explore("cancel, cancel, two waiters", 4, 100, || {
        let token = CancellationToken::new();
        let (waits, counter) = two_wait_for(&token);
        let cancels = [token.clone(), token.clone()];
        together(cancels.map(|token| {
            actor!({
                token.cancel();
                assert!(token.is_cancelled());
            })
        }));
        assert_eq!(counter.wakes(), 2, "not woken exactly once");
        drop(waits);
    });
}

/// One comes to a child that is waited for by so many, while its parent is cancelled.
fn one_comes_during_a_cancel_from_above(name: &str, floor: usize, before: usize) {
    explore(name, 4, floor, move || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let waits: Vec<_> = (0..before).map(|_| wait(&child, &waker)).collect();
        let (came, other) = (Arc::new(Mutex::new(None)), child.clone());
        let coming = came.clone();
        together([
            actor!({
                let (counter, waker) = Counter::new();
                let mut wait = other.cancelled_owned();
                let polled = poll(&mut wait, &waker);
                *coming.lock().unwrap() = Some((wait, polled, counter));
            }),
            actor!(root.cancel()),
        ]);
        assert_eq!(counter.wakes(), before, "not woken exactly once");
        let (_wait, polled, counter) = came.lock().unwrap().take().unwrap();
        assert_eq!(counter.wakes(), usize::from(polled.is_pending()), "a wake-up was lost or given twice");
        drop(waits);
    });
}

#[test]
fn a_second_waiter_during_a_cancel_from_above_is_ready_or_woken() {
    one_comes_during_a_cancel_from_above("second, cancel root", 100, 1);
}

#[test]
fn a_third_waiter_during_a_cancel_from_above_is_ready_or_woken() {
    one_comes_during_a_cancel_from_above("third, cancel root", 100, 2);
}

#[test]
fn two_who_wait_for_a_linked_token_are_woken_by_one_of_two_sources() {
    explore("any: cancel, cancel, two waiters", 2, 100, || {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let linked = CancellationToken::any([&a, &b]);
        let (waits, counter) = two_wait_for(&linked);
        together([actor!(a.cancel()), actor!(b.cancel())]);
        assert_eq!(counter.wakes(), 2, "not woken exactly once");
        drop(waits);
    });
}

#[test]
fn a_waiter_in_a_block_goes_during_a_cancel_from_above() {
    explore("drop second, cancel root and a child of it", 4, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let below = child.child_token();
        let ((first, waker), (second, second_waker)) = (Counter::new(), Counter::new());
        let (stays, goes) = (wait(&child, &waker), wait(&child, &second_waker));
        drop(second_waker);
        together([actor!(drop(goes)), actor!(root.cancel())]);
        assert!(below.is_cancelled());
        assert_eq!(first.wakes(), 1, "a wake-up was lost or given twice");
        assert!(second.wakes() <= 1, "woken twice");
        assert_eq!(Arc::strong_count(&second), 1, "a waker was kept");
        drop(stays);
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_a_second_waiter_that_polls_again() {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    for same in [true, false] {
        explore("write and cancel, poll second again", 3, 20, move || {
            let token = CancellationToken::new();
            let ((_one, waker), (_other, other_waker)) = (Counter::new(), Counter::new());
            let (first, mut second) = (wait(&token, &waker), wait(&token, &waker));
            let written = Arc::new(AtomicUsize::new(0));
            let (by_canceller, cancels) = (written.clone(), token.clone());
            together([
                actor!({
                    by_canceller.store(1, Relaxed);
                    cancels.cancel();
                }),
                actor!({
                    if poll(&mut second, if same { &waker } else { &other_waker }).is_ready() {
                        assert_eq!(written.load(Relaxed), 1, "ready, but what came before is not there");
                    }
                }),
            ]);
            drop((token, first));
        });
    }
}
