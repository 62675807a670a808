//! Large trees with reasons, callbacks and links, on a stack of 64 KiB. Trees of plain tokens: `shapes.rs`.

mod support;

use cancel_tree::{CancellationToken, Registration};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::nodes::{empty_graveyard, live};
use support::{Random, balanced, on_a_small_stack, signed};

/// Set when it is compiled, `CANCEL_TREE_SMALL_SHAPES` makes it ten thousand, for sanitizers.
const MILLION: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 300,
    (_, Some(_)) => 10_000,
    _ => 1_000_000,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    RootFirst,
    LeafFirst,
    Random,
}
const ORDERS: [Order; 3] = [Order::RootFirst, Order::LeafFirst, Order::Random];

/// Puts what is to go first at the end.
fn arrange<T>(items: &mut [T], order: Order) {
    match order {
        Order::RootFirst => items.reverse(),
        Order::LeafFirst => {}
        Order::Random => Random(1).shuffle(items),
    }
}

/// A closure that counts its runs, and is counted itself.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn closure(&self) -> impl FnOnce() + Send + 'static {
        let runs = self.0.clone();
        move || {
            runs.fetch_add(1, Relaxed);
        }
    }
    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
    fn closures(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

fn chain(length: usize) -> Vec<CancellationToken> {
    let mut tokens = vec![CancellationToken::new()];
    for last in 0..length - 1 {
        tokens.push(tokens[last].child_token());
    }
    tokens
}

/// A root with children. The root comes first.
fn fan(width: usize) -> Vec<CancellationToken> {
    let mut tokens = vec![CancellationToken::new()];
    for _ in 1..width {
        tokens.push(tokens[0].child_token());
    }
    tokens
}

/// C8, C9, C17: detached callbacks run with a cancel, or else go one by one, each with the last that is below its token.
fn with_detached(grow: fn(usize) -> Vec<CancellationToken>, order: Order, cancelled: bool) {
    balanced(|| {
        on_a_small_stack(move || {
            let (before, runs) = (live(), Runs::default());
            let mut tokens = grow(MILLION / 10);
            tokens.iter().for_each(|token| token.on_cancel(runs.closure()).detach());
            assert_eq!(live() - before, signed(2 * tokens.len()));
            if cancelled {
                tokens[0].cancel();
                assert_eq!((runs.count(), runs.closures()), (tokens.len(), 0));
                empty_graveyard();
                assert_eq!(live() - before, signed(tokens.len()));
            }
            arrange(&mut tokens, order);
            while let Some(token) = tokens.pop() {
                drop(token);
                if order == Order::LeafFirst && !cancelled {
                    assert_eq!(runs.closures(), tokens.len());
                }
            }
            assert_eq!((runs.closures(), runs.count()), (0, if cancelled { MILLION / 10 } else { 0 }));
        });
    });
}

#[test]
fn a_chain_of_detached_callbacks_that_is_cancelled_and_dropped() {
    ORDERS.into_iter().for_each(|order| with_detached(chain, order, true));
}

/// From the root first, they all stay, for the leaf: and go with it, at once.
#[test]
fn a_chain_of_detached_callbacks_that_is_dropped() {
    ORDERS.into_iter().for_each(|order| with_detached(chain, order, false));
}

#[test]
fn a_fan_of_detached_callbacks_that_is_cancelled_and_dropped() {
    ORDERS.into_iter().for_each(|order| with_detached(fan, order, true));
}

#[test]
fn a_fan_of_detached_callbacks_that_is_dropped() {
    ORDERS.into_iter().for_each(|order| with_detached(fan, order, false));
}

/// C9: the whole million, with handles on the root and the leaf alone: the others stay for their callbacks.
#[test]
fn a_chain_of_a_million_with_a_detached_callback_on_each() {
    for (length, cancelled) in [(MILLION, true), (MILLION / 2, false)] {
        balanced(|| {
            on_a_small_stack(move || {
                let (root, runs) = (CancellationToken::new(), Runs::default());
                let mut leaf = root.clone();
                for _ in 0..length {
                    leaf = leaf.child_token();
                    leaf.on_cancel(runs.closure()).detach();
                }
                assert_eq!(runs.closures(), length);
                if cancelled {
                    root.cancel();
                    assert!(leaf.is_cancelled());
                    assert_eq!((runs.count(), runs.closures()), (length, 0));
                }
                drop(root);
                drop(leaf);
                assert_eq!(runs.closures(), 0);
            });
        });
    }
}

/// C9, C18: on one token.
#[test]
fn a_million_registrations_on_one_token_that_are_dropped_or_run() {
    // One of them with all of the million.
    let cases = [
        (MILLION, Order::RootFirst, true),
        (MILLION / 10, Order::LeafFirst, false),
        (MILLION / 10, Order::Random, false),
    ];
    for (width, order, cancelled) in cases {
        balanced(|| {
            on_a_small_stack(move || {
                let (before, token, runs) = (live(), CancellationToken::new(), Runs::default());
                let mut registrations: Vec<Registration> = Vec::with_capacity(width);
                registrations.resize_with(width, || token.on_cancel(runs.closure()));
                if cancelled {
                    token.cancel();
                    assert_eq!((runs.count(), runs.closures()), (width, 0));
                }
                arrange(&mut registrations, order);
                while let Some(registration) = registrations.pop() {
                    drop(registration);
                    assert_eq!(live() - before, signed(registrations.len() + 1));
                }
                token.cancel();
                assert_eq!(runs.count(), if cancelled { width } else { 0 });
            });
        });
    }
}

/// C9: the closure of each owns the registration of the next: its drop is a drop of the next closure. That chain is the
/// user's, and its depth costs stack as that of any such chain of boxes does; but not when each has been run.
#[test]
fn callbacks_that_own_the_next_registration_run_and_go() {
    balanced(|| {
        on_a_small_stack(|| {
            let (token, runs) = (CancellationToken::new(), Runs::default());
            let mut next = token.on_cancel(runs.closure());
            for _ in 0..MILLION / 10 {
                let (run, owned) = (runs.closure(), next);
                next = token.on_cancel(move || {
                    run();
                    owned.detach();
                });
            }
            token.cancel();
            assert_eq!((runs.count(), runs.closures()), (MILLION / 10 + 1, 0));
            drop(next);
        });
    });
}

/// A token that is linked to one before it, over and over, with another source beside it.
fn linked_chain(length: usize, other: &CancellationToken) -> Vec<CancellationToken> {
    let mut tokens = vec![CancellationToken::new()];
    for last in 0..length - 1 {
        tokens.push(CancellationToken::any([&tokens[last], other]));
    }
    tokens
}

/// C9, C22: a cancel at the root, or at what all are linked to, comes to the end of the chain; the reason, too.
fn links(order: Order, cancelled: Option<bool>) {
    balanced(|| {
        on_a_small_stack(move || {
            let (before, other, runs) = (live(), CancellationToken::new(), Runs::default());
            let mut tokens = linked_chain(MILLION / 20, &other);
            assert_eq!(live() - before, signed(3 * tokens.len() - 1));
            tokens[tokens.len() - 1].on_cancel(runs.closure()).detach();
            if let Some(by_the_root) = cancelled {
                let source = if by_the_root { &tokens[0] } else { &other };
                assert!(source.cancel_with(Shared(runs.0.clone())));
                assert_eq!(tokens[0].is_cancelled(), by_the_root);
                let all =
                    tokens.iter().skip(1).all(|token| token.reason().is_some_and(|reason| reason.cause().is_some()));
                assert!(all && runs.count() == 1);
            }
            arrange(&mut tokens, order);
            while let Some(token) = tokens.pop() {
                drop(token);
                // While it is not cancelled, a token stays for what is linked to it.
                if cancelled.is_some() || order == Order::LeafFirst {
                    assert!(
                        live() - before <= signed(4 * tokens.len() + 1),
                        "{} for {}",
                        live() - before,
                        tokens.len()
                    );
                }
            }
            assert_eq!(live() - before, 1);
            drop(other);
            assert_eq!(runs.closures(), 0, "the cause and the closure");
        });
    });
}

#[test]
fn a_chain_of_linked_tokens_that_is_cancelled_by_its_root_and_dropped() {
    ORDERS.into_iter().for_each(|order| links(order, Some(true)));
}

#[test]
fn a_chain_of_linked_tokens_that_is_cancelled_by_what_all_are_linked_to_and_dropped() {
    ORDERS.into_iter().for_each(|order| links(order, Some(false)));
}

#[test]
fn a_chain_of_linked_tokens_that_is_dropped() {
    ORDERS.into_iter().for_each(|order| links(order, None));
}

/// C9, C22: nobody holds anything but the last of them.
#[test]
fn a_chain_of_linked_tokens_of_which_only_the_last_is_held() {
    balanced(|| {
        on_a_small_stack(|| {
            let (before, root) = (live(), CancellationToken::new());
            let mut last = CancellationToken::any([&root]);
            for _ in 0..MILLION / 10 {
                last = CancellationToken::any([&last.child_token()]);
            }
            drop(last);
            assert_eq!(live() - before, 1);

            let mut last = CancellationToken::any([&root]);
            for _ in 0..MILLION / 10 {
                last = CancellationToken::any([&last]);
            }
            root.cancel();
            assert!(last.is_cancelled());
            drop(last);
            assert_eq!(live() - before, 1);
        });
    });
}

/// C22: one token with a hundred thousand sources.
#[test]
fn a_token_with_very_many_sources() {
    for cancelled in [false, true] {
        balanced(|| {
            on_a_small_stack(move || {
                let before = live();
                let mut sources: Vec<_> = (0..MILLION / 10).map(|_| CancellationToken::new()).collect();
                let twice: Vec<_> = sources.iter().chain(&sources).collect();
                let linked = CancellationToken::any(twice);
                assert_eq!(live() - before, signed(2 * sources.len() + 1));
                Random(3).shuffle(&mut sources);
                if cancelled {
                    sources[7].cancel();
                }
                assert_eq!(linked.is_cancelled(), cancelled);
                drop(linked);
                assert_eq!(live() - before, signed(sources.len()));
            });
        });
    }
}

/// A cause on the heap, counted.
#[derive(Debug)]
struct Shared(#[expect(dead_code, reason = "counted")] Arc<AtomicUsize>);
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shared")
    }
}
impl std::error::Error for Shared {}

/// C6, C8: the cause goes once, with the last who has it, token or reason.
#[test]
fn a_million_tokens_that_share_one_cause() {
    for (width, order) in [(MILLION, Order::Random), (MILLION / 10, Order::RootFirst), (MILLION / 10, Order::LeafFirst)]
    {
        balanced(|| {
            on_a_small_stack(move || {
                let alive = Arc::new(AtomicUsize::new(0));
                let mut tokens = fan(width);
                assert!(tokens[0].cancel_with(Shared(alive.clone())));
                assert!(!tokens[1].cancel_with(Shared(alive.clone())));
                arrange(&mut tokens, order);
                let reason = tokens[0].reason();
                while let Some(token) = tokens.pop() {
                    drop(token);
                    assert_eq!(Arc::strong_count(&alive), 2);
                }
                drop(reason);
                assert_eq!(Arc::strong_count(&alive), 1);
            });
        });
    }
}
