//! Signal handlers that cancel, and look at the flags of, the very tree that the interrupted thread is just changing
//! (C10): on the same thread, at any instruction.
//!
//! (Reasons, callbacks, links and timers: `signals_extended.rs`.)
//!
//! Three seconds, or `CANCEL_TREE_STRESS_SECONDS`, or `CANCEL_TREE_STRESS_ROUNDS` trees. One test alone in its binary:
//! the handler's world is static.
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "support/fire.rs"]
mod fire;
mod support;

use cancel_tree::CancellationToken;
use fire::{Fire, arm, is_quiet, set_quiet};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, compiler_fence};
use support::wakers::{Waiter, is_silent};
use support::{Random, balanced, nodes, until_done};

/// What the handler knows of one token of the tree.
struct Known {
    /// Null before the token has been made, and from when its drop begins.
    token: AtomicPtr<CancellationToken>,
    /// Of a lower number, but for the root.
    parent: AtomicUsize,
    /// Somebody has begun to cancel it.
    is_requested: AtomicBool,
    /// The handler has seen it cancelled.
    is_seen: AtomicBool,
}

/// The tokens of the round, in the order in which they were made.
static KNOWN: [Known; 48] = [const {
    Known {
        token: AtomicPtr::new(null_mut()),
        parent: AtomicUsize::new(0),
        is_requested: AtomicBool::new(false),
        is_seen: AtomicBool::new(false),
    }
}; 48];
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug)]
enum Operation {
    Idle,
    Create,
    Clone,
    Drop,
    Collapse,
    FirstPoll,
    LaterPoll,
    DropWaiter,
    Cancel,
}
const OPERATIONS: [Operation; 9] = {
    use Operation::*;
    [Idle, Create, Clone, Drop, Collapse, FirstPoll, LaterPoll, DropWaiter, Cancel]
};

/// What the thread is doing, and how often it was hit there.
static OPERATION: AtomicUsize = AtomicUsize::new(Operation::Idle as usize);
static HITS: [AtomicUsize; OPERATIONS.len()] = [const { AtomicUsize::new(0) }; OPERATIONS.len()];
static CANCELS: AtomicUsize = AtomicUsize::new(0);

static RANDOM: AtomicU64 = AtomicU64::new(0);

/// What the handler has found wrong. It may not panic itself.
static C2_BROKEN: AtomicUsize = AtomicUsize::new(0);
static C3_BROKEN: AtomicUsize = AtomicUsize::new(0);
static C10_BROKEN: AtomicUsize = AtomicUsize::new(0);

fn token(number: usize) -> Option<&'static CancellationToken> {
    // SAFETY: a token that is published is kept until its pointer has been taken away; those who call this are on the
    // one thread that does that, and are done with the token before it goes on.
    unsafe { KNOWN[number].token.load(Relaxed).as_ref() }
}

/// The number of this token and those of all above it.
fn path(number: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(number), |&number| (number != 0).then(|| KNOWN[number].parent.load(Relaxed)))
}

fn all_below_are_cancelled(top: usize) -> bool {
    let mut below = (top..COUNT.load(Relaxed)).filter(|&number| path(number).any(|above| above == top));
    below.all(|number| token(number).is_none_or(CancellationToken::is_cancelled))
}

extern "C" fn handler(_signal: libc::c_int) {
    // SAFETY: errno of this thread; the handler leaves it as it was.
    let errno = unsafe { *libc::__errno_location() };
    let mut random = Random(RANDOM.load(Relaxed));
    if !is_quiet() {
        HITS[OPERATION.load(Relaxed)].fetch_add(1, Relaxed);
        let calls = nodes::calls();
        let number = (0..8).map(|_| random.below(COUNT.load(Relaxed).max(1))).find(|&number| token(number).is_some());
        if let Some((number, token)) = number.and_then(|number| Some((number, token(number)?))) {
            CANCELS.fetch_add(1, Relaxed);
            KNOWN[number].is_requested.store(true, Relaxed);
            token.cancel();
            C3_BROKEN.fetch_add(usize::from(!all_below_are_cancelled(number)), Relaxed);
        }
        for (number, known) in KNOWN.iter().enumerate().take(COUNT.load(Relaxed)) {
            if let Some(token) = token(number) {
                let cancelled = token.is_cancelled();
                let was_seen = known.is_seen.swap(cancelled, Relaxed);
                C2_BROKEN.fetch_add(usize::from(was_seen && !cancelled), Relaxed);
            }
        }
        C10_BROKEN.fetch_add(usize::from(nodes::calls() != calls), Relaxed);
    }
    arm(3_000 + random.below(40_000));
    RANDOM.store(random.next(), Relaxed);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Tells the handler what it interrupts.
fn during<R>(operation: Operation, f: impl FnOnce() -> R) -> R {
    OPERATION.store(operation as usize, SeqCst);
    compiler_fence(SeqCst);
    let result = f();
    compiler_fence(SeqCst);
    OPERATION.store(Operation::Idle as usize, SeqCst);
    result
}

/// Makes a token known to the handler, as the last step.
fn publish(token: Box<CancellationToken>, parent: usize) {
    let number = COUNT.load(Relaxed);
    KNOWN[number].parent.store(parent, Relaxed);
    KNOWN[number].is_requested.store(false, Relaxed);
    KNOWN[number].is_seen.store(false, Relaxed);
    KNOWN[number].token.store(Box::into_raw(token), SeqCst);
    COUNT.store(number + 1, SeqCst);
}

/// Takes a token from the handler, and drops it.
fn retire(number: usize) {
    let token = KNOWN[number].token.swap(null_mut(), SeqCst);
    if !token.is_null() {
        // SAFETY: from `publish`, and now nobody else's.
        drop(unsafe { Box::from_raw(token) });
    }
}

/// Whether a token has to be cancelled: C1, C3 and C4 in one.
fn is_requested(number: usize) -> bool {
    path(number).any(|above| KNOWN[above].is_requested.load(Relaxed))
}

fn step(random: &mut Random, waiters: &mut Vec<Waiter>, silent: &mut Vec<bool>) {
    let number = random.below(COUNT.load(Relaxed));
    let Some(token) = token(number) else { return };
    match random.below(20) {
        0..4 => during(Operation::Create, || publish(Box::new(token.child_token()), number)),
        4..6 => during(Operation::Clone, || drop([token.clone(), token.clone(), token.clone(), token.clone()])),
        6..9 => during(Operation::Drop, || retire(number)),
        // The last handle of a node with a child: a relay, if the handler leaves it time for that.
        9..12 => during(Operation::Collapse, || {
            publish(Box::new(token.child_token()), number);
            retire(number);
        }),
        12..15 => {
            let mut waiter = Waiter::new(token);
            during(Operation::FirstPoll, || waiter.poll(0));
            waiters.push(waiter);
        }
        15..17 if !waiters.is_empty() => {
            let waiter = random.below(waiters.len());
            let waiter = &mut waiters[waiter];
            for _ in 0..4 {
                if waiter.result.is_pending() {
                    let waker = random.below(4);
                    during(Operation::LaterPoll, || waiter.poll(waker));
                }
            }
        }
        17..19 if !waiters.is_empty() => {
            let waiter = waiters.swap_remove(random.below(waiters.len()));
            let counters = during(Operation::DropWaiter, || waiter.end());
            silent.push(is_silent(&counters));
        }
        // Rarely, so that the handler finds something to cancel.
        19 if random.below(3) == 0 => during(Operation::Cancel, || {
            KNOWN[number].is_requested.store(true, SeqCst);
            token.cancel();
            assert!(all_below_are_cancelled(number), "C3");
        }),
        _ => assert!(!token.is_cancelled() || is_requested(number), "C1"),
    }
}

fn round(random: &mut Random) {
    let (mut waiters, mut silent) = (Vec::with_capacity(400), Vec::with_capacity(400));
    COUNT.store(0, SeqCst);
    publish(Box::default(), 0);
    set_quiet(false);
    for _ in 0..300 {
        if COUNT.load(Relaxed) < KNOWN.len() {
            step(random, &mut waiters, &mut silent);
        }
    }

    // Nobody at work: every flag is what it has to be, and every waiter has been woken if and as it had to be.
    set_quiet(true);
    for number in 0..COUNT.load(Relaxed) {
        if let Some(token) = token(number) {
            assert_eq!(token.is_cancelled(), is_requested(number), "C1, C3, C4");
        }
    }
    waiters.iter_mut().for_each(Waiter::check);
    set_quiet(false);

    // The end, under fire.
    let mut order: Vec<_> = (0..COUNT.load(Relaxed)).collect();
    random.shuffle(&mut order);
    for number in order {
        if let Some(waiter) = waiters.pop() {
            silent.push(is_silent(&during(Operation::DropWaiter, || waiter.end())));
        }
        during(Operation::Drop, || retire(number));
    }
    silent.extend(waiters.into_iter().map(|waiter| is_silent(&during(Operation::DropWaiter, || waiter.end()))));
    set_quiet(true);
    assert!(silent.into_iter().all(|silent| silent), "C12");
    nodes::empty_graveyard();
}

/// C1 to C4, C10, C12.
#[test]
fn a_signal_handler_may_cancel_the_tree_that_it_has_interrupted() {
    let (mut done, mut random, mut rounds) = (until_done(3), Random(1), 0);
    let count = |hits: &[AtomicUsize]| hits.iter().map(|hits| hits.load(Relaxed)).sum::<usize>();
    balanced(|| {
        let _fire = Fire::open(handler);
        // However few rounds there are to be: not without a hit.
        while !done() || count(&HITS[1..]) == 0 {
            rounds += 1;
            let before = nodes::live();
            round(&mut random);
            assert_eq!(nodes::live(), before, "C8");
            for (broken, promise) in [(&C2_BROKEN, "C2"), (&C3_BROKEN, "C3"), (&C10_BROKEN, "C10")] {
                assert_eq!(broken.load(Relaxed), 0, "{promise}, in the handler");
            }
        }
    });
    println!("{} hits in {rounds} rounds, {} with a cancel", count(&HITS), CANCELS.load(Relaxed));
    println!("{} in the middle of an operation:", count(&HITS[1..]));
    for (operation, hits) in OPERATIONS.iter().zip(&HITS) {
        println!("  {operation:?}: {}", hits.load(Relaxed));
    }
}
