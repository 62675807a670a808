//! Tokens with several sources: what `CancellationToken::any` promises (C5, C22). Large numbers are in `linked_many.rs`.

mod support;

use cancel_tree::time::{ManualTimer, origin};
use cancel_tree::{CancelKind, CancellationToken, Unregister};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use support::nodes::live;
use support::wakers::{Counter, Hooks};
use support::{balanced, measure, settles, until_done};

#[derive(Debug, PartialEq)]
struct Source(usize);
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}", self.0)
    }
}
impl std::error::Error for Source {}

fn sources(n: usize) -> Vec<CancellationToken> {
    std::iter::repeat_with(CancellationToken::new).take(n).collect()
}

/// Which source it was.
fn because(token: &CancellationToken) -> Option<usize> {
    let reason = token.reason()?;
    Some(reason.cause().expect("each source has a cause").downcast_ref::<Source>().expect("and this one").0)
}

/// C22.
#[test]
fn the_first_source_that_is_cancelled_cancels_the_linked_token_for_its_reason() {
    balanced(|| {
        for first in 0..5 {
            let sources = sources(5);
            let linked = CancellationToken::any(&sources);
            let below = linked.child_token();
            let counter = Counter::new();
            let mut waits = [linked.cancelled(), below.cancelled()];
            waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
            assert!(sources[first].cancel_with(Source(first)));
            assert_eq!((because(&linked), because(&below), counter.wakes()), (Some(first), Some(first), 2));
            waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_ready()));
            for (number, source) in sources.iter().enumerate() {
                assert_eq!(source.is_cancelled(), number == first);
                source.cancel_with(Source(number));
            }
            assert_eq!((because(&linked), counter.wakes()), (Some(first), 2));
        }
    });
}

#[test]
fn it_may_be_cancelled_by_itself_which_no_source_hears() {
    balanced(|| {
        let sources = sources(3);
        let linked = CancellationToken::any(&sources);
        assert!(linked.cancel_with(Source(7)));
        assert!(!sources.iter().any(CancellationToken::is_cancelled));
        assert!(sources[0].cancel_with(Source(0)));
        assert_eq!(because(&linked), Some(7));
    });
}

/// C22.
#[test]
fn without_sources_only_its_owner_cancels_it() {
    balanced(|| {
        let linked = CancellationToken::any(Vec::<CancellationToken>::new());
        let child = linked.child_token();
        assert!(!linked.is_cancelled() && linked.deadline().is_none());
        linked.cancel();
        assert!(child.is_cancelled());
    });
}

/// C22.
#[test]
fn a_source_that_stands_there_twice_counts_once() {
    balanced(|| {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let (linked, made) = measure(|| CancellationToken::any([&a, &b]));
        // The token, and a link for each.
        assert_eq!(made.calls, 3);
        let again = CancellationToken::any([&a, &b, &a, &b, &a]);
        assert_eq!(measure(|| drop(again)).1.calls, measure(|| drop(linked)).1.calls);
        let linked = CancellationToken::any([&a, &a]);
        a.cancel_with(Source(1));
        assert_eq!(because(&linked), Some(1));
    });
}

/// C22: also those that are dropped as soon as they have been named, and whose place in memory the next one gets.
#[test]
fn sources_may_go_while_the_token_is_made() {
    balanced(|| {
        for n in [2, 40] {
            let roots: Vec<_> = (0..n).map(|_| CancellationToken::new()).collect();
            for last in [0, n / 2, n - 1] {
                let roots: Vec<_> = roots.iter().map(|root| root.child_token()).collect();
                let linked = CancellationToken::any(roots.iter().map(CancellationToken::child_token));
                assert!(!linked.is_cancelled());
                roots[last].cancel();
                assert!(linked.is_cancelled(), "source {last} of {n} was missed");
            }
        }
    });
}

/// C22: nothing is left behind when the sources cannot all be named.
#[test]
fn a_panic_while_the_sources_are_named_leaves_nothing() {
    balanced(|| {
        let root = CancellationToken::new();
        let named = std::panic::catch_unwind(|| {
            CancellationToken::any((0..3).map(|n| if n == 2 { panic!("no more") } else { root.child_token() }))
        });
        assert!(named.is_err());
    });
}

/// C22.
#[test]
fn a_cancelled_source_gives_a_token_that_is_cancelled_from_birth() {
    balanced(|| {
        let (sources, watch) = (sources(4), Arc::new(()));
        sources[2].cancel_with(Source(2));
        sources[1].cancel_with(Source(1));
        let nodes = live();
        let linked = CancellationToken::any(&sources);
        assert_eq!((because(&linked), because(&linked.child_token())), (Some(1), Some(1)));
        // Nothing was left in the others.
        assert_eq!(live(), nodes + 1);
        drop(linked);
        assert_eq!(live(), nodes);
        let counted = watch.clone();
        let registration = CancellationToken::any(&sources).on_cancel(move || drop(counted));
        assert_eq!((registration.unregister(), Arc::strong_count(&watch)), (Unregister::Done, 1));
        assert!(!sources[0].is_cancelled() && !sources[3].is_cancelled());
    });
}

/// C5, across links: a diamond, and a chain of links.
#[test]
fn all_that_is_linked_is_marked_before_the_first_waker_runs() {
    balanced(|| {
        let source = CancellationToken::new();
        let (left, right) = (source.child_token(), source.child_token().child_token());
        let diamond = CancellationToken::any([&left, &right]);
        let further = CancellationToken::any([&diamond.child_token(), &CancellationToken::new()]);
        let last = further.child_token();
        let all = [&source, &left, &right, &diamond, &further, &last].map(CancellationToken::clone);
        let seen = Arc::new(AtomicUsize::new(0));
        let check = || {
            let (all, seen) = (all.clone(), seen.clone());
            move || {
                assert!(all.iter().all(CancellationToken::is_cancelled));
                seen.fetch_add(1, Relaxed);
            }
        };
        let hooks: Vec<_> = all.iter().map(|_| Hooks::on_wake(check())).collect();
        let mut waits: Vec<_> = all.iter().map(CancellationToken::cancelled).collect();
        for (wait, hooks) in waits.iter_mut().zip(&hooks) {
            assert!(hooks.poll(wait).is_pending());
        }
        let registrations: Vec<_> = all.iter().map(|token| token.on_cancel(check())).collect();
        assert!(source.cancel_with(Source(3)));
        assert_eq!(seen.load(Relaxed), 12);
        assert!(all.iter().all(|token| because(token) == Some(3)));
        assert!(registrations.into_iter().all(|registration| registration.unregister() == Unregister::Done));
    });
}

/// C19.
#[test]
fn its_deadline_is_the_earliest_of_its_sources() {
    balanced(|| {
        let timer = ManualTimer::new();
        let second = Duration::from_secs(1);
        let root = CancellationToken::new();
        let (early, late) = (root.child_with_timer(&timer, 10 * second), root.child_with_timer(&timer, 20 * second));
        let linked = CancellationToken::any([&late.child_token(), &root, &early]);
        assert_eq!(linked.deadline(), Some(origin() + 10 * second));
        let below = linked.child_with_timer(&timer, 30 * second);
        assert_eq!(below.deadline(), Some(origin() + 10 * second));
        timer.set(10 * second);
        let kind = |token: &CancellationToken| token.reason().map(|reason| reason.kind());
        let expired = Some(CancelKind::DeadlineExceeded);
        assert_eq!((kind(&linked), kind(&below), kind(&late)), (expired, expired, None));
        assert_eq!(CancellationToken::any([&linked, &late]).deadline(), Some(origin() + 10 * second));
    });
}

/// C7: the sources' handles go, and their ancestors are still heard.
#[test]
fn a_source_without_handles_passes_on_what_its_ancestors_say() {
    balanced(|| {
        let (root, other) = (CancellationToken::new(), CancellationToken::new());
        let linked = CancellationToken::any([root.child_token().child_token(), other.child_token()]);
        drop(other);
        assert!(!linked.is_cancelled());
        root.cancel_with(Source(5));
        assert_eq!(because(&linked), Some(5));
    });
}

/// C7, C22: it is the tokens below the linked one that keep it.
#[test]
fn what_is_below_a_linked_token_hears_its_sources_though_it_has_no_handle() {
    balanced(|| {
        let sources = sources(2);
        let below = CancellationToken::any(&sources).child_token();
        let gone = CancellationToken::any(&sources);
        drop(gone);
        sources[1].cancel_with(Source(1));
        assert_eq!(because(&below), Some(1));
    });
}

/// C14: from within the wakers and callbacks of the sources and of the linked tokens.
#[test]
fn wakers_and_callbacks_may_link_cancel_and_drop() {
    balanced(|| {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let kept = Arc::new(Mutex::new(vec![CancellationToken::any([&a, &b])]));
        let linked = kept.lock().unwrap()[0].clone();
        let ran = Arc::new(AtomicUsize::new(0));
        for token in [&a, &linked, &b] {
            let (a, b, kept, ran) = (a.clone(), b.clone(), kept.clone(), ran.clone());
            token
                .on_cancel(move || {
                    ran.fetch_add(1, Relaxed);
                    let fresh = CancellationToken::any([&b, &a]);
                    assert!(fresh.is_cancelled() && CancellationToken::any([&fresh, &b]).is_cancelled());
                    let taken = std::mem::take(&mut *kept.lock().unwrap());
                    drop(taken);
                    b.cancel_with(Source(2));
                    assert!(CancellationToken::any([&b]).is_cancelled());
                    kept.lock().unwrap().push(fresh);
                })
                .detach();
        }
        let wait = Arc::new(Mutex::new(Box::pin(linked.clone().cancelled_owned())));
        let hooks = Hooks::on_wake({
            let kept = kept.clone();
            move || kept.lock().unwrap().clear()
        });
        assert!(hooks.poll(&mut *wait.lock().unwrap()).is_pending());
        a.cancel_with(Source(1));
        assert_eq!((ran.load(Relaxed), hooks.wakes()), (3, 1));
        assert_eq!((because(&a), because(&linked), because(&b)), (Some(1), Some(1), Some(2)));
        kept.lock().unwrap().clear();
        drop((a, b, linked, wait));
        support::nodes::empty_graveyard();
    });
}

/// C4, C6: linking, cancelling, and dropping at the same time.
#[test]
fn a_link_that_races_the_cancels_of_its_sources_is_never_lost() {
    settles(|| {
        let mut done = until_done(2);
        while !done() {
            let sources = sources(3);
            let early = CancellationToken::any(&sources);
            let start = Barrier::new(4);
            let (late, decided) = thread::scope(|scope| {
                let linker = scope.spawn(|| {
                    start.wait();
                    let mut made = Vec::new();
                    for _ in 0..8 {
                        drop(CancellationToken::any(&sources));
                        made.push(CancellationToken::any(&sources).child_token());
                    }
                    made
                });
                for (number, source) in sources.iter().enumerate().take(2) {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        assert!(source.cancel_with(Source(number)));
                    });
                }
                start.wait();
                let own = early.cancel_with(Source(9));
                (linker.join().expect("it does not panic"), own)
            });
            for token in late {
                assert!(matches!(because(&token), Some(0 | 1)), "both have been cancelled");
            }
            assert_eq!(because(&early) == Some(9), decided);
            assert_eq!((because(&sources[0]), because(&sources[1]), because(&sources[2])), (Some(0), Some(1), None));
        }
    });
}

/// C22: the last handle goes while a cancel comes through the link.
#[test]
fn a_linked_token_that_goes_while_its_sources_are_cancelled_leaves_nothing() {
    settles(|| {
        let mut done = until_done(2);
        while !done() {
            let sources = sources(2);
            let linked = CancellationToken::any(&sources);
            let counter = Counter::new();
            let mut wait = linked.clone().cancelled_owned();
            assert!(counter.poll(&mut wait).is_pending());
            let next = CancellationToken::any([&linked]);
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for source in &sources {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        source.cancel();
                    });
                }
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    drop(linked);
                    drop(wait);
                });
                start.wait();
                drop(next);
            });
            assert_eq!(counter.kept(), 0);
            assert!(counter.wakes() <= 1);
        }
    });
}
