//! Random operations on a tree from a static pool, checked without regard to order.
//!
//! A *hand* has a handle on a root that others have, too, and may cancel; and tokens, waiters and callbacks of its own. What it
//! does is the same in every run; what it meets is not.

use crate::println;
use cancel_tree::WaitForCancellationFutureOwned;
use cancel_tree::time::{Clock, StaticTimer};
use cancel_tree::{
    CancellationToken, Cancelled, NotRegistered, PoolFull, Registration, StaticCause, TokenPool, Unregister,
};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, RawWaker, RawWakerVTable, Waker};
use core::time::Duration;
use portable_atomic::{AtomicU32, Ordering::Relaxed};

/// Why roots are cancelled.
pub static WHY: StaticCause = StaticCause::new(&fmt::Error);

/// For all hands; sometimes too small.
pub static TIMER: StaticTimer<Hours, 6> = StaticTimer::new();

/// A clock that the hands put forward.
pub struct Hours;

static HOUR: AtomicU32 = AtomicU32::new(0);

impl Clock for Hours {
    fn now() -> Duration {
        Duration::from_secs(3600 * u64::from(HOUR.load(Relaxed)))
    }
}

/// Counts how often a waker, or a callback, is run.
pub type Bell = AtomicU32;

/// As many steps as a hand does at most: each waker and each callback has a bell of its own.
pub const STEPS: usize = 160;

pub type Bells = [Bell; STEPS];

pub const fn bells() -> Bells {
    [const { Bell::new(0) }; STEPS]
}

fn ring(bell: &'static Bell) {
    bell.fetch_add(1, Relaxed);
}

static RINGS: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| ());

fn clone(bell: *const ()) -> RawWaker {
    RawWaker::new(bell, &RINGS)
}

fn wake(bell: *const ()) {
    // SAFETY: that of a static bell: there is no other waker with this table.
    ring(unsafe { &*bell.cast::<Bell>() });
}

fn waker(bell: &'static Bell) -> Waker {
    // SAFETY: a bell is shared as it is; `clone` and `wake` do what they should.
    unsafe { Waker::from_raw(clone((&raw const *bell).cast())) }
}

struct Waiter {
    future: WaitForCancellationFutureOwned,
    /// That of the last poll, which said `Pending`.
    bell: Option<&'static Bell>,
}

#[derive(Clone, Copy)]
enum Did {
    Make,
    MakeCancelled,
    Register,
    Poll,
    Cancel,
    Ring,
    Expire,
    MeetPoolFull,
}

static TOTALS: [AtomicU32; 8] = [const { AtomicU32::new(0) }; 8];

/// Prints what all hands have done.
pub fn report() {
    let [tokens, born_cancelled, callbacks, polls, cancels, rings, late, full] =
        TOTALS.each_ref().map(|n| n.load(Relaxed));
    println!(
        "{tokens} tokens, {born_cancelled} born cancelled, {late} past their deadline in the end; {cancels} cancels"
    );
    println!("{polls} polls, {callbacks} callbacks; {rings} wakers and callbacks run; PoolFull met {full} times");
}

pub struct Hand<const N: usize> {
    pool: &'static TokenPool<N>,
    root: CancellationToken,
    tokens: [Option<CancellationToken>; 4],
    waiters: [Option<Waiter>; 4],
    callbacks: [Option<(Registration, &'static Bell)>; 4],
    dice: u32,
    bells: &'static Bells,
    bells_used: usize,
    counts: [u32; 8],
}

impl<const N: usize> Hand<N> {
    /// All that it does is decided by the seed.
    pub fn new(pool: &'static TokenPool<N>, root: CancellationToken, seed: u32, bells: &'static Bells) -> Self {
        let (tokens, waiters, callbacks) = Default::default();
        // Odd multiples of an odd number: not zero, from which the dice would not come back.
        let dice = (2 * seed + 1).wrapping_mul(0x9e37_79b9);
        Self { pool, root, tokens, waiters, callbacks, dice, bells, bells_used: 0, counts: [0; 8] }
    }

    /// Xorshift.
    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        (self.dice >> 8) as usize % sides
    }

    fn did(&mut self, what: Did) {
        self.counts[what as usize] += 1;
    }

    fn bell(&mut self) -> &'static Bell {
        self.bells_used += 1;
        &self.bells[self.bells_used - 1]
    }

    /// One of the tokens, or the root.
    fn token(&self, which: usize) -> &CancellationToken {
        self.tokens.get(which).and_then(Option::as_ref).unwrap_or(&self.root)
    }

    /// One step.
    pub fn act(&mut self) {
        let (from, other, to) = (self.roll(5), self.roll(5), self.roll(4));
        match self.roll(14) {
            0..3 => self.make(to, from, CancellationToken::try_child_token),
            3 => {
                let (pool, other) = (self.pool, self.token(other).clone());
                self.make(to, from, |token| pool.try_any([token, &other]));
            }
            4 => {
                let at = Hours::now() + Duration::from_secs(3600 * other as u64);
                self.make(to, from, |token| token.try_child_with_timer(&&TIMER, at));
            }
            5 => {
                HOUR.fetch_add(1, Relaxed);
                TIMER.poll();
            }
            6 => self.tokens[to] = Some(self.token(from).clone()),
            7 | 8 => self.tokens[to] = None,
            9 | 10 => {
                self.waiters[to] = Some(Waiter { future: self.token(from).clone().cancelled_owned(), bell: None });
                self.poll(to);
            }
            11 => self.poll(to),
            12 => self.register(to, from),
            _ if other == 0 => self.cancel(to),
            _ => self.waiters[to] = None,
        }
    }

    fn make<F>(&mut self, to: usize, from: usize, make: F)
    where
        F: FnOnce(&CancellationToken) -> Result<CancellationToken, PoolFull>,
    {
        let source = self.token(from);
        let seen = source.is_cancelled();
        let Ok(token) = make(source) else { return self.did(Did::MeetPoolFull) };
        let born_cancelled = token.is_cancelled();
        assert!(born_cancelled || !seen, "below a cancelled token, and not cancelled");
        self.tokens[to] = Some(token);
        self.did(if born_cancelled { Did::MakeCancelled } else { Did::Make });
    }

    /// With a waker that has not been used before.
    fn poll(&mut self, which: usize) {
        let Some(mut waiter) = self.waiters[which].take() else { return };
        let bell = self.bell();
        let poll = Pin::new(&mut waiter.future).poll(&mut Context::from_waker(&waker(bell)));
        waiter.bell = poll.is_pending().then_some(bell);
        self.waiters[which] = Some(waiter);
        self.did(Did::Poll);
    }

    fn register(&mut self, to: usize, from: usize) {
        let bell = self.bell();
        match self.token(from).try_on_cancel_fn(ring, bell) {
            Ok(registration) => {
                self.callbacks[to] = Some((registration, bell));
                self.did(Did::Register);
            }
            Err(NotRegistered::PoolFull) => self.did(Did::MeetPoolFull),
            Err(_) => assert!(self.token(from).is_cancelled()),
        }
    }

    /// Not the root.
    fn cancel(&mut self, which: usize) {
        if let Some(token) = self.tokens[which].as_ref().filter(|&token| *token != self.root) {
            token.cancel();
            self.did(Did::Cancel);
        }
    }

    /// Cancels the root.
    pub fn cancel_root(&mut self) {
        self.root.cancel_with(&WHY);
        self.did(Did::Cancel);
    }

    /// When the root is cancelled, and nobody else acts: looks at everything, and drops it.
    pub fn end(mut self) {
        assert!(self.root.reason().is_some_and(|reason| reason.cause().is_some_and(|cause| cause.is::<fmt::Error>())));
        assert!(self.tokens.iter().flatten().all(CancellationToken::is_cancelled), "below a cancelled root");
        let reasons = self.tokens.iter().flatten().filter_map(CancellationToken::reason);
        self.counts[Did::Expire as usize] += reasons.filter(Cancelled::is_deadline_exceeded).count() as u32;
        for Waiter { future, bell } in self.waiters.iter_mut().flatten() {
            assert!(bell.is_none_or(|bell| bell.load(Relaxed) == 1), "pending, and not woken once");
            assert!(Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        for (registration, bell) in self.callbacks.iter_mut().filter_map(Option::take) {
            assert!(registration.unregister() == Unregister::Done && bell.load(Relaxed) == 1, "not called once");
        }
        for bell in &self.bells[..self.bells_used] {
            let rings = bell.swap(0, Relaxed);
            assert!(rings <= 1, "run twice");
            self.counts[Did::Ring as usize] += rings;
        }
        TOTALS.iter().zip(self.counts).for_each(|(total, count)| _ = total.fetch_add(count, Relaxed));
        // In some order; what is left, with the root.
        for _ in 0..6 {
            let (one, another) = (self.roll(4), self.roll(4));
            self.tokens[one] = None;
            self.waiters[another] = None;
        }
    }
}
