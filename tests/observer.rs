//! What an observer sees, and that it is the token's very own.

mod support;

use cancel_tree::{
    CancelKind, CancellationObserver, CancellationToken, Cancelled, NotRegistered, StaticCause, TokenPool, Unregister,
};
use static_assertions::{assert_eq_size, assert_impl_all, assert_not_impl_any};
use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt::Debug;
use std::future::{pending, ready};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use support::wakers::Counter;
use support::{balanced, measure};

static WHY: StaticCause = StaticCause::new(&std::fmt::Error);

assert_eq_size!(CancellationObserver, CancellationToken, Option<CancellationObserver>);
assert_impl_all!(CancellationObserver: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Debug, Eq, Hash);
assert_impl_all!(CancellationObserver: From<CancellationToken>, From<&'static CancellationToken>);
// A token there would be a way back. (Nor a `Default`: nobody could cancel it.)
assert_not_impl_any!(CancellationObserver: Into<CancellationToken>, AsRef<CancellationToken>, Borrow<CancellationToken>, Deref);
assert_not_impl_any!(CancellationObserver: Default, Copy, PartialOrd);

#[test]
fn it_sees_what_the_token_sees() {
    balanced(|| {
        let root = CancellationToken::new();
        let token = root.child_token();
        let observer = token.observer();
        assert!(!observer.is_cancelled() && observer.check().is_ok() && observer.reason().is_none());
        assert_eq!(format!("{observer:?}"), "CancellationObserver { is_cancelled: false }");
        root.cancel_with(&WHY);
        assert!(observer.is_cancelled());
        for why in [observer.reason().unwrap(), observer.check().unwrap_err()] {
            assert!(why.kind() == CancelKind::Cancelled && why.cause().unwrap().is::<std::fmt::Error>());
        }
        assert_eq!(format!("{observer:?}"), "CancellationObserver { is_cancelled: true }");
    });
}

#[test]
fn it_is_a_handle_on_the_token_and_costs_nothing() {
    balanced(|| {
        let token = CancellationToken::new();
        let (observers, account) =
            measure(|| [token.observer(), (&token).into(), token.clone().into(), token.observer().clone()]);
        assert_eq!((account.calls, account.bytes), (0, 0));
        // It keeps the token, as a clone does.
        let child = token.child_token();
        drop(token);
        assert!(!observers[0].is_cancelled());
        child.cancel();
        assert!(!observers[0].is_cancelled());
        drop(child);
        let before = support::nodes::live();
        drop(observers);
        assert_eq!(support::nodes::live(), before - 1);
    });
}

#[test]
fn observers_are_equal_as_their_tokens_are() {
    // A hash table of std is aligned like a node: so this counts none.
    let _alone = support::nodes::exclusive();
    let (token, other) = (CancellationToken::new(), CancellationToken::new());
    let observer = token.observer();
    assert_eq!(observer, token.observer());
    assert_ne!(observer, other.observer());
    assert_ne!(observer, token.child_token().observer());
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    assert_eq!(hasher.hash_one(&observer), hasher.hash_one(&token));
    let all = HashSet::from([observer, token.observer(), other.observer()]);
    assert_eq!(all.len(), 2);
}

#[test]
fn what_is_made_below_it_may_be_cancelled_and_it_may_not() {
    balanced(|| {
        let token = CancellationToken::new();
        let observer = token.observer();
        let (child, tried) = (observer.child_token(), observer.try_child_token().unwrap());
        child.cancel();
        assert!(!tried.is_cancelled() && !observer.is_cancelled() && !token.is_cancelled());
        let guard = observer.child_drop_guard();
        let guarded = guard.token().clone();
        drop(guard);
        assert!(guarded.is_cancelled() && !observer.is_cancelled());
        token.cancel();
        assert!(tried.is_cancelled() && observer.child_token().is_cancelled());
    });
}

#[test]
fn it_waits_and_wakes_as_the_token_does() {
    balanced(|| {
        let (token, counters) = (CancellationToken::new(), Counter::many(6));
        let observer = token.observer();
        let mut waits = (observer.cancelled(), observer.clone().cancelled_owned());
        let mut races = (
            observer.run_until_cancelled(pending::<()>()),
            observer.clone().run_until_cancelled_owned(pending::<()>()),
            observer.run_or_cancelled(pending::<()>()),
            observer.run_unless_cancelled(pending::<()>()),
        );
        assert!(counters[0].poll(&mut waits.0).is_pending() && counters[1].poll(&mut waits.1).is_pending());
        assert!(counters[2].poll(&mut races.0).is_pending() && counters[3].poll(&mut races.1).is_pending());
        assert!(counters[4].poll(&mut races.2).is_pending() && counters[5].poll(&mut races.3).is_pending());
        token.cancel_with(&WHY);
        assert!(counters.iter().all(|counter| (counter.wakes(), counter.kept()) == (1, 0)));
        assert!(counters[0].poll(&mut waits.0).is_ready() && counters[1].poll(&mut waits.1).is_ready());
        assert_eq!(counters[2].poll(&mut races.0), Poll::Ready(None));
        assert_eq!(counters[3].poll(&mut races.1), Poll::Ready(None));
        let because = |result: Poll<Result<(), Cancelled>>| match result {
            Poll::Ready(Err(why)) => why.cause().unwrap().is::<std::fmt::Error>(),
            _ => false,
        };
        assert!(because(counters[4].poll(&mut races.2)) && because(counters[5].poll(&mut races.3)));
    });
}

#[test]
fn what_is_run_under_it_comes_to_its_end() {
    balanced(|| {
        let (observer, counter) = (CancellationToken::new().observer(), Counter::new());
        assert_eq!(counter.poll(&mut observer.run_until_cancelled(ready(1))), Poll::Ready(Some(1)));
        assert_eq!(counter.poll(&mut observer.clone().run_until_cancelled_owned(ready(2))), Poll::Ready(Some(2)));
        assert!(matches!(counter.poll(&mut observer.run_or_cancelled(ready(3))), Poll::Ready(Ok(3))));
        assert!(matches!(counter.poll(&mut observer.run_unless_cancelled(ready(4))), Poll::Ready(Ok(4))));
    });
}

/// So it is the same method that stands behind it: the future comes first, or the token does.
#[test]
fn who_comes_first_is_as_the_name_says() {
    balanced(|| {
        for token_first in [false, true] {
            let (token, counter) = (CancellationToken::new(), Counter::new());
            let observer = token.observer();
            let mut polls = 0;
            let future = std::future::poll_fn(|_| {
                polls += 1;
                if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
            });
            let mut race = match token_first {
                false => observer.run_or_cancelled(future),
                true => observer.run_unless_cancelled(future),
            };
            assert!(counter.poll(&mut race).is_pending());
            token.cancel();
            let Poll::Ready(result) = counter.poll(&mut race) else { panic!("both are ready") };
            assert_eq!(result.is_err(), token_first);
        }
    });
}

#[test]
fn callbacks_are_the_tokens() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let add: fn(&'static AtomicUsize) = |calls| _ = calls.fetch_add(1, Relaxed);
    balanced(|| {
        let token = CancellationToken::new();
        let observer = token.observer();
        let registered = (
            observer.on_cancel(move || add(&CALLS)),
            observer.try_on_cancel(move || add(&CALLS)).ok().unwrap(),
            observer.try_on_cancel_fn(add, &CALLS).unwrap(),
        );
        assert_eq!(observer.on_cancel(|| unreachable!()).unregister(), Unregister::Prevented);
        assert_eq!(CALLS.load(Relaxed), 0);
        token.cancel();
        assert_eq!(CALLS.load(Relaxed), 3);
        drop(registered);
        // Now it is cancelled.
        assert_eq!(observer.on_cancel(move || add(&CALLS)).unregister(), Unregister::Done);
        assert_eq!(CALLS.load(Relaxed), 4);
        assert!(observer.try_on_cancel(|| unreachable!()).is_err());
        assert!(matches!(observer.try_on_cancel_fn(add, &CALLS), Err(NotRegistered::Cancelled)));
    });
}

#[test]
fn it_observes_tokens_of_a_pool_too() {
    balanced(|| {
        static POOL: TokenPool<3> = TokenPool::new();
        let token = POOL.try_token().unwrap();
        let observer = token.observer();
        let children = [observer.try_child_token().unwrap(), observer.try_child_token().unwrap()];
        assert!(observer.try_child_token().is_err());
        assert!(matches!(observer.try_on_cancel_fn(|()| {}, ()), Err(NotRegistered::PoolFull)));
        token.cancel();
        assert!(children.iter().all(CancellationToken::is_cancelled));
        drop((token, children));
        assert!(observer.is_cancelled() && POOL.in_use() == 1);
        drop(observer);
        assert_eq!(POOL.in_use(), 0);
    });
}

#[cfg(feature = "std")]
mod with_std {
    use super::*;
    use cancel_tree::context::Context;
    use std::time::{Duration, Instant};
    use support::settles;

    #[test]
    fn it_has_the_tokens_deadline() {
        settles(|| {
            let deadline = Instant::now() + Duration::from_secs(3600);
            let token = CancellationToken::new().child_with_deadline(deadline);
            assert_eq!(token.observer().deadline(), Some(deadline));
            assert_eq!(CancellationToken::new().observer().deadline(), None);
        });
    }

    #[test]
    fn threads_wait_for_it() {
        balanced(|| {
            let token = CancellationToken::new();
            let observer = token.observer();
            assert!(!observer.wait_timeout(Duration::ZERO));
            assert!(!observer.wait_deadline(Instant::now()));
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| observer.wait());
                token.cancel();
                waits.join().unwrap();
            });
            assert!(observer.wait_timeout(Duration::ZERO) && observer.wait_deadline(Instant::now()));
            observer.wait();
        });
    }

    #[test]
    fn a_context_may_be_made_of_it() {
        balanced(|| {
            let token = CancellationToken::new();
            let context = Context::from(token.observer());
            assert!(!context.is_done());
            token.cancel();
            assert!(context.is_done());
        });
    }
}

/// And of a token, in one call.
#[test]
fn a_child_that_is_cancelled_with_its_scope() {
    balanced(|| {
        let token = CancellationToken::new();
        let guard = token.child_drop_guard();
        let child = guard.token().clone();
        assert_ne!(child, token);
        assert!(!child.is_cancelled());
        drop(guard);
        assert!(child.is_cancelled() && !token.is_cancelled());
        let kept = token.child_drop_guard().disarm();
        assert!(!kept.is_cancelled());
        token.cancel();
        assert!(kept.is_cancelled() && token.child_drop_guard().token().is_cancelled());
    });
}
