//! Branches: the children of a crowded token stand below hidden ones. (In models a token is crowded when it is said, has two branches, and
//! there are two directories and two branches in all.) Proves, within the bounds: C3, C4, C8, C9 for what stands there, and that branches
//! come back when their token has gone and nothing is left below them.

#![allow(clippy::cloned_ref_to_slice_refs, reason = "`kept` takes an array")]

mod support;

use cancel_tree::{CancellationToken, model};
use std::sync::Arc;
use support::{Counter, kept, poll, together};

/// As [`support::explore`]; at the end no branch is left either.
#[track_caller]
fn explore(name: &str, bound: usize, floor: usize, scene: impl Fn() + Send + Sync + 'static) {
    support::explore(name, bound, floor, move || {
        scene();
        assert_eq!(model::branches_in_use(), (0, 0), "branches or directories are left");
    });
}

/// A token that is crowded.
fn crowded() -> CancellationToken {
    let token = CancellationToken::new();
    model::open_branches(&token);
    token
}

/// A crowded token with a parent.
fn crowded_child() -> (CancellationToken, CancellationToken) {
    let root = CancellationToken::new();
    let token = root.child_token();
    model::open_branches(&token);
    (root, token)
}

/// A child that is made in the branch of that number.
fn child_in(token: &CancellationToken, branch: usize) -> CancellationToken {
    model::set_thread_hint(branch);
    let child = token.child_token();
    model::set_thread_hint(0);
    child
}

#[test]
fn a_child_in_a_branch_is_cancelled_and_leaves_nothing() {
    explore("branch, alone", 1, 1, || {
        let token = crowded();
        let children = [0, 1, 0, 1].map(|branch| child_in(&token, branch));
        assert_eq!(model::branches_in_use(), (2, 1));
        let [first, ..] = &children;
        first.cancel();
        assert!(!token.is_cancelled() && !children[2].is_cancelled(), "cancelled by a sibling");
        token.cancel();
        assert!(children.iter().all(CancellationToken::is_cancelled), "overlooked");
        assert!(child_in(&token, 0).is_cancelled() && child_in(&token, 1).is_cancelled());
    });
}

#[test]
fn where_there_is_no_branch_the_token_has_the_child() {
    explore("branch, none left", 1, 1, || {
        let (first, second, third) = (crowded(), crowded(), crowded());
        let children = [child_in(&first, 0), child_in(&first, 1), child_in(&second, 0), child_in(&third, 0)];
        assert_eq!(model::branches_in_use(), (2, 2));
        drop(first);
        second.cancel();
        third.cancel();
        assert_eq!(children.map(|child| child.is_cancelled()), [false, false, true, true]);
    });
}

#[test]
fn a_child_that_is_made_in_a_branch_during_a_cancel_is_cancelled() {
    for planted in [false, true] {
        explore("cancel, child in a branch", 3, 100, move || {
            let token = Arc::new(crowded());
            let elder = planted.then(|| token.child_token());
            let [cancels, makes] = kept(&[token.clone(), token.clone()]);
            let made = Arc::new(std::sync::Mutex::new(None));
            let place = made.clone();
            together([
                actor!({
                    cancels.cancel();
                    assert!(cancels.child_token().is_cancelled(), "not born cancelled");
                }),
                actor!({
                    // Who has seen the token cancelled has only cancelled children of it, though their branch is perhaps not yet.
                    let was = makes.is_cancelled();
                    let child = makes.child_token();
                    assert!(!was || child.is_cancelled(), "not born cancelled");
                    *place.lock().unwrap() = Some(child);
                }),
            ]);
            assert!(made.lock().unwrap().take().unwrap().is_cancelled(), "overlooked");
            assert!(elder.is_none_or(|elder| elder.is_cancelled()), "overlooked");
        });
    }
}

#[test]
fn a_branch_that_is_just_being_planted_is_reached() {
    explore("plant, child in the branch and cancel", 1, 100, || {
        let token = Arc::new(crowded());
        let [plants, cancels] = kept(&[token.clone(), token.clone()]);
        together([
            actor!(drop(plants.child_token())),
            actor!({
                let child = cancels.child_token();
                cancels.cancel();
                assert!(child.is_cancelled(), "overlooked");
            }),
        ]);
    });
}

#[test]
fn two_threads_of_one_hint_plant_one_branch() {
    explore("plant, plant", 3, 100, || {
        let token = Arc::new(crowded());
        let [a, b] = kept(&[token.clone(), token.clone()]);
        let made = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (for_a, for_b) = (made.clone(), made.clone());
        together([
            actor!({
                let child = a.child_token();
                for_a.lock().unwrap().push(child);
            }),
            actor!({
                let child = b.child_token();
                for_b.lock().unwrap().push(child);
            }),
        ]);
        assert_eq!(model::branches_in_use(), (1, 1), "one more than is used");
        token.cancel();
        let made = std::mem::take(&mut *made.lock().unwrap());
        assert!(made.iter().all(CancellationToken::is_cancelled), "overlooked");
    });
}

#[test]
fn two_threads_find_the_token_crowded_at_once() {
    explore("open, open", 2, 50, || {
        let token = Arc::new(CancellationToken::new());
        let [a, b] = kept(&[token.clone(), token.clone()]);
        together([a, b].map(|token| {
            actor!({
                model::open_branches(&token);
                drop(token.child_token());
            })
        }));
        assert_eq!(model::branches_in_use(), (1, 1), "one more than is used");
    });
}

#[test]
fn a_token_is_found_crowded_during_its_cancel() {
    explore("open, cancel", 3, 50, || {
        let token = Arc::new(CancellationToken::new());
        let elder = token.child_token();
        let [opens, cancels] = kept(&[token.clone(), token.clone()]);
        let made = Arc::new(std::sync::Mutex::new(None));
        let place = made.clone();
        together([
            actor!({
                model::open_branches(&opens);
                *place.lock().unwrap() = Some(opens.child_token());
            }),
            actor!(cancels.cancel()),
        ]);
        assert!(elder.is_cancelled() && made.lock().unwrap().take().unwrap().is_cancelled(), "overlooked");
    });
}

#[test]
fn a_token_goes_while_a_child_in_its_branch_does() {
    explore("drop, drop in a branch", 3, 200, || {
        let (root, token) = crowded_child();
        let [stays, goes] = [0, 0].map(|branch| child_in(&token, branch));
        together([actor!(drop(token)), actor!(drop(goes))]);
        assert_eq!(model::branches_in_use(), (0, 0), "replaced by its only child");
        assert_eq!(model::live_nodes(), 2, "what was dropped has stayed");
        root.cancel();
        assert!(stays.is_cancelled(), "cut off");
    });
}

#[test]
fn a_token_with_branches_goes_during_a_cancel_further_up() {
    explore("cancel, drop with branches", 2, 200, || {
        let (root, token) = crowded_child();
        let child = child_in(&token, 0);
        let root = Arc::new(root);
        let [cancels] = kept(&[root.clone()]);
        together([actor!(cancels.cancel()), actor!(drop(token))]);
        assert!(child.is_cancelled(), "cut off");
    });
}

#[test]
fn the_root_goes_and_leaves_two_children_in_a_branch() {
    explore("drop of a root, drop in a branch", 3, 100, || {
        let token = crowded();
        let [stays, goes, other] = [0, 0, 1].map(|branch| child_in(&token, branch));
        together([actor!(drop(token)), actor!(drop(goes))]);
        assert!(!stays.is_cancelled() && !other.is_cancelled());
        assert_eq!(model::branches_in_use(), (0, 0), "nobody can cancel them any more");
    });
}

#[test]
fn a_directory_is_used_again() {
    explore("drop, open", 3, 20, || {
        let (first, second, third) = (crowded(), crowded(), Arc::new(CancellationToken::new()));
        drop(first.child_token());
        let [opens] = kept(&[third.clone()]);
        let made = Arc::new(std::sync::Mutex::new(None));
        let place = made.clone();
        together([
            actor!(drop(first)),
            actor!({
                model::open_branches(&opens);
                *place.lock().unwrap() = Some(opens.child_token());
            }),
        ]);
        third.cancel();
        assert!(made.lock().unwrap().take().unwrap().is_cancelled(), "in the branch of another");
        drop(second);
    });
}

#[test]
fn who_comes_to_a_directory_that_was_anothers_finds_it_empty() {
    explore("drop and open, child", 3, 20, || {
        let (first, second, third) = (crowded(), crowded(), Arc::new(CancellationToken::new()));
        drop(first.child_token());
        let [opens, makes] = kept(&[third.clone(), third.clone()]);
        together([
            actor!({
                drop(first);
                model::open_branches(&opens);
            }),
            actor!(drop(makes.child_token())),
        ]);
        drop(second);
    });
}

#[test]
fn a_block_and_branches_come_at_once() {
    explore("open, second waiter", 3, 200, || {
        let token = Arc::new(CancellationToken::new());
        let (counter, waker) = Counter::new();
        let mut first = (*token).clone().cancelled_owned();
        assert!(poll(&mut first, &waker).is_pending());
        let [opens, waits] = kept(&[token.clone(), token.clone()]);
        let kept = Arc::new(std::sync::Mutex::new((None, None)));
        let (child, wait) = (kept.clone(), kept.clone());
        together([
            actor!({
                model::open_branches(&opens);
                let made = opens.child_token();
                child.lock().unwrap().0 = Some(made);
            }),
            actor!({
                let mut second = (*waits).clone().cancelled_owned();
                assert!(poll(&mut second, &waker).is_pending());
                wait.lock().unwrap().1 = Some(second);
            }),
        ]);
        assert_eq!(model::branches_in_use(), (1, 1));
        token.cancel();
        assert_eq!(counter.wakes(), 2, "a wake-up was lost or given twice");
        let (child, wait) = std::mem::take(&mut *kept.lock().unwrap());
        assert!(child.unwrap().is_cancelled(), "overlooked");
        drop(wait);
    });
}

/// The canceller, who is left the last handle, ends the branches; the cause that they have goes with the next drop of a token.
#[test]
fn a_canceller_ends_the_branches_of_a_token_that_was_waited_for() {
    explore("cancel with a cause, drop with a waiter and branches", 3, 500, || {
        let (root, token) = crowded_child();
        drop(child_in(&token, 0));
        let (_, waker) = Counter::new();
        let mut wait = token.cancelled_owned();
        assert!(poll(&mut wait, &waker).is_pending());
        let root = Arc::new(root);
        let [cancels] = kept(&[root.clone()]);
        let cause = Arc::new(());
        let shared = cause.clone();
        together([
            actor!({
                #[derive(Debug)]
                struct Shared(#[allow(dead_code, reason = "counted")] Arc<()>);
                impl std::fmt::Display for Shared {
                    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        Ok(())
                    }
                }
                impl std::error::Error for Shared {}
                cancels.cancel_with(Shared(shared));
            }),
            actor!(drop(wait)),
        ]);
        drop(root);
        drop(CancellationToken::new());
        assert_eq!(Arc::strong_count(&cause), 1, "the cause is kept by a branch");
    });
}

#[test]
fn who_looks_sees_the_children_in_branches() {
    explore("look, child and drop in branches", 3, 200, || {
        let token = Arc::new(crowded());
        let [stays, goes] = [0, 1].map(|branch| child_in(&token, branch));
        let [looks] = kept(&[token.clone()]);
        together([
            actor!({
                let tree = looks.tree();
                assert!(!tree.is_complete() || tree.tokens().len() >= 2, "overlooked");
            }),
            actor!(drop(goes)),
        ]);
        assert_eq!(token.tree().tokens().len(), 2, "a branch was seen, or a child was not");
        drop(stays);
        assert_eq!(token.tree().tokens().len(), 1);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}
