mod support;
use cancel_tree::CancellationToken;
use loom::thread::spawn;
use support::explore;

#[test]
fn a_child_created_during_a_cancel_is_cancelled() {
    explore("create|cancel", 3, 10, || {
        let root = CancellationToken::new();
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let child = root.child_token();
        canceller.join().unwrap();
        assert!(child.is_cancelled());
    });
}

#[test]
fn both_of_two_cancels_return_with_everything_cancelled() {
    explore("cancel|cancel", 3, 10, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let grandchild = child.child_token();
        let (root2, child2, grandchild2) = (root.clone(), child.clone(), grandchild.clone());
        let canceller = spawn(move || {
            root2.cancel();
            assert!(root2.is_cancelled() && child2.is_cancelled() && grandchild2.is_cancelled());
        });
        root.cancel();
        assert!(root.is_cancelled() && child.is_cancelled() && grandchild.is_cancelled());
        canceller.join().unwrap();
    });
}

#[test]
fn two_children_dropped_and_cancel() {
    explore("drop|drop|cancel", 2, 10, || {
        let root = CancellationToken::new();
        let a = root.child_token();
        let b = root.child_token();
        let h1 = spawn(move || drop(a));
        let h2 = spawn(move || drop(b));
        root.cancel();
        h1.join().unwrap();
        h2.join().unwrap();
    });
}
#[test]
fn relay_collapse_and_cancel() {
    explore("relay|cancel", 3, 10, || {
        let root = CancellationToken::new();
        let a = root.child_token();
        let b = a.child_token();
        let h1 = spawn(move || drop(a));
        root.cancel();
        assert!(b.is_cancelled());
        h1.join().unwrap();
    });
}
