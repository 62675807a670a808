//! What a tracker knows: one word, and who waits for what it says next.
//!
//! A *round* goes from one moment at which the tracker is closed and empty, or from its birth, to the next. Who waits, waits for the
//! end of the round, and knows it by its number.
//!
//! # The word
//!
//! | bits | | on targets without 64-bit atomics |
//! |---|---|---|
//! | `CLOSED` | the tracker is closed | |
//! | `AWAITED` | somebody waits for the end of this round | |
//! | 30 bits | how much is tracked, times `ONE` | 20 bits |
//! | 32 bits | the number of the round, times `ROUND`; it wraps | 10 bits |
//!
//! # Invariants
//!
//! - **T1** The step that makes the tracker closed and empty, and no other, goes on to the next number, and clears `AWAITED`. If that
//!   was set, who has made the step notifies.
//! - **T2** `AWAITED` is set, or found set, by somebody who is among the waiters already, and finds his round still going on. So
//!   either who ends the round finds him among them, or he finds the round over.
//! - **T3** Who waits may be told of an older round, by somebody who is late. So who is told looks at the number again, and if it is
//!   still his, becomes a waiter anew (calibration `who_is_told_looks_again`).

use super::waiters::Waiters;
use crate::primitives::{Acquire, AtomicWord, Relaxed, Release, Word, abort};

#[cfg(all(test, not(cancel_tree_loom)))]
mod tests;

const CLOSED: Word = 1;
const AWAITED: Word = 2;
const ONE: Word = 4;
const ROUND: Word = 1 << if Word::BITS == 64 { 32 } else { 22 };
/// Half of what there is room for: the other half is for the threads that are between their step and their abort.
const MOST: Word = ROUND / ONE / 2;

pub(super) struct State {
    word: AtomicWord,
    pub(super) waiters: Waiters,
}

/// A copy of the word.
#[derive(Clone, Copy)]
pub(super) struct Snapshot(Word);

impl Snapshot {
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }
    pub(super) fn len(self) -> usize {
        ((self.0 & (ROUND - 1)) / ONE) as usize
    }
    pub(super) fn is_over(self) -> bool {
        self.0 & (ROUND - 1) & !AWAITED == CLOSED
    }
    fn round(self) -> Word {
        self.0 / ROUND
    }
    /// After the step that leads from here to `next`: if that ends the round, it is the next one's.
    fn settled(self, next: Word) -> Word {
        if self.is_over() || !Snapshot(next).is_over() { next } else { (next & !AWAITED).wrapping_add(ROUND) }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self { word: AtomicWord::new(0), waiters: Waiters::new() }
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
        if Snapshot(seen).len() as Word > MOST {
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
    fn step(&self, next: impl Fn(Word) -> Word) -> Snapshot {
        // Release: pairs with `look` and `reopen`. Who waits is found by a lock (`await_end`).
        let taken = self.word.fetch_update(Release, Relaxed, |word| Some(Snapshot(word).settled(next(word))));
        let (Ok(seen) | Err(seen)) = taken;
        // In that very step (calibration `a_round_ends_with_its_step`).
        if seen & AWAITED != 0 && Snapshot(seen).settled(next(seen)) != next(seen) {
            self.waiters.notify();
        }
        Snapshot(seen)
    }

    /// Whether the round that was going on at `begun` is over; or was then already. Exact, unless so many rounds have ended meanwhile
    /// as there are numbers.
    #[inline]
    pub(super) fn has_ended(&self, begun: Snapshot) -> bool {
        begun.is_over() || self.look().round() != begun.round()
    }

    /// For one who is among the waiters, and relies on it from now on: says that there is one. False if the round of `begun` is over, and
    /// so perhaps nobody will tell him (calibration `who_waits_looks_again`).
    pub(super) fn await_end(&self, begun: Snapshot) -> bool {
        // Relaxed: whoever ends this round finds the bit, and takes the lock under which we became a waiter after that. Had he taken it
        // before us, his step would happen before ours, and we would find the next round; by a load as well.
        let is_same = |word| Snapshot(word).round() == begun.round();
        let set = |word| (is_same(word) && word & AWAITED == 0).then_some(word | AWAITED);
        self.word.fetch_update(Relaxed, Relaxed, set).map_or_else(is_same, |_| true)
    }
}
