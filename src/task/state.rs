//! What a tracker knows: one word, and the token that its waiters wait for.
//!
//! A *round* goes from one moment at which the tracker is closed and empty, or from its birth, to the next. Who waits, waits for the
//! end of the round, and for that a round has a token; but only if somebody waits in it.
//!
//! # The word
//!
//! | bits | |
//! |---|---|
//! | `CLOSED` | the tracker is closed |
//! | `AWAITED` | somebody has begun to wait in this round |
//! | the rest | how much is tracked, times `ONE` |
//!
//! # Invariants
//!
//! - **T1** `AWAITED` is set under the lock, by a step that finds the tracker not closed and empty, and is cleared only by the step
//!   that makes it closed and empty: that step ends the round.
//! - **T2** Whoever has cleared it takes, under the lock, what has ended, and cancels that after the lock.
//! - **T3** Under the lock, `running` is the token of this round if `AWAITED` is set. If not, and there is one, then it is of
//!   a round that has ended, and someone is on his way to take it (T2).
//!
//! So a wait that begins before a round ends is told of that end, whatever comes after it; and one that begins later is not told of
//! it, though the cancel may still be under way: it finds `AWAITED` clear and makes a token of its own.
//!
//! Why not `event-listener`, which was tried first: it wakes under the lock of its list (5.4). So a wait that is polled in its own
//! wake-up, as by [`cancel_when`](CancellationToken::cancel_when), deadlocks, and a waker that panics keeps those behind it from
//! being woken, and leaves a count that the next drop of a listener finds wrong. A token wakes when nothing is held.
//! (`tests/task_tracker_races.rs` has both.)

use super::lock::Lock;
use crate::CancellationToken;
use crate::primitives::{Acquire, AtomicUsize, Relaxed, Release, abort};
use crate::tree::run_all;
use alloc::vec::Vec;
use core::mem;

#[cfg(all(test, not(cancel_tree_loom)))]
mod tests;

const CLOSED: usize = 1;
const AWAITED: usize = 2;
const ONE: usize = 4;

pub(super) struct State {
    word: AtomicUsize,
    rounds: Lock<Rounds>,
}

struct Rounds {
    running: Option<CancellationToken>,
    /// Of rounds that have ended, when a new one has begun before they were cancelled.
    ended: Vec<CancellationToken>,
}

/// A copy of the word.
#[derive(Clone, Copy)]
pub(super) struct Snapshot(usize);

impl Snapshot {
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }
    pub(super) fn len(self) -> usize {
        self.0 / ONE
    }
    pub(super) fn is_over(self) -> bool {
        self.0 & !AWAITED == CLOSED
    }
    /// After the step that has led here: the round ends if it is closed and empty now.
    fn settled(self) -> usize {
        if self.is_over() { CLOSED } else { self.0 }
    }
}

impl State {
    pub(super) fn new() -> Self {
        let rounds = Rounds { running: None, ended: Vec::new() };
        Self { word: AtomicUsize::new(0), rounds: Lock::new(rounds) }
    }

    #[inline]
    pub(super) fn look(&self) -> Snapshot {
        // Acquire: pairs with the release of each step below: what came before an exit is seen by who sees that it is over.
        Snapshot(self.word.load(Acquire))
    }

    /// Counts one more. Wait-free.
    #[inline]
    pub(super) fn enter(&self) {
        // Relaxed: who tracks has the tracker from somebody. As a read-modify-write it goes on with the releases before it.
        let seen = self.word.fetch_add(ONE, Relaxed);
        if seen > usize::MAX / 2 {
            abort();
        }
    }

    /// Counts one less.
    #[inline]
    pub(super) fn leave(&self) {
        self.step(|word| word - ONE);
    }

    /// True if it was open.
    pub(super) fn close(&self) -> bool {
        !self.step(|word| word | CLOSED).is_closed()
    }

    /// True if it was closed. Wait-free: no round ends by this.
    pub(super) fn reopen(&self) -> bool {
        // Acquire: what came before the `close` that this undoes. As a read-modify-write it goes on with the releases before it.
        Snapshot(self.word.fetch_and(!CLOSED, Acquire)).is_closed()
    }

    /// Takes a step, which ends the round if it leads to closed and empty. Says what was there before.
    #[inline]
    fn step(&self, next: impl Fn(usize) -> usize) -> Snapshot {
        // Release: pairs with `look`, and with the acquire in `end_round`, `wait` and `reopen`.
        let taken = self.word.fetch_update(Release, Relaxed, |word| Some(Snapshot(next(word)).settled()));
        let (Ok(seen) | Err(seen)) = taken;
        // Only who has cleared it, by T1.
        if seen & AWAITED != 0 && Snapshot(next(seen)).is_over() {
            self.end_round();
        }
        Snapshot(seen)
    }

    /// The token of this round; `None` if the tracker is closed and empty.
    pub(super) fn wait(&self) -> Option<CancellationToken> {
        if self.look().is_over() {
            return None;
        }
        let mut rounds = self.rounds.lock();
        // Acquire on failure: as in `look`. Otherwise nothing is concluded but what the lock is for.
        let begun = self
            .word
            .fetch_update(Relaxed, Acquire, |word| (!Snapshot(word).is_over()).then_some(word | AWAITED))
            .ok()?;
        if begun & AWAITED == 0 {
            let ended = rounds.running.replace(CancellationToken::untold());
            rounds.ended.extend(ended);
        }
        rounds.running.clone()
    }

    /// After the step that has ended a round with waiters.
    #[cold]
    fn end_round(&self) {
        let (mut ended, mut last) = {
            let mut rounds = self.rounds.lock();
            // While the lock is held nobody sets it. If it is clear, what is there has ended (T3). Acquire: pairs with the release
            // of all who have left before, so that who waited sees what they did; also if it was another's step that has ended it.
            let over = self.word.load(Acquire) & AWAITED == 0;
            (mem::take(&mut rounds.ended), if over { rounds.running.take() } else { None })
        };
        // A panic of a waker does not keep those of another round from being woken.
        run_all(move || ended.pop().or_else(|| last.take()).map(|token| token.cancel_untold()).is_some());
    }
}
