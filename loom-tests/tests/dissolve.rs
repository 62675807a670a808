//! Roots whose last handle is gone. Proves, within the bounds: nobody can cancel what is below any more, so each child lives on
//! by itself; every node is freed once, whoever comes and goes meanwhile; and what a child does then is as for any root.

mod support;

use cancel_tree::{CancellationToken, model};
use support::{explore, together};

/// A child that has nobody above it any more: nothing is left but that, and it cancels what it makes.
#[track_caller]
fn alone(token: CancellationToken) {
    assert_eq!(model::live_nodes(), 1, "more is left than the token, or less");
    let child = token.child_token();
    token.cancel();
    assert!(child.is_cancelled(), "a child left running");
}

#[test]
fn a_child_lives_on_without_its_root() {
    explore("drop root", 1, 1, || {
        let root = CancellationToken::new();
        let [first, second] = [root.child_token(), root.child_token()];
        drop(root);
        assert_eq!(model::live_nodes(), 2, "a root that nobody holds stayed");
        drop(first);
        alone(second);
    });
}

#[test]
fn a_child_is_dropped_while_its_root_goes() {
    explore("drop root, drop child", 4, 100, || {
        let root = CancellationToken::new();
        let [elder, younger] = [root.child_token(), root.child_token()];
        together([actor!(drop(root)), actor!(drop(elder))]);
        alone(younger);
    });
}

#[test]
fn the_youngest_child_is_dropped_while_its_root_goes() {
    explore("drop root, drop the youngest", 4, 100, || {
        let root = CancellationToken::new();
        let [elder, younger] = [root.child_token(), root.child_token()];
        together([actor!(drop(root)), actor!(drop(younger))]);
        alone(elder);
    });
}

#[test]
fn two_children_are_dropped_while_their_root_goes() {
    explore("drop root, drop child, drop child", 1, 1_000, || {
        let root = CancellationToken::new();
        let [first, second, third] = [root.child_token(), root.child_token(), root.child_token()];
        together([actor!(drop(root)), actor!(drop(first)), actor!(drop(third))]);
        alone(second);
    });
}

#[test]
fn a_child_becomes_a_relay_while_its_root_goes() {
    explore("drop root, relay", 4, 100, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let child = relay.child_token();
        together([actor!(drop(root)), actor!(drop(relay))]);
        alone(child);
    });
}

#[test]
fn a_relay_and_its_sibling_go_while_their_root_does() {
    explore("drop root, relay, drop sibling", 1, 1_000, || {
        let root = CancellationToken::new();
        let sibling = root.child_token();
        let relay = root.child_token();
        let child = relay.child_token();
        together([actor!(drop(root)), actor!(drop(relay)), actor!(drop(sibling))]);
        alone(child);
    });
}

#[test]
fn a_relay_and_its_child_go_while_their_root_does() {
    explore("drop root, relay, drop child", 1, 1_000, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let child = relay.child_token();
        together([actor!(drop(root)), actor!(drop(relay)), actor!(drop(child))]);
        assert_eq!(model::live_nodes(), 0, "nobody holds anything");
    });
}

#[test]
fn a_fork_without_handles_goes_with_its_root() {
    explore("drop root, drop a child of a fork", 3, 100, || {
        let root = CancellationToken::new();
        let fork = root.child_token();
        let [first, second] = [fork.child_token(), fork.child_token()];
        drop(fork);
        together([actor!(drop(root)), actor!(drop(first))]);
        alone(second);
    });
}

#[test]
fn a_fork_loses_its_handle_while_its_root_goes() {
    explore("drop root, drop fork", 4, 20, || {
        let root = CancellationToken::new();
        let fork = root.child_token();
        let [first, second] = [fork.child_token(), fork.child_token()];
        together([actor!(drop(root)), actor!(drop(fork))]);
        assert_eq!(model::live_nodes(), 2, "a fork that hears nothing stayed");
        drop(first);
        alone(second);
    });
}

#[test]
fn a_child_is_cancelled_while_its_root_goes() {
    explore("drop root, cancel child", 4, 50, || {
        let root = CancellationToken::new();
        let sibling = root.child_token();
        let child = root.child_token();
        let grandchild = child.child_token();
        together([actor!(drop(root)), actor!(child.cancel())]);
        assert!(grandchild.is_cancelled(), "a child left running");
        drop(grandchild);
        alone(sibling);
    });
}

#[test]
fn a_child_is_created_while_another_handle_of_its_parent_goes() {
    explore("drop root, create and drop root", 3, 100, || {
        let root = CancellationToken::new();
        let other = root.clone();
        let elder = root.child_token();
        together([
            actor!(drop(root)),
            actor!({
                let child = other.child_token();
                drop(other);
                drop(child);
            }),
        ]);
        alone(elder);
    });
}

#[test]
fn what_has_become_a_root_is_dissolved_in_turn() {
    explore("drop root, drop child, drop grandchild", 2, 1_000, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let [first, second] = [child.child_token(), child.child_token()];
        together([actor!(drop(root)), actor!(drop(child)), actor!(drop(first))]);
        alone(second);
    });
}
