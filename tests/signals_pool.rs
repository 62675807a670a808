//! Signal handlers that do anything with a tree in a pool: make, clone and drop tokens, poll and drop futures, register and take back
//! callbacks, cancel; while the thread that they have interrupted does the same. What firmware does from its interrupts.
//!
//! Three seconds, or `CANCEL_TREE_STRESS_SECONDS`, or `CANCEL_TREE_STRESS_ROUNDS` trees. One test alone in its binary:
//! the handler's world is static.
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "support/fire.rs"]
mod fire;
mod support;

use cancel_tree::{CancellationToken, PoolFull, Registration, TokenPool, WaitForCancellationFutureOwned};
use fire::{Fire, arm, is_quiet, set_quiet};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
use std::task::Waker;
use support::wakers::{Counter, poll};
use support::{Random, nodes, until_done};

const NODES: usize = 20;
static POOL: TokenPool<NODES> = TokenPool::new();

/// What somebody does his operations with.
#[derive(Default)]
struct Hand {
    tokens: Vec<CancellationToken>,
    waits: Vec<(WaitForCancellationFutureOwned, Option<Counter>)>,
    callbacks: Vec<Registration>,
    /// How often the pool was full.
    refused: usize,
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

impl Hand {
    /// With room for all that will be in it: the handler may not allocate.
    fn new() -> Self {
        Self {
            tokens: Vec::with_capacity(64),
            waits: Vec::with_capacity(64),
            callbacks: Vec::with_capacity(64),
            refused: 0,
        }
    }

    /// One operation on `token`, or on something of one's own. The counter is for a future that is to be woken.
    fn step(&mut self, token: &CancellationToken, random: &mut Random, counter: Option<Counter>) {
        match random.below(16) {
            0..4 if self.tokens.len() < 60 => match token.try_child_token() {
                Ok(child) => self.tokens.push(child),
                Err(PoolFull) => self.refused += 1,
            },
            4 if self.tokens.len() < 60 => self.tokens.push(token.clone()),
            5..8 if !self.tokens.is_empty() => drop(self.tokens.swap_remove(random.below(self.tokens.len()))),
            8 | 9 if self.waits.len() < 60 => {
                let mut wait = token.clone().cancelled_owned();
                let polled = match &counter {
                    Some(counter) => counter.poll(&mut wait),
                    None => poll(&mut wait, Waker::noop()),
                };
                if polled.is_pending() {
                    self.waits.push((wait, counter));
                }
            }
            10 | 11 if !self.waits.is_empty() => drop(self.waits.swap_remove(random.below(self.waits.len()))),
            12 if self.callbacks.len() < 60 => {
                let count = |runs: &AtomicUsize| {
                    runs.fetch_add(1, Relaxed);
                };
                self.callbacks.extend(token.try_on_cancel_fn(count, &RUNS));
            }
            13 if !self.callbacks.is_empty() => {
                let callback = self.callbacks.swap_remove(random.below(self.callbacks.len()));
                if random.below(2) == 0 { drop(callback) } else { callback.detach() }
            }
            14 if random.below(16) == 0 => token.cancel(),
            15 => {
                // What is made below a token that is cancelled is born so; what is cancelled stays so.
                let cancelled = token.is_cancelled();
                let child = token.try_child_token();
                let broken = child.is_ok_and(|child| cancelled && !child.is_cancelled());
                BROKEN.fetch_add(usize::from(broken || (cancelled && !token.is_cancelled())), Relaxed);
            }
            _ => {}
        }
    }
}

/// A token of the main hand that the handler may use, while it stands here.
static LENT: AtomicPtr<CancellationToken> = AtomicPtr::new(null_mut());

struct HandlersOwn(UnsafeCell<Option<Hand>>);
// SAFETY: touched by the handler while it is not to be quiet, which does not interrupt itself; else by the thread.
unsafe impl Sync for HandlersOwn {}
static ITS_HAND: HandlersOwn = HandlersOwn(UnsafeCell::new(None));

static RANDOM: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicUsize = AtomicUsize::new(0);
/// What has been found wrong. The handler may not panic itself.
static BROKEN: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: libc::c_int) {
    // SAFETY: errno of this thread; the handler leaves it as it was.
    let errno = unsafe { *libc::__errno_location() };
    let mut random = Random(RANDOM.load(Relaxed));
    if !is_quiet() {
        HITS.fetch_add(1, Relaxed);
        let calls = nodes::calls();
        // SAFETY: as said at `HandlersOwn` and `LENT`.
        if let (Some(hand), Some(token)) = unsafe { (&mut *ITS_HAND.0.get(), LENT.load(Relaxed).as_ref()) } {
            for _ in 0..=random.below(4) {
                let own = hand.tokens.len();
                let token = if own == 0 || random.below(2) == 0 {
                    token.clone()
                } else {
                    hand.tokens[random.below(own)].clone()
                };
                hand.step(&token, &mut random, None);
            }
        }
        ALLOCATED.fetch_add(usize::from(nodes::calls() != calls), Relaxed);
    }
    arm(2_000 + random.below(20_000));
    RANDOM.store(random.next(), Relaxed);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn round(random: &mut Random) {
    let root = POOL.try_token().expect("the pool is empty");
    let mut hand = Hand::new();
    // SAFETY: the handler is quiet.
    unsafe { *ITS_HAND.0.get() = Some(Hand::new()) };
    let lent = Box::into_raw(Box::new(root.clone()));
    LENT.store(lent, SeqCst);
    set_quiet(false);
    for _ in 0..300 {
        let own = hand.tokens.len();
        let token =
            if own == 0 || random.below(3) == 0 { root.clone() } else { hand.tokens[random.below(own)].clone() };
        hand.step(&token, random, Some(Counter::new()));
    }
    root.cancel();
    set_quiet(true);

    // SAFETY: the handler is quiet.
    let its = unsafe { (*ITS_HAND.0.get()).take() }.expect("put there above");
    assert!(hand.tokens.iter().chain(&its.tokens).all(CancellationToken::is_cancelled), "C3, C4");
    for (wait, counter) in hand.waits {
        let counter = counter.expect("the main hand's waits have one");
        // One that found no room has woken itself.
        assert_eq!(counter.wakes(), 1, "C12, C13");
        drop(wait);
    }
    assert_eq!((BROKEN.load(Relaxed), ALLOCATED.load(Relaxed)), (0, 0), "C2, C4, C10");
    REFUSED.fetch_add(hand.refused + its.refused, Relaxed);
    LENT.store(null_mut(), SeqCst);
    // SAFETY: from above, and the handler has no use of it any more.
    drop(unsafe { Box::from_raw(lent) });
    drop((root, hand.tokens, hand.callbacks, its.tokens, its.waits, its.callbacks));
    assert_eq!(POOL.in_use(), 0, "C8");
}

static REFUSED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_signal_handler_may_do_anything_with_a_pool() {
    let (mut done, mut random, mut rounds) = (until_done(3), Random(1), 0);
    let _fire = Fire::open(handler);
    while !done() || HITS.load(Relaxed) == 0 {
        rounds += 1;
        round(&mut random);
    }
    println!("{} hits in {rounds} rounds; the pool was full {} times", HITS.load(Relaxed), REFUSED.load(Relaxed));
}
