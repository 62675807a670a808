//! Callbacks in large numbers, and from several threads at once (C8, C9, C17, C18, C20).

mod support;

use cancel_tree::{CancellationToken, Unregister};
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use support::nodes::live;
use support::{Random, balanced, measure, on_a_small_stack, settles, until_done};

/// As in `shapes.rs`.
const MILLION: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 300,
    (_, Some(_)) => 10_000,
    _ => 1_000_000,
};

fn counting(runs: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
    let runs = runs.clone();
    move || {
        runs.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_million_registrations_made_and_dropped_leave_nothing() {
    balanced(|| {
        let (token, runs) = (CancellationToken::new().child_token(), Arc::default());
        let _kept = token.on_cancel(|| {});
        let nodes = live();
        let (_, account) = measure(|| {
            for number in 0..MILLION {
                let registration = token.on_cancel(counting(&runs));
                if number % 2 == 0 {
                    assert_eq!(registration.unregister(), Unregister::Prevented);
                }
            }
        });
        assert_eq!((account.bytes, live()), (0, nodes));
        assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (0, 1));
    });
}

/// The oldest goes when a new one comes; or any one.
#[test]
fn registrations_that_go_in_another_order_than_they_came_leave_nothing() {
    for any in [false, true] {
        balanced(|| {
            let (token, runs, mut random) = (CancellationToken::new(), Arc::default(), Random(21));
            let mut window: Vec<_> = (0..64).map(|_| token.on_cancel(counting(&runs))).collect();
            let (_, account) = measure(|| {
                for step in 0..MILLION / 4 {
                    let index = if any { random.below(64) } else { step % 64 };
                    window[index] = token.on_cancel(counting(&runs));
                }
            });
            assert_eq!((account.bytes, Arc::strong_count(&runs)), (0, 65));
            token.cancel();
            assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (64, 1));
        });
    }
}

/// C9: all on one token, cancelled or not.
#[test]
fn a_million_detached_callbacks_on_one_token_cost_no_stack() {
    for cancelled in [true, false] {
        balanced(|| {
            on_a_small_stack(move || {
                let (token, runs) = (CancellationToken::new(), Arc::default());
                (0..MILLION).for_each(|_| token.on_cancel(counting(&runs)).detach());
                assert_eq!(Arc::strong_count(&runs), MILLION + 1);
                if cancelled {
                    token.cancel();
                }
                drop(token);
                assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (if cancelled { MILLION } else { 0 }, 1));
            });
        });
    }
}

#[derive(Clone, Copy)]
enum End {
    Cancel,
    RootFirst,
    LeafFirst,
    Random,
}

/// C9: a chain, and a wide tree, with a detached callback on each token.
#[test]
fn a_deep_or_wide_tree_with_a_detached_callback_on_each_token_costs_no_stack() {
    for chain in [true, false] {
        for end in [End::Cancel, End::RootFirst, End::LeafFirst, End::Random] {
            balanced(|| {
                on_a_small_stack(move || {
                    let (nodes, runs) = (MILLION / 5, Arc::default());
                    let mut tokens = vec![CancellationToken::new()];
                    while tokens.len() < nodes {
                        let parent = if chain { tokens.len() - 1 } else { 0 };
                        tokens.push(tokens[parent].child_token());
                    }
                    tokens.iter().for_each(|token| token.on_cancel(counting(&runs)).detach());
                    match end {
                        End::Cancel => tokens[0].cancel(),
                        End::RootFirst => tokens.reverse(),
                        End::LeafFirst => {}
                        End::Random => Random(22).shuffle(&mut tokens),
                    }
                    while let Some(token) = tokens.pop() {
                        drop(token);
                    }
                    let expected = if matches!(end, End::Cancel) { nodes } else { 0 };
                    assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (expected, 1));
                });
            });
        }
    }
}

/// C17, C18: of a callback that races a cancel, exactly one of "prevented" and "run" comes true.
#[test]
fn a_registration_that_races_a_cancel_is_prevented_or_run() {
    settles(|| {
        let mut done = until_done(1);
        while !done() {
            let (root, runs) = (CancellationToken::new(), Arc::default());
            let token = root.child_token();
            let (early, kept) = (token.on_cancel(counting(&runs)), token.on_cancel(counting(&runs)));
            let start = Barrier::new(4);
            let prevented = thread::scope(|scope| {
                let unregister = scope.spawn(|| {
                    start.wait();
                    usize::from(early.unregister() == Unregister::Prevented)
                });
                let register = scope.spawn(|| {
                    start.wait();
                    usize::from(token.on_cancel(counting(&runs)).unregister() == Unregister::Prevented)
                });
                scope.spawn(|| {
                    start.wait();
                    token.on_cancel(counting(&runs)).detach();
                });
                start.wait();
                root.cancel();
                [unregister, register].map(|thread| thread.join().expect("it does not panic"))
            });
            // Four were registered; of the two that nobody unregistered both have run by now, for the threads are through.
            assert_eq!(runs.load(Relaxed) + prevented.iter().sum::<usize>(), 4);
            assert_eq!((kept.unregister(), Arc::strong_count(&runs)), (Unregister::Done, 1));
        }
    });
}

/// C18: when `finished` is ready, the callback is over, and what it did is visible.
#[test]
fn finished_races_the_end_of_the_callback() {
    settles(|| {
        let mut done = until_done(1);
        while !done() {
            let (token, runs) = (CancellationToken::new(), Arc::default());
            let registration = token.on_cancel(counting(&runs));
            let start = Barrier::new(3);
            thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    token.cancel();
                });
                scope.spawn(|| {
                    start.wait();
                    futures_lite::future::block_on(registration.finished());
                    assert_eq!(runs.load(Relaxed), 1);
                });
                start.wait();
                futures_lite::future::block_on(registration.finished());
                assert_eq!(Arc::strong_count(&runs), 1);
            });
            assert_eq!(registration.unregister(), Unregister::Done);
        }
    });
}

/// C18: detaching, dropping and cancelling at the same time.
#[test]
fn a_detach_that_races_a_cancel_and_the_last_drop_leaves_nothing() {
    settles(|| {
        let mut done = until_done(1);
        while !done() {
            let (root, runs) = (CancellationToken::new(), Arc::default());
            let token = root.child_token();
            let registrations: Vec<_> = (0..4).map(|_| token.on_cancel(counting(&runs))).collect();
            let start = Barrier::new(3);
            thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    registrations.into_iter().for_each(cancel_tree::Registration::detach);
                });
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    drop(token);
                });
                start.wait();
                root.cancel();
            });
            // Each was run, or went with the token before the cancel came.
            support::nodes::empty_graveyard();
            assert!(runs.load(Relaxed) <= 4 && Arc::strong_count(&runs) == 1);
        }
    });
}
