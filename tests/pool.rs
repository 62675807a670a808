//! Tokens in static pools.



use cancel_tree::{CancellationToken, NotRegistered, PoolFull, TokenPool, Unregister};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pool of a test's own.
fn pool<const N: usize>() -> &'static TokenPool<N> {
    Box::leak(Box::new(TokenPool::new()))
}

#[test]
fn a_pool_gives_as_many_nodes_as_it_has_and_no_more() {
    let pool = pool::<3>();
    let root = pool.try_token().unwrap();
    let child = root.try_child_token().unwrap();
    let grandchild = child.try_child_token().unwrap();
    assert_eq!(pool.in_use(), 3);
    assert_eq!(grandchild.try_child_token(), Err(PoolFull));
    assert_eq!(pool.try_token(), Err(PoolFull));
    drop(grandchild);
    assert_eq!(pool.in_use(), 2);
    let again = root.try_child_token().unwrap();
    root.cancel();
    assert!(child.is_cancelled() && again.is_cancelled());
    drop((root, child, again));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_callback_takes_a_node_and_runs() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let pool = pool::<2>();
    let token = pool.try_token().unwrap();
    let add = |n: usize| {
        RUNS.fetch_add(n, Ordering::Relaxed);
    };
    let registration = token.try_on_cancel_fn(add, 5).unwrap();
    assert_eq!(token.try_on_cancel_fn(add, 7).unwrap_err(), NotRegistered::PoolFull);
    token.cancel();
    assert_eq!(RUNS.load(Ordering::Relaxed), 5);
    assert_eq!(token.try_on_cancel_fn(add, 7).unwrap_err(), NotRegistered::Cancelled);
    assert_eq!(registration.unregister(), Unregister::Done);
    assert_eq!(pool.in_use(), 1);
    drop(token);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_linked_token_takes_a_node_and_one_for_each_source() {
    let pool = pool::<5>();
    let (first, second) = (pool.try_token().unwrap(), CancellationToken::new());
    let linked = pool.try_any([&first, &second, &first]).unwrap();
    assert_eq!(pool.in_use(), 4);
    assert_eq!(pool.try_any([&first, &second]), Err(PoolFull));
    assert_eq!(pool.in_use(), 4);
    second.cancel();
    assert!(linked.is_cancelled() && !first.is_cancelled());
    drop(linked);
    assert_eq!(pool.in_use(), 1);
    drop(first);
    assert_eq!(pool.in_use(), 0);
}
