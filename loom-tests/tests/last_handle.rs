//! The last handle of a token that is waited for, or was, by several. (In models the segments have one slot each: the second
//! waiter is in the first of the first block, the third in its second one, the fourth and the fifth in a further block.) Proves, within the
//! bounds: C8, C12, C16 for them.

#![allow(clippy::cloned_ref_to_slice_refs, reason = "`kept` takes an array")]

mod support;

use cancel_tree::{CancellationToken, model};
use std::sync::Arc;
use support::{Counter, explore, kept, poll, together, wait};

/// The last handle goes, of a child with so many waiters, beside a cancel of the root.
fn the_last_handle_goes(name: &str, bound: usize, floor: usize, waiters: usize) {
    explore(name, bound, floor, move || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let waits: Vec<_> = (0..waiters).map(|_| wait(&child, &waker)).collect();
        drop((waker, child));
        together([actor!(drop(waits)), actor!(root.cancel())]);
        assert!(counter.wakes() <= waiters, "woken twice");
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
    });
}

#[test]
fn the_last_handle_of_a_token_with_a_block_goes_during_a_cancel() {
    the_last_handle_goes("drop two owned waiters, cancel root", 3, 100, 2);
}

#[test]
fn the_last_handle_of_a_token_with_a_block_of_two_segments_goes_during_a_cancel() {
    the_last_handle_goes("drop three owned waiters, cancel root", 3, 100, 3);
}

#[test]
fn the_last_handle_of_a_token_with_two_blocks_goes_during_a_cancel() {
    the_last_handle_goes("drop four owned waiters, cancel root", 1, 100, 4);
}

#[test]
fn the_last_handles_of_two_waiters_go_at_once_during_a_cancel() {
    explore("drop owned waiter, drop owned waiter, cancel root", 2, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let (first, second) = (wait(&child, &waker), wait(&child, &waker));
        drop((waker, child));
        together([actor!(drop(first)), actor!(drop(second)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 2, "woken twice");
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
    });
}

#[test]
fn a_token_with_a_block_becomes_a_relay_during_a_cancel() {
    explore("drop the last handle above a child, cancel root", 2, 100, || {
        let root = CancellationToken::new();
        let token = root.child_token();
        let child = token.child_token();
        let (_counter, waker) = Counter::new();
        drop((wait(&token, &waker), wait(&token, &waker)));
        let (first, second) = (wait(&token, &waker), wait(&token, &waker));
        drop((first, second));
        let [root] = [Arc::new(root)];
        let [kept] = kept(&[root.clone()]);
        together([actor!(drop(token)), actor!(kept.cancel())]);
        assert!(child.is_cancelled());
        drop((root, child));
    });
}

#[test]
fn a_token_with_a_block_goes_below_a_relay_that_collapses() {
    explore("drop relay, drop the last handle below", 2, 100, || {
        let root = CancellationToken::new();
        let relay = root.child_token();
        let token = relay.child_token();
        let child = token.child_token();
        let (_counter, waker) = Counter::new();
        let (first, second) = (wait(&token, &waker), wait(&token, &waker));
        drop((first, second));
        together([actor!(drop(relay)), actor!(drop(token))]);
        assert_eq!(model::live_nodes(), 2, "a relay is left");
        root.cancel();
        assert!(child.is_cancelled());
    });
}

#[test]
fn a_cancelled_token_with_blocks_goes_with_its_last_handle() {
    explore("cancel, then drop", 2, 1, || {
        let (token, (counter, waker)) = (CancellationToken::new(), Counter::new());
        let waits: Vec<_> = (0..5).map(|_| wait(&token, &waker)).collect();
        token.cancel();
        assert_eq!(counter.wakes(), 5);
        drop((token, waits));
    });
}

/// A future that was forgotten keeps its waker for ever, and nothing else: the last handle goes all the same.
#[test]
fn a_future_that_was_forgotten_does_not_keep_its_token_in_a_list() {
    explore("drop the last handle of a forgotten future, cancel root", 3, 20, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let mut wait = child.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        std::mem::forget(wait);
        together([actor!(drop(child)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 1, "woken twice");
    });
}

/// Nothing but the waits keeps the token, and nobody waits in its own slot.
#[test]
fn the_last_waiter_in_a_block_goes_during_a_cancel() {
    explore("drop of the last owned waiter, in a block; cancel root", 4, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let (first, second) = (wait(&child, &waker), wait(&child, &waker));
        drop((waker, child, first));
        together([actor!(drop(second)), actor!(root.cancel())]);
        assert!(counter.wakes() <= 1, "woken twice");
        assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
    });
}

/// The same, of one that may live without handles.
#[test]
fn the_last_waiter_in_a_block_of_a_linked_token_goes_during_a_cancel() {
    for slot_is_free in [false, true] {
        explore("any: drop of the last owned waiter, cancel", 3, 100, move || {
            let source = CancellationToken::new();
            let linked = CancellationToken::any([&source]);
            let (counter, waker) = Counter::new();
            let (first, second) = (wait(&linked, &waker), wait(&linked, &waker));
            drop((waker, linked));
            let rest = (!slot_is_free).then_some(first);
            together([actor!(drop((second, rest))), actor!(source.cancel())]);
            assert!(counter.wakes() <= 2, "woken twice");
            assert_eq!(Arc::strong_count(&counter), 1, "a waker was kept");
        });
    }
}

/// What a canceller has been left is freed by any drop.
#[test]
fn the_last_handle_goes_during_a_cancel_and_another_thread_frees_the_node() {
    explore("drop owned waiter, cancel root, drop elsewhere", 2, 1_000, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let (counter, waker) = Counter::new();
        let wait = wait(&child, &waker);
        drop((waker, child));
        let other = CancellationToken::new();
        together([actor!(drop(wait)), actor!(root.cancel()), actor!(drop(other))]);
        assert!(counter.wakes() <= 1, "woken twice");
    });
}
