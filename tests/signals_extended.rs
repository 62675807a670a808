//! As `signals.rs`: a signal handler cancels, with and without a cause, what the interrupted thread is just registering a
//! callback with, linking, giving a timeout, asking for its reason, looking at, or dropping (C6, C10, C17, C18, C20, C22).
//!
//! Callbacks may run in the handler: each does one atomic addition, and what it captures is not freed by that.
//!
//! Three seconds, or `CANCEL_TREE_STRESS_SECONDS`, or `CANCEL_TREE_STRESS_ROUNDS` rounds.
#![cfg(all(target_os = "linux", feature = "std", not(miri)))]

#[path = "support/fire.rs"]
mod fire;
mod support;

use cancel_tree::{CancelKind, CancellationToken, Cancelled, Finished, Registration, StaticCause, Unregister};
use fire::{Fire, arm, is_quiet, set_quiet};
use std::fmt;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, compiler_fence};
use std::time::Duration;
use support::wakers::Counter;
use support::{Random, nodes, settles, until_done, wait_until};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Numbered(usize);
impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cause {}", self.0)
    }
}
impl std::error::Error for Numbered {}
/// Which reason it is: 0 for none, 1 for one without a cause, and then the causes.
static CAUSES: [StaticCause; 2] = [StaticCause::new(&Numbered(2)), StaticCause::new(&Numbered(3))];

fn code(reason: Option<Cancelled>) -> usize {
    reason.map_or(0, |reason| {
        let cause = reason.cause().map_or(1, |cause| cause.downcast_ref::<Numbered>().map_or(9, |cause| cause.0));
        if reason.kind() == CancelKind::Cancelled { cause } else { 8 }
    })
}

/// Cancels for one of the reasons.
fn cancel(token: &CancellationToken, code: usize) {
    match code {
        1 => token.cancel(),
        code => drop(std::hint::black_box(token.cancel_with(&CAUSES[code - 2]))),
    }
}

/// What the handler knows of one token.
struct Known {
    /// Null before the token has been made, and from when its drop begins.
    token: AtomicPtr<CancellationToken>,
    /// One bit for each token that it is to be cancelled with; itself among them.
    above: AtomicU64,
    /// The same without links.
    parents: AtomicU64,
    /// One bit for each reason that somebody has begun to cancel it for.
    requested: AtomicUsize,
    /// The reason that was seen first.
    seen: AtomicUsize,
}

const MOST: usize = 48;
static KNOWN: [Known; MOST] = [const {
    Known {
        token: AtomicPtr::new(null_mut()),
        above: AtomicU64::new(0),
        parents: AtomicU64::new(0),
        requested: AtomicUsize::new(0),
        seen: AtomicUsize::new(0),
    }
}; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug)]
enum Operation {
    Idle,
    Create,
    Drop,
    OnCancel,
    Unregister,
    Detach,
    Finished,
    Any,
    Timeout,
    Reason,
    Look,
    Cancel,
}
const OPERATIONS: [Operation; 12] = {
    use Operation::*;
    [Idle, Create, Drop, OnCancel, Unregister, Detach, Finished, Any, Timeout, Reason, Look, Cancel]
};

/// What the thread is doing, and how often it was hit there.
static OPERATION: AtomicUsize = AtomicUsize::new(Operation::Idle as usize);
static HITS: [AtomicUsize; OPERATIONS.len()] = [const { AtomicUsize::new(0) }; OPERATIONS.len()];
static RANDOM: AtomicU64 = AtomicU64::new(0);

/// What the handler has found wrong. It may not panic itself.
static C3_BROKEN: AtomicUsize = AtomicUsize::new(0);
static C6_BROKEN: AtomicUsize = AtomicUsize::new(0);
static C10_BROKEN: AtomicUsize = AtomicUsize::new(0);

fn token(number: usize) -> Option<&'static CancellationToken> {
    // SAFETY: a token that is published is kept until its pointer has been taken away; those who call this are on the
    // one thread that does that, and are done with the token before it goes on.
    unsafe { KNOWN[number].token.load(Relaxed).as_ref() }
}

/// C6: the first that was seen, and no other.
fn keeps_its_reason(number: usize) -> bool {
    token(number).is_none_or(|token| {
        let now = code(token.reason());
        let first = KNOWN[number].seen.swap(now, Relaxed);
        (first == 0 || first == now) && now < 8
    })
}

extern "C" fn handler(_signal: libc::c_int) {
    // SAFETY: errno of this thread; the handler leaves it as it was.
    let errno = unsafe { *libc::__errno_location() };
    let mut random = Random(RANDOM.load(Relaxed));
    if !is_quiet() {
        HITS[OPERATION.load(Relaxed)].fetch_add(1, Relaxed);
        let (calls, count) = (nodes::calls(), COUNT.load(Relaxed));
        let number = (0..8).map(|_| random.below(count.max(1))).find(|&number| token(number).is_some());
        if let Some((number, victim)) = number.and_then(|number| Some((number, token(number)?))) {
            let reason = 1 + random.below(3);
            KNOWN[number].requested.fetch_or(1 << reason, Relaxed);
            cancel(victim, reason);
            let mut below = (number..count).filter(|&below| KNOWN[below].parents.load(Relaxed) >> number & 1 != 0);
            let flagged = below.all(|below| token(below).is_none_or(CancellationToken::is_cancelled));
            C3_BROKEN.fetch_add(usize::from(!flagged), Relaxed);
        }
        C6_BROKEN.fetch_add((0..count).filter(|&number| !keeps_its_reason(number)).count(), Relaxed);
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
fn publish(token: CancellationToken, parent: Option<usize>, sources: &[usize]) {
    let token = Box::into_raw(Box::new(token));
    let number = COUNT.load(Relaxed);
    let known = &KNOWN[number];
    let mask = |number: &usize| KNOWN[*number].above.load(Relaxed);
    let parents = parent.map_or(0, |parent| KNOWN[parent].parents.load(Relaxed));
    let above = parent.iter().chain(sources).map(mask).fold(0, |masks, mask| masks | mask);
    known.above.store(above | 1 << number, Relaxed);
    known.parents.store(parents | 1 << number, Relaxed);
    known.requested.store(0, Relaxed);
    known.seen.store(0, Relaxed);
    known.token.store(token, SeqCst);
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

/// The reasons that somebody has begun to cancel it for, or what is above it: C1, C3 and C4 in one.
fn requested(number: usize) -> usize {
    let above = KNOWN[number].above.load(Relaxed);
    (0..MOST).filter(|bit| above >> bit & 1 != 0).fold(0, |all, bit| all | KNOWN[bit].requested.load(Relaxed))
}

/// A callback, from its registration to its end.
struct Callback {
    runs: Arc<AtomicUsize>,
    token: usize,
    registration: Option<Registration>,
    finished: Option<Finished>,
    /// It runs no more.
    prevented: bool,
}

impl Callback {
    fn new(number: usize, token: &CancellationToken) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let closure = {
            let runs = runs.clone();
            move || {
                runs.fetch_add(1, Relaxed);
            }
        };
        let registration = Some(during(Operation::OnCancel, || token.on_cancel(closure)));
        Self { runs, token: number, registration, finished: None, prevented: false }
    }

    fn end(&mut self, how: usize) {
        let Some(registration) = self.registration.take() else { return };
        match how {
            0 => during(Operation::Detach, || registration.detach()),
            _ => {
                let found = during(Operation::Unregister, || registration.unregister());
                assert_ne!(found, Unregister::Running, "the handler does not return in the middle");
                self.prevented = found == Unregister::Prevented;
                assert_eq!(self.runs.load(Relaxed), usize::from(!self.prevented), "C18: {found:?}");
            }
        }
    }

    /// With nobody at work.
    fn check(&mut self, counter: &Counter) {
        let (runs, gone) = (self.runs.load(Relaxed), Arc::strong_count(&self.runs) == 1);
        let due = requested(self.token) != 0 && !self.prevented;
        assert!(runs <= usize::from(due), "C17: {runs} runs");
        assert!(gone || (runs == 0 && !self.prevented), "its closure is kept");
        // Detached, it goes with its token.
        if self.registration.is_some() || token(self.token).is_some() {
            assert_eq!((runs == 1, gone), (due, due || self.prevented), "C17");
        }
        if let Some(finished) = &mut self.finished {
            assert_eq!(counter.poll(finished).is_ready(), gone, "its end");
        }
    }
}

fn step(random: &mut Random, callbacks: &mut Vec<Callback>) {
    let count = COUNT.load(Relaxed);
    let number = random.below(count);
    let Some(token) = token(number) else { return };
    match random.below(21) {
        0..3 => publish(during(Operation::Create, || token.child_token()), Some(number), &[]),
        3..5 => during(Operation::Drop, || retire(number)),
        5..8 => callbacks.push(Callback::new(number, token)),
        8..12 if !callbacks.is_empty() => {
            let (callback, how) = (random.below(callbacks.len()), random.below(2));
            callbacks[callback].end(how);
        }
        12..14 if !callbacks.is_empty() => {
            let callback = random.below(callbacks.len());
            let callback = &mut callbacks[callback];
            if let Some(registration) = &callback.registration {
                callback.finished = Some(during(Operation::Finished, || registration.finished()));
            }
        }
        14..17 => {
            let numbers: Vec<_> = [number, random.below(count), random.below(count)]
                .into_iter()
                .filter(|&number| self::token(number).is_some())
                .collect();
            let sources = numbers.iter().filter_map(|&number| self::token(number));
            publish(during(Operation::Any, || CancellationToken::any(sources)), None, &numbers);
        }
        17 => {
            let timed = during(Operation::Timeout, || {
                drop(token.child_with_timeout(HOUR));
                token.child_with_timeout(HOUR)
            });
            publish(timed, Some(number), &[]);
        }
        18 => during(Operation::Reason, || {
            let looks = [
                usize::from(token.is_cancelled()),
                code(token.reason()),
                code(token.check().err()),
                code(token.reason()),
            ];
            assert!(looks[0] <= looks[1] && looks[1..].is_sorted_by(|a, b| *a == 0 || a == b), "C6: {looks:?}");
        }),
        20 => {
            let tree = during(Operation::Look, || token.tree());
            // Only a cancel has ever been in the way, which has done its work by now.
            assert!(tree.is_complete(), "a list is busy, and nobody is at work on it");
        }
        19 if random.below(3) == 0 => during(Operation::Cancel, || {
            let reason = 1 + random.below(3);
            KNOWN[number].requested.fetch_or(1 << reason, SeqCst);
            cancel(token, reason);
        }),
        _ => assert!(!token.is_cancelled() || requested(number) != 0, "C1"),
    }
}

fn round(random: &mut Random, counter: &Counter) {
    let mut callbacks = Vec::with_capacity(400);
    COUNT.store(0, SeqCst);
    publish(CancellationToken::new(), None, &[]);
    publish(CancellationToken::new(), None, &[]);
    set_quiet(false);
    for _ in 0..300 {
        if COUNT.load(Relaxed) < MOST {
            step(random, &mut callbacks);
        }
    }

    set_quiet(true);
    nodes::empty_graveyard();
    for number in 0..COUNT.load(Relaxed) {
        let (requested, reason) = (requested(number), token(number).map(|token| code(token.reason())));
        assert!(keeps_its_reason(number), "C6");
        assert!(reason.is_none_or(|reason| (reason != 0) == (requested != 0)), "C1, C3, C4");
        assert!(reason.is_none_or(|reason| reason == 0 || requested >> reason & 1 != 0), "C6: somebody else's reason");
    }
    callbacks.iter_mut().for_each(|callback| callback.check(counter));
    set_quiet(false);

    // The end, under fire.
    let mut order: Vec<_> = (0..COUNT.load(Relaxed)).collect();
    random.shuffle(&mut order);
    for number in order {
        if let Some(callback) = callbacks.iter_mut().find(|callback| callback.registration.is_some()) {
            callback.end(number % 2);
        }
        during(Operation::Drop, || retire(number));
    }
    callbacks.iter_mut().for_each(|callback| callback.end(1));
    set_quiet(true);
    nodes::empty_graveyard();
    for callback in callbacks {
        assert!(Arc::strong_count(&callback.runs) == 1 && callback.runs.load(Relaxed) <= 1, "C17");
    }
}

#[test]
fn a_signal_handler_may_cancel_what_carries_callbacks_links_and_timers() {
    let (mut done, mut random, mut rounds, counter) = (until_done(3), Random(1), 0, Counter::new());
    let count = |hits: &[AtomicUsize]| hits.iter().map(|hits| hits.load(Relaxed)).sum::<usize>();
    settles(|| {
        // The first starts the thread, which is not for signal handlers; nor are the signals for the thread.
        drop(CancellationToken::new().child_with_timeout(HOUR));
        let _fire = Fire::open(handler);
        // However few rounds there are to be: not without a hit.
        while !done() || count(&HITS[1..]) == 0 {
            rounds += 1;
            round(&mut random, &counter);
            for (broken, promise) in [(&C3_BROKEN, "C3"), (&C6_BROKEN, "C6"), (&C10_BROKEN, "C10")] {
                assert_eq!(broken.load(Relaxed), 0, "{promise}, in the handler");
            }
        }
    });
    wait_until(|| counter.kept() == 0);
    println!("{} hits in {rounds} rounds", count(&HITS));
    println!("{} in the middle of an operation:", count(&HITS[1..]));
    for (operation, hits) in OPERATIONS.iter().zip(&HITS) {
        println!("  {operation:?}: {}", hits.load(Relaxed));
    }
}
