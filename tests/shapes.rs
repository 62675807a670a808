//! Trees of a million, on a stack of 64 KiB; and memory that follows what is alive, not what has been.

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use support::nodes::live;
use support::wakers::Counter;
use support::{Random, balanced, on_a_small_stack, signed};

/// Set when it is compiled, `CANCEL_TREE_SMALL_SHAPES` makes it ten thousand, for sanitizers.
const MILLION: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 300,
    (_, Some(_)) => 10_000,
    _ => 1_000_000,
};
/// Ten million takes too long where nothing is optimised.
const MANY: usize = if cfg!(debug_assertions) { MILLION } else { 10 * MILLION };

fn chain(length: usize) -> Vec<CancellationToken> {
    let mut tokens = Vec::with_capacity(length);
    tokens.push(CancellationToken::new());
    for last in 0..length - 1 {
        tokens.push(tokens[last].child_token());
    }
    tokens
}

/// A root with children. The root comes first.
fn fan(width: usize) -> Vec<CancellationToken> {
    let mut tokens = Vec::with_capacity(width);
    tokens.push(CancellationToken::new());
    for _ in 1..width {
        tokens.push(tokens[0].child_token());
    }
    tokens
}

#[derive(Clone, Copy, Debug)]
enum Order {
    RootFirst,
    LeafFirst,
    Random,
}

/// Makes a tree, cancels it by its root or not, and drops it. After each hundredth part of the drops just those nodes
/// are left that have a handle.
fn make_and_drop(grow: fn(usize) -> Vec<CancellationToken>, order: Order, cancelled: bool) {
    balanced(|| {
        on_a_small_stack(move || {
            let before = live();
            let mut tokens = grow(MILLION);
            if cancelled {
                tokens[0].cancel();
                tokens[0].cancel();
                assert!(tokens.iter().all(CancellationToken::is_cancelled));
            } else {
                assert!(!tokens.iter().any(CancellationToken::is_cancelled));
            }
            match order {
                Order::RootFirst => tokens.reverse(),
                Order::LeafFirst => {}
                Order::Random => Random(1).shuffle(&mut tokens),
            }
            while let Some(token) = tokens.pop() {
                drop(token);
                if tokens.len() % (MILLION / 100) == 0 {
                    // A root without a handle stays while anybody is below it.
                    let root = isize::from(!cancelled);
                    let handles = signed(tokens.len());
                    assert!(
                        (handles..=handles + root).contains(&(live() - before)),
                        "{} at {handles}",
                        live() - before
                    );
                }
            }
        });
    });
}

macro_rules! shapes {
    ($($name:ident: $shape:ident, $order:ident, $cancelled:literal;)*) => {$(
        /// C8, C9.
        #[test]
        fn $name() {
            make_and_drop($shape, Order::$order, $cancelled);
        }
    )*};
}

shapes! {
    a_chain_of_a_million_dropped_from_the_root: chain, RootFirst, false;
    a_chain_of_a_million_dropped_from_the_leaf: chain, LeafFirst, false;
    a_chain_of_a_million_dropped_in_random_order: chain, Random, false;
    a_cancelled_chain_of_a_million_dropped_from_the_root: chain, RootFirst, true;
    a_cancelled_chain_of_a_million_dropped_from_the_leaf: chain, LeafFirst, true;
    a_cancelled_chain_of_a_million_dropped_in_random_order: chain, Random, true;
    a_fan_of_a_million_dropped_from_the_root: fan, RootFirst, false;
    a_fan_of_a_million_dropped_from_the_leaves: fan, LeafFirst, false;
    a_fan_of_a_million_dropped_in_random_order: fan, Random, false;
    a_cancelled_fan_of_a_million_dropped_from_the_root: fan, RootFirst, true;
    a_cancelled_fan_of_a_million_dropped_from_the_leaves: fan, LeafFirst, true;
    a_cancelled_fan_of_a_million_dropped_in_random_order: fan, Random, true;
}

/// C8.
#[test]
fn a_token_that_is_replaced_by_its_child_over_and_over_takes_no_more_memory() {
    balanced(|| {
        on_a_small_stack(|| {
            let root = CancellationToken::new();
            let before = live();
            let mut token = root.child_token();
            for _ in 0..MILLION {
                token = token.child_token();
                assert_eq!(live() - before, 1);
            }
            root.cancel();
            assert!(token.is_cancelled());
        });
    });
}

/// C8: nobody holds what is above it.
#[test]
fn a_root_that_is_replaced_by_its_child_over_and_over_takes_no_more_memory() {
    balanced(|| {
        on_a_small_stack(|| {
            let before = live();
            let mut token = CancellationToken::new();
            for _ in 0..MILLION {
                token = token.child_token();
                assert_eq!(live() - before, 1);
            }
            token.cancel();
        });
    });
}

/// C8: and with a waiter on each, which comes and goes with it.
#[test]
fn a_rolling_chain_of_waiters_takes_no_more_memory() {
    balanced(|| {
        on_a_small_stack(|| {
            let (root, counter) = (CancellationToken::new(), Counter::new());
            let before = live();
            let mut token = root.child_token();
            let mut wait = token.clone().cancelled_owned();
            for _ in 0..MILLION / 4 {
                assert!(counter.poll(&mut wait).is_pending());
                token = token.child_token();
                wait = token.clone().cancelled_owned();
                assert!(counter.poll(&mut token.cancelled()).is_pending());
                assert_eq!((live() - before, counter.kept()), (1, 0));
            }
            root.cancel();
            assert!(counter.poll(&mut wait).is_ready());
        });
    });
}

/// C8: "a dropped child gives its memory back at once".
#[test]
fn children_that_come_and_go_under_a_live_parent_leave_nothing() {
    balanced(|| {
        let root = CancellationToken::new();
        let parent = root.child_token();
        let before = live();
        for _ in 0..MANY {
            drop(parent.child_token());
            assert_eq!(live(), before);
        }
    });
}

/// C8: a window of children, the oldest of which goes when a new one comes; or any one.
#[test]
fn children_that_go_in_another_order_than_they_came_leave_nothing() {
    for any in [false, true] {
        balanced(|| {
            let (parent, mut random) = (CancellationToken::new(), Random(5));
            let mut window: Vec<_> = (0..64).map(|_| parent.child_token()).collect();
            let before = live();
            for step in 0..MANY / 4 {
                let index = if any { random.below(64) } else { step % 64 };
                window[index] = parent.child_token();
                assert_eq!(live(), before);
            }
            parent.cancel();
            assert!(window.iter().all(CancellationToken::is_cancelled));
        });
    }
}

/// C8, C12.
#[test]
fn waiters_that_come_and_go_on_one_token_leave_nothing() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut window: Vec<WaitForCancellationFutureOwned> = Vec::new();
        window.resize_with(8, || token.clone().cancelled_owned());
        window.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
        let mut random = Random(6);
        for _ in 0..MANY / 4 {
            let mut wait = token.clone().cancelled_owned();
            assert!(counter.poll(&mut wait).is_pending());
            window[random.below(8)] = wait;
            // The token, its first block, and, since there were nine once, the open one.
            assert!((2..=3).contains(&live()) && counter.kept() == 8);
        }
        token.cancel();
        assert_eq!((counter.wakes(), counter.kept()), (8, 0));
    });
}

const NODES: usize = MILLION / 5;

/// A tree of which only the leaves have handles. Each inner node has two children or more, or has been collapsed.
fn leaves_of(parent_of: impl Fn(usize) -> usize) -> Vec<CancellationToken> {
    let (mut tokens, mut is_parent) = (vec![CancellationToken::new()], vec![false; NODES]);
    for node in 1..NODES {
        let parent = parent_of(node);
        is_parent[parent] = true;
        tokens.push(tokens[parent].child_token());
    }
    let mut is_parent = is_parent.into_iter();
    tokens.retain(|_| !is_parent.next().expect("one a node"));
    tokens
}

/// C7, C8, C9: memory is proportional to what is alive, while leaf after leaf goes.
fn thin_out(parent_of: impl Fn(usize) -> usize, cancelled: bool) {
    let before = live();
    let mut leaves = leaves_of(parent_of);
    Random(2).shuffle(&mut leaves);
    let half = leaves.len() / 2;
    while let Some(leaf) = leaves.pop() {
        drop(leaf);
        let nodes = live() - before;
        // A node without a handle has two children, but for the root; so there are less of them than leaves.
        assert!(nodes <= signed(2 * leaves.len()), "{nodes} nodes for {} leaves", leaves.len());
        if cancelled && leaves.len() == half {
            leaves.iter().step_by(2).for_each(CancellationToken::cancel);
        }
    }
}

/// C7, C8, C9: a spine of a hundred thousand nodes without handles, with a leaf at each.
#[test]
fn a_comb_whose_spine_has_no_handles_thins_out_with_its_teeth() {
    for cancelled in [false, true] {
        balanced(|| on_a_small_stack(move || thin_out(|node| (node - 1) / 2 * 2, cancelled)));
    }
}

/// C7, C8, C9.
#[test]
fn a_bushy_tree_whose_inner_nodes_have_no_handles_thins_out_with_its_leaves() {
    for cancelled in [false, true] {
        balanced(|| on_a_small_stack(move || thin_out(|node| (node - 1) / 3, cancelled)));
    }
}

/// C3, C8, C9, C10: one cancel, by the root, of a comb whose spine nobody holds.
#[test]
fn a_cancel_reaches_every_tooth_of_a_deep_comb_without_handles_on_its_spine() {
    balanced(|| {
        on_a_small_stack(|| {
            let root = CancellationToken::new();
            let mut spine = root.child_token();
            let mut teeth = Vec::with_capacity(MILLION / 2);
            for _ in 0..MILLION / 2 {
                teeth.push(spine.child_token());
                spine = spine.child_token();
            }
            drop(spine);
            root.cancel();
            assert!(teeth.iter().all(CancellationToken::is_cancelled));
            let before = live();
            drop(CancellationToken::new());
            assert!(live() < before, "the spine was there to be found dead");
            assert_eq!(live(), signed(teeth.len()) + 1);
        });
    });
}
