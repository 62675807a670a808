//! Blocks: the wakers of a token's further waiters, when its own slot is taken. On the heap only; in a pool each further waiter
//! has a hidden node of its own.
//!
//! A block has *segments*, each with slots, and a word with two bits for each of them, FIRED, and MORE:
//!
//! | FIRED | OCCUPIED | SET | meaning of a slot |
//! |---|---|---|---|
//! | f | 0 | 0 | free; if f, for ever |
//! | 0 | 1 | 0 | its future is writing the waker |
//! | 1 | 1 | 0 | its future was writing when the canceller came: it keeps the waker, and is ready |
//! | 0 | 1 | 1 | a waker is in it |
//! | 1 | 1 | 1 | the waker is the canceller's, who wakes it; or the future came second, and found FIRED: its own |
//! | 1 | 0 | 0 | the waker is the canceller's, and its future gone: he drops it |
//!
//! So a canceller takes all wakers of a segment by one step, and before he wakes one looks whether its future is still there
//! (C12). As in a node's own slot, the cell is written by its future alone, between the step that makes it OCCUPIED and
//! the one that takes the waker back; others copy it.
//!
//! If a segment is full, who comes goes on to the next one, and has MORE set in the word before that. So a canceller fires segments up to
//! the first one that has no MORE (calibration `who_goes_on_says_so`).
//!
//! The *first* block of a token belongs to it (`annex`), is made by its second waiter and stays until the last handle
//! on the token goes. It is in no list: who marks the token has heard of it (`announce_block`), and what keeps the token for
//! him, keeps it (`wake`). It has one segment, and gets three more, each when somebody comes to it. When they are full, too, waiters come into *further*
//! blocks, hidden children of the token, each of which is kept by the handles of its waiters. One of them is *open*: who comes takes a
//! handle on it out of the *purse* of the first block (`purse`). If the open block is full, a new one takes its place. A block that nobody
//! waits in is freed, unless it is the first one or the open one.

mod fired;
mod layout;
mod place;

pub(super) use fired::{Fired, fire, wake_but_the_last};
pub(super) use layout::end_extras;
pub(super) use place::{NoPlace, Place, wait};

use super::ahead::prefetch;
use super::extended::{Role, role};
use super::handle::Handle;
use super::memory::Bin;
use super::release::release;
use super::slot::{Arm, copy, fill, is_for};
use super::state::HANDLE;
use super::{Node, at};
use crate::primitives::{AcqRel, Acquire, AtomicWord, Relaxed, Release};
use core::task::Waker;
use layout::{
    ALL, ALL_SET, FIRED, MORE, MOST, Slot, Slots, WAKERS, first_segment, is_in_first, make_extra, number, occupied,
    purse, segment, segments, set, slot,
};

/// Takes the waker out of a block that nobody else has seen.
///
/// # Safety
/// The caller made the block, and nobody has seen it.
pub(super) unsafe fn take_unseen(block: *mut Node) -> Waker {
    // SAFETY: the caller's contract; `new` has put a waker there.
    unsafe { copy(slot(block, 0).cell).assume_init() }
}

/// Puts a waker into a slot of the block. The slot's number, if there was one.
///
/// Lock-free: tried again if another future has come or gone.
///
/// # Safety
/// The caller keeps the block.
#[inline(never)]
unsafe fn arm(block: *mut Node, mut waker: Waker) -> Arm<u8> {
    let mut index = 0;
    // SAFETY: the caller's contract; a segment is there if it is the first, or the one before it has MORE.
    unsafe {
        loop {
            let slots = segment(block, index);
            match arm_in(slots, waker) {
                Arm::Armed(bit) => return Arm::Armed(number(index, bit)),
                Arm::Cancelled(waker) => return Arm::Cancelled(waker),
                Arm::Taken(back) => waker = back,
            }
            index += 1;
            if index == segments(block) {
                return Arm::Taken(waker);
            }
            if !go_on(block, index, slots.word) {
                return Arm::Cancelled(waker);
            }
        }
    }
}

/// Sees to it that the segment is there, and that the canceller comes to it. False if he has come to the one before, which has this word.
///
/// Lock-free: as [`arm`]. Of a first block, allocates once for each.
///
/// # Safety
/// The caller keeps the block, and has acquired that the one before is there.
unsafe fn go_on(block: *mut Node, index: usize, word: &AtomicWord) -> bool {
    // Acquire (E17): the segment; (E6) on FIRED, what came before the cancel.
    let mut seen = word.load(Acquire);
    while seen & MORE == 0 {
        if seen & FIRED != 0 {
            return false;
        }
        // SAFETY: the caller's contract.
        unsafe {
            if role(block) == Role::First {
                make_extra(block, index);
            }
        }
        // Release (E17): the segment. Acquire on failure: as the load.
        match word.compare_exchange(seen, seen | MORE, Release, Acquire) {
            Ok(_) => return true,
            Err(newer) => seen = newer,
        }
    }
    true
}

/// The same for one segment. The slot in it.
///
/// # Safety
/// The caller keeps the block.
#[inline(always)]
unsafe fn arm_in(slots: Slots<'_>, waker: Waker) -> Arm<u32> {
    match occupy(slots.word) {
        Occupied::Cancelled => Arm::Cancelled(waker),
        Occupied::Full => Arm::Taken(waker),
        // SAFETY: the caller's contract; the cell is the caller's while the slot is OCCUPIED and not SET.
        Occupied::Slot(bit) => unsafe {
            let slot = slots.slot(bit);
            fill(slot.cell, waker);
            match publish(slot) {
                None => Arm::Armed(bit),
                Some(waker) => Arm::Cancelled(waker),
            }
        },
    }
}

enum Occupied {
    Slot(u32),
    Full,
    Cancelled,
}

/// Makes a free slot OCCUPIED.
#[inline(always)]
fn occupy(word: &AtomicWord) -> Occupied {
    // Acquire (E6): on FIRED, what came before the cancel.
    let mut seen = word.load(Acquire);
    loop {
        let bit = ((!seen >> 1) & ALL).trailing_zeros();
        if seen & FIRED != 0 {
            return Occupied::Cancelled;
        }
        if bit as usize >= MOST {
            return Occupied::Full;
        }
        // Acquire (E14): the last future has read the cell; on failure as the load.
        match word.compare_exchange(seen, seen | occupied(bit), Acquire, Acquire) {
            Ok(_) => return Occupied::Slot(bit),
            Err(newer) => seen = newer,
        }
    }
}

/// OCCUPIED to SET. If the canceller has come meanwhile, hands the waker out instead.
///
/// # Safety
/// The slot is OCCUPIED by the caller, and not SET; the waker is in the cell.
#[inline]
unsafe fn publish(slot: Slot<'_>) -> Option<Waker> {
    // Release (E14): the waker, for the canceller or the next future. Acquire (E6): on FIRED, what came before the cancel.
    let before = slot.word.fetch_add(set(slot.bit), AcqRel);
    // SAFETY: the canceller has not seen this slot SET, so its cell stays the caller's.
    (before & FIRED != 0).then(|| unsafe { copy(slot.cell).assume_init() })
}

/// Takes the waker out again, and frees the slot. `None` if a canceller has it: he will not wake it any more, unless he is just
/// about to.
///
/// # Safety
/// The caller is the future whose waker was put into this slot, does this once, and keeps the block.
pub(super) unsafe fn disarm(block: *mut Node, number: u8) -> Option<Waker> {
    // SAFETY: the caller's contract.
    unsafe { disarm_in(slot(block, number)) }
}

/// The same for a slot of a first block: mostly of the first segment.
///
/// # Safety
/// As [`disarm`].
#[inline]
pub(super) unsafe fn disarm_first(block: *mut Node, number: u8) -> Option<Waker> {
    // SAFETY: the caller's contract.
    unsafe {
        if is_in_first(number) { disarm_in(first_segment(block).slot(number.into())) } else { disarm(block, number) }
    }
}

/// # Safety
/// As [`disarm`].
#[inline(always)]
unsafe fn disarm_in(slot: Slot<'_>) -> Option<Waker> {
    // SAFETY: the caller's contract. Nobody writes the cell but this future; the copy is its by the step.
    unsafe {
        let waker = copy(slot.cell);
        // Release (E14): we have read the cell, for the next future.
        let ours = occupied(slot.bit) | set(slot.bit);
        let before = slot.word.fetch_sub(ours, Release);
        debug_assert!(before & ours == ours, "given back, but not there (calibration `the_bit_comes_back`)");
        (before & FIRED == 0).then(|| waker.assume_init())
    }
}

/// A later poll: sees to it that the waker in the slot is `waker`. False if the token has been cancelled. The slot is still to be
/// given back, in any case.
///
/// # Safety
/// As [`disarm`].
pub(super) unsafe fn rearm(block: *mut Node, number: u8, waker: &Waker) -> bool {
    // SAFETY: the caller's contract. Nobody writes the cell but this future; the old waker is its by the step.
    unsafe {
        let slot = slot(block, number);
        let same = is_for(slot.cell, waker);
        // Acquire (E6): as in `arm`. If FIRED is not to be seen yet, the canceller finds this waker, which is the latest.
        if slot.word.load(Acquire) & FIRED != 0 {
            return false;
        }
        if same {
            return true;
        }
        // The old one stays armed while the new one is cloned.
        let new = waker.clone();
        let old = copy(slot.cell);
        // Relaxed: the cell was last written by this very future. Acquire (E6): as in `arm`.
        if slot.word.fetch_sub(set(slot.bit), Acquire) & FIRED != 0 {
            // It is the canceller's. The bit comes back, for `disarm`.
            slot.word.fetch_add(set(slot.bit), Relaxed);
            return false;
        }
        let _old = old.assume_init();
        fill(slot.cell, new);
        publish(slot).is_none()
    }
}

/// How many wait in the block, in the segments that no canceller has come to.
///
/// # Safety
/// The caller keeps the block.
pub(super) unsafe fn waiters(block: *mut Node) -> usize {
    let (mut waiters, mut index) = (0, 0);
    // SAFETY: the caller's contract; as in `arm`.
    unsafe {
        loop {
            let word = segment(block, index).word.load(Acquire); // Acquire (E17): the next segment.
            if word & FIRED == 0 {
                waiters += (word & ALL_SET).count_ones() as usize;
            }
            index += 1;
            if word & MORE == 0 || index == segments(block) {
                return waiters;
            }
        }
    }
}

/// Asks memory for the first wakers of a block; or for nothing, if it is null.
#[inline(always)]
pub(super) fn prefetch_wakers(block: *mut Node) {
    prefetch(block.cast_const().cast::<i8>().wrapping_byte_add(WAKERS));
}

/// The first block of a token.
///
/// # Safety
/// The caller holds a handle on `token`, and has a place in that block.
#[inline]
pub(super) unsafe fn first(token: *mut Node) -> *mut Node {
    // SAFETY: the handle. Relaxed: read by this very future before.
    unsafe { at(token).annex.load(Relaxed).node() }
}

/// Takes the waker back, as [`disarm`], and gives up a place in a block that is not the first.
///
/// # Safety
/// As [`disarm`].
pub(super) unsafe fn leave(block: Handle, slot: u8) -> Option<Waker> {
    // SAFETY: our handle, which is not used again. The block ends without foreign code.
    unsafe {
        let block = block.into_node();
        let waker = disarm(block, slot);
        release(block, HANDLE, &mut Bin::immediate());
        waker
    }
}

/// The end of a token's waiting: gives back what the token has of its blocks, which therefore end before it does.
///
/// # Safety
/// The caller holds the last handle on the token whose first block this was, has acquired what the others did (E7), and calls this once.
#[cold]
pub(super) unsafe fn end(first: *mut Node, bin: &mut Bin) {
    // SAFETY: nobody else can reach the first block any more, nor the purse in it, whose handles are ours.
    unsafe {
        if let Some(purse) = purse(first) {
            purse.end(bin);
        }
        bin.put(first);
    }
}
