//! Tokens in static pools: what takes a node, when it comes back, and what a full pool refuses.

mod support;

use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{
    CancelKind, CancellationToken, Finished, NotRegistered, PoolFull, Registration, StaticCause, TokenPool, Unregister,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::wakers::Counter;
use support::{Account, Random, for_ever, measure};

/// A pool of a test's own.
pub fn pool<const N: usize>() -> &'static TokenPool<N> {
    for_ever(TokenPool::new())
}

const NOTHING: Account = Account { calls: 0, bytes: 0 };

#[test]
fn a_pool_gives_as_many_nodes_as_it_has_and_no_more() {
    let pool = pool::<3>();
    let root = pool.try_token().unwrap();
    let child = root.try_child_token().unwrap();
    let grandchild = child.try_child_token().unwrap();
    assert_eq!((pool.in_use(), pool.capacity()), (3, 3));
    assert_eq!(grandchild.try_child_token(), Err(PoolFull));
    assert_eq!(pool.try_token(), Err(PoolFull));
    assert_eq!(pool.try_any([&root]), Err(PoolFull));
    let _clones = [root.clone(), child.clone()];
    drop(grandchild);
    assert_eq!(pool.in_use(), 2);
    let again = root.try_child_token().unwrap();
    root.cancel();
    assert!(child.is_cancelled() && again.is_cancelled());
}

#[test]
fn a_pool_of_one_node_is_a_flag() {
    let pool = pool::<1>();
    for _ in 0..10 {
        let token = pool.try_token().unwrap();
        assert!(!token.is_cancelled());
        assert_eq!(token.try_child_token(), Err(PoolFull));
        token.cancel();
        assert!(token.clone().is_cancelled());
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_tree_dropped_in_any_order_is_back_at_once() {
    let pool = pool::<32>();
    let mut random = Random(1);
    for round in 0..500 {
        let mut tokens = vec![pool.try_token().unwrap()];
        while let Ok(child) = tokens[random.below(tokens.len())].try_child_token() {
            tokens.push(child);
        }
        assert_eq!(pool.in_use(), 32);
        if round % 3 == 0 {
            tokens[random.below(tokens.len())].cancel();
        }
        random.shuffle(&mut tokens);
        drop(tokens);
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn a_token_that_is_dropped_below_others_leaves_its_node_to_its_only_child() {
    let pool = pool::<3>();
    let mut token = pool.try_token().unwrap();
    let root = token.clone();
    for _ in 0..100_000 {
        token = token.try_child_token().unwrap();
        assert!(pool.in_use() <= 3);
    }
    root.cancel();
    assert!(token.is_cancelled());
    drop((root, token));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_child_of_a_cancelled_token_is_born_cancelled_and_takes_a_node() {
    static CAUSE: StaticCause = StaticCause::new(&PoolFull);
    let pool = pool::<2>();
    let root = pool.try_token().unwrap();
    assert!(root.cancel_with(&CAUSE));
    let child = root.try_child_token().unwrap();
    assert!(child.reason().unwrap().cause().unwrap().is::<PoolFull>());
    assert_eq!(root.try_child_token(), Err(PoolFull));
    drop(child);
    assert_eq!(pool.in_use(), 1);
}

#[test]
fn a_callback_takes_a_node_and_runs_once() {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    fn add(n: usize) {
        SUM.fetch_add(n, Relaxed);
    }
    let pool = pool::<3>();
    let token = pool.try_token().unwrap();
    let kept = token.try_on_cancel_fn(add, 1).unwrap();
    let prevented = token.try_on_cancel_fn(add, 10).unwrap();
    assert_eq!(token.try_on_cancel_fn(add, 100).unwrap_err(), NotRegistered::PoolFull);
    assert_eq!(prevented.unregister(), Unregister::Prevented);
    token.try_on_cancel_fn(add, 1000).unwrap().detach();
    assert_eq!(pool.in_use(), 3);
    token.cancel();
    assert_eq!(SUM.load(Relaxed), 1001);
    assert_eq!(pool.in_use(), 2, "the detached one has come back");
    assert_eq!(kept.unregister(), Unregister::Done);
    assert_eq!(token.try_on_cancel_fn(add, 1).unwrap_err(), NotRegistered::Cancelled);
    drop(token);
    assert_eq!((pool.in_use(), SUM.load(Relaxed)), (0, 1001));
}

#[test]
fn a_detached_callback_ends_with_its_token() {
    let pool = pool::<2>();
    let token = pool.try_token().unwrap();
    token.try_on_cancel_fn(|()| unreachable!("nobody cancels"), ()).unwrap().detach();
    drop(token);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn who_waits_for_the_end_of_a_callback_takes_a_node() {
    let pool = pool::<3>();
    let token = pool.try_token().unwrap();
    let registration = token.try_on_cancel_fn(|()| {}, ()).unwrap();
    let other = pool.try_token().unwrap();
    assert!(registration.try_finished().is_err());
    drop(other);
    let mut finished: Finished = registration.try_finished().unwrap();
    assert_eq!(pool.in_use(), 3);
    let counter = Counter::new();
    assert!(counter.poll(&mut finished).is_pending());
    token.cancel();
    assert_eq!(counter.wakes(), 1);
    assert!(counter.poll(&mut finished).is_ready());
    drop((finished, registration, token));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_linked_token_takes_a_node_and_one_for_each_source() {
    let pool = pool::<5>();
    let (first, second) = (pool.try_token().unwrap(), CancellationToken::new());
    let linked = pool.try_any([&first, &second, &first]).unwrap();
    assert_eq!(pool.in_use(), 4);
    // The second link finds no room.
    assert_eq!(pool.try_any([&first, &second]), Err(PoolFull));
    assert_eq!(pool.in_use(), 4, "nothing is left of what could not be made");
    second.cancel();
    assert!(linked.is_cancelled() && !first.is_cancelled());
    drop(linked);
    assert_eq!(pool.in_use(), 1);
    drop(first);
    assert_eq!(pool.in_use(), 0);
}

/// Keeps the alarms of those who have room: `ROOM` at a time. Its alarms are fired by the test.
#[derive(Default)]
struct Eggs<const ROOM: usize> {
    alarms: Mutex<Vec<Alarm>>,
}

impl<const ROOM: usize> Timer for &'static Eggs<ROOM> {
    type Armed = &'static Mutex<Vec<Alarm>>;
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn arm(&self, at: Duration, alarm: Alarm) -> Self::Armed {
        self.try_arm(at, alarm).expect("there is room")
    }
    fn try_arm(&self, _: Duration, alarm: Alarm) -> Result<Self::Armed, Alarm> {
        let mut alarms = self.alarms.lock().unwrap();
        if alarms.len() == ROOM {
            return Err(alarm);
        }
        alarms.push(alarm);
        Ok(&self.alarms)
    }
    fn disarm(_: &Self::Armed) {}
}

fn eggs<const ROOM: usize>() -> &'static Eggs<ROOM> {
    for_ever(Eggs::default())
}

#[test]
fn a_deadline_in_a_pool_fires() {
    let (pool, timer) = (pool::<3>(), eggs::<2>());
    let root = pool.try_token().unwrap();
    let timed = root.try_child_with_timer(&timer, Duration::from_secs(2)).unwrap();
    let below = timed.try_child_token().unwrap();
    assert_eq!(pool.in_use(), 3);
    let alarm = timer.alarms.lock().unwrap().pop().unwrap();
    assert!(alarm.fire());
    assert!(below.reason().unwrap().is_deadline_exceeded() && !root.is_cancelled());
    drop((root, timed, below));
    assert_eq!(pool.in_use(), 1, "the alarm keeps the memory of its token");
    assert!(!alarm.fire());
    drop(alarm);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_deadline_that_has_come_and_one_that_never_does_arm_nothing() {
    static CAUSE: StaticCause = StaticCause::new(&PoolFull);
    let (pool, timer) = (pool::<3>(), eggs::<0>());
    let root = pool.try_token().unwrap();
    let expired = root.try_child_with_timer_cause(&timer, Duration::from_secs(1), &CAUSE).unwrap();
    let reason = expired.reason().unwrap();
    assert_eq!(reason.kind(), CancelKind::DeadlineExceeded);
    assert!(reason.cause().unwrap().is::<PoolFull>());
    let never = root.try_child_with_timer(&timer, Duration::MAX).unwrap();
    assert!(!never.is_cancelled());
    assert_eq!(root.try_child_with_timer(&timer, Duration::MAX), Err(PoolFull));
}

#[test]
fn a_full_timer_is_an_error_and_the_node_comes_back() {
    let (pool, timer) = (pool::<9>(), eggs::<1>());
    let root = pool.try_token().unwrap();
    let _first = root.try_child_with_timer(&timer, Duration::from_secs(2)).unwrap();
    for _ in 0..20 {
        assert_eq!(root.try_child_with_timer(&timer, Duration::from_secs(2)), Err(PoolFull));
        assert_eq!(pool.in_use(), 2);
    }
}

#[test]
fn a_timer_that_panics_leaves_no_node_behind() {
    struct Broken;
    impl Timer for Broken {
        type Armed = ();
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn arm(&self, _: Duration, _: Alarm) {
            panic!("broken")
        }
        fn disarm((): &()) {}
    }
    let pool = pool::<2>();
    let root = pool.try_token().unwrap();
    let made = catch_unwind(AssertUnwindSafe(|| root.try_child_with_timer(&Broken, Duration::from_secs(1))));
    assert!(made.is_err());
    assert_eq!(pool.in_use(), 1);
}

#[test]
fn heap_and_pool_mix_in_one_tree() {
    let pool = pool::<2>();
    let root = pool.try_token().unwrap();
    let on_the_heap = root.child_token();
    assert_eq!(pool.in_use(), 1);
    let below = on_the_heap.try_child_token().unwrap();
    assert_eq!(pool.in_use(), 1, "a child of the heap's is on the heap");
    let (_, account) = measure(|| drop(root.try_child_token().unwrap()));
    assert_eq!(account, NOTHING);
    root.cancel();
    assert!(below.is_cancelled());
    drop((root, on_the_heap, below));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_tree_in_a_pool_does_without_the_allocator() {
    let (pool, timer) = (pool::<16>(), eggs::<1>());
    timer.alarms.lock().unwrap().reserve(1);
    let counter = Counter::new();
    let waker = std::task::Waker::noop();
    let (_, account) = measure(|| {
        let root = pool.try_token().unwrap();
        let middle = root.try_child_token().unwrap();
        let leaf = middle.try_child_token().unwrap();
        let timed = leaf.try_child_with_timer(&timer, Duration::from_secs(2)).unwrap();
        let callback: Registration = leaf.try_on_cancel_fn(|()| {}, ()).unwrap();
        let linked = pool.try_any([&root, &leaf]).unwrap();
        drop(middle);
        let mut waits = [leaf.cancelled(), leaf.cancelled(), leaf.cancelled()];
        for wait in &mut waits {
            assert!(support::wakers::poll(wait, waker).is_pending());
        }
        assert_eq!(pool.in_use(), 9);
        root.cancel();
        assert!(linked.is_cancelled() && timed.is_cancelled());
        assert_eq!(callback.unregister(), Unregister::Done);
        timer.alarms.lock().unwrap().clear();
    });
    assert_eq!(account, NOTHING);
    assert_eq!((pool.in_use(), counter.wakes()), (0, 0));
}

#[test]
fn a_pool_says_what_it_is() {
    static POOL: TokenPool<2> = TokenPool::new();
    let _token = POOL.try_token().unwrap();
    assert_eq!(format!("{POOL:?}"), "TokenPool { capacity: 2, in_use: 1 }");
    assert_eq!(PoolFull.to_string(), "the pool is full");
    assert_eq!(NotRegistered::PoolFull.to_string(), "the pool is full");
    assert_eq!(NotRegistered::Cancelled.to_string(), "the token is cancelled already");
}

/// Printed here; kept by an assertion in the core.
#[test]
fn a_node_of_a_pool_has_the_size_that_the_readme_says() {
    let node = (size_of::<TokenPool<65>>() - size_of::<TokenPool<1>>()) / 64;
    let rest = size_of::<TokenPool<1>>() - node;
    println!("{node} bytes a node, and {rest} for the pool");
    let words_of_64_bits = cfg!(target_has_atomic = "64");
    assert_eq!(
        node,
        if cfg!(target_pointer_width = "64") {
            144
        } else if words_of_64_bits {
            96
        } else {
            80
        }
    );
    assert!(rest <= 2 * align_of::<TokenPool<1>>());
}
