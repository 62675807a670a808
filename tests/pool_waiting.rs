//! Waiting for tokens of a pool, where there may be no room for a further waiter.

mod support;

use cancel_tree::TokenPool;
use futures_lite::future::{block_on, poll_once, zip};
use std::pin::pin;
use std::thread;
use support::for_ever;
use support::wakers::Counter;

fn pool<const N: usize>() -> &'static TokenPool<N> {
    for_ever(TokenPool::new())
}

#[test]
fn the_first_waiter_takes_no_node_and_each_further_one_does() {
    let pool = pool::<3>();
    let token = pool.try_token().unwrap();
    let counters = Counter::many(3);
    let mut waits = [token.cancelled(), token.cancelled(), token.cancelled()];
    for (n, (wait, counter)) in waits.iter_mut().zip(&counters).enumerate() {
        assert!(counter.poll(wait).is_pending());
        assert!(counter.poll(wait).is_pending());
        assert_eq!(pool.in_use(), n + 1);
    }
    token.cancel();
    assert!(counters.iter().all(|counter| counter.wakes() == 1));
    drop(waits);
    assert_eq!(pool.in_use(), 1);
}

#[test]
fn a_waiter_without_room_is_polled_again_until_there_is_some() {
    let pool = pool::<2>();
    let token = pool.try_token().unwrap();
    let other = token.try_child_token().unwrap();
    let [first, second] = [Counter::new(), Counter::new()];
    let (mut in_the_slot, mut without) = (token.cancelled(), token.cancelled());
    assert!(first.poll(&mut in_the_slot).is_pending());
    for polls in 1..=3 {
        assert!(second.poll(&mut without).is_pending());
        assert_eq!(second.wakes(), polls, "each poll has to bring the next");
        assert_eq!(second.kept(), 0);
    }
    // Room for a node.
    drop(other);
    assert!(second.poll(&mut without).is_pending());
    assert_eq!((second.wakes(), second.kept(), pool.in_use()), (3, 1, 2));
    token.cancel();
    assert_eq!((first.wakes(), second.wakes()), (1, 4));
    assert!(second.poll(&mut without).is_ready());
}

#[test]
fn a_waiter_without_room_takes_the_slot_when_that_is_free() {
    let pool = pool::<1>();
    let token = pool.try_token().unwrap();
    let [first, second] = [Counter::new(), Counter::new()];
    let (mut in_the_slot, mut without) = (token.cancelled(), token.cancelled());
    assert!(first.poll(&mut in_the_slot).is_pending());
    assert!(second.poll(&mut without).is_pending());
    drop(in_the_slot);
    assert!(second.poll(&mut without).is_pending());
    assert_eq!((second.wakes(), second.kept()), (1, 1));
    token.cancel();
    assert_eq!((first.wakes(), second.wakes()), (0, 2));
}

#[test]
fn a_waiter_without_room_is_ready_when_the_token_is_cancelled() {
    let pool = pool::<1>();
    let token = pool.try_token().unwrap();
    let counter = Counter::new();
    let (mut in_the_slot, mut without) = (token.cancelled(), token.cancelled());
    assert!(counter.poll(&mut in_the_slot).is_pending());
    assert!(counter.poll(&mut without).is_pending());
    token.cancel();
    assert!(counter.poll(&mut without).is_ready());
}

/// An executor that polls only who has been woken: none of ten waiters of a token with room for one is lost.
#[test]
fn many_waiters_of_a_full_pool_all_end() {
    let pool = pool::<1>();
    let token = pool.try_token().unwrap();
    thread::scope(|scope| {
        for _ in 0..10 {
            let token = token.clone();
            scope.spawn(move || block_on(zip(token.cancelled(), token.cancelled())));
        }
        thread::yield_now();
        token.cancel();
    });
    drop(token);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_race_in_a_pool_is_won_by_the_token_or_by_the_work() {
    let pool = pool::<1>();
    let token = pool.try_token().unwrap();
    block_on(async {
        assert_eq!(token.run_until_cancelled(async { 42 }).await, Some(42));
        let mut work = pin!(token.run_until_cancelled(std::future::pending::<()>()));
        assert_eq!(poll_once(&mut work).await, None);
        token.cancel();
        assert_eq!(work.await, None);
    });
}
