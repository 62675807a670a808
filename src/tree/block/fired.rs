//! The canceller's side: he takes the wakers of a block segment by segment, and wakes them one by one.

use super::super::Node;
use super::super::slot::copy;
use super::layout::{ALL_SET, FIRED, Slots, segment, segments, set};
use crate::primitives::{AcqRel, Relaxed, Word};
use core::task::Waker;

/// Wakers that the canceller has of a block.
#[derive(Clone, Copy)]
pub(in super::super) struct Fired {
    /// Of one segment, by their SET.
    wakers: Word,
    /// Which one it is. Those before it are done with, those behind it not yet fired.
    segment: usize,
}

impl Fired {
    pub(in super::super) const NONE: Self = Self { wakers: 0, segment: 0 };

    #[inline]
    pub(in super::super) fn is_none(self) -> bool {
        self.wakers == 0
    }

    /// Fires the segment, and if it has no wakers the next, up to one that has (calibration `all_words_of_a_block_are_fired`). Who comes
    /// into one that is not fired yet is found when its turn comes.
    ///
    /// # Safety
    /// As [`fire`].
    #[inline]
    unsafe fn fire(&mut self, block: *mut Node) {
        // SAFETY: the caller's contract.
        unsafe {
            while self.is_none() && self.segment < segments(block) {
                // Acquire (E14): the wakers. Release (E6): the flag, for the future that finds FIRED.
                self.wakers = segment(block, self.segment).word.fetch_add(FIRED, AcqRel) & ALL_SET;
                if self.is_none() {
                    self.segment += 1;
                }
            }
        }
    }
}

/// Canceller: ends the block. What he has of it; if that is none, he is done with it.
///
/// # Safety
/// The caller keeps the block, has the duty to wake (I8), and does this once.
pub(in super::super) unsafe fn fire(block: *mut Node) -> Fired {
    let mut fired = Fired::NONE;
    // SAFETY: the caller's contract.
    unsafe { fired.fire(block) };
    fired
}

/// Canceller: wakes what `fire` has told of, one by one, but for the last, which is handed out, with whether it is to be woken: else its
/// future is gone. What is left is noted also when a waker panics (calibration `who_panics_is_not_woken_again`).
///
/// # Safety
/// The caller has `fired` from `fire`, and not none, or from a call of this that has panicked; and keeps the block.
#[inline(never)]
pub(in super::super) unsafe fn wake_but_the_last(block: *mut Node, fired: &mut Fired) -> (Waker, bool) {
    /// In registers, until then.
    struct Left<'a> {
        fired: &'a mut Fired,
        now: Fired,
        /// Of those in `now`, what is done with stands before this.
        next: Word,
    }
    impl Drop for Left<'_> {
        #[inline]
        fn drop(&mut self) {
            *self.fired = Fired { wakers: self.now.wakers & self.next.wrapping_neg(), ..self.now };
        }
    }
    let now = *fired;
    let mut left = Left { fired, now, next: set(0) };
    // SAFETY: the caller's contract; the cells of slots that are SET are there, and nobody writes them any more.
    unsafe {
        loop {
            let Slots { word, cells: mut cell } = segment(block, left.now.segment);
            let last = 1 << left.now.wakers.ilog2();
            // The short way through a crowd. There is none missing before the last; and as long as nobody goes, all are there.
            let (wakers, there) = (left.now.wakers, word.load(Relaxed));
            if wakers & wakers.wrapping_add(set(0)) == 0 && wakers & there == wakers {
                while left.next != last && word.load(Relaxed) == there {
                    left.next <<= 1;
                    let waker = copy(&*cell).assume_init();
                    cell = cell.add(1);
                    waker.wake();
                }
            }
            loop {
                let slot = left.next;
                left.next <<= 1;
                if left.now.wakers & slot != 0 {
                    // Relaxed: who knows that the future is gone, by a waker that he has woken for example, reads it here. For others
                    // it is a race that may go either way.
                    let is_there = word.load(Relaxed) & slot != 0;
                    let waker = copy(&*cell).assume_init();
                    if slot == last {
                        (left.now, left.next) = (Fired { wakers: 0, segment: left.now.segment + 1 }, set(0));
                        left.now.fire(block);
                        if left.now.is_none() {
                            return (waker, is_there);
                        }
                        if is_there {
                            waker.wake();
                        }
                        break;
                    }
                    if is_there {
                        waker.wake();
                    }
                }
                cell = cell.add(1);
            }
        }
    }
}
