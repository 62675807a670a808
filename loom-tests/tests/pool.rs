//! Static pools. Proves, within the bounds: a place is one node's at a time, and what that did comes before the next; a pool
//! refuses only when it is full; places of a tree that ends beside a cancel all come back.

mod support;

use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{CancellationToken, PoolFull, TokenPool, WaitForCancellationFutureOwned, model};
use loom::thread::spawn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use support::{Counter, explore, poll, together};

fn pool<const N: usize>() -> &'static TokenPool<N> {
    model::keep_pool(TokenPool::new())
}

/// What two actors return. The scene's own thread is none of them: `together` says why.
fn both<T: Send + 'static>(actors: [impl FnOnce() -> T + Send + 'static; 2]) -> [T; 2] {
    actors.map(spawn).map(|actor| actor.join().unwrap())
}

/// Polls in an actor.
fn poll_elsewhere(
    mut wait: WaitForCancellationFutureOwned,
    waker: Waker,
) -> (WaitForCancellationFutureOwned, Poll<()>) {
    let actor = spawn(move || {
        let polled = poll(&mut wait, &waker);
        (wait, polled)
    });
    actor.join().unwrap()
}

/// A token to be dropped by an actor.
fn drop_of(token: CancellationToken) -> Box<dyn FnOnce() + Send> {
    actor!(drop(token))
}

#[test]
fn two_who_take_at_once_have_two_places() {
    explore("take, take", 4, 20, || {
        let pool = pool::<2>();
        let [first, second] = both([(); 2].map(|()| move || pool.try_token())).map(Result::unwrap);
        assert_ne!(first, second);
        assert_eq!(pool.in_use(), 2);
        drop((first, second));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn of_two_who_take_the_last_place_one_has_it() {
    explore("take, take", 4, 20, || {
        let pool = pool::<1>();
        let both = both([(); 2].map(|()| move || pool.try_token()));
        assert_eq!(both.iter().filter(|token| **token == Err(PoolFull)).count(), 1);
        drop(both);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn a_place_given_back_is_had_by_the_next() {
    explore("drop, take", 4, 20, || {
        let pool = pool::<1>();
        let first = pool.try_token().unwrap();
        let (other, second) = (spawn(move || drop(first)), spawn(move || pool.try_token()));
        other.join().unwrap();
        let second = second.join().unwrap();
        if second.is_err() {
            assert!(pool.try_token().is_ok(), "refused by a pool with room");
        }
        drop(second);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn who_drops_and_takes_beside_others_finds_a_place() {
    explore("drop and take, drop and take", 2, 100, || {
        let pool = pool::<2>();
        let both = [pool.try_token().unwrap(), pool.try_token().unwrap()];
        together(both.map(|token| {
            actor!({
                drop(token);
                pool.try_token().expect("each has given back one before he takes one")
            })
        }));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn who_has_a_permit_finds_a_place_though_another_took_the_one_he_knew_of() {
    explore("take, take, drop", 2, 100, || {
        let pool = pool::<2>();
        let token = pool.try_token().unwrap();
        let dropper = spawn(move || drop(token));
        let taken = both([(); 2].map(|()| move || pool.try_token()));
        dropper.join().unwrap();
        assert!(taken.iter().any(Result::is_ok));
        drop(taken);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn children_dropped_at_once_come_back() {
    explore("drop, drop", 3, 100, || {
        let pool = pool::<3>();
        let root = pool.try_token().unwrap();
        let children = [root.try_child_token().unwrap(), root.try_child_token().unwrap()];
        together(children.map(drop_of));
        assert_eq!(pool.in_use(), 1);
        let _all = [root.try_child_token().unwrap(), root.try_child_token().unwrap()];
        assert_eq!(root.try_child_token(), Err(PoolFull));
    });
}

#[test]
fn a_place_that_a_cancel_finds_dead_comes_back() {
    explore("drop, cancel", 3, 100, || {
        let pool = pool::<2>();
        let root = pool.try_token().unwrap();
        let child = root.try_child_token().unwrap();
        let other = root.clone();
        together([drop_of(child), actor!(Box::leak(Box::new(other)).cancel())]);
        // No drop has come after the cancel but the child's own.
        assert_eq!(pool.in_use(), 1);
    });
}

#[test]
fn a_relay_collapses_in_a_pool_beside_a_cancel() {
    explore("relay, cancel", 2, 100, || {
        let pool = pool::<3>();
        let root = pool.try_token().unwrap();
        let middle = root.try_child_token().unwrap();
        let leaf = middle.try_child_token().unwrap();
        let other = root.clone();
        together([drop_of(middle), actor!(other.cancel())]);
        assert!(leaf.is_cancelled());
        drop((root, leaf));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn a_child_created_in_the_place_of_another_during_a_cancel_is_cancelled() {
    explore("drop and create, cancel", 2, 100, || {
        let pool = pool::<2>();
        let root = pool.try_token().unwrap();
        let child = root.try_child_token().unwrap();
        let (other, parent) = (root.clone(), root.clone());
        let canceller = spawn(move || other.cancel());
        let creator = spawn(move || {
            drop(child);
            parent.try_child_token()
        });
        canceller.join().unwrap();
        let again = creator.join().unwrap();
        // The canceller may have held the first one's place.
        let again = again.or_else(|PoolFull| root.try_child_token()).expect("all is over");
        assert!(again.is_cancelled());
        drop((root, again));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn a_waiter_without_room_loses_no_wake_up() {
    explore("register without room, cancel", 3, 20, || {
        let pool = pool::<1>();
        let root = pool.try_token().unwrap();
        let (_, first_waker) = Counter::new();
        let mut first = root.cancelled();
        assert!(poll(&mut first, &first_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let (counter, waker) = Counter::new();
        let second = root.clone().cancelled_owned();
        let (mut second, polled) = poll_elsewhere(second, waker.clone());
        assert!(polled == Poll::Ready(()) || counter.wakes() == 1, "nobody will poll it again");
        canceller.join().unwrap();
        assert!(poll(&mut second, &waker).is_ready());
    });
}

#[test]
fn a_second_waiter_in_a_pool_is_woken_and_its_place_comes_back() {
    explore("register, cancel", 2, 100, || {
        let pool = pool::<2>();
        let root = pool.try_token().unwrap();
        let (_, first_waker) = Counter::new();
        let mut first = root.cancelled();
        assert!(poll(&mut first, &first_waker).is_pending());
        let other = root.clone();
        let canceller = spawn(move || other.cancel());
        let (counter, waker) = Counter::new();
        let (second, polled) = poll_elsewhere(root.clone().cancelled_owned(), waker);
        canceller.join().unwrap();
        assert!(polled == Poll::Ready(()) || counter.wakes() == 1);
        drop((first, second));
        drop(root);
        assert_eq!(pool.in_use(), 0);
    });
}

/// Keeps its alarm, and does nothing with it.
#[derive(Clone, Default)]
struct Egg(Arc<Mutex<Option<Alarm>>>);

impl Timer for Egg {
    type Armed = Arc<Mutex<Option<Alarm>>>;
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) -> Self::Armed {
        *self.0.lock().unwrap() = Some(alarm);
        self.0.clone()
    }
    fn disarm(_: &Self::Armed) {}
}

#[test]
fn what_a_cancel_has_left_is_there_for_who_finds_the_pool_full() {
    explore("drop of a timed child, cancel", 3, 50, || {
        let pool = pool::<2>();
        let root = pool.try_token().unwrap();
        let timer = Egg::default();
        let child = root.try_child_with_timer(&timer, Duration::from_secs(1)).unwrap();
        let other = root.clone();
        // The alarm would keep the node's memory.
        drop(timer.0.lock().unwrap().take());
        together([drop_of(child), actor!(Box::leak(Box::new(other)).cancel())]);
        let again = root.try_child_token().expect("the cancel may have left the node, but not kept it");
        assert!(again.is_cancelled());
    });
}
