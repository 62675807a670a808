//! What Go's package `context` promises, and its tests pin: what is cancelled, when, and why. The rest is in
//! `go_values.rs`, and what has to do with clocks in `go_deadlines.rs`.

mod support;

use cancel_tree::context::{Canceller, Context};
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancelKind, CancellationToken};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, mpsc};
use std::thread;
use support::contexts::{HOUR, PLAIN, Why, because, derive, look};
use support::wakers::Counter;
use support::{PATIENCE, Random, settles};

#[test]
fn a_fresh_context_is_not_done() {
    settles(|| {
        let timer = ManualTimer::new();
        for parent in [Context::background(), Context::default(), CancellationToken::new().into()] {
            assert_eq!(look(&parent), None);
            assert_eq!(parent.deadline(), None);
            derive(&parent, &timer).iter().for_each(|child| assert_eq!(look(child), None));
        }
    });
}

#[test]
fn a_cancel_is_seen_at_once_by_all_below_and_by_nobody_else() {
    settles(|| {
        let timer = ManualTimer::new();
        let (top, _top) = Context::background().with_cancel();
        let ((parent, canceller), (sibling, _sibling)) = (top.with_cancel(), top.with_cancel());
        let children = derive(&parent, &timer);
        let counters = Counter::many(children.len());
        let mut waits: Vec<_> = children.iter().map(Context::done).collect();
        for (wait, counter) in waits.iter_mut().zip(&counters) {
            assert!(counter.poll(wait).is_pending());
        }
        canceller.cancel();
        for ((child, wait), counter) in children.iter().zip(&mut waits).zip(&counters) {
            // Under a timer, too, it is a cancel.
            assert_eq!(look(child), PLAIN);
            assert_eq!(counter.wakes(), 1);
            assert!(counter.poll(wait).is_ready() && counter.poll(wait).is_ready());
        }
        canceller.cancel();
        assert_eq!((look(&parent), look(&top), look(&sibling)), (PLAIN, None, None));
    });
}

#[test]
fn what_is_derived_from_a_done_context_is_done_for_the_same_reason() {
    settles(|| {
        let timer = ManualTimer::new();
        let (parent, canceller) = Context::background().with_cancel();
        assert!(canceller.cancel_with(Why(1)));
        for child in derive(&parent, &timer) {
            assert_eq!(look(&child), because(1));
            derive(&child, &timer).iter().for_each(|grandchild| assert_eq!(look(grandchild), because(1)));
        }
        let (child, canceller) = parent.with_cancel();
        assert!(!canceller.cancel_with(Why(2)));
        assert_eq!(look(&child), because(1));
        assert_eq!(timer.pending(), 0);
    });
}

/// C4, C6.
#[test]
fn what_is_derived_while_the_parent_is_being_cancelled_is_never_lost() {
    settles(|| {
        let timer = ManualTimer::new();
        for round in 0..100 {
            let (parent, canceller) = Context::background().with_cancel();
            let start = Barrier::new(3);
            thread::scope(|scope| {
                let derivers: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            (0..8).flat_map(|_| derive(&parent, &timer)).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                start.wait();
                assert!(canceller.cancel_with(Why(round)));
                for deriver in derivers {
                    let children = deriver.join().expect("it does not panic");
                    children.iter().for_each(|child| assert_eq!(look(child), because(round)));
                }
            });
        }
    });
}

/// The callback is in the middle of the parent's cancel; the child's must not wait for that.
#[test]
fn who_sees_the_parent_done_may_cancel_the_child_while_the_parents_cancel_still_runs() {
    settles(|| {
        let (parent, canceller) = Context::background().with_cancel();
        let (child, of_child) = parent.with_cancel();
        let (tell, told) = mpsc::channel();
        let _callback = parent.after_func(move || told.recv_timeout(PATIENCE).expect("the child's cancel returns"));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !parent.is_done() {
                    thread::yield_now();
                }
                assert!(!of_child.cancel_with(Why(2)));
                tell.send(()).expect("the callback listens");
            });
            assert!(canceller.cancel_with(Why(1)));
        });
        assert_eq!(look(&child), because(1));
    });
}

#[test]
fn a_hundred_contexts_are_cancelled_each_by_its_own_thread() {
    settles(|| {
        let mut random = Random(11);
        let mut nodes: Vec<(Context, Canceller)> = vec![Context::background().with_cancel()];
        while nodes.len() < 100 {
            nodes.push(nodes[random.below(nodes.len())].0.with_cancel());
        }
        let contexts: Vec<Context> = nodes.iter().map(|(ctx, _)| ctx.clone()).collect();
        random.shuffle(&mut nodes);
        let start = Barrier::new(nodes.len());
        thread::scope(|scope| {
            for (number, (ctx, canceller)) in nodes.into_iter().enumerate() {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let decided = canceller.cancel_with(Why(number));
                    let (kind, cause) = look(&ctx).expect("it has been cancelled");
                    assert!(kind == CancelKind::Cancelled && (cause == Some(number)) == decided);
                });
            }
        });
        assert!(contexts.iter().all(Context::is_done));
    });
}

struct Value<const KEY: usize>(usize);

fn with_value(ctx: &Context, key: usize, value: usize) -> Context {
    match key {
        0 => ctx.with_value(Value::<0>(value)),
        1 => ctx.with_value(Value::<1>(value)),
        _ => ctx.with_value(Value::<2>(value)),
    }
}

fn values(ctx: &Context) -> [Option<usize>; 3] {
    [
        ctx.value::<Value<0>>().map(|value| value.0),
        ctx.value::<Value<1>>().map(|value| value.0),
        ctx.value::<Value<2>>().map(|value| value.0),
    ]
}

#[test]
fn in_a_chain_of_many_layers_one_cancel_ends_the_leaf_and_the_values_stay() {
    settles(|| {
        let (timer, mut random) = (ManualTimer::new(), Random(13));
        for round in 0..100 {
            let mut layers = vec![(Context::background(), [None; 3], None)];
            for number in 0..30 + round {
                let (parent, known, _) = layers.last().expect("never empty");
                let mut known = *known;
                layers.push(match random.below(5) {
                    0 => {
                        let (child, canceller) = parent.with_cancel();
                        (child, known, Some(canceller))
                    }
                    1 => {
                        let (child, canceller) = parent.with_timer(&timer, HOUR);
                        (child, known, Some(canceller))
                    }
                    2 => (parent.with_timeout(HOUR).0, known, None),
                    _ => {
                        let key = random.below(3);
                        known[key] = Some(number);
                        (with_value(parent, key, number), known, None)
                    }
                });
            }
            let cancellable: Vec<usize> = (0..layers.len()).filter(|&layer| layers[layer].2.is_some()).collect();
            let cancelled = cancellable[random.below(cancellable.len())];
            assert!(layers[cancelled].2.as_ref().expect("chosen so").cancel_with(Why(round)));
            for (layer, (ctx, known, _)) in layers.iter().enumerate() {
                assert_eq!(look(ctx), (layer >= cancelled).then_some((CancelKind::Cancelled, Some(round))));
                assert_eq!(values(ctx), *known);
            }
        }
    });
}

/// C6.
#[test]
fn the_first_cause_to_reach_a_context_is_its_cause() {
    settles(|| {
        let pair = || {
            let (parent, of_parent) = Context::background().with_cancel();
            let (child, of_child) = parent.with_cancel();
            (parent, of_parent, child, of_child)
        };
        let (parent, of_parent, child, of_child) = pair();
        assert!(of_parent.cancel_with(Why(1)) && !of_child.cancel_with(Why(2)));
        assert_eq!((look(&parent), look(&child)), (because(1), because(1)));

        let (parent, of_parent, child, of_child) = pair();
        assert!(of_child.cancel_with(Why(2)));
        assert_eq!((look(&parent), look(&child)), (None, because(2)));
        assert!(of_parent.cancel_with(Why(1)));
        assert_eq!((look(&parent), look(&child)), (because(1), because(2)));

        let (parent, of_parent, child, of_child) = pair();
        of_parent.cancel();
        assert!(!of_parent.cancel_with(Why(1)) && !of_child.cancel_with(Why(2)));
        assert_eq!((look(&parent), look(&child)), (PLAIN, PLAIN));

        let (_parent, of_parent, child, of_child) = pair();
        of_child.cancel();
        assert!(of_parent.cancel_with(Why(1)));
        assert_eq!(look(&child), PLAIN);

        let (_parent, of_parent, child, _of_child) = pair();
        assert!(of_parent.cancel_with(Why(1)) && !of_parent.cancel_with(Why(3)));
        assert_eq!(look(&child.with_value(0_u8)), because(1));
    });
}

/// C2, C6.
#[test]
fn who_polls_the_cause_during_a_cancel_gets_nothing_and_then_that_cause() {
    settles(|| {
        for round in 0..200 {
            let (parent, canceller) = Context::background().with_cancel();
            let leaf = parent.with_value(()).with_cancel().0;
            let (start, decided) = (Barrier::new(4), AtomicUsize::new(0));
            let seen = thread::scope(|scope| {
                let pollers: Vec<_> = [&parent, &leaf]
                    .map(|ctx| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            let first = loop {
                                if let Some(cause) = ctx.cause() {
                                    break cause.downcast_ref::<Why>().expect("a cause from the start").0;
                                }
                            };
                            assert_eq!(look(ctx), because(first));
                            first
                        })
                    })
                    .into();
                for number in [round, round + 1000] {
                    let (start, canceller, decided) = (&start, &canceller, &decided);
                    scope.spawn(move || {
                        start.wait();
                        if canceller.cancel_with(Why(number)) {
                            assert_eq!(decided.swap(number + 1, Relaxed), 0, "one of them decides");
                        }
                    });
                }
                pollers.into_iter().map(|poller| poller.join().expect("it does not panic")).collect::<Vec<_>>()
            });
            let decided = decided.into_inner() - 1;
            assert_eq!(seen, [decided, decided]);
        }
    });
}
