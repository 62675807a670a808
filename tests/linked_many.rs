//! Tokens with several sources, in large numbers (C8, C9, C22).

mod support;

use cancel_tree::CancellationToken;
use std::fmt;
use support::nodes::live;
use support::wakers::Counter;
use support::{Random, balanced, measure, on_a_small_stack};

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

/// Which source it was.
fn because(token: &CancellationToken) -> Option<usize> {
    let reason = token.reason()?;
    Some(reason.cause().expect("each source has a cause").downcast_ref::<Source>().expect("and this one").0)
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
