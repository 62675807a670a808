//! Collapse. Proves, within the bounds: a node without handles that has one child is replaced by that child, whatever
//! else goes on; nobody below it is ever missed by a cancel; nothing leaks.

mod support;

use cancel_tree::{CancellationToken, model};
use std::sync::Arc;
use support::{explore, kept, together};

/// A chain: the root first.
fn chain<const N: usize>() -> [CancellationToken; N] {
    let mut last = CancellationToken::new();
    std::array::from_fn(|i| {
        if i > 0 {
            last = last.child_token();
        }
        last.clone()
    })
}

#[test]
fn a_chain_of_dropped_tokens_is_collapsed() {
    explore("nobody else", 1, 1, || {
        let [root, a, b, c] = chain();
        drop((a, b));
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(c.is_cancelled());
    });
}

#[test]
fn a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse() {
    explore("relay, cancel", 3, 500, || {
        let [root, relay, child] = chain();
        together([
            actor!(drop(relay)),
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn a_relay_made_by_the_drop_of_a_child_is_collapsed() {
    explore("nobody else, drop of one of two children", 1, 1, || {
        let [root, fork, kept] = chain();
        let other = fork.child_token();
        drop(fork);
        drop(other);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(kept.is_cancelled());
    });
}

#[test]
fn a_fork_whose_last_handle_and_child_go_at_once_is_collapsed() {
    explore("drop fork, drop one child", 4, 20, || {
        let [root, fork, kept] = chain();
        let other = fork.child_token();
        together([actor!(drop(fork)), actor!(drop(other))]);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(kept.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_fork_that_becomes_a_relay_during_a_cancel_keeps_its_child_in_reach() {
    explore("drop fork, drop one child, cancel", 1, 100, || {
        let [root, fork, kept] = chain();
        let other = fork.child_token();
        together([
            actor!(drop(fork)),
            actor!(drop(other)),
            actor!({
                root.cancel();
                assert!(kept.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn two_relays_in_a_row_collapse_at_once() {
    explore("relay, relay", 3, 500, || {
        let [root, upper, lower, child] = chain();
        together([actor!(drop(upper)), actor!(drop(lower))]);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn three_relays_in_a_row_collapse_at_once() {
    explore("relay, relay, relay", 2, 1000, || {
        let [root, a, b, c, child] = chain();
        together([actor!(drop(a)), actor!(drop(b)), actor!(drop(c))]);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn two_relays_collapsing_during_a_cancel_keep_their_child_in_reach() {
    explore("relay, relay, cancel", 1, 1000, || {
        let [root, upper, lower, child] = chain();
        let tokens = [root, child].map(Arc::new);
        let [root, child] = kept(&tokens);
        together([
            actor!(drop(upper)),
            actor!(drop(lower)),
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn a_relay_and_its_child_dropped_at_once_are_both_freed() {
    explore("relay, drop of its child", 3, 100, || {
        let [root, relay, child] = chain();
        together([actor!(drop(relay)), actor!(drop(child))]);
        assert_eq!(model::live_nodes(), 1, "a dropped node stayed with its parent");
        drop(root);
    });
}

/// Among much else: the relay is pinned, its child is dead, and the droppers of both are stopped while the cancel sweeps.
#[test]
fn a_relay_and_its_child_dropped_during_a_cancel_are_both_freed() {
    explore("relay, drop of its child, cancel", 2, 1000, || {
        let [root, relay, child] = chain();
        let tokens = [Arc::new(root)];
        let [root] = kept(&tokens);
        together([actor!(drop(relay)), actor!(drop(child)), actor!(root.cancel())]);
    });
}

#[test]
fn a_relay_collapses_beside_a_sibling_that_is_dropped() {
    explore("relay, drop of its sibling", 3, 500, || {
        let [root, relay, child] = chain();
        let sibling = root.child_token();
        together([actor!(drop(relay)), actor!(drop(sibling))]);
        assert_eq!(model::live_nodes(), 2, "a node was left");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_relay_collapses_beside_an_elder_sibling_that_is_dropped() {
    explore("relay, drop of its elder", 3, 500, || {
        let root = CancellationToken::new();
        let elder = root.child_token();
        let relay = root.child_token();
        let child = relay.child_token();
        together([actor!(drop(relay)), actor!(drop(elder))]);
        assert_eq!(model::live_nodes(), 2, "a node was left");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_relay_collapses_beside_a_dropped_sibling_and_a_cancel() {
    explore("relay, drop of its sibling, cancel", 1, 1000, || {
        let [root, relay, child] = chain();
        let sibling = root.child_token();
        let tokens = [root, child].map(Arc::new);
        let [root, child] = kept(&tokens);
        together([
            actor!(drop(relay)),
            actor!(drop(sibling)),
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn a_relay_collapses_between_siblings_and_a_cancel() {
    explore("relay in the middle, cancel", 2, 500, || {
        let root = CancellationToken::new();
        let elder = root.child_token();
        let relay = root.child_token();
        let child = relay.child_token();
        let younger = root.child_token();
        together([
            actor!(drop(relay)),
            actor!({
                root.cancel();
                let all = [&elder, &child, &younger];
                assert!(all.iter().all(|token| token.is_cancelled()), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn an_heir_keeps_its_place_when_its_neighbour_goes_beside_a_cancel() {
    explore("relay behind, drop of the one before, cancel", 1, 100, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let child = relay.child_token();
        let before = root.child_token();
        let first = root.child_token();
        together([
            actor!({
                drop(relay);
                drop(before);
            }),
            actor!({
                root.cancel();
                assert!(child.is_cancelled() && first.is_cancelled(), "the child was missed in its new place");
            }),
        ]);
    });
}

#[test]
fn a_child_is_created_while_its_grandparent_collapses() {
    explore("relay, create below", 3, 100, || {
        let [root, relay, child] = chain();
        let creator = child.clone();
        together([actor!(drop(relay)), actor!(drop(creator.child_token()))]);
        assert_eq!(model::live_nodes(), 2, "a node was left");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_child_is_created_beside_a_collapse_and_a_cancel() {
    explore("relay, create below, cancel", 1, 100, || {
        let [root, relay, child] = chain();
        let creator = child.clone();
        together([
            actor!(drop(relay)),
            actor!(drop(creator.child_token())),
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn a_sibling_is_pushed_while_a_relay_collapses() {
    explore("relay, push, cancel", 1, 100, || {
        let [root, relay, child] = chain();
        let pusher = root.clone();
        together([
            actor!(drop(relay)),
            actor!({
                let sibling = pusher.child_token();
                drop(sibling);
            }),
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            }),
        ]);
    });
}

#[test]
fn a_cancel_of_the_child_meets_the_collapse_above_it() {
    explore("relay, cancel child, cancel root", 1, 500, || {
        let [root, relay, child, below] = chain();
        let tokens = [root, child, below].map(Arc::new);
        let cancel = |from: usize| {
            let tokens = kept(&tokens);
            actor!({
                tokens[from].cancel();
                assert!(tokens[2].is_cancelled(), "returned too early");
            })
        };
        together([actor!(drop(relay)), cancel(1), cancel(0)]);
    });
}

#[test]
fn two_cancels_meet_a_collapse() {
    explore("relay, cancel, cancel", 1, 500, || {
        let [root, relay, child] = chain();
        let tokens = [root, child].map(Arc::new);
        let cancel = || {
            let [root, child] = kept(&tokens);
            actor!({
                root.cancel();
                assert!(child.is_cancelled(), "the child moved past the cancel");
            })
        };
        together([actor!(drop(relay)), cancel(), cancel()]);
    });
}
