//! Signal handlers that poll a timer, and arm and drop alarms at it, while the thread that they have interrupted does the same: what
//! firmware does in its tick interrupt.
//!
//! Three seconds, or `CANCEL_TREE_STRESS_SECONDS`, or `CANCEL_TREE_STRESS_ROUNDS` rounds. One test alone in its binary:
//! the handler's world is static.
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "support/fire.rs"]
mod fire;
mod support;

use cancel_tree::time::{Clock, StaticTimer};
use cancel_tree::{CancellationToken, PoolFull, TokenPool};
use fire::{Fire, arm, is_quiet, set_quiet};
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;
use support::{Random, nodes, until_done};

static NOW: AtomicU64 = AtomicU64::new(0);
struct Ticks;
impl Clock for Ticks {
    fn now() -> Duration {
        Duration::from_micros(NOW.load(SeqCst))
    }
}

static POOL: TokenPool<24> = TokenPool::new();
static TIMER: StaticTimer<Ticks, 8> = StaticTimer::new();

/// What has been found wrong. The handler may not panic itself.
static BROKEN: AtomicUsize = AtomicUsize::new(0);

fn check(holds: bool) {
    BROKEN.fetch_add(usize::from(!holds), Relaxed);
}

fn is_expired(token: &CancellationToken) -> bool {
    token.reason().is_some_and(|reason| reason.is_deadline_exceeded())
}

/// What somebody does his operations with: tokens, and when they are to be cancelled.
struct Hand {
    tokens: Vec<(CancellationToken, u64)>,
    fired: usize,
    refused: usize,
}

impl Hand {
    /// With room for all that will be in it: the handler may not allocate.
    fn new() -> Self {
        Self { tokens: Vec::with_capacity(64), fired: 0, refused: 0 }
    }

    fn step(&mut self, root: &CancellationToken, random: &mut Random, poll: impl FnOnce() -> bool) {
        let own = self.tokens.len();
        match random.below(12) {
            0..5 => {
                let at = NOW.load(SeqCst) + 1 + random.next() % 4;
                match root.try_child_with_timer(&&TIMER, Duration::from_micros(at)) {
                    Ok(token) => self.tokens.push((token, at)),
                    Err(PoolFull) => self.refused += 1,
                }
            }
            5 | 6 if own != 0 => drop(self.tokens.swap_remove(random.below(own))),
            7 if own != 0 => self.tokens[random.below(own)].0.cancel(),
            // One that has a token with a deadline above it, which is kept by that alone.
            8 if own != 0 => {
                let (token, _) = &mut self.tokens[random.below(own)];
                if let Ok(child) = token.try_child_token() {
                    *token = child;
                }
            }
            9 => drop(NOW.fetch_add(1, SeqCst)),
            _ => {
                let now = NOW.load(SeqCst);
                // If nobody else is at it, all that was due has been fired.
                if poll() {
                    check(self.tokens.iter().all(|(token, at)| *at > now || token.is_cancelled()));
                }
            }
        }
        // The clock is read last: the handler moves it.
        check(self.tokens.iter().all(|(token, at)| !is_expired(token) || *at <= NOW.load(SeqCst)));
        let (before, fired) = (self.tokens.len(), &mut self.fired);
        self.tokens.retain(|(token, _)| !is_expired(token) || before < 3);
        *fired += before - self.tokens.len();
    }
}

/// The thread is inside of a poll: so what the handler's does not find may be in its hands.
static POLLS: AtomicBool = AtomicBool::new(false);

struct HandlersOwn(UnsafeCell<Option<(Hand, CancellationToken)>>);
// SAFETY: touched by the handler while it is not to be quiet, which does not interrupt itself; else by the thread.
unsafe impl Sync for HandlersOwn {}
static ITS: HandlersOwn = HandlersOwn(UnsafeCell::new(None));

static RANDOM: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicUsize = AtomicUsize::new(0);
static WHILE_POLLING: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: libc::c_int) {
    // SAFETY: errno of this thread; the handler leaves it as it was.
    let errno = unsafe { *libc::__errno_location() };
    let mut random = Random(RANDOM.load(Relaxed));
    if !is_quiet() {
        HITS.fetch_add(1, Relaxed);
        WHILE_POLLING.fetch_add(usize::from(POLLS.load(SeqCst)), Relaxed);
        let calls = nodes::calls();
        // SAFETY: as said at `HandlersOwn`.
        if let Some((hand, root)) = unsafe { &mut *ITS.0.get() } {
            for _ in 0..=random.below(4) {
                hand.step(root, &mut random, || {
                    TIMER.poll();
                    !POLLS.load(SeqCst)
                });
            }
        }
        ALLOCATED.fetch_add(usize::from(nodes::calls() != calls), Relaxed);
    }
    arm(2_000 + random.below(20_000));
    RANDOM.store(random.next(), Relaxed);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// How many alarms were fired and seen, and how many refused.
fn round(random: &mut Random) -> (usize, usize) {
    let root = POOL.try_token().expect("the pool is empty");
    let mut hand = Hand::new();
    // SAFETY: the handler is quiet.
    unsafe { *ITS.0.get() = Some((Hand::new(), root.clone())) };
    set_quiet(false);
    for _ in 0..2000 {
        hand.step(&root, random, || {
            POLLS.store(true, SeqCst);
            TIMER.poll();
            POLLS.store(false, SeqCst);
            true
        });
    }
    set_quiet(true);
    // SAFETY: the handler is quiet.
    let (its, its_root) = unsafe { (*ITS.0.get()).take() }.expect("put there above");
    NOW.fetch_add(9, SeqCst);
    assert_eq!(TIMER.poll(), None);
    assert!(hand.tokens.iter().chain(&its.tokens).all(|(token, _)| token.is_cancelled()), "C20");
    drop((root, its_root, hand.tokens, its.tokens));
    assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0), "C8");
    assert_eq!((BROKEN.load(Relaxed), ALLOCATED.load(Relaxed)), (0, 0), "what was due, and what was not; C10");
    (hand.fired + its.fired, hand.refused + its.refused)
}

#[test]
fn a_signal_handler_may_poll_and_arm_the_timer_that_it_has_interrupted() {
    let (mut done, mut random, mut rounds) = (until_done(3), Random(1), 0);
    let (mut fired, mut refused) = (0, 0);
    let _fire = Fire::open(handler);
    while !done() || WHILE_POLLING.load(Relaxed) == 0 {
        rounds += 1;
        let (more_fired, more_refused) = round(&mut random);
        (fired, refused) = (fired + more_fired, refused + more_refused);
    }
    assert!(fired != 0 && refused != 0);
    let (hits, while_polling) = (HITS.load(Relaxed), WHILE_POLLING.load(Relaxed));
    println!("{hits} hits in {rounds} rounds, {while_polling} of a poll; {fired} fired, {refused} times no room");
}
