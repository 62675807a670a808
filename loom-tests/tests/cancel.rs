//! Propagation. Proves, within the bounds: C3, C4, C11 and that nothing leaks, for creations and cancels that race.

mod support;

use cancel_tree::CancellationToken;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use support::{Counter, explore, kept, poll, together};

fn pair() -> [Arc<CancellationToken>; 2] {
    let root = CancellationToken::new();
    let child = root.child_token();
    [root, child].map(Arc::new)
}

fn chain() -> [Arc<CancellationToken>; 3] {
    let root = CancellationToken::new();
    let child = root.child_token();
    let grandchild = child.child_token();
    [root, child, grandchild].map(Arc::new)
}

#[test]
fn a_child_created_during_a_cancel_is_cancelled() {
    explore("create, cancel", 4, 50, || {
        let root = CancellationToken::new();
        let other = root.clone();
        let canceller = loom::thread::spawn(move || other.cancel());
        let child = root.child_token();
        if child.is_cancelled() {
            assert!(root.is_cancelled(), "a child was born cancelled, and its parent is not");
            assert!(root.child_token().is_cancelled(), "cancelled was seen, and then a child was not");
        }
        canceller.join().unwrap();
        assert!(child.is_cancelled(), "the child was left running");
    });
}

#[test]
fn a_grandchild_created_during_a_cancel_is_cancelled() {
    explore("create below, cancel", 4, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let canceller = loom::thread::spawn(move || root.cancel());
        let grandchild = child.child_token();
        canceller.join().unwrap();
        assert!(child.is_cancelled() && grandchild.is_cancelled(), "a descendant was left running");
    });
}

#[test]
fn two_children_created_during_a_cancel_are_cancelled() {
    explore("create, create, cancel", 1, 100, || {
        let root = CancellationToken::new();
        let (a, b, c) = (root.clone(), root.clone(), root.clone());
        let first = loom::thread::spawn(move || a.child_token());
        let second = loom::thread::spawn(move || b.child_token());
        let canceller = loom::thread::spawn(move || c.cancel());
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        canceller.join().unwrap();
        assert!(first.is_cancelled() && second.is_cancelled(), "a child was left running");
    });
}

#[test]
fn both_of_two_cancels_return_with_everything_cancelled() {
    explore("cancel, cancel", 1, 500, || {
        let chain = chain();
        let cancel = || {
            let [root, child, grandchild] = kept(&chain);
            actor!({
                root.cancel();
                assert!(root.is_cancelled(), "returned before the root was cancelled");
                assert!(child.is_cancelled(), "returned before the child was cancelled");
                assert!(grandchild.is_cancelled(), "returned before the grandchild was cancelled");
            })
        };
        together([cancel(), cancel()]);
    });
}

#[test]
fn a_cancel_that_races_an_ancestors_returns_with_its_descendants_cancelled() {
    explore("cancel child, cancel root", 2, 500, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let grandchild = child.child_token();
        let (child2, grandchild2) = (child.clone(), grandchild.clone());
        together([
            actor!({
                child2.cancel();
                assert!(child2.is_cancelled() && grandchild2.is_cancelled(), "returned too early");
            }),
            actor!({
                root.cancel();
                assert!(child.is_cancelled() && grandchild.is_cancelled(), "returned too early");
            }),
        ]);
    });
}

/// What has no children is done by the same step that marks it, and that comes before its reason.
#[test]
fn a_cancel_of_what_has_no_children_that_races_its_parents_returns_with_it_cancelled() {
    explore("cancel leaf, cancel root", 4, 50, || {
        let tokens = pair();
        let ([root, child1], [_, child2]) = (kept(&tokens), kept(&tokens));
        together([
            actor!({
                child2.cancel();
                assert!(child2.is_cancelled(), "returned too early");
            }),
            actor!({
                root.cancel();
                assert!(child1.is_cancelled(), "returned too early");
            }),
        ]);
    });
}

#[test]
fn both_of_two_cancels_return_with_all_children_cancelled() {
    explore("cancel, cancel, of two children", 2, 500, || {
        let root = CancellationToken::new();
        let children = [root.child_token(), root.child_token()];
        let [first, second] = children;
        let tokens = [root, first, second].map(Arc::new);
        let cancel = || {
            let [root, first, second] = kept(&tokens);
            actor!({
                root.cancel();
                assert!(first.is_cancelled() && second.is_cancelled(), "returned too early");
            })
        };
        together([cancel(), cancel()]);
    });
}

#[test]
fn who_makes_a_child_that_is_born_cancelled_finds_its_parent_cancelled() {
    explore("write and cancel root, create below", 4, 50, || {
        let tokens = pair();
        let ([root, _], [_, child]) = (kept(&tokens), kept(&tokens));
        let (written, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let (for_canceller, makes) = (written.clone(), made.clone());
        together([
            actor!({
                for_canceller.store(1, Relaxed);
                root.cancel();
            }),
            actor!({
                let grandchild = child.child_token();
                if grandchild.is_cancelled() {
                    assert!(child.is_cancelled(), "born cancelled, and its parent is not");
                    assert_eq!(written.load(Relaxed), 1, "born cancelled, but what came before is not there");
                }
                *makes.lock().unwrap() = Some(grandchild);
            }),
        ]);
        assert!(made.lock().unwrap().take().unwrap().is_cancelled(), "a grandchild was left running");
    });
}

#[test]
fn who_is_ready_finds_the_token_cancelled() {
    explore("write and cancel root, wait for the elder child", 4, 50, || {
        let tokens = pair();
        let _younger = tokens[0].child_token();
        let ([root, _], [_, child]) = (kept(&tokens), kept(&tokens));
        let written = Arc::new(AtomicUsize::new(0));
        let for_canceller = written.clone();
        let (_counter, waker) = Counter::new();
        together([
            actor!({
                for_canceller.store(1, Relaxed);
                root.cancel();
            }),
            actor!({
                if poll(&mut child.cancelled(), &waker).is_ready() {
                    assert!(child.is_cancelled(), "ready, but not cancelled");
                    assert_eq!(written.load(Relaxed), 1, "ready, but what came before is not there");
                }
            }),
        ]);
    });
}

#[test]
fn three_cancels_of_a_chain_each_return_with_their_part_cancelled() {
    explore("cancel, cancel, cancel", 1, 100, || {
        let chain = chain();
        let cancel = |from: usize| {
            let chain = kept(&chain);
            actor!({
                chain[from].cancel();
                assert!(chain[from..].iter().all(|token| token.is_cancelled()), "returned too early");
            })
        };
        together([cancel(0), cancel(1), cancel(2)]);
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_who_finds_the_token_cancelled() {
    explore("write and cancel, look", 4, 5, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let written = Arc::new(AtomicUsize::new(0));
        let for_canceller = written.clone();
        let canceller = loom::thread::spawn(move || {
            for_canceller.store(1, Relaxed);
            root.cancel();
        });
        if child.is_cancelled() {
            assert_eq!(written.load(Relaxed), 1, "cancelled, but what came before is not there");
        }
        canceller.join().unwrap();
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_by_who_makes_a_child_that_is_born_cancelled() {
    explore("write and cancel, create", 4, 50, || {
        let root = CancellationToken::new();
        let written = Arc::new(AtomicUsize::new(0));
        let (for_canceller, for_root) = (written.clone(), root.clone());
        let canceller = loom::thread::spawn(move || {
            for_canceller.store(1, Relaxed);
            for_root.cancel();
        });
        if root.child_token().is_cancelled() {
            assert_eq!(written.load(Relaxed), 1, "born cancelled, but what came before is not there");
        }
        canceller.join().unwrap();
    });
}

#[test]
fn what_came_before_the_cancel_that_was_first_is_seen_through_one_that_helps() {
    explore("write and cancel twice, look", 1, 500, || {
        let chain = chain();
        let written = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let cancel = |i: usize| {
            let ([root, ..], written) = (kept(&chain), written.clone());
            actor!({
                written[i].store(1, Relaxed);
                root.cancel();
            })
        };
        let ([_, child, _], seen) = (kept(&chain), written.clone());
        let look = actor!(if child.is_cancelled() {
            let seen = seen[0].load(Relaxed) + seen[1].load(Relaxed);
            assert!(seen >= 1, "cancelled, but what came before is not there");
        });
        together([cancel(0), cancel(1), look]);
    });
}
