//! The seats of a tracker: room for the first that wait.
//!
//! They are made when they are needed, and kept, so that waits which come and go allocate nothing. Which of them are taken is known by
//! a bit for each, and there are few enough that a look at all bits is a short one. A seat is known by its place and by a number that is
//! given once, for it is free again as soon as who sits there is told, or goes. Under the lock nothing foreign runs but the allocator.

use super::lock::Lock;
use super::waiters::Place;
use crate::primitives::{AtomicUsize, Relaxed};
use alloc::vec::Vec;
use core::mem;
use core::ops::RangeInclusive;
use core::task::Waker;

/// In models just one, so that who comes second finds none.
const SEATS: usize = if cfg!(cancel_tree_loom) { 1 } else { 4096 };

pub(super) struct Seats {
    row: Lock<Row>,
    /// How many are taken. Written under the lock. Who has sat down, and finds zero later, by a load of any kind, sits no more.
    taken: AtomicUsize,
}

struct Row {
    seats: Vec<Option<Sitting>>,
    /// A bit for each: somebody sits there.
    bits: Vec<u64>,
    /// None before this place is free.
    free: usize,
    /// The latest number.
    latest: u64,
    /// The latest of those that somebody has begun to tell.
    told: u64,
    /// Somebody has found no seat, now or long ago.
    was_full: bool,
}

/// In a word.
const BITS: usize = u64::BITS as usize;

struct Sitting {
    number: u64,
    waker: Waker,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self {
            row: Lock::new(Row { seats: Vec::new(), bits: Vec::new(), free: 0, latest: 0, told: 0, was_full: false }),
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes a seat for this waker. Hands it back if none is free.
    pub(super) fn sit(&self, waker: Waker) -> Result<Seat<'_>, Waker> {
        let mut row = self.row.lock();
        let taken = self.taken.load(Relaxed);
        if taken == SEATS {
            // (Calibration `who_finds_no_seat_says_so`.)
            row.was_full = true;
            return Err(waker);
        }
        self.taken.store(taken + 1, Relaxed);
        row.latest += 1;
        let sitting = Sitting { number: row.latest, waker };
        let place = row.take(sitting);
        Ok(Seat { seats: self, place, number: row.latest })
    }

    /// Tells all that sit there at the first call of `next`, and whom nobody has begun to tell: so a waker that ends a round has not to
    /// wake those that are left of the last, on a stack that grows.
    pub(super) fn tell(&self) -> Tell<'_> {
        Tell { seats: self, place: 0, whom: None, was_full: false }
    }

    /// Under the lock: empties a seat that is taken.
    fn leave(&self, row: &mut Row, place: usize) -> Option<Waker> {
        self.taken.store(self.taken.load(Relaxed) - 1, Relaxed);
        row.leave(place).map(|sitting| sitting.waker)
    }
}

impl Row {
    /// Takes the first place that is free, or makes one. Which it is.
    fn take(&mut self, sitting: Sitting) -> usize {
        let mut word = self.free / BITS;
        while self.bits.get(word) == Some(&u64::MAX) {
            word += 1;
        }
        let bit = match self.bits.get_mut(word) {
            Some(bits) => {
                let first = bits.trailing_ones();
                *bits |= 1 << first;
                first
            }
            None => {
                self.bits.push(1);
                0
            }
        };
        let place = word * BITS + bit as usize;
        self.free = place + 1;
        match self.seats.get_mut(place) {
            Some(seat) => *seat = Some(sitting),
            None => self.seats.push(Some(sitting)),
        }
        place
    }

    fn leave(&mut self, place: usize) -> Option<Sitting> {
        self.bits[place / BITS] &= !(1 << (place % BITS));
        self.free = self.free.min(place);
        self.seats[place].take()
    }

    /// The first from there on that somebody sits at.
    fn next_taken(&self, from: usize) -> Option<usize> {
        let mut word = from / BITS;
        let mut bits = self.bits.get(word)? & (u64::MAX << (from % BITS));
        while bits == 0 {
            word += 1;
            bits = *self.bits.get(word)?;
        }
        Some(word * BITS + bits.trailing_zeros() as usize)
    }
}

/// Hands out the wakers, one by one, whose seats it frees.
pub(super) struct Tell<'a> {
    seats: &'a Seats,
    place: usize,
    /// Their numbers.
    whom: Option<RangeInclusive<u64>>,
    /// Whether somebody has found no seat before it began.
    pub(super) was_full: bool,
}

impl Tell<'_> {
    /// Whether nobody is left to be told, neither here nor elsewhere.
    pub(super) fn is_over(&self) -> bool {
        self.nobody_sits() && !self.was_full
    }

    /// Of those who sat there when it began.
    #[inline]
    fn nobody_sits(&self) -> bool {
        // At first, only the lock shows who is there (calibration `the_seats_are_looked_at_under_the_lock`).
        self.whom.is_some() && self.seats.taken.load(Relaxed) == 0
    }
}

impl Iterator for Tell<'_> {
    type Item = Waker;

    #[inline]
    fn next(&mut self) -> Option<Waker> {
        if self.nobody_sits() {
            return None;
        }
        let mut row = self.seats.row.lock();
        let whom = self.whom.get_or_insert_with(|| {
            self.was_full = row.was_full;
            let latest = row.latest;
            mem::replace(&mut row.told, latest) + 1..=latest
        });
        while let Some(place) = row.next_taken(self.place) {
            self.place = place + 1;
            if row.seats[place].as_ref().is_some_and(|there| whom.contains(&there.number)) {
                return self.seats.leave(&mut row, place);
            }
        }
        None
    }
}

/// A seat that is somebody's until he is told. Then, or when it is dropped, it is free.
pub(super) struct Seat<'a> {
    seats: &'a Seats,
    place: usize,
    number: u64,
}

impl Seat<'_> {
    /// Under the lock, with the row, if the seat is still ours.
    fn while_ours<R>(&self, look: impl FnOnce(&mut Row) -> R) -> Option<R> {
        if self.seats.taken.load(Relaxed) == 0 {
            return None;
        }
        let mut row = self.seats.row.lock();
        let is_ours = row.seats[self.place].as_ref().is_some_and(|there| there.number == self.number);
        is_ours.then(|| look(&mut row))
    }
}

impl Place for Seat<'_> {
    fn with<R>(&self, look: impl FnOnce(&mut Waker) -> R) -> Option<R> {
        self.while_ours(|row| row.seats[self.place].as_mut().map(|there| look(&mut there.waker))).flatten()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // The waker is dropped when nothing is locked.
        let _waker = self.while_ours(|row| self.seats.leave(row, self.place));
    }
}
