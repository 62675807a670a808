//! Looking at the living tree. Proves, within the bounds: whoever looks is in nobody's way and nobody in his; what has stood
//! below a token from before he came until after he went is seen, unless the list is said to be busy; nothing that ends
//! meanwhile is touched after its end, or leaks; and a cancel reaches all, as ever.

mod support;

use cancel_tree::snapshot::{Listing, TreeSnapshot};
use cancel_tree::{CancellationToken, model};
use std::sync::Arc;
use support::{Counter, explore, kept, poll, together};

fn names(tree: &TreeSnapshot) -> Vec<&str> {
    tree.tokens().iter().filter_map(|token| token.name()).collect()
}

fn is_named_unless_busy(tree: &TreeSnapshot, name: &str) {
    let all_seen = tree.tokens().iter().all(|token| token.listing() == Listing::Complete);
    assert!(!all_seen || names(tree).contains(&name), "{name} was not seen: {tree}");
}

#[test]
fn what_stands_there_is_seen_and_what_is_dropped_meanwhile_is_freed() {
    explore("look, drop", 3, 200, || {
        let root = Arc::new(CancellationToken::named("root"));
        let stays = root.naming("stays").child_token();
        let goes = root.naming("goes").child_token();
        let seen = root.clone();
        together([
            actor!({
                is_named_unless_busy(&seen.tree(), "stays");
            }),
            actor!(drop(goes)),
        ]);
        assert_eq!(model::live_nodes(), 2, "what was dropped has stayed");
        assert_eq!(names(&root.tree()), ["root", "stays"]);
        root.cancel();
        assert!(stays.is_cancelled());
    });
}

#[test]
fn an_only_child_is_dropped_while_it_is_looked_at() {
    explore("look, drop of an only child", 3, 200, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let seen = root.clone();
        together([actor!(drop(seen.tree())), actor!(drop(child))]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
        assert_eq!(root.tree().tokens().len(), 1);
    });
}

#[test]
fn a_cancel_reaches_all_while_somebody_looks() {
    explore("look, cancel", 2, 2_000, || {
        let root = Arc::new(CancellationToken::named("root"));
        let child = root.naming("child").child_token();
        let grandchild = child.naming("grandchild").child_token();
        let [seen, cancels] = [root.clone(), root.clone()];
        together([
            actor!({
                is_named_unless_busy(&seen.tree(), "grandchild");
            }),
            actor!({
                cancels.cancel();
                assert!(child.is_cancelled() && grandchild.is_cancelled(), "the cancel did not come through");
            }),
        ]);
        assert_eq!(root.tree().root().listing(), Listing::Dissolved);
    });
}

#[test]
fn a_cancelled_child_is_dropped_while_somebody_looks() {
    explore("look, cancel and drop", 2, 2_000, || {
        let root = Arc::new(CancellationToken::new());
        let (one, other) = (root.child_token(), root.child_token());
        let [seen, cancels] = [root.clone(), root.clone()];
        together([
            actor!(drop(seen.tree())),
            actor!({
                cancels.cancel();
                drop(one);
            }),
        ]);
        assert!(other.is_cancelled());
    });
}

#[test]
fn a_child_is_dropped_while_somebody_looks_and_somebody_cancels() {
    explore("look, cancel, drop", 1, 5_000, || {
        let root = Arc::new(CancellationToken::new());
        let (one, other) = (root.child_token(), root.child_token());
        let [seen, cancels] = [root.clone(), root.clone()];
        together([actor!(drop(seen.tree())), actor!(cancels.cancel()), actor!(drop(one))]);
        assert!(other.is_cancelled());
    });
}

#[test]
fn a_token_goes_with_all_below_it_while_somebody_looks_there() {
    explore("look, drop child and parent", 3, 1_000, || {
        let root = Arc::new(CancellationToken::new());
        let parent = root.child_token();
        let child = parent.child_token();
        let seen = root.clone();
        together([
            actor!(drop(seen.tree())),
            actor!({
                drop(child);
                drop(parent);
            }),
        ]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}

#[test]
fn a_token_becomes_a_relay_while_somebody_looks_below_it() {
    explore("look, drop of the token between", 3, 1_000, || {
        let root = Arc::new(CancellationToken::named("root"));
        let relay = root.child_token();
        let child = relay.naming("child").child_token();
        let seen = root.clone();
        together([
            actor!({
                is_named_unless_busy(&seen.tree(), "child");
            }),
            actor!(drop(relay)),
        ]);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_fork_loses_a_child_and_its_handle_while_somebody_looks() {
    explore("look, drop fork, drop one child", 1, 3_000, || {
        let root = Arc::new(CancellationToken::new());
        let fork = root.child_token();
        let (child, other) = (fork.child_token(), fork.child_token());
        let seen = root.clone();
        together([actor!(drop(seen.tree())), actor!(drop(fork)), actor!(drop(other))]);
        assert_eq!(model::live_nodes(), 2, "a relay was not collapsed");
        root.cancel();
        assert!(child.is_cancelled(), "the child was lost");
    });
}

#[test]
fn a_child_is_made_while_somebody_looks() {
    explore("look, push", 3, 1_000, || {
        let root = Arc::new(CancellationToken::named("root"));
        let child = root.naming("child").child_token();
        let [seen, makes] = [root.clone(), root.clone()];
        together([
            actor!({
                is_named_unless_busy(&seen.tree(), "child");
            }),
            actor!({
                let late = makes.naming("late").child_token();
                assert!(!late.is_cancelled());
            }),
        ]);
        assert_eq!(model::live_nodes(), 2);
        drop(child);
    });
}

#[test]
fn two_look_at_once() {
    explore("look, look", 3, 40, || {
        let root = Arc::new(CancellationToken::named("root"));
        let child = root.naming("child").child_token();
        let grandchild = child.child_token();
        let looks = kept(&[root.clone(), root.clone()]);
        together(looks.map(|root| {
            actor!({
                is_named_unless_busy(&root.tree(), "child");
            })
        }));
        assert_eq!(root.tree().tokens().len(), 3);
        drop((grandchild, child));
        assert_eq!(model::live_nodes(), 1);
    });
}

#[test]
fn two_look_while_a_child_goes() {
    explore("look, look, drop", 2, 500, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let [one, other] = kept(&[root.clone(), root.clone()]);
        together([actor!(drop(one.tree())), actor!(drop(other.tree())), actor!(drop(child))]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}

#[test]
fn a_cause_is_read_while_its_token_goes() {
    explore("look, drop of a child that has a cause", 3, 200, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        child.cancel_with(std::io::Error::other("cause"));
        let seen = root.clone();
        together([
            actor!({
                let tree = seen.tree();
                if let Some(child) = tree.tokens().get(1) {
                    assert_eq!(child.reason().unwrap().cause().unwrap().to_string(), "cause");
                }
            }),
            actor!(drop(child)),
        ]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}

#[test]
fn a_callback_that_was_left_runs_while_somebody_looks() {
    explore("look, cancel, a detached callback", 3, 1_000, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let ran = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let runs = ran.clone();
        root.on_cancel(move || runs.store(true, std::sync::atomic::Ordering::Relaxed)).detach();
        let [seen, cancels] = [root.clone(), root.clone()];
        together([
            actor!({
                assert!(seen.tree().root().callbacks() <= 1);
            }),
            actor!({
                cancels.cancel();
            }),
        ]);
        assert!(ran.load(std::sync::atomic::Ordering::Relaxed) && child.is_cancelled());
    });
}

/// A first block goes with its token, and is in no list.
#[test]
fn the_last_waiter_in_a_block_goes_while_somebody_looks() {
    explore("look, drop of the last owned waiter, in a block", 3, 100, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let (_counter, waker) = Counter::new();
        let mut waits = [(); 2].map(|()| child.clone().cancelled_owned());
        assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
        let [first, second] = waits;
        drop((child, first));
        let seen = root.clone();
        together([
            actor!({
                let waiters: usize = seen.tree().tokens().iter().map(|token| token.waiters()).sum();
                assert!(waiters <= 1);
            }),
            actor!(drop(second)),
        ]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}

/// The end of the token's blocks falls to him, then.
#[test]
fn further_blocks_come_and_the_last_handle_goes_while_somebody_looks() {
    explore("look, four waits and drop of the last handle", 2, 500, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let (_counter, waker) = Counter::new();
        let waits = move |child: &CancellationToken, n: usize| {
            let mut waits: Vec<_> = (0..n).map(|_| child.cancelled()).collect();
            assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
        };
        waits(&child, 2);
        let seen = root.clone();
        together([
            actor!(drop(seen.tree())),
            actor!({
                waits(&child, 4);
                drop(child);
            }),
        ]);
        assert_eq!(model::live_nodes(), 1, "what was dropped has stayed");
    });
}

#[test]
fn a_token_with_a_block_becomes_a_relay_while_somebody_looks() {
    explore("look, drop of the last handle above a child, with a block", 2, 500, || {
        let root = Arc::new(CancellationToken::new());
        let token = root.child_token();
        let child = token.child_token();
        let (_counter, waker) = Counter::new();
        let mut waits = [(); 2].map(|()| token.cancelled());
        assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
        drop(waits);
        let seen = root.clone();
        together([actor!(drop(seen.tree())), actor!(drop(token))]);
        assert_eq!(model::live_nodes(), 2, "a relay is left, or a block");
        root.cancel();
        assert!(child.is_cancelled());
    });
}

#[test]
fn further_waiters_come_while_somebody_looks() {
    explore("look, second and third", 2, 50, || {
        let root = Arc::new(CancellationToken::new());
        let child = root.child_token();
        let (_counter, waker) = Counter::new();
        let mut first = child.cancelled();
        assert!(poll(&mut first, &waker).is_pending());
        let (seen, other, waker) = (root.clone(), child.clone(), waker);
        together([
            actor!({
                let waiters: usize = seen.tree().tokens().iter().map(|token| token.waiters()).sum();
                assert!((1..=3).contains(&waiters));
            }),
            actor!({
                let mut waits = [(); 2].map(|()| other.clone().cancelled_owned());
                assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
                drop(waits);
            }),
        ]);
        drop(first);
    });
}
