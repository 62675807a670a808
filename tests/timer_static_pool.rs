//! The timer in a static, for tokens of pools: nothing on the heap.
#![cfg(feature = "std")]

mod support;
#[path = "support/ticks.rs"]
#[macro_use]
mod ticks;

use cancel_tree::{PoolFull, StaticCause, TokenPool};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use support::Random;
use ticks::ms;

#[test]
fn a_timer_smaller_than_the_pool_is_full_first_and_the_node_comes_back() {
    timer!(TIMER, 2);
    static POOL: TokenPool<6> = TokenPool::new();
    static CAUSE: StaticCause = StaticCause::new(&PoolFull);
    let in_use = || (POOL.in_use(), TIMER.in_use());
    let root = POOL.try_token().unwrap();
    let [first, second] = [10, 20].map(|at| root.try_child_with_timer(&&TIMER, ms(at)).unwrap());
    for _ in 0..20 {
        assert_eq!(root.try_child_with_timer(&&TIMER, ms(30)), Err(PoolFull));
        assert_eq!(in_use(), (3, 2));
    }
    it_is(10);
    assert_eq!(TIMER.poll(), Some(ms(20)));
    assert!(first.reason().unwrap().is_deadline_exceeded() && !second.is_cancelled());
    assert_eq!(root.try_child_with_timer(&&TIMER, ms(30)), Err(PoolFull), "what has been fired has its place");
    drop(first);
    assert_eq!(in_use(), (2, 1), "both come back, at once");
    let third = root.try_child_with_timer_cause(&&TIMER, ms(15), &CAUSE).unwrap();
    drop(second);
    assert_eq!((in_use(), TIMER.poll()), ((2, 1), Some(ms(15))));
    it_is(15);
    TIMER.poll();
    let reason = third.reason().unwrap();
    assert!(reason.is_deadline_exceeded() && reason.cause().unwrap().is::<PoolFull>());
    drop((root, third));
    assert_eq!(in_use(), (0, 0));
}

#[test]
fn a_pool_smaller_than_the_timer_is_full_first_and_nothing_is_armed() {
    timer!(TIMER, 3);
    static POOL: TokenPool<2> = TokenPool::new();
    let root = POOL.try_token().unwrap();
    let timed = root.try_child_with_timer(&&TIMER, ms(10)).unwrap();
    assert_eq!(root.try_child_with_timer(&&TIMER, ms(5)), Err(PoolFull));
    assert_eq!((TIMER.in_use(), TIMER.poll()), (1, Some(ms(10))));
    drop((root, timed));
    assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0));
}

/// A token that ends inside of a cancel is not dropped there, and so has its place in the timer; but not for those who need it.
#[test]
fn what_a_cancel_has_left_is_no_reason_to_refuse() {
    timer!(TIMER, 1);
    static POOL: TokenPool<9> = TokenPool::new();
    let (root, other) = (POOL.try_token().unwrap(), POOL.try_token().unwrap());
    let timed = root.try_child_with_timer(&&TIMER, ms(10)).unwrap();
    let below = timed.try_child_token().unwrap();
    drop(timed);
    root.cancel();
    assert_eq!(TIMER.in_use(), 1);
    let again = other.try_child_with_timer(&&TIMER, ms(20)).expect("room");
    assert_eq!((TIMER.in_use(), TIMER.poll()), (1, Some(ms(20))));
    drop((root, other, below, again));
    assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0));
}

/// Tokens of one pool with deadlines at one timer, on several threads, which cancel and poll.
#[test]
fn a_pool_and_a_timer_on_many_threads() {
    const ACTORS: usize = 3;
    timer!(TIMER, 4);
    static POOL: TokenPool<12> = TokenPool::new();
    let rounds = if cfg!(miri) { 40 } else { 6000 };
    let (start, made) = (Barrier::new(ACTORS), AtomicUsize::new(0));
    thread::scope(|scope| {
        for seed in 0..ACTORS {
            let (start, made) = (&start, &made);
            scope.spawn(move || {
                let mut random = Random(seed as u64);
                let mut tokens = Vec::new();
                start.wait();
                for _ in 0..rounds {
                    if tokens.is_empty() {
                        tokens.extend(POOL.try_token());
                        continue;
                    }
                    let which = random.below(tokens.len());
                    match random.below(9) {
                        0..3 => {
                            let at = NOW.load(SeqCst) + 1 + random.below(3);
                            let timed = tokens[which].try_child_with_timer(&&TIMER, ms(at));
                            made.fetch_add(usize::from(timed.is_ok()), SeqCst);
                            tokens.extend(timed);
                        }
                        3 => tokens.extend(tokens[which].try_child_token()),
                        4 => tokens[which].cancel(),
                        5 => drop(NOW.fetch_add(1, SeqCst)),
                        6 => drop(TIMER.poll()),
                        _ => drop(tokens.swap_remove(which)),
                    }
                }
            });
        }
    });
    // Not of each thread: one may find everything in the hands of another that is not up.
    assert_ne!(made.into_inner(), 0);
    // What another thread's drop has been given to end.
    drop(POOL.try_token().expect("room"));
    assert_eq!((POOL.in_use(), TIMER.in_use(), TIMER.poll()), (0, 0, None));
}
