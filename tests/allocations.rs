//! What each operation does with the allocator, on the thread that calls it.

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFuture};
use std::hint::black_box;
use support::wakers::Counter;
use support::{Account, Random, balanced, measure, signed};

const NOTHING: Account = Account { calls: 0, bytes: 0 };

/// The account of one allocation of a node.
fn one_node() -> Account {
    let (_token, account) = measure(CancellationToken::new);
    account
}

/// The account of giving `n` nodes back.
fn freed(n: usize) -> Account {
    Account { calls: n, bytes: -one_node().bytes * signed(n) }
}

#[test]
fn a_token_is_one_allocation_of_at_most_96_bytes() {
    balanced(|| {
        let (token, account) = measure(CancellationToken::new);
        assert_eq!(account.calls, 1);
        assert!(cfg!(not(target_pointer_width = "64")) || account.bytes <= 96, "{account:?}");
        assert_eq!(measure(|| drop(token)).1, freed(1));
    });
}

#[test]
fn a_token_is_one_pointer_and_so_is_an_option_of_it() {
    assert_eq!(size_of::<CancellationToken>(), size_of::<*const ()>());
    assert_eq!(size_of::<Option<CancellationToken>>(), size_of::<*const ()>());
}

#[test]
fn a_child_is_one_allocation_whatever_its_parent_is() {
    balanced(|| {
        let live = CancellationToken::new();
        let parents = [live.child_token(), CancellationToken::new(), live];
        parents[1].cancel();
        for parent in &parents {
            for _ in 0..3 {
                let (child, account) = measure(|| parent.child_token());
                assert_eq!(account, one_node());
                assert_eq!(measure(|| drop(child)).1, freed(1));
            }
        }
    });
}

#[test]
fn clones_and_their_drops_and_looks_at_the_flag_do_without_the_allocator() {
    balanced(|| {
        let token = CancellationToken::new();
        for _ in 0..2 {
            let (_, account) = measure(|| {
                let clone = token.clone();
                black_box((clone.is_cancelled(), clone == token));
                drop(clone);
                drop(token.drop_guard_ref().disarm().clone().drop_guard().disarm());
            });
            assert_eq!(account, NOTHING);
            token.cancel();
        }
    });
}

/// C12.
#[test]
fn the_first_waiter_of_a_token_does_without_the_allocator() {
    balanced(|| {
        let (token, counters) = (CancellationToken::new(), Counter::many(2));
        for _ in 0..3 {
            let (_, account) = measure(|| {
                let mut wait = token.cancelled();
                for counter in [&counters[0], &counters[0], &counters[1]] {
                    assert!(counter.poll(&mut wait).is_pending());
                }
                drop(wait);
                let mut wait = Box::pin(token.run_until_cancelled(std::future::pending::<()>()));
                assert!(counters[0].poll(&mut wait).is_pending());
            });
            // The box of this test.
            assert_eq!(account, Account { calls: 2, bytes: 0 });
        }
        let mut wait = token.cancelled();
        assert!(counters[0].poll(&mut wait).is_pending());
        assert_eq!(measure(|| token.cancel()).1, NOTHING);
        assert_eq!(measure(|| assert!(counters[0].poll(&mut wait).is_ready())).1, NOTHING);
        assert_eq!(measure(|| drop(wait)).1, NOTHING);
    });
}

/// Polls a new wait for the token.
fn waiting<'a>(token: &'a CancellationToken, counter: &Counter) -> WaitForCancellationFuture<'a> {
    let mut wait = token.cancelled();
    assert!(counter.poll(&mut wait).is_pending());
    wait
}

/// C12.
#[test]
fn the_second_waiter_takes_a_block_for_itself_and_nine_more_that_goes_with_the_token() {
    balanced(|| {
        let (token, counters) = (CancellationToken::new(), Counter::many(2));
        let _first = waiting(&token, &counters[0]);
        let before = support::nodes::live();
        let (second, account) = measure(|| waiting(&token, &counters[0]));
        assert_eq!(account.calls, 1);
        assert!(cfg!(not(target_pointer_width = "64")) || account.bytes <= 296, "{account:?}");
        let mut further: Vec<_> = (0..9).map(|_| token.cancelled()).collect();
        further.push(second);
        for wait in &mut further {
            for counter in [&counters[0], &counters[1], &counters[1], &counters[0]] {
                assert_eq!(measure(|| assert!(counter.poll(wait).is_pending())).1, NOTHING);
            }
        }
        for _ in 0..100 {
            let (_, account) = measure(|| {
                drop((further.pop(), further.pop()));
                further.push(waiting(&token, &counters[0]));
                further.push(waiting(&token, &counters[1]));
            });
            assert_eq!(account, NOTHING);
        }
        assert_eq!(measure(|| token.cancel()).1, NOTHING);
        assert_eq!((counters[0].wakes(), counters[1].wakes()), (10, 1));
        further.into_iter().for_each(|wait| assert_eq!(measure(|| drop(wait)).1, NOTHING));
        assert_eq!(support::nodes::live(), before + 1, "the block goes with the token");
    });
}

/// C12.
#[test]
fn further_waiters_make_room_for_themselves_and_many_more() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut waits: Vec<_> = (0..11).map(|_| waiting(&token, &counter)).collect();
        waits.reserve(1000);
        let before = support::nodes::live();
        let mut made = Vec::new();
        for number in 12..=353 {
            let (wait, account) = measure(|| waiting(&token, &counter));
            waits.push(wait);
            assert!(account.calls <= 1, "of number {number}");
            if account.calls == 1 {
                made.push(number);
                let most = if number < 105 { 520 } else { 4160 };
                assert!(
                    cfg!(not(target_pointer_width = "64")) || account.bytes <= most,
                    "{account:?} of number {number}"
                );
            }
        }
        assert!(cfg!(not(target_pointer_width = "64")) || made == [12, 43, 74, 105, 353], "{made:?}");
        assert!(cfg!(not(target_pointer_width = "64")) || support::nodes::live() == before + 2, "the further blocks");
        assert_eq!(measure(|| token.cancel()).1, NOTHING);
        assert_eq!(counter.wakes(), 353);
    });
}

/// C12: whatever number the waiter has that comes and goes.
#[test]
fn waiters_that_come_and_go_beside_others_do_without_the_allocator() {
    balanced(|| {
        for beside in [1, 2, 10, 11, 12, 20, 41, 42, 43, 73, 74, 104, 105, 200, 500] {
            let (token, counter) = (CancellationToken::new(), Counter::new());
            let waits: Vec<_> = (0..beside).map(|_| waiting(&token, &counter)).collect();
            drop(waiting(&token, &counter));
            for _ in 0..100 {
                assert_eq!(measure(|| drop(waiting(&token, &counter))).1, NOTHING, "beside {beside}");
            }
            assert_eq!(measure(|| token.cancel()).1, NOTHING);
            assert_eq!(counter.wakes(), beside);
            drop(waits);
        }
    });
}

/// C8: of a crowd of waiters no more is left than two blocks, and with the token nothing.
#[test]
fn waiters_leave_two_blocks_at_most_and_nothing_when_the_token_is_gone() {
    balanced(|| {
        let counter = Counter::new();
        let mut random = Random(5);
        for crowd in [1, 11, 12, 42, 43, 73, 74, 104, 105, 352, 353, 1000] {
            for cancelled in [false, true] {
                let token = CancellationToken::new();
                let before = support::nodes::live();
                for _ in 0..3 {
                    let mut waits: Vec<_> = (0..crowd).map(|_| waiting(&token, &counter)).collect();
                    assert!(
                        support::nodes::live() - before <= 1 + signed(crowd) / 60 + 1,
                        "a block has 60 slots at least"
                    );
                    random.shuffle(&mut waits);
                    drop(waits);
                    let left = isize::from(crowd > 1) + isize::from(crowd > 104);
                    assert_eq!(support::nodes::live() - before, left, "after a crowd of {crowd}");
                }
                let mut waits: Vec<_> = (0..crowd).map(|_| token.clone().cancelled_owned()).collect();
                waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
                if cancelled {
                    token.cancel();
                }
                drop(token);
                drop(waits);
                assert_eq!(support::nodes::live(), before - 1, "after a crowd of {crowd}");
            }
        }
        assert!(counter.wakes() > 1000);
    });
}

#[test]
fn a_wait_that_was_never_polled_and_one_for_a_cancelled_token_do_without_the_allocator() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        assert_eq!(measure(|| drop((token.cancelled(), token.clone().cancelled_owned()))).1, NOTHING);
        token.cancel();
        let (_, account) = measure(|| {
            let mut waits = [token.cancelled(), token.cancelled()];
            waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_ready()));
        });
        assert_eq!(account, NOTHING);
    });
}

/// Trees by the number of the parent of each node but the root.
fn shapes() -> Vec<(&'static str, Vec<usize>)> {
    let mut random = Random(7);
    vec![
        ("a root alone", vec![]),
        ("a chain", (0..200).collect()),
        ("a wide one", vec![0; 200]),
        ("a comb", (0..200).map(|node| node / 2 * 2).collect()),
        ("a binary one", (0..200).map(|node| node / 2).collect()),
        ("a random one", (0..200).map(|node| random.below(node + 1)).collect()),
    ]
}

fn grow(parents: &[usize]) -> Vec<CancellationToken> {
    let mut tokens = vec![CancellationToken::new()];
    for &parent in parents {
        let child = tokens[parent].child_token();
        tokens.push(child);
    }
    tokens
}

/// C10.
#[test]
fn a_cancel_does_without_the_allocator() {
    balanced(|| {
        for (name, parents) in shapes() {
            let (tokens, counter) = (grow(&parents), Counter::new());
            let mut waits: Vec<WaitForCancellationFuture<'_>> =
                tokens.iter().chain(&tokens).map(CancellationToken::cancelled).collect();
            waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
            for _ in 0..2 {
                assert_eq!(measure(|| tokens[0].cancel()).1, NOTHING, "{name}");
            }
            assert!(tokens.iter().all(CancellationToken::is_cancelled));
            assert_eq!(counter.wakes(), waits.len());
        }
    });
}

/// C10: the nodes without a handle are dead when the cancel is through, and the next drop of any token frees them.
#[test]
fn a_cancel_leaves_the_nodes_that_it_finds_dead_to_the_next_drop_of_any_token() {
    balanced(|| {
        let mut dead_ones = 0;
        for (name, parents) in shapes() {
            let (mut tokens, unrelated) = (grow(&parents), CancellationToken::new());
            // All that have a child lose their handle; the root keeps it until later.
            let root = tokens[0].clone();
            let mut leaves = Vec::new();
            for node in (0..tokens.len()).rev() {
                let token = tokens.pop().expect("one a node");
                if !parents.contains(&node) {
                    leaves.push(token);
                }
            }
            let before = support::nodes::live();
            assert_eq!(measure(|| root.cancel()).1, NOTHING, "{name}");
            assert_eq!(support::nodes::live(), before);
            // The root, the unrelated one, and the leaves are alive; where the root is the leaf, they are one.
            let alive = leaves.len() + 1 + usize::from(!parents.is_empty());
            let dead = usize::try_from(before).expect("more than none") - alive;
            assert_eq!(measure(|| drop(unrelated)).1, freed(dead + 1), "{name}");
            assert_eq!(measure(|| drop(root)).1, freed(usize::from(!parents.is_empty())), "{name}");
            let n = leaves.len();
            assert_eq!(measure(|| leaves.into_iter().for_each(drop)).1.calls, n + 1, "the leaves and their vector");
            dead_ones += dead;
        }
        assert!(dead_ones > 100, "the shapes leave dead nodes to be found");
    });
}

#[test]
fn what_was_taken_is_given_back_whatever_has_happened() {
    balanced(|| {
        let (_, account) = measure(|| {
            let counter = Counter::new();
            for (_, parents) in shapes() {
                for cancelled in [false, true] {
                    let mut tokens = grow(&parents);
                    let mut waits: Vec<_> = tokens.iter().map(|token| token.clone().cancelled_owned()).collect();
                    waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
                    if cancelled {
                        tokens[0].cancel();
                    }
                    Random(3).shuffle(&mut tokens);
                    Random(4).shuffle(&mut waits);
                    drop((tokens, waits));
                }
            }
        });
        assert_eq!(account.bytes, 0);
    });
}
