//! A token without children whose waiters have room in it and in its first block: that leaves the list with the step that marks
//! the token. (In models it has one slot.) Proves, within the bounds: whoever comes or goes meanwhile finds all as after any cancel.

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use std::sync::{Arc, Mutex};
use support::{Counter, explore, in_every_order, poll, together};

/// Two wait for the token: one in its slot, one in its first block.
fn two_wait_for(token: &CancellationToken) -> ([WaitForCancellationFutureOwned; 2], Arc<Counter>) {
    let (counter, waker) = Counter::new();
    let mut waits = [(); 2].map(|()| token.clone().cancelled_owned());
    assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
    (waits, counter)
}

#[test]
fn a_child_comes_while_two_waiters_are_woken() {
    in_every_order(2, || {
        explore("create, cancel, two waiters", 3, 20, || {
            let token = CancellationToken::new();
            let (waits, counter) = two_wait_for(&token);
            let [creates, cancels] = [token.clone(), token.clone()];
            let child = Arc::new(Mutex::new(None));
            let made = child.clone();
            together([actor!(*made.lock().unwrap() = Some(creates.child_token())), actor!(cancels.cancel())]);
            assert_eq!(counter.wakes(), 2, "not woken exactly once");
            let child = child.lock().unwrap().take().unwrap();
            assert!(token.is_cancelled() && child.is_cancelled(), "the cancel has returned, and has not cancelled");
            drop(waits);
        });
    });
}

#[test]
fn a_child_goes_while_two_waiters_are_woken() {
    for elder in [false, true] {
        explore("drop child, cancel, two waiters", 3, 100, move || {
            let token = CancellationToken::new();
            let first = elder.then(|| token.child_token());
            let (waits, counter) = two_wait_for(&token);
            let child = first.unwrap_or_else(|| token.child_token());
            let cancels = token.clone();
            together([actor!(drop(child)), actor!(cancels.cancel())]);
            assert_eq!(counter.wakes(), 2, "not woken exactly once");
            drop(waits);
        });
    }
}

#[test]
fn a_child_that_is_elder_than_a_block_is_cancelled() {
    explore("cancel, two waiters, elder child", 0, 1, || {
        let token = CancellationToken::new();
        let child = token.child_token();
        let (waits, counter) = two_wait_for(&token);
        token.cancel();
        assert!(child.is_cancelled() && counter.wakes() == 2);
        drop(waits);
    });
}

#[test]
fn both_of_two_cancels_return_with_a_token_cancelled_that_two_wait_for() {
    explore("cancel, cancel, two waiters", 3, 20, || {
        let token = CancellationToken::new();
        let (waits, counter) = two_wait_for(&token);
        let cancels = [token.clone(), token.clone()];
        together(cancels.map(|token| {
            actor!({
                token.cancel();
                assert!(token.is_cancelled());
            })
        }));
        assert_eq!(counter.wakes(), 2, "not woken exactly once");
        drop(waits);
    });
}
