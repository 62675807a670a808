//! Drops. Proves, within the bounds: every node is freed exactly once, after every access to it, whoever else drops,
//! creates or cancels beside it; and the tree goes on to work.

mod support;

use cancel_tree::{CancellationToken, model};
use std::sync::Arc;
use support::{explore, kept, together};

fn family(children: usize) -> (CancellationToken, Vec<CancellationToken>) {
    let root = CancellationToken::new();
    let children = (0..children).map(|_| root.child_token()).collect();
    (root, children)
}

#[test]
fn a_child_dropped_during_a_cancel_is_freed_once() {
    explore("drop, cancel", 4, 100, || {
        let (root, mut children) = family(1);
        let child = children.pop();
        together([actor!(drop(child)), actor!(root.cancel())]);
    });
}

#[test]
fn a_child_created_and_dropped_during_a_cancel_is_freed_once() {
    explore("create and drop, cancel", 3, 500, || {
        let root = CancellationToken::new();
        let creator = root.clone();
        together([actor!(drop(creator.child_token())), actor!(root.cancel())]);
    });
}

#[test]
fn two_children_dropped_at_once_are_both_unlinked() {
    explore("drop, drop", 4, 100, || {
        let (root, mut children) = family(2);
        let (a, b) = (children.pop(), children.pop());
        together([actor!(drop(a)), actor!(drop(b))]);
        assert_eq!(model::live_nodes(), 1, "a dropped child stayed with its parent");
        assert!(!root.is_cancelled());
    });
}

#[test]
fn three_children_dropped_at_once_are_all_unlinked() {
    explore("drop, drop, drop", 1, 100, || {
        let (root, mut children) = family(3);
        let (a, b, c) = (children.pop(), children.pop(), children.pop());
        together([actor!(drop(a)), actor!(drop(b)), actor!(drop(c))]);
        assert_eq!(model::live_nodes(), 1, "a dropped child stayed with its parent");
        drop(root);
    });
}

/// Who is before whom in a list is found out late, and forgotten again. One thread, every order.
#[test]
fn children_leave_in_every_order_while_another_comes() {
    for comes in 1..=4 {
        explore(&format!("four drops, before number {comes} a child comes"), 0, 1, move || {
            for order in 0..24 {
                let (root, mut children) = family(4);
                let mut rest = order;
                for left in (1..=4).rev() {
                    if left == comes {
                        children.push(root.child_token());
                    }
                    drop(children.remove(rest % left));
                    rest /= left;
                }
                assert_eq!(model::live_nodes(), 2, "a dropped child stayed with its parent");
                root.cancel();
                assert!(children[0].is_cancelled(), "a child was lost");
            }
        });
    }
}

#[test]
fn news_that_comes_while_news_is_taken_is_not_lost() {
    explore("drop, drop twice", 4, 500, || {
        let (root, mut children) = family(3);
        let (a, b, c) = (children.pop(), children.pop(), children.pop());
        together([
            actor!(drop(a)),
            actor!({
                drop(b);
                drop(c);
            }),
        ]);
        assert_eq!(model::live_nodes(), 1, "a dropped child stayed with its parent");
        drop(root);
    });
}

#[test]
fn two_creators_that_drop_at_once_leave_nothing() {
    explore("create and drop, create and drop", 3, 500, || {
        let root = CancellationToken::new();
        let (a, b) = (root.clone(), root.clone());
        together([actor!(drop(a.child_token())), actor!(drop(b.child_token()))]);
        assert_eq!(model::live_nodes(), 1, "a dropped child stayed with its parent");
    });
}

#[test]
fn a_sibling_that_lives_on_is_reached_by_a_cancel_beside_a_drop() {
    explore("drop of the elder, cancel", 3, 100, || {
        let (root, mut children) = family(2);
        let (younger, elder) = (children.pop().unwrap(), children.pop());
        together([
            actor!(drop(elder)),
            actor!({
                root.cancel();
                assert!(younger.is_cancelled(), "a living sibling was missed");
            }),
        ]);
    });
}

#[test]
fn a_sibling_that_lives_on_is_reached_behind_a_dropped_one() {
    explore("drop of the younger, cancel", 3, 100, || {
        let (root, mut children) = family(2);
        let (younger, elder) = (children.pop(), children.pop().unwrap());
        together([
            actor!(drop(younger)),
            actor!({
                root.cancel();
                assert!(elder.is_cancelled(), "a living sibling was missed");
            }),
        ]);
    });
}

#[test]
fn two_children_dropped_during_a_cancel_are_freed_once() {
    explore("drop, drop, cancel", 2, 1000, || {
        let (root, mut children) = family(2);
        let (a, b, tokens) = (children.pop(), children.pop(), [Arc::new(root)]);
        let [root] = kept(&tokens);
        together([actor!(drop(a)), actor!(drop(b)), actor!(root.cancel())]);
    });
}

#[test]
fn the_middle_of_three_is_unlinked_beside_a_cancel() {
    explore("drop of the middle, drop of the first, cancel", 2, 1000, || {
        let (root, mut children) = family(3);
        let (first, middle, last) = (children.pop(), children.pop(), children.pop().unwrap());
        let tokens = [root, last].map(Arc::new);
        let [root, last] = kept(&tokens);
        together([
            actor!(drop(middle)),
            actor!(drop(first)),
            actor!({
                root.cancel();
                assert!(last.is_cancelled(), "a living sibling was missed");
            }),
        ]);
    });
}

#[test]
fn a_child_dropped_beside_two_cancels_is_freed_once() {
    explore("drop, cancel, cancel", 2, 1000, || {
        let (root, mut children) = family(1);
        let (child, root) = (children.pop(), [Arc::new(root)]);
        let cancel = || {
            let [root] = kept(&root);
            actor!(root.cancel())
        };
        together([cancel(), cancel(), actor!(drop(child))]);
    });
}

#[test]
fn a_parent_and_its_child_dropped_at_once_are_both_freed() {
    explore("drop parent, drop child", 4, 100, || {
        let root = CancellationToken::new();
        let parent = root.child_token();
        let child = parent.child_token();
        together([actor!(drop(parent)), actor!(drop(child))]);
        assert_eq!(model::live_nodes(), 1, "a dropped node stayed with its parent");
    });
}

#[test]
fn a_root_and_its_child_dropped_at_once_are_both_freed() {
    explore("drop root, drop child", 4, 20, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        together([actor!(drop(root)), actor!(drop(child))]);
    });
}

#[test]
fn two_handles_of_one_token_dropped_at_once_free_it_once() {
    explore("drop clone, drop clone", 4, 20, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let clone = child.clone();
        together([actor!(drop(child)), actor!(drop(clone))]);
        assert_eq!(model::live_nodes(), 1, "a dropped node stayed with its parent");
    });
}

#[test]
fn three_levels_dropped_during_a_cancel_are_freed_once() {
    explore("drop parent and child, cancel", 2, 500, || {
        let root = CancellationToken::new();
        let parent = root.child_token();
        let child = parent.child_token();
        let tokens = [Arc::new(root)];
        let [root] = kept(&tokens);
        together([
            actor!({
                drop(parent);
                drop(child);
            }),
            actor!(root.cancel()),
        ]);
    });
}

#[test]
fn children_of_a_cancelled_root_that_lives_on_are_freed_when_they_are_dropped() {
    explore("cancel, cancel, then drop", 1, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let other = root.clone();
        let (tx, rx) = (root.clone(), root.clone());
        together([actor!(tx.cancel()), actor!(rx.cancel())]);
        drop(child);
        assert_eq!(model::live_nodes(), 1, "a cancelled parent kept its child");
        drop((root, other));
    });
}

#[test]
fn what_a_cancel_finds_dead_is_freed_by_the_next_drop() {
    explore("cancel over dead relays, drop elsewhere", 4, 20, || {
        let root = CancellationToken::new();
        let fork = root.child_token();
        let leaves = [fork.child_token(), fork.child_token()];
        let elsewhere = CancellationToken::new();
        drop(fork);
        let canceller = root.clone();
        together([
            actor!({
                canceller.cancel();
                drop(canceller);
            }),
            actor!(drop(elsewhere)),
        ]);
        drop(CancellationToken::new());
        assert_eq!(model::live_nodes(), 3, "the fork was not freed");
        assert!(leaves.iter().all(CancellationToken::is_cancelled));
        drop(root);
    });
}
