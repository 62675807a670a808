//! Further waiters: blocks. (In models the segments have one slot each: the second
//! waiter is in the first of the first block, the third in its second one, the fourth and the fifth in a further block. A purse has two
//! handles.) Proves, within the bounds: C8, C12, C13, C16 for them.

#![allow(clippy::cloned_ref_to_slice_refs, reason = "`kept` takes an array")]

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned, model};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake};
use support::{Counter, explore, in_every_order, kept, poll, together, wait};

/// A token with so many waiters.
fn waited(n: usize) -> (CancellationToken, Vec<WaitForCancellationFutureOwned>, Arc<Counter>) {
    let (token, (counter, waker)) = (CancellationToken::new(), Counter::new());
    let waits = (0..n).map(|_| wait(&token, &waker)).collect();
    (token, waits, counter)
}

/// Polls a wait for the token once, beside a cancel or not, and drops it; it and its waker leave nothing.
fn come_and_go(token: &CancellationToken) {
    let (counter, waker) = Counter::new();
    let mut wait = token.cancelled();
    let polled = poll(&mut wait, &waker);
    assert!(polled.is_pending() || token.is_cancelled(), "ready, but not cancelled");
    drop(wait);
    drop(waker);
    assert!(counter.wakes() <= 1, "woken twice");
}

/// Polls a wait for the token once, and keeps it.
fn come(token: &CancellationToken) -> (WaitForCancellationFutureOwned, Poll<()>, Arc<Counter>) {
    let (counter, waker) = Counter::new();
    let mut wait = token.clone().cancelled_owned();
    let polled = poll(&mut wait, &waker);
    (wait, polled, counter)
}

/// Waiters that come beside a cancel are ready or woken.
fn ready_or_woken((mut wait, polled, counter): (WaitForCancellationFutureOwned, Poll<()>, Arc<Counter>)) {
    match polled {
        Poll::Pending => assert_eq!(counter.wakes(), 1, "a wake-up was lost or given twice"),
        Poll::Ready(()) => assert_eq!(counter.wakes(), 0, "ready, and woken all the same"),
    }
    let (_, waker) = Counter::new();
    assert!(poll(&mut wait, &waker).is_ready());
}

/// Two that come at once, when so many wait, are both woken by the cancel that follows.
fn two_come_at_once(name: &str, bound: usize, floor: usize, before: usize) {
    explore(name, bound, floor, move || {
        let (token, waits, counter) = waited(before);
        let came = Arc::new(std::sync::Mutex::new(Vec::new()));
        together([(); 2].map(|()| {
            let (token, came) = (token.clone(), came.clone());
            actor!({
                let wait = come(&token);
                came.lock().unwrap().push(wait);
            })
        }));
        token.cancel();
        assert_eq!(counter.wakes(), before, "a wake-up was lost or given twice");
        drop((token, waits));
        std::mem::take(&mut *came.lock().unwrap()).into_iter().for_each(ready_or_woken);
    });
}

#[test]
fn two_second_waiters_at_once_make_one_block_that_stays() {
    two_come_at_once("second, second", 3, 100, 1);
}

#[test]
fn two_third_waiters_at_once_make_one_segment_and_open_one_block() {
    two_come_at_once("third, third", 2, 100, 2);
}

#[test]
fn two_fourth_waiters_at_once_open_one_block() {
    two_come_at_once("fourth, fourth", 2, 100, 3);
}

#[test]
fn two_fifth_waiters_at_once_fill_a_block_and_open_another() {
    two_come_at_once("fifth, fifth", 2, 100, 4);
}

#[test]
fn two_sixth_waiters_at_once_open_another_block() {
    two_come_at_once("sixth, sixth", 2, 100, 5);
}

/// Two that come and go at once, when so many wait, leave no more than `spare` blocks.
fn two_come_and_go(name: &str, bound: usize, floor: usize, before: usize, spare: usize) {
    explore(name, bound, floor, move || {
        let (token, waits, _counter) = waited(before);
        together([(); 2].map(|()| {
            let token = token.clone();
            actor!({
                come_and_go(&token);
                come_and_go(&token);
            })
        }));
        drop(waits);
        assert!(model::live_nodes() <= 1 + spare, "more than the spare blocks are left");
    });
}

#[test]
fn second_waiters_that_come_and_go_leave_two_blocks_at_most() {
    // The second one if an old word of a segment is found, in which there was no room.
    two_come_and_go("second and drop, second and drop", 2, 100, 1, 2);
}

#[test]
fn third_waiters_that_come_and_go_leave_two_blocks() {
    two_come_and_go("third and drop, third and drop", 1, 100, 2, 2);
}

#[test]
fn fourth_waiters_that_come_and_go_leave_two_blocks() {
    two_come_and_go("fourth and drop, fourth and drop", 1, 100, 3, 2);
}

/// A block that is full, and no longer open, goes with its waiters, whoever is about to come into it.
#[test]
fn a_full_block_goes_while_another_comes() {
    in_every_order(2, || {
        explore("fourth, fifth and sixth, and drop; fourth and drop", 1, 500, || {
            let (token, waits, _counter) = waited(3);
            drop(come(&token));
            let (one, other) = (token.clone(), token.clone());
            together([
                actor!({
                    let (fourth, fifth) = (come(&one), come(&one));
                    let sixth = come(&one);
                    drop((fourth, fifth));
                    drop(sixth);
                }),
                actor!(come_and_go(&other)),
            ]);
            drop(waits);
            assert!(model::live_nodes() <= 3, "more than the spare blocks are left");
        });
    });
}

#[test]
fn a_full_block_goes_while_it_is_woken() {
    explore("cancel; drop fourth and fifth, of six", 2, 500, || {
        let (token, mut waits, counter) = waited(6);
        let leaving: Vec<_> = waits.drain(3..5).collect();
        let cancels = token.clone();
        together([actor!(drop(leaving)), actor!(cancels.cancel())]);
        assert!((4..=6).contains(&counter.wakes()), "a wake-up was lost or given twice");
        drop((token, waits));
    });
}

/// C12: also if its waker was the canceller's already.
#[test]
fn a_further_waiter_dropped_by_another_waker_is_not_woken() {
    struct Drops(std::sync::Mutex<Vec<WaitForCancellationFutureOwned>>, Arc<Counter>, AtomicUsize);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            drop(std::mem::take(&mut *self.0.lock().unwrap()));
            self.2.store(self.1.wakes(), Ordering::Relaxed);
        }
    }
    explore("cancel; a waker drops waiters", 2, 1, || {
        let (token, own, _counter) = waited(3);
        let (counter, waker) = Counter::new();
        let drops = Arc::new(Drops(std::sync::Mutex::default(), counter.clone(), AtomicUsize::new(usize::MAX)));
        let dropping = wait(&token, &drops.clone().into());
        // One in the same block, and two in another.
        drops.0.lock().unwrap().extend([(); 3].map(|()| wait(&token, &waker)));
        drop(waker);
        token.cancel();
        assert_eq!(
            counter.wakes(),
            drops.2.load(Ordering::Relaxed),
            "woken after its drop, or the waker was not woken"
        );
        assert!(counter.wakes() < 3, "the scene shows nothing");
        drop((token, own, dropping, drops));
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
    });
}

/// A slot of a block goes from one future to another, on another thread.
#[test]
fn a_slot_of_a_block_goes_from_one_thread_to_another() {
    explore("drop second, register", 3, 20, || {
        let (token, waits, counter) = waited(1);
        let (second, waker) = Counter::new();
        let leaving = wait(&token, &waker);
        drop(waker);
        let other = token.clone();
        let came = Arc::new(std::sync::Mutex::new(None));
        let coming = came.clone();
        together([actor!(drop(leaving)), actor!(*coming.lock().unwrap() = Some(come(&other)))]);
        assert_eq!(Arc::strong_count(&second), 1, "a waker was kept");
        token.cancel();
        assert_eq!((counter.wakes(), second.wakes()), (1, 0));
        drop((token, waits));
        ready_or_woken(came.lock().unwrap().take().unwrap());
    });
}

/// One that comes beside a cancel, when so many wait.
fn one_comes_during_a_cancel(name: &str, bound: usize, floor: usize, before: usize) {
    explore(name, bound, floor, move || {
        let (token, waits, counter) = waited(before);
        let (came, other) = (Arc::new(std::sync::Mutex::new(None)), token.clone());
        let coming = came.clone();
        let [token] = [Arc::new(token)];
        let [kept] = kept(&[token.clone()]);
        together([actor!(*coming.lock().unwrap() = Some(come(&other))), actor!(kept.cancel())]);
        assert_eq!(counter.wakes(), before, "a wake-up was lost or given twice");
        ready_or_woken(came.lock().unwrap().take().unwrap());
        drop((token, waits));
    });
}

#[test]
fn a_second_waiter_during_a_cancel_is_ready_or_woken() {
    one_comes_during_a_cancel("second, cancel", 3, 50, 1);
}

#[test]
fn a_third_waiter_during_a_cancel_is_ready_or_woken() {
    one_comes_during_a_cancel("third, cancel", 3, 50, 2);
}

#[test]
fn a_fourth_waiter_during_a_cancel_is_ready_or_woken() {
    one_comes_during_a_cancel("fourth, cancel", 2, 500, 3);
}

#[test]
fn a_fifth_waiter_during_a_cancel_is_ready_or_woken() {
    one_comes_during_a_cancel("fifth, cancel", 1, 200, 4);
}

#[test]
fn a_sixth_waiter_during_a_cancel_is_ready_or_woken() {
    one_comes_during_a_cancel("sixth, cancel", 1, 200, 5);
}

/// The canceller perhaps does not know yet of the first, when the second has made a block.
#[test]
fn a_waiter_and_another_that_cancels_leave_nothing() {
    explore("wait, wait and cancel", 3, 100, || {
        let token = CancellationToken::new();
        let came = Arc::new(std::sync::Mutex::new(Vec::new()));
        let [(one, came_one), (two, came_two)] = [(); 2].map(|()| (token.clone(), came.clone()));
        together([
            actor!({
                let wait = come(&one);
                came_one.lock().unwrap().push(wait);
            }),
            actor!({
                let wait = come(&two);
                two.cancel();
                came_two.lock().unwrap().push(wait);
            }),
        ]);
        std::mem::take(&mut *came.lock().unwrap()).into_iter().for_each(ready_or_woken);
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_a_further_waiter_that_is_ready() {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    for before in [1, 2, 3] {
        explore("write and cancel, come and go", 3, 50, move || {
            let (token, waits, _counter) = waited(before);
            let written = Arc::new(AtomicUsize::new(0));
            let [token] = [Arc::new(token)];
            let ([one], [other]) = (kept(&[token.clone()]), kept(&[token.clone()]));
            let by_canceller = written.clone();
            together([
                actor!({
                    by_canceller.store(1, Relaxed);
                    one.cancel();
                }),
                actor!({
                    let (_counter, waker) = Counter::new();
                    if poll(&mut other.cancelled(), &waker).is_ready() {
                        assert_eq!(written.load(Relaxed), 1, "ready, but what came before is not there");
                    }
                }),
            ]);
            drop((token, waits));
        });
    }
}

/// A further waiter polls again beside a cancel: with the same waker, or another one.
fn polled_again(name: &str, floor: usize, before: usize, same: bool) {
    explore(name, 3, floor, move || {
        let (token, waits, _counter) = waited(before);
        let ((old, old_waker), (new, new_waker)) = (Counter::new(), Counter::new());
        let mut again = wait(&token, &old_waker);
        let (beside, beside_waker) = Counter::new();
        let after = wait(&token, &beside_waker);
        let (polled, other) = (Arc::new(std::sync::Mutex::new(None)), token.clone());
        let told = polled.clone();
        together([
            actor!({
                let ready = poll(&mut again, if same { &old_waker } else { &new_waker });
                *told.lock().unwrap() = Some((ready, again));
            }),
            actor!(other.cancel()),
        ]);
        let (ready, again) = polled.lock().unwrap().take().unwrap();
        let (latest, earlier) = if same { (&old, &new) } else { (&new, &old) };
        match ready {
            Poll::Pending => assert_eq!((latest.wakes(), earlier.wakes()), (1, 0), "not the latest waker was woken"),
            Poll::Ready(()) => assert!(old.wakes() + new.wakes() <= 1, "woken twice"),
        }
        assert_eq!(beside.wakes(), 1, "a wake-up was lost or given twice");
        drop((token, waits, again, after));
    });
}

#[test]
fn a_second_waiter_that_polls_again_during_a_cancel_is_ready_or_woken() {
    polled_again("poll second again, cancel", 20, 1, true);
}

#[test]
fn the_latest_waker_of_a_second_waiter_is_woken() {
    polled_again("poll second again with another waker, cancel", 20, 1, false);
}

#[test]
fn the_latest_waker_of_a_third_waiter_is_woken() {
    polled_again("poll third again with another waker, cancel", 20, 2, false);
}

#[test]
fn further_waiters_dropped_during_a_cancel_leave_nothing() {
    in_every_order(3, || {
        explore("drop second, drop third, cancel", 1, 100, || {
            let (token, waits, first) = waited(1);
            let (counter, waker) = Counter::new();
            let (second, third) = (wait(&token, &waker), wait(&token, &waker));
            drop(waker);
            let other = token.clone();
            together([actor!(drop(second)), actor!(drop(third)), actor!(other.cancel())]);
            assert_eq!(first.wakes(), 1, "a wake-up was lost or given twice");
            assert!(counter.wakes() <= 2, "woken twice");
            assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
            drop((token, waits));
        });
    });
}

#[test]
fn two_cancels_wake_further_waiters_once() {
    explore("cancel root, cancel child, three waiters", 3, 50, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let waits: Vec<_> = (0..3).map(|_| wait(&child, &waker)).collect();
        together([actor!(root.cancel()), actor!(child.cancel())]);
        assert_eq!(counter.wakes(), 3, "a wake-up was lost or given twice");
        drop(waits);
    });
}
