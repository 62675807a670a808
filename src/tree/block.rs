//! Blocks: the wakers of a token's further waiters, when its own slot is taken. On the heap only; in a pool each further waiter
//! has a hidden node of its own.
//!
//! A block is a hidden child of the token. It has one *segment*, or several, each with slots, and a word with two bits for each of them,
//! and FIRED:
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
//! The *first* block of a token belongs to it (`annex`, a handle), is made by its second waiter and stays until the last handle
//! on the token goes. When it is full, waiters come into *further* blocks, each of which is kept by the handles of its
//! waiters. One of them is *open*: who comes takes a handle on it out of the *purse* of the first block (`purse`). If the open block
//! is full, a new one takes its place. A block that nobody waits in is freed,
//! unless it is the first one or the open one.

mod fired;
mod layout;

pub(super) use fired::{Fired, fire, wake_but_the_last};

use super::birth;
use super::handle::Handle;
use super::memory::Bin;
use super::purse::{FULL, Purse, Taken};
use super::release::release;
use super::slot::{Arm, announce, copy, fill, is_for};
use super::state::HANDLE;
use super::{Node, at};
use crate::primitives::{AcqRel, Acquire, AtomicWord, Relaxed, Release};
use core::ptr;
use core::task::Waker;
use layout::{
    ALL, ALL_SET, FIRED, First, Further, MOST, Slot, Slots, first_segment, number, occupied, purse, segment, segments,
    set, slot,
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
unsafe fn arm(block: *mut Node, mut waker: Waker) -> Arm<u8> {
    let mut index = 0;
    loop {
        // SAFETY: the caller's contract.
        unsafe {
            match arm_in(segment(block, index), waker) {
                Arm::Armed(bit) => return Arm::Armed(number(index, bit)),
                Arm::Cancelled(waker) => return Arm::Cancelled(waker),
                Arm::Taken(back) => waker = back,
            }
            index += 1;
            if index == segments(block) {
                return Arm::Taken(waker);
            }
        }
    }
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

/// The same for a slot of a first block.
///
/// # Safety
/// As [`disarm`].
#[inline]
pub(super) unsafe fn disarm_first(block: *mut Node, slot: u8) -> Option<Waker> {
    // SAFETY: the caller's contract. It has one segment.
    unsafe { disarm_in(first_segment(block).slot(slot.into())) }
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

/// How many wait in the block, if no canceller has come to it.
///
/// # Safety
/// The caller keeps the block.
pub(super) unsafe fn waiters(block: *mut Node) -> usize {
    // SAFETY: the caller's contract. Relaxed: a look.
    let words = unsafe { (0..segments(block)).map(|index| segment(block, index).word.load(Relaxed)) };
    words.filter(|word| word & FIRED == 0).map(|word| (word & ALL_SET).count_ones() as usize).sum()
}

/// Where a further waiter has put its waker.
pub(super) enum Place {
    /// Into this slot of the token's first block.
    First(u8),
    /// Into this slot of another block, with a handle on that.
    Further(Handle, u8),
}

/// Where a further waiter has not found a place.
pub(super) enum NoPlace {
    Cancelled(Waker),
    /// Those who came at once have spent the purse: the next will find it full again.
    Spent(Waker),
}

/// Puts the waker of a further waiter into a block of the token.
///
/// # Safety
/// The caller holds a handle on `token`, which lives on the heap.
pub(super) unsafe fn wait(token: *mut Node, waker: Waker) -> Result<Place, NoPlace> {
    // SAFETY: the handle keeps the first block. All that is made here is the caller's or, by `annex` and the purse, the token's.
    unsafe {
        // Acquire (E17): the block.
        let first = at(token).annex.load(Acquire).node();
        if first.is_null() {
            // Who ends the token looks for blocks only then (calibration `a_block_is_announced`). The future in the token's own slot
            // has perhaps not come to it yet.
            if !announce(token) {
                return Err(NoPlace::Cancelled(waker));
            }
            let block = birth::block(token, waker, 1, First::new).map_err(NoPlace::Cancelled)?;
            return Ok(if at(token).annex.add_block(block) {
                Place::First(0)
            } else {
                // Another was first. Then this one is for us alone.
                Place::Further(Handle::adopt(block), 0)
            });
        }
        // It has one segment.
        match arm_in(first_segment(first), waker) {
            Arm::Armed(slot) => Ok(Place::First(slot as u8)),
            Arm::Cancelled(waker) => Err(NoPlace::Cancelled(waker)),
            Arm::Taken(waker) => wait_further(token, purse(first), waker),
        }
    }
}

/// # Safety
/// As [`wait`]; the purse is that of the token's first block.
#[cold]
unsafe fn wait_further(token: *mut Node, purse: &Purse, waker: Waker) -> Result<Place, NoPlace> {
    // SAFETY: as in `wait`; the open block by the handle that we have taken.
    unsafe {
        let (open, waker) = match purse.take() {
            Taken::Handle(open) => match arm(open, waker) {
                Arm::Armed(slot) => return Ok(Place::Further(Handle::adopt(open), slot)),
                Arm::Cancelled(waker) => {
                    release(open, HANDLE, &mut Bin::immediate());
                    return Err(NoPlace::Cancelled(waker));
                }
                Arm::Taken(waker) => (open, waker),
            },
            Taken::Nothing => (ptr::null_mut(), waker),
            Taken::Spent => return Err(NoPlace::Spent(waker)),
        };
        let made = birth::block(token, waker, 1 + FULL, Further::new);
        if let Ok(block) = made {
            purse.open(block, open);
        }
        if !open.is_null() {
            release(open, HANDLE, &mut Bin::immediate());
        }
        made.map(|block| Place::Further(Handle::adopt(block), 0)).map_err(NoPlace::Cancelled)
    }
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
    // SAFETY: nobody else can reach the pointers any more; their handles are ours.
    unsafe {
        purse(first).end(bin);
        release(first, HANDLE, bin);
    }
}
