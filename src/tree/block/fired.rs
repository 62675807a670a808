//! The canceller's side: he takes the wakers of a block segment by segment, and wakes them one by one.

use super::super::Node;
use super::super::slot::copy;
use super::layout::{ALL_SET, FIRED, MORE, SET_SHIFT, Slots, occupied, segment, set};
use crate::primitives::{AcqRel, Relaxed, Word};
use core::task::Waker;

/// Wakers that the canceller has of a block.
#[derive(Clone, Copy)]
pub(in super::super) struct Fired {
    /// Of one segment, by their SET.
    wakers: Word,
    /// Which one it is. Those before it are done with, those behind it not yet fired.
    segment: usize,
    /// Somebody has come to the next one. If nobody has, nobody will: MORE comes before FIRED, or never.
    more: bool,
}

impl Fired {
    pub(in super::super) const NONE: Self = Self { wakers: 0, segment: 0, more: true };

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
        while self.is_none() && self.more {
            // SAFETY: the caller's contract.
            // Acquire (E14): the wakers; (E17) the next segment, if there is MORE. Release (E6): the flag, for the future that finds FIRED.
            let before = unsafe { segment(block, self.segment).word.fetch_add(FIRED, AcqRel) };
            (self.wakers, self.more) = (before & ALL_SET, before & MORE != 0);
            if self.is_none() {
                self.segment += 1;
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
/// future is gone. What is left is noted before each (calibration `who_panics_is_not_woken_again`).
///
/// # Safety
/// The caller has `fired` from `fire`, and not none, or from a call of this that has panicked; and keeps the block.
#[inline(never)]
pub(in super::super) unsafe fn wake_but_the_last(block: *mut Node, fired: &mut Fired) -> (Waker, bool) {
    // SAFETY: the caller's contract; the cells of slots that are SET are there, and nobody writes them any more.
    unsafe {
        loop {
            let slots = segment(block, fired.segment);
            if fired.wakers > set(CROWD) {
                wake_crowd(slots, &mut fired.wakers);
            }
            loop {
                let slot = fired.wakers.trailing_zeros();
                fired.wakers &= fired.wakers - 1;
                // Relaxed: who knows that the future is gone, by a waker that he has woken for example, reads it here. For others
                // it is a race that may go either way.
                let is_there = slots.word.load(Relaxed) & (1 << slot) != 0;
                let waker = copy(&*slots.cells.add((slot - SET_SHIFT) as usize)).assume_init();
                let is_last = fired.is_none();
                if is_last {
                    fired.segment += 1;
                    fired.fire(block);
                    if fired.is_none() {
                        return (waker, is_there);
                    }
                }
                if is_there {
                    waker.wake();
                }
                if is_last {
                    break;
                }
            }
        }
    }
}

/// More than that many in a segment are worth the short way.
const CROWD: u32 = 8;

/// The short way through a crowd, as far as none is missing: one look for each, a third of the instructions. Comes at most to the last of
/// the segment.
///
/// # Safety
/// As [`wake_but_the_last`]; the wakers are of this segment, and there are some.
#[inline(never)]
unsafe fn wake_crowd(slots: Slots<'_>, wakers: &mut Word) {
    /// In a register, until then; also if one panics.
    struct Left<'a> {
        wakers: &'a mut Word,
        /// By its OCCUPIED, whose turn it is.
        next: Word,
    }
    impl Drop for Left<'_> {
        #[inline]
        fn drop(&mut self) {
            *self.wakers &= (self.next << (SET_SHIFT - 1)).wrapping_neg();
        }
    }
    let Slots { word, mut cells } = slots;
    let all_but_the_last = (*wakers & !(1 << wakers.ilog2())) >> (SET_SHIFT - 1);
    let mut left = Left { wakers, next: occupied(0) };
    // Relaxed: as in `wake_but_the_last`.
    while word.load(Relaxed) & all_but_the_last & left.next != 0 {
        // SAFETY: the caller's contract: the cell is there, and nobody writes it any more.
        let waker = unsafe {
            let waker = copy(&*cells).assume_init();
            cells = cells.add(1);
            waker
        };
        left.next <<= 1;
        waker.wake();
    }
}
