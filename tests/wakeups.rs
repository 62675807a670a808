//! Waiting: who is woken, how often, by which waker; and what a future leaves behind.

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::future::FutureExt;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Barrier;
use std::task::Poll;
use support::balanced;
use support::wakers::Counter;

/// The first waiter of a token keeps its waker in the token's node, every further one in a node of its own. Neither must
/// show: so tests run with this many others on the same token.
const OTHERS: [usize; 4] = [0, 1, 9, 99];

/// Runs `f` with a token that has that many waiters already, and asserts that they come to no harm.
fn among_others(f: impl Fn(&CancellationToken)) {
    for others in OTHERS {
        balanced(|| {
            let root = CancellationToken::new();
            let token = root.child_token();
            let counters = Counter::many(others);
            let mut waits: Vec<_> = counters.iter().map(|_| token.cancelled()).collect();
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert_eq!(counter.poll(wait), Poll::Pending);
            }
            f(&token);
            let cancelled = usize::from(token.is_cancelled());
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert_eq!((counter.wakes(), counter.kept()), (cancelled, 1 - cancelled));
                assert_eq!(counter.poll(wait).is_ready(), token.is_cancelled());
            }
        });
    }
}

/// C12.
#[test]
fn nothing_is_registered_before_the_first_poll() {
    among_others(|token| {
        let counter = Counter::new();
        let (mut wait, mut owned) = (token.cancelled(), token.clone().cancelled_owned());
        token.cancel();
        assert_eq!(counter.wakes(), 0);
        assert_eq!(counter.poll(&mut wait), Poll::Ready(()));
        assert_eq!(counter.poll(&mut owned), Poll::Ready(()));
        assert_eq!((counter.wakes(), counter.kept()), (0, 0));
    });
}

/// C12: once, whatever is cancelled later and however often.
#[test]
fn a_cancel_wakes_a_polled_waiter_exactly_once() {
    among_others(|token| {
        let counter = Counter::new();
        let mut wait = token.cancelled();
        assert_eq!(counter.poll(&mut wait), Poll::Pending);
        assert_eq!((counter.wakes(), counter.kept()), (0, 1));
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (1, 0));
        token.cancel();
        token.child_token().cancel();
        assert_eq!(counter.poll(&mut wait), Poll::Ready(()));
        token.cancel();
        drop(wait);
        assert_eq!(counter.wakes(), 1);
    });
}

/// C12.
#[test]
fn the_waker_of_the_latest_poll_is_the_one_that_is_woken() {
    among_others(|token| {
        let counters = Counter::many(4);
        let mut wait = token.cancelled();
        for (polls, counter) in counters.iter().enumerate() {
            assert_eq!(counter.poll(&mut wait), Poll::Pending);
            for earlier in &counters[..polls] {
                assert_eq!(earlier.kept(), 0, "the waker of an earlier poll is kept");
            }
            assert_eq!(counter.kept(), 1);
        }
        assert_eq!(counters[1].poll(&mut wait), Poll::Pending);
        token.cancel();
        assert_eq!(counters.iter().map(Counter::wakes).collect::<Vec<_>>(), [0, 1, 0, 0]);
    });
}

/// C12.
#[test]
fn polling_again_with_the_same_waker_changes_nothing() {
    among_others(|token| {
        let counter = Counter::new();
        let mut wait = token.cancelled();
        for _ in 0..10 {
            assert_eq!(counter.poll(&mut wait), Poll::Pending);
            assert_eq!((counter.wakes(), counter.kept()), (0, 1));
        }
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (1, 0));
    });
}

#[test]
fn one_waker_in_several_futures_is_woken_for_each_of_them() {
    among_others(|token| {
        let counter = Counter::new();
        let mut waits = [token.cancelled(), token.cancelled(), token.cancelled()];
        for wait in &mut waits {
            assert_eq!(counter.poll(wait), Poll::Pending);
        }
        assert_eq!(counter.kept(), 3);
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (3, 0));
    });
}

/// C12: each of a dozen, with the others left alone.
#[test]
fn a_dropped_future_keeps_no_waker_and_is_not_woken() {
    for victim in 0..12 {
        among_others(|token| {
            let counters = Counter::many(12);
            let mut waits: Vec<_> = counters.iter().map(|_| Some(token.cancelled())).collect();
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert_eq!(counter.poll(wait.as_mut().expect("none is dropped")), Poll::Pending);
            }
            waits[victim] = None;
            assert_eq!(counters[victim].kept(), 0);
            token.cancel();
            for (index, counter) in counters.iter().enumerate() {
                assert_eq!((counter.wakes(), counter.kept()), (usize::from(index != victim), 0));
            }
        });
    }
}

#[test]
fn a_poll_after_completion_is_ready_again_and_keeps_nothing() {
    among_others(|token| {
        let counters = Counter::many(2);
        let mut wait = token.cancelled();
        assert_eq!(counters[0].poll(&mut wait), Poll::Pending);
        token.cancel();
        for counter in [&counters[0], &counters[1], &counters[0]] {
            assert_eq!(counter.poll(&mut wait), Poll::Ready(()));
            assert_eq!(counter.kept(), 0);
        }
        assert_eq!((counters[0].wakes(), counters[1].wakes()), (1, 0));
    });
}

/// C12, C13: what one future has left, the next one can use.
#[test]
fn waiters_may_come_and_go_before_the_one_that_is_woken() {
    among_others(|token| {
        let counters = Counter::many(3);
        for _ in 0..100 {
            let (mut first, mut second) = (token.cancelled(), token.cancelled());
            assert_eq!(counters[0].poll(&mut first), Poll::Pending);
            assert_eq!(counters[1].poll(&mut second), Poll::Pending);
            drop(first);
            let mut third = token.cancelled();
            assert_eq!(counters[0].poll(&mut third), Poll::Pending);
            assert_eq!(counters[1].poll(&mut second), Poll::Pending);
            assert_eq!((counters[0].kept(), counters[1].kept()), (1, 1));
        }
        assert_eq!((counters[0].kept(), counters[1].kept()), (0, 0));
        let mut wait = token.cancelled();
        assert_eq!(counters[2].poll(&mut wait), Poll::Pending);
        token.cancel();
        assert_eq!(counters.iter().map(Counter::wakes).collect::<Vec<_>>(), [0, 0, 1]);
    });
}

/// C1, C12: a waiter hears its token's ancestors, and nobody below or beside it.
#[test]
fn a_waiter_is_woken_from_above_and_not_from_below() {
    for others in OTHERS {
        balanced(|| {
            let root = CancellationToken::new();
            let (token, beside) = (root.child_token(), root.child_token());
            let leaf = token.child_token().child_token();
            let counters = Counter::many(others + 1);
            let mut waits: Vec<_> = counters.iter().map(|_| token.cancelled()).collect();
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert_eq!(counter.poll(wait), Poll::Pending);
            }
            leaf.cancel();
            beside.cancel();
            assert!(counters.iter().all(|counter| counter.wakes() == 0));
            root.cancel();
            assert!(counters.iter().all(|counter| counter.wakes() == 1));
        });
    }
}

/// C7, C12: the future is the last that holds its token.
#[test]
fn an_owned_future_keeps_its_token_in_the_tree() {
    for others in OTHERS {
        balanced(|| {
            let root = CancellationToken::new();
            let token = root.child_token();
            let leaf = token.child_token();
            let counters = Counter::many(others + 1);
            let mut waits: Vec<_> = counters.iter().map(|_| token.clone().cancelled_owned()).collect();
            drop(token);
            for (counter, wait) in counters.iter().zip(&mut waits) {
                assert_eq!(counter.poll(wait), Poll::Pending);
            }
            root.cancel();
            assert!(counters.iter().all(|counter| (counter.wakes(), counter.kept()) == (1, 0)));
            assert!(leaf.is_cancelled());
            assert!(waits.iter_mut().all(|wait| counters[0].poll(wait).is_ready()));
        });
    }
}

#[test]
fn an_owned_future_that_nobody_can_cancel_any_more_takes_its_token_with_it() {
    balanced(|| {
        let counter = Counter::new();
        let mut wait = CancellationToken::new().cancelled_owned();
        assert_eq!(counter.poll(&mut wait), Poll::Pending);
        drop(wait);
        assert_eq!((counter.wakes(), counter.kept()), (0, 0));
    });
}

/// C12, for the adapters: the inner future and the registration go when it is decided.
#[test]
fn a_decided_race_keeps_neither_its_future_nor_its_waker() {
    fn check<F: Future<Output = Option<()>>>(token: &CancellationToken, race: F, inner: &std::sync::Weak<()>) {
        let counter = Counter::new();
        let mut race = pin!(race);
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Pending);
        assert_eq!((counter.kept(), inner.strong_count()), (1, 1));
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (1, 0));
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Ready(None));
        assert_eq!((counter.wakes(), counter.kept(), inner.strong_count()), (1, 0, 0));
    }
    let never = || {
        let kept = std::sync::Arc::new(());
        let inner = std::sync::Arc::downgrade(&kept);
        (inner, async move {
            pending::<()>().await;
            drop(kept);
        })
    };
    balanced(|| {
        let ((inner, future), token) = (never(), CancellationToken::new());
        check(&token, token.run_until_cancelled(future), &inner);
        let ((inner, future), token) = (never(), CancellationToken::new());
        check(&token, token.clone().run_until_cancelled_owned(future), &inner);
        let ((inner, future), token) = (never(), CancellationToken::new());
        check(&token, future.with_cancellation_token(&token), &inner);
        let ((inner, future), token) = (never(), CancellationToken::new());
        check(&token, future.with_cancellation_token_owned(token.clone()), &inner);
    });
}

/// C12.
#[test]
fn a_dropped_race_is_not_woken() {
    among_others(|token| {
        let counter = Counter::new();
        {
            let mut race = pin!(token.run_until_cancelled(pending::<()>()));
            assert_eq!(counter.poll(&mut race.as_mut()), Poll::Pending);
        }
        assert_eq!(counter.kept(), 0);
        token.cancel();
        assert_eq!(counter.wakes(), 0);
    });
}

/// Runs `act` of each round on a thread of its own, at the same time as the root of the round's tree is cancelled on two
/// others; then `check`.
fn race_with_cancels<T: Send>(
    prepare: impl Fn(&CancellationToken) -> T,
    act: impl Fn(&mut T) + Sync,
    check: impl Fn(T),
) {
    let rounds = if cfg!(miri) { 10 } else { 1500 };
    balanced(|| {
        for others in [0, 3] {
            let roots: Vec<_> = (0..rounds).map(|_| CancellationToken::new()).collect();
            let tokens: Vec<_> = roots.iter().map(CancellationToken::child_token).collect();
            let other = Counter::new();
            let mut waits: Vec<_> = tokens.iter().flat_map(|token| (0..others).map(|_| token.cancelled())).collect();
            for wait in &mut waits {
                assert_eq!(other.poll(wait), Poll::Pending);
            }
            let mut states: Vec<_> = tokens.iter().map(&prepare).collect();
            let start = &Barrier::new(3);
            std::thread::scope(|scope| {
                for handles in [&roots, &tokens] {
                    scope.spawn(move || {
                        for handle in handles {
                            start.wait();
                            handle.cancel();
                            assert!(handle.is_cancelled());
                        }
                    });
                }
                for state in &mut states {
                    start.wait();
                    act(state);
                }
            });
            states.into_iter().for_each(&check);
            assert_eq!((other.wakes(), other.kept()), (rounds * others, 0));
        }
    });
}

/// C13.
#[test]
fn a_first_poll_that_races_with_cancels_is_ready_or_is_woken_once() {
    race_with_cancels(
        |token| (token.clone(), token.clone().cancelled_owned(), Counter::new(), Poll::Pending),
        |(token, wait, counter, result)| {
            *result = counter.poll(wait);
            assert!(token.is_cancelled() || result.is_pending());
        },
        |(_, mut wait, counter, result)| {
            assert_eq!(counter.wakes(), usize::from(result.is_pending()));
            assert_eq!(counter.kept(), 0);
            assert_eq!(counter.poll(&mut wait), Poll::Ready(()));
        },
    );
}

/// C12, C13: the old waker may be woken as long as the poll has not returned `Pending`.
#[test]
fn a_later_poll_with_another_waker_that_races_with_cancels_is_ready_or_its_waker_is_woken_once() {
    race_with_cancels(
        |token| {
            let (mut wait, old) = (token.clone().cancelled_owned(), Counter::new());
            assert_eq!(old.poll(&mut wait), Poll::Pending);
            (wait, old, Counter::new(), Poll::Ready(()))
        },
        |(wait, _, new, result)| *result = new.poll(wait),
        |(wait, old, new, result)| {
            match result {
                Poll::Pending => assert_eq!((old.wakes(), new.wakes()), (0, 1)),
                Poll::Ready(()) => assert!(old.wakes() + new.wakes() <= 1),
            }
            assert_eq!((old.kept(), new.kept()), (0, 0));
            drop(wait);
        },
    );
}

/// C12: when the drop has returned and the cancels, too, nothing of the waker is left.
#[test]
fn a_drop_that_races_with_cancels_leaves_no_waker_and_wakes_at_most_once() {
    race_with_cancels(
        |token| {
            let (mut wait, counter) = (token.clone().cancelled_owned(), Counter::new());
            assert_eq!(counter.poll(&mut wait), Poll::Pending);
            (Some(wait), counter)
        },
        |(wait, _)| *wait = None,
        |(_, counter)| {
            assert!(counter.wakes() <= 1);
            assert_eq!(counter.kept(), 0);
        },
    );
}
