//! Tokens with several sources: what `CancellationToken::any` promises (C5, C9, C22).

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
use support::{Random, balanced, measure, on_a_small_stack, settles, until_done};

const MANY: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 100,
    (_, Some(_)) => 5_000,
    _ => 100_000,
};

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
        // The token, a link for each, and the list.
        assert_eq!(made.calls, 4);
        let again = CancellationToken::any([&a, &b, &a, &b, &a]);
        assert_eq!(measure(|| drop(again)).1.calls, measure(|| drop(linked)).1.calls);
        let linked = CancellationToken::any([&a, &a]);
        a.cancel_with(Source(1));
        assert_eq!(because(&linked), Some(1));
    });
}

/// C22.
#[test]
fn a_cancelled_source_gives_a_token_that_is_cancelled_from_birth() {
    balanced(|| {
        let (sources, watch) = (sources(4), Arc::new(()));
        sources[2].cancel_with(Source(2));
        sources[1].cancel_with(Source(1));
        let linked = CancellationToken::any(&sources);
        assert_eq!((because(&linked), because(&linked.child_token())), (Some(1), Some(1)));
        // Nothing was left in the others.
        let nodes = live();
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

/// C22: nothing stays behind in the sources.
#[test]
fn many_linked_tokens_under_one_long_lived_source_leave_nothing() {
    balanced(|| {
        let (server, mut random) = (CancellationToken::new(), Random(31));
        drop(CancellationToken::any([&server, &CancellationToken::new()]));
        let nodes = live();
        let (_, account) = measure(|| {
            for number in 0..MANY {
                let client = CancellationToken::new();
                let request = CancellationToken::any([&server, &client]);
                match number % 4 {
                    0 => client.cancel(),
                    1 => request.cancel(),
                    2 => drop(client),
                    _ => {}
                }
            }
            support::nodes::empty_graveyard();
        });
        assert_eq!((account.bytes, live()), (0, nodes));
        // And not one after the other.
        let (_, account) = measure(|| {
            let mut window: Vec<_> = (0..64).map(|_| CancellationToken::any([&server])).collect();
            for _ in 0..MANY / 4 {
                window[random.below(64)] = CancellationToken::any([&server]);
            }
            drop(window);
        });
        assert_eq!((account.bytes, live()), (0, nodes));
        let all: Vec<_> = (0..MANY).map(|_| CancellationToken::any([&server])).collect();
        server.cancel_with(Source(8));
        assert!(all.iter().all(|linked| because(linked) == Some(8)));
    });
}

/// C9: each linked to the one before it.
fn chain() -> Vec<CancellationToken> {
    let mut tokens = vec![CancellationToken::new()];
    while tokens.len() < MANY {
        let last = tokens.last().expect("never empty");
        tokens.push(CancellationToken::any([last]));
    }
    tokens
}

#[test]
fn a_long_chain_of_links_is_cancelled_on_a_small_stack() {
    balanced(|| {
        on_a_small_stack(|| {
            for keep_all in [true, false] {
                let mut tokens = chain();
                let (first, last) = (tokens[0].clone(), tokens[MANY - 1].clone());
                let counter = Counter::new();
                let mut wait = last.cancelled();
                assert!(counter.poll(&mut wait).is_pending());
                if !keep_all {
                    tokens.clear();
                }
                first.cancel_with(Source(9));
                assert_eq!((because(&last), counter.wakes()), (Some(9), 1));
                assert!(tokens.iter().all(|token| because(token) == Some(9)));
            }
        });
    });
}

#[test]
fn a_long_chain_of_links_is_dropped_in_any_order_on_a_small_stack() {
    type Order = fn(&mut Vec<CancellationToken>);
    let orders: [Order; 3] = [|_| {}, |tokens| tokens.reverse(), |tokens| Random(32).shuffle(tokens)];
    for order in orders {
        for cancelled in [false, true] {
            balanced(|| {
                on_a_small_stack(move || {
                    let mut tokens = chain();
                    if cancelled {
                        tokens[0].cancel();
                    }
                    order(&mut tokens);
                    while let Some(token) = tokens.pop() {
                        drop(token);
                    }
                });
                support::nodes::empty_graveyard();
            });
        }
    }
}

/// C9: the last handle keeps all the others, as each keeps its sources' tree.
#[test]
fn a_tall_ladder_of_links_and_children_goes_with_its_last_handle() {
    balanced(|| {
        on_a_small_stack(|| {
            let root = CancellationToken::new();
            let (_, account) = measure(|| {
                let mut rung = root.child_token();
                for _ in 0..MANY / 2 {
                    let side = CancellationToken::any([&rung, &root]);
                    rung = CancellationToken::any([side.child_token(), rung.child_token()]).child_token();
                }
                drop(rung);
            });
            assert_eq!(account.bytes, 0);
        });
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
