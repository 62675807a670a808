//! Wakers that panic while they are cloned, woken or dropped (C15).

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use std::any::Any;
use std::fmt::Debug;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use support::balanced;
use support::wakers::{Counter, Hooks};

/// A hundred waiters on a root and so many generations below it, and what their wakers do. `act` is told which of the
/// wakes this one is, from 1.
fn cancel_a_hundred(generations: usize, act: impl Fn(usize) + Send + Sync + 'static) -> Box<dyn Any + Send> {
    let mut tokens = vec![CancellationToken::new()];
    for _ in 0..generations {
        tokens.push(tokens.last().expect("the root").child_token());
    }
    let (order, all_flagged) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(true)));
    let waker = Hooks::on_wake({
        let (tokens, all_flagged) = (tokens.clone(), Arc::clone(&all_flagged));
        move || {
            all_flagged.fetch_and(tokens.iter().all(CancellationToken::is_cancelled), Relaxed);
            act(order.fetch_add(1, Relaxed) + 1);
        }
    });
    let mut waits: Vec<_> = tokens.iter().cycle().take(100).map(CancellationToken::cancelled).collect();
    assert!(waits.iter_mut().all(|wait| waker.poll(wait).is_pending()));
    let panic = catch_unwind(|| tokens[0].cancel()).expect_err("the panic goes on");
    assert_eq!((waker.wakes(), Arc::strong_count(&waker)), (100, 1));
    assert!(all_flagged.load(Relaxed), "C5");
    tokens[0].cancel();
    assert!(waits.iter_mut().all(|wait| waker.poll(wait).is_ready()));
    assert_eq!(waker.wakes(), 100);
    panic
}

/// C15.
#[test]
fn a_waker_that_panics_keeps_nobody_from_being_flagged_and_woken() {
    balanced(|| {
        for (nth, generations) in (1..=100).flat_map(|nth| [(nth, 0), (nth, 4)]) {
            let panic = cancel_a_hundred(generations, move |order| {
                if order == nth {
                    panic_any(order);
                }
            });
            assert_eq!(panic.downcast_ref(), Some(&nth), "another panic than the waker's");
        }
    });
}

/// C15.
#[test]
fn of_several_panics_the_first_goes_on() {
    balanced(|| {
        let panic = cancel_a_hundred(4, |order| {
            if order % 10 == 7 {
                panic_any(order);
            }
        });
        assert_eq!(panic.downcast_ref(), Some(&7_usize));
        let panic = cancel_a_hundred(4, |order| panic_any(order));
        assert_eq!(panic.downcast_ref(), Some(&1_usize));
    });
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // Carries nothing that takes memory: who catches this one can do no better than to forget it.
        panic_any(());
    }
}

/// C15.
#[test]
fn what_a_panic_carries_may_itself_panic_when_dropped() {
    balanced(|| {
        let panic = cancel_a_hundred(4, |order| match order {
            3 => panic_any(order),
            5 | 50 | 100 => panic_any(Bomb),
            _ => {}
        });
        assert_eq!(panic.downcast_ref(), Some(&3_usize));
        let panic = cancel_a_hundred(4, |order| match order {
            3 => panic_any(Bomb),
            5 => panic_any(order),
            _ => {}
        });
        std::mem::forget(panic.downcast::<Bomb>().expect("the first one goes on, unopened"));
    });
}

/// C14, C15: through the wake-up of a tree in that of another.
#[test]
fn a_panic_in_a_cancel_by_a_waker_goes_through_both_cancels() {
    balanced(|| {
        let inner = CancellationToken::new();
        let panicking = Hooks::on_wake(|| panic_any("inner"));
        let (mut first, mut second) = (inner.cancelled(), inner.cancelled());
        assert!(panicking.poll(&mut first).is_pending() && panicking.poll(&mut second).is_pending());
        let panic = cancel_a_hundred(4, {
            let inner = inner.clone();
            move |order| {
                if order == 51 {
                    inner.cancel();
                }
            }
        });
        assert_eq!(panic.downcast_ref(), Some(&"inner"));
        assert_eq!((panicking.wakes(), Arc::strong_count(&panicking)), (2, 1));
    });
}

/// A waiter, beside others of the same token, who must come to no harm.
fn for_a_wait(scene: impl Fn(&CancellationToken, WaitForCancellationFutureOwned)) {
    for others in [0, 1, 5] {
        balanced(|| {
            let root = CancellationToken::new();
            let token = root.child_token();
            let counters = Counter::many(others);
            let mut waits: Vec<_> = counters.iter().map(|_| token.cancelled()).collect();
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert!(counter.poll(wait).is_pending());
            }
            scene(&root, token.clone().cancelled_owned());
            root.cancel();
            assert!(counters.iter().all(|counter| (counter.wakes(), counter.kept()) == (1, 0)));
        });
    }
}

/// A poll or a drop that passes a waker's panic on.
fn panics<R: Debug>(f: impl FnOnce() -> R) {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"hostile"));
}

/// C12, C15.
#[test]
fn a_future_can_still_be_used_when_the_clone_of_its_first_waker_has_panicked() {
    for polled_again in [true, false] {
        for_a_wait(|root, mut wait| {
            let hostile = Hooks::on_clone(|| panic_any("hostile"));
            panics(|| hostile.poll(&mut wait));
            assert_eq!(Arc::strong_count(&hostile), 1);
            let counter = Counter::new();
            if polled_again {
                assert!(counter.poll(&mut wait).is_pending());
            }
            root.cancel();
            assert_eq!((counter.wakes(), counter.kept(), hostile.wakes()), (usize::from(polled_again), 0, 0));
            assert!(counter.poll(&mut wait).is_ready());
        });
    }
}

/// C12, C13, C15.
#[test]
fn the_old_waker_stays_when_the_clone_of_a_new_one_has_panicked() {
    for polled_again in [true, false] {
        for_a_wait(|root, mut wait| {
            let (old, hostile, new) = (Counter::new(), Hooks::on_clone(|| panic_any("hostile")), Counter::new());
            assert!(old.poll(&mut wait).is_pending());
            panics(|| hostile.poll(&mut wait));
            assert_eq!((old.kept(), Arc::strong_count(&hostile)), (1, 1));
            if polled_again {
                assert!(new.poll(&mut wait).is_pending());
            }
            root.cancel();
            let expected = if polled_again { (0, 1) } else { (1, 0) };
            assert_eq!((old.wakes(), new.wakes(), hostile.wakes()), (expected.0, expected.1, 0));
            assert_eq!((old.kept(), new.kept()), (0, 0));
        });
    }
}

/// C12, C15.
#[test]
fn a_waker_that_panics_when_dropped_with_its_future_leaves_nothing() {
    for_a_wait(|root, mut wait| {
        let hostile = Hooks::on_drop(|| panic_any("hostile"));
        assert!(hostile.poll(&mut wait).is_pending());
        panics(|| drop(wait));
        root.cancel();
        assert_eq!((hostile.wakes(), hostile.drops(), Arc::strong_count(&hostile)), (0, 1, 1));
    });
}

/// C12, C13, C15.
#[test]
fn the_new_waker_counts_when_the_drop_of_the_old_one_has_panicked() {
    for_a_wait(|root, mut wait| {
        let (hostile, new) = (Hooks::on_drop(|| panic_any("hostile")), Counter::new());
        assert!(hostile.poll(&mut wait).is_pending());
        panics(|| new.poll(&mut wait));
        assert_eq!(new.kept(), 1);
        root.cancel();
        assert_eq!((hostile.wakes(), hostile.drops(), Arc::strong_count(&hostile)), (0, 1, 1));
        assert_eq!((new.wakes(), new.kept()), (1, 0));
    });
}

/// C15: a cancel comes between the clone and the registration.
#[test]
fn a_waker_that_panics_when_a_poll_that_came_too_late_drops_it_leaves_the_future_ready() {
    for_a_wait(|root, mut wait| {
        let canceller = root.clone();
        let hostile = Arc::new(Hooks {
            on_clone: Some(Box::new(move || canceller.cancel())),
            on_drop: Some(Box::new(|| panic_any("hostile"))),
            ..Hooks::default()
        });
        panics(|| hostile.poll(&mut wait));
        assert_eq!((hostile.wakes(), hostile.drops(), Arc::strong_count(&hostile)), (0, 1, 1));
        assert!(Counter::new().poll(&mut wait).is_ready());
    });
}

struct Hostile;

impl Drop for Hostile {
    fn drop(&mut self) {
        panic_any("hostile");
    }
}

/// C15, for the adapters.
#[test]
fn an_inner_future_that_panics_when_it_is_dropped_leaves_nothing() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let bomb = Hostile;
        let future = poll_fn(move |_| {
            let _kept = &bomb;
            Poll::<()>::Pending
        });
        let mut race = pin!(token.clone().run_until_cancelled_owned(future));
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Pending);
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (1, 0));
        panics(|| counter.poll(&mut race.as_mut()));
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Ready(None));
    });
}
