//! Why a token is cancelled: decided once, final, and the same for all below.

mod support;

use cancel_tree::{CancelKind, CancellationToken};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Counter, explore, kept, poll, together};

/// A cause that can be told from others, and that counts those of its kind.
#[derive(Debug)]
struct Named(&'static str, Arc<AtomicUsize>);

impl Named {
    fn new(name: &'static str, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(name, live.clone())
    }
}
impl Drop for Named {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}
impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for Named {}

fn why(token: &CancellationToken) -> Option<&'static str> {
    let reason = token.reason()?;
    assert_eq!(reason.kind(), CancelKind::Cancelled);
    Some(reason.cause().map_or("nothing", |cause| cause.downcast_ref::<Named>().unwrap().0))
}

#[test]
fn of_two_reasons_for_one_token_one_is_decided_and_final() {
    explore("reason, reason, look", 2, 500, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = Arc::new(CancellationToken::new());
        let child = Arc::new(root.child_token());
        let [root1, root2, child3] = [root.clone(), root.clone(), child.clone()];
        let (a, b) = (Named::new("a", &live), Named::new("b", &live));
        let decided = Arc::new(AtomicUsize::new(0));
        let [decided1, decided2] = [decided.clone(), decided.clone()];
        together([
            actor!({
                let first = root1.cancel_with(a);
                assert_eq!(why(&root1) == Some("a"), first);
                decided1.fetch_add(usize::from(first), Ordering::Relaxed);
            }),
            actor!({
                let first = root2.cancel_with(b);
                assert_eq!(why(&root2) == Some("b"), first);
                decided2.fetch_add(usize::from(first), Ordering::Relaxed);
            }),
            actor!({
                if let Some(before) = why(&child3) {
                    assert!(child3.is_cancelled());
                    assert_eq!(why(&child3), Some(before), "a reason changed");
                }
            }),
        ]);
        assert_eq!(decided.load(Ordering::Relaxed), 1, "decided once");
        assert_eq!(why(&child), why(&root), "a child has another reason");
        drop((root, child));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn a_childs_own_reason_and_its_parents_do_not_mix() {
    explore("reason for the child, for the root", 3, 500, || {
        let live = Arc::new(AtomicUsize::new(0));
        let tokens = {
            let root = CancellationToken::new();
            let child = root.child_token();
            let grandchild = child.child_token();
            [root, child, grandchild].map(Arc::new)
        };
        let ([root, _, grandchild1], [_, child, grandchild2]) = (kept(&tokens), kept(&tokens));
        let (a, b) = (Named::new("a", &live), Named::new("b", &live));
        together([
            actor!({
                assert!(root.cancel_with(a));
                assert!(why(&grandchild1).is_some(), "returned too early");
            }),
            actor!({
                let first = child.cancel_with(b);
                assert_eq!(why(&child) == Some("b"), first);
                assert!(why(&grandchild2).is_some(), "returned too early");
            }),
        ]);
        let [root, child, grandchild] = tokens;
        assert_eq!(why(&root), Some("a"), "a child's reason went up");
        assert_eq!(why(&grandchild), why(&child), "passed on to the child, but not below");
        drop((root, child, grandchild));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

/// The root is cancelled for no reason: the short way, in which a child is marked first.
fn own_reason_beside_a_plain_cancel(name: &str, is_waited: bool) {
    explore(name, 2, 500, move || {
        let live = Arc::new(AtomicUsize::new(0));
        let tokens = {
            let root = CancellationToken::new();
            let child = root.child_token();
            [root, child].map(Arc::new)
        };
        let (a, (counter, waker)) = (Named::new("a", &live), Counter::new());
        let mut wait = Box::pin((*tokens[1]).clone().cancelled_owned());
        if is_waited {
            assert!(poll(&mut wait, &waker).is_pending());
        }
        let ([root, child1], [_, child2], [_, child3]) = (kept(&tokens), kept(&tokens), kept(&tokens));
        let decided = Arc::new(AtomicUsize::new(0));
        let first = decided.clone();
        together([
            actor!({
                root.cancel();
                assert!(child1.is_cancelled(), "returned too early");
            }),
            actor!({
                let decided = child2.cancel_with(a);
                assert!(child2.is_cancelled(), "returned too early");
                assert_eq!(why(&child2) == Some("a"), decided);
                first.store(usize::from(decided), Ordering::Relaxed);
            }),
            actor!({
                if let Some(before) = why(&child3) {
                    assert_eq!(why(&child3), Some(before), "a reason changed");
                }
            }),
        ]);
        assert_eq!(why(&tokens[1]) == Some("a"), decided.load(Ordering::Relaxed) == 1, "a reason changed at the end");
        assert_eq!(why(&tokens[0]), Some("nothing"));
        assert_eq!(counter.wakes(), usize::from(is_waited), "a wake-up was lost or given twice");
        drop((tokens, wait));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn a_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final() {
    own_reason_beside_a_plain_cancel("reason for the child, plain for the root, look", false);
}

#[test]
fn a_waited_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final() {
    own_reason_beside_a_plain_cancel("the same, waited for", true);
}

#[test]
fn below_a_child_with_its_own_reason_that_counts_beside_a_plain_cancel() {
    explore("reason for the child above another, plain for the root", 3, 500, || {
        let live = Arc::new(AtomicUsize::new(0));
        let tokens = {
            let root = CancellationToken::new();
            let child = root.child_token();
            let grandchild = child.child_token();
            [root, child, grandchild].map(Arc::new)
        };
        let a = Named::new("a", &live);
        let ([root, _, grandchild1], [_, child, grandchild2]) = (kept(&tokens), kept(&tokens));
        together([
            actor!({
                root.cancel();
                assert!(why(&grandchild1).is_some(), "returned too early");
            }),
            actor!({
                let first = child.cancel_with(a);
                assert_eq!(why(&child) == Some("a"), first);
                assert!(why(&grandchild2).is_some(), "returned too early");
            }),
        ]);
        assert_eq!(why(&tokens[2]), why(&tokens[1]), "passed on to the child, but not below");
        drop(tokens);
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn what_came_before_a_cancel_is_seen_through_one_that_is_too_late_with_a_reason() {
    explore("write and cancel root, reason for a child, look", 1, 300, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = CancellationToken::new();
        let child = Arc::new(root.child_token());
        let written = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let ([late, looks], seen, cause) =
            (kept(&[child.clone(), child.clone()]), written.clone(), Named::new("late", &live));
        together([
            actor!({
                written.store(1, Ordering::Relaxed);
                root.cancel();
            }),
            actor!({
                let _ = late.cancel_with(cause);
            }),
            actor!(if why(&looks) == Some("nothing") {
                assert_eq!(seen.load(Ordering::Relaxed), 1, "cancelled, but what came before is not there");
            }),
        ]);
        drop(child);
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn a_reason_and_none_for_a_child_beside_a_plain_cancel_of_its_parent() {
    explore("reason for the child, plain for it, plain for the root", 1, 500, || {
        let live = Arc::new(AtomicUsize::new(0));
        let tokens = {
            let root = CancellationToken::new();
            let child = root.child_token();
            [root, child].map(Arc::new)
        };
        let younger = tokens[0].child_token();
        let a = Named::new("a", &live);
        let ([root, _], [_, child1], [_, child2]) = (kept(&tokens), kept(&tokens), kept(&tokens));
        let found = Arc::new(Mutex::new(None));
        let finds = found.clone();
        together([
            actor!(root.cancel()),
            actor!({
                let first = child1.cancel_with(a);
                assert_eq!(why(&child1) == Some("a"), first);
                *finds.lock().unwrap() = why(&child1);
            }),
            actor!({
                child2.cancel();
                assert!(child2.is_cancelled(), "returned too early");
            }),
        ]);
        assert_eq!(why(&tokens[1]), *found.lock().unwrap(), "a reason changed");
        drop((tokens, younger));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn who_waits_for_a_child_that_is_cancelled_for_a_reason_is_ready_or_woken() {
    explore("reason for the child, wait for it", 4, 50, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = CancellationToken::new();
        let child = Arc::new(root.child_token());
        let (a, (counter, waker)) = (Named::new("a", &live), Counter::new());
        let (child1, child2, end) = (child.clone(), child.clone(), Arc::new(Mutex::new(None)));
        let ends = end.clone();
        together([
            actor!(assert!(child1.cancel_with(a))),
            actor!({
                let mut wait = Box::pin((*child2).clone().cancelled_owned());
                let ready = poll(&mut wait, &waker).is_ready();
                assert!(!ready || why(&child2) == Some("a"), "ready without a reason");
                *ends.lock().unwrap() = Some((ready, wait));
            }),
        ]);
        let (ready, wait) = end.lock().unwrap().take().unwrap();
        assert!(ready || counter.wakes() == 1, "a wake-up was lost or given twice");
        drop((wait, child, root));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn a_child_created_below_a_cancel_has_its_reason() {
    explore("reason, create below and look", 4, 50, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = CancellationToken::new();
        let token = root.child_token();
        let (other, cause) = (root.clone(), Named::new("a", &live));
        let canceller = loom::thread::spawn(move || other.cancel_with(cause));
        let child = token.child_token();
        if child.is_cancelled() {
            assert_eq!(why(&child), Some("a"), "born cancelled, for another reason");
        }
        assert!(canceller.join().unwrap());
        assert_eq!(why(&child), Some("a"), "missed");
        drop((root, token, child));
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn a_reason_outlives_its_tokens() {
    explore("reason kept, tokens dropped", 4, 20, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = CancellationToken::new();
        let child = root.child_token();
        root.cancel_with(Named::new("a", &live));
        let reason = child.reason();
        let dropper = loom::thread::spawn(move || drop((root, child)));
        let copy = reason.clone();
        drop(reason);
        assert_eq!(copy.unwrap().cause().unwrap().to_string(), "a");
        dropper.join().unwrap();
        assert_eq!(live.load(Ordering::Relaxed), 0, "a cause is left");
    });
}

#[test]
fn who_is_woken_finds_the_reason() {
    explore("reason, wait", 4, 20, || {
        let live = Arc::new(AtomicUsize::new(0));
        let root = CancellationToken::new();
        let (other, cause) = (root.clone(), Named::new("a", &live));
        let canceller = loom::thread::spawn(move || other.cancel_with(cause));
        let (counter, waker) = Counter::new();
        let mut wait = root.cancelled();
        if poll(&mut wait, &waker).is_ready() {
            assert_eq!(why(&root), Some("a"), "ready without a reason");
        } else {
            assert!(canceller.join().unwrap());
            assert_eq!(counter.wakes(), 1);
            return;
        }
        assert!(canceller.join().unwrap());
    });
}
