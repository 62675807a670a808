//! Blocks: the wakers of a token's further waiters, when its own slot is taken. On the heap only; in a pool each further waiter
//! has a hidden node of its own.
//!
//! A block is a hidden child of the token. Its word has two bits for each slot, and FIRED:
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
//! So a canceller takes all wakers of a block by one step, and before he wakes one looks whether its future is still there
//! (C12). As in a node's own slot, the cell is written by its future alone, between the step that makes it OCCUPIED and
//! the one that takes the waker back; others copy it.
//!
//! The *first* block of a token belongs to it (`waiters`, a handle), is made by its second waiter and stays until the last handle
//! on the token goes. When it is full, waiters come into *further* blocks, each of which is kept by the handles of its
//! waiters. One of them is *open*: who comes takes a handle on it out of the *purse* of the first block (`purse`). If the open block
//! is full, a new one takes its place. A block that nobody waits in is freed,
//! unless it is the first one or the open one.

use super::birth;
use super::extended::{Payload, Role, payload, role};
use super::handle::Handle;
use super::memory::Bin;
use super::purse::{FULL, Purse, Taken};
use super::release::release;
use super::slot::{Arm, copy, fill, is_for};
use super::state::HANDLE;
use super::{Node, WakerCell, at};
use crate::primitives::{AcqRel, Acquire, AtomicWord, Relaxed, Release, UnsafeCell, Word};
use core::array;
use core::mem::MaybeUninit;
use core::ptr;
use core::task::Waker;

/// Slots of a first block.
#[cfg(not(cancel_tree_loom))]
pub(super) const FIRST: usize = 10;
/// Slots of a further block: as many as the word has bits for.
#[cfg(not(cancel_tree_loom))]
pub(super) const FURTHER: usize = MOST as usize;
// Small enough for the models to come to the end of each.
#[cfg(cancel_tree_loom)]
pub(super) const FIRST: usize = 1;
#[cfg(cancel_tree_loom)]
pub(super) const FURTHER: usize = 2;

const _: () = assert!(FIRST < FURTHER);

const FIRED: Word = 1;
const MOST: u32 = Word::BITS / 2 - 1;
const ALL: Word = (1 << MOST) - 1;
const SET_SHIFT: u32 = Word::BITS / 2;
const fn occupied(slot: u32) -> Word {
    FIRED << (1 + slot)
}
const fn set(slot: u32) -> Word {
    1 << (SET_SHIFT + slot)
}

/// What a block carries. (In this order: a cell at the place of the whole would be taken for it by `interrupts`.)
#[repr(C)]
pub(super) struct Block<const N: usize> {
    word: AtomicWord,
    /// Of a first block. What the others have is null.
    purse: Purse,
    cells: [WakerCell; N],
}

// SAFETY: a waker may be sent; what else is in it is atomic.
unsafe impl<const N: usize> Send for Block<N> {}

impl<const N: usize> Payload for Block<N> {
    const ROLE: Role = if N == FIRST { Role::First } else { Role::Further };
}

impl<const N: usize> Block<N> {
    /// With a waker in its first slot. Those that it does not have are occupied for ever.
    pub(super) fn new(waker: Waker) -> Self {
        let mut waker = Some(waker);
        Self {
            word: AtomicWord::new(set(0) | occupied(0) | ((ALL << 1) & !((occupied(N as u32 - 1) << 1) - 1))),
            purse: Purse::empty(),
            cells: array::from_fn(|_| UnsafeCell::new(waker.take().map_or(MaybeUninit::uninit(), MaybeUninit::new))),
        }
    }
}

/// Takes the waker out of a block that nobody else has seen.
///
/// # Safety
/// The caller made the block, and nobody has seen it.
pub(super) unsafe fn take_unseen(block: *mut Node) -> Waker {
    // SAFETY: the caller's contract; `new` has put a waker there.
    unsafe { copy(parts(block).cell(0)).assume_init() }
}

#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    word: &'a AtomicWord,
    purse: &'a Purse,
    cells: *const WakerCell,
}

impl<'a> Parts<'a> {
    /// # Safety
    /// The block has this slot.
    unsafe fn cell(&self, slot: u32) -> &'a WakerCell {
        // SAFETY: the caller's contract.
        unsafe { &*self.cells.add(slot as usize) }
    }
}

/// # Safety
/// The caller keeps the block.
#[inline(always)]
pub(super) unsafe fn parts<'a>(block: *mut Node) -> Parts<'a> {
    /// # Safety
    /// As [`parts`], and this is the type of its payload.
    #[inline(always)]
    unsafe fn of<'a, const N: usize>(block: *mut Node) -> Parts<'a> {
        // SAFETY: the caller's contract. The payload is shared for as long as the node lives.
        unsafe {
            let payload = &*payload::<Block<N>>(block).with(|cell| cell.cast::<Block<N>>());
            Parts { word: &payload.word, purse: &payload.purse, cells: payload.cells.as_ptr() }
        }
    }
    // SAFETY: the caller's contract.
    unsafe {
        let _ = at(block);
        if role(block) == Role::First { of::<FIRST>(block) } else { of::<FURTHER>(block) }
    }
}

/// Puts a waker into a slot of the block. The slot's number, if there was one.
///
/// Lock-free: tried again if another future has come or gone.
///
/// # Safety
/// The caller keeps the block.
unsafe fn arm(block: *mut Node, waker: Waker) -> Arm<u8> {
    // SAFETY: the caller's contract; the cell is the caller's while the slot is OCCUPIED and not SET.
    unsafe {
        let parts = parts(block);
        // Acquire (E6): on FIRED, what came before the cancel.
        let mut seen = parts.word.load(Acquire);
        let slot = loop {
            let slot = ((!seen >> 1) & ALL).trailing_zeros();
            if seen & FIRED != 0 {
                return Arm::Cancelled(waker);
            }
            if slot >= MOST {
                return Arm::Taken(waker);
            }
            // Acquire (E14): the last future has read the cell; on failure as the load.
            match parts.word.compare_exchange(seen, seen | occupied(slot), Acquire, Acquire) {
                Ok(_) => break slot,
                Err(newer) => seen = newer,
            }
        };
        fill(parts.cell(slot), waker);
        match publish(parts, slot) {
            None => Arm::Armed(slot as u8),
            Some(waker) => Arm::Cancelled(waker),
        }
    }
}

/// OCCUPIED to SET. If the canceller has come meanwhile, hands the waker out instead.
///
/// # Safety
/// The slot is OCCUPIED by the caller, and not SET; the waker is in the cell.
#[inline]
unsafe fn publish(parts: Parts<'_>, slot: u32) -> Option<Waker> {
    // Release (E14): the waker, for the canceller or the next future. Acquire (E6): on FIRED, what came before the cancel.
    let before = parts.word.fetch_add(set(slot), AcqRel);
    // SAFETY: the canceller has not seen this slot SET, so its cell stays the caller's.
    (before & FIRED != 0).then(|| unsafe { copy(parts.cell(slot)).assume_init() })
}

/// Takes the waker out again, and frees the slot. `None` if a canceller has it: he will not wake it any more, unless he is just
/// about to.
///
/// # Safety
/// The caller is the future whose waker was put into this slot, does this once, and keeps the block.
pub(super) unsafe fn disarm(block: *mut Node, slot: u8) -> Option<Waker> {
    // SAFETY: the caller's contract. Nobody writes the cell but this future; the copy is its by the step.
    unsafe {
        let parts = parts(block);
        let waker = copy(parts.cell(slot.into()));
        // Release (E14): we have read the cell, for the next future.
        let before = parts.word.fetch_sub(occupied(slot.into()) | set(slot.into()), Release);
        (before & FIRED == 0).then(|| waker.assume_init())
    }
}

/// A later poll: sees to it that the waker in the slot is `waker`. False if the token has been cancelled. The slot is still to be
/// given back, in any case.
///
/// # Safety
/// As [`disarm`].
pub(super) unsafe fn rearm(block: *mut Node, slot: u8, waker: &Waker) -> bool {
    let slot = slot.into();
    // SAFETY: the caller's contract. Nobody writes the cell but this future; the old waker is its by the step.
    unsafe {
        let parts = parts(block);
        let same = is_for(parts.cell(slot), waker);
        // Acquire (E6): as in `arm`. If FIRED is not to be seen yet, the canceller finds this waker, which is the latest.
        if parts.word.load(Acquire) & FIRED != 0 {
            return false;
        }
        if same {
            return true;
        }
        // The old one stays armed while the new one is cloned.
        let new = waker.clone();
        let old = copy(parts.cell(slot));
        // Relaxed: the cell was last written by this very future. Acquire (E6): as in `arm`.
        if parts.word.fetch_sub(set(slot), Acquire) & FIRED != 0 {
            // It is the canceller's. The bit comes back, for `disarm`.
            parts.word.fetch_add(set(slot), Relaxed);
            return false;
        }
        let _old = old.assume_init();
        fill(parts.cell(slot), new);
        publish(parts, slot).is_none()
    }
}

/// How many wait in the block, if no canceller has come to it.
///
/// # Safety
/// The caller keeps the block.
pub(super) unsafe fn waiters(block: *mut Node) -> usize {
    // SAFETY: the caller's contract. Relaxed: a look.
    let word = unsafe { parts(block) }.word.load(Relaxed);
    if word & FIRED == 0 { (word >> SET_SHIFT).count_ones() as usize } else { 0 }
}

/// Canceller: ends the block. Which slots he has the wakers of.
///
/// # Safety
/// The caller keeps the block, has the duty to wake (I8), and does this once.
pub(super) unsafe fn fire(block: *mut Node) -> Word {
    // SAFETY: the caller's contract.
    // Acquire (E14): the wakers. Release (E6): the flag, for the future that finds FIRED.
    unsafe { parts(block).word.fetch_add(FIRED, AcqRel) >> SET_SHIFT }
}

impl Parts<'_> {
    /// Canceller: the waker of a slot, and whether it is to be woken: else its future is gone.
    ///
    /// # Safety
    /// The caller has it from `fire`, takes it once, and keeps the block.
    #[inline(always)]
    pub(super) unsafe fn fired(&self, slot: u32) -> (Waker, bool) {
        // Relaxed: who knows that the future is gone, by a waker that he has woken for example, reads it here. For others it is a
        // race that may go either way.
        let is_there = self.word.load(Relaxed) & set(slot) != 0;
        // SAFETY: the caller's contract: the waker is his, and nobody writes the cell any more.
        (unsafe { copy(self.cell(slot)).assume_init() }, is_there)
    }
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
    // SAFETY: the handle keeps the first block. All that is made here is the caller's or, by `waiters` and the purse, the token's.
    unsafe {
        // Acquire (E17): the block.
        let first = at(token).waiters.load(Acquire);
        if first.is_null() {
            let block = birth::block::<FIRST>(token, waker, 1).map_err(NoPlace::Cancelled)?;
            // Release (E17): the block.
            return Ok(match at(token).waiters.compare_exchange(ptr::null_mut(), block, Release, Relaxed) {
                Ok(_) => Place::First(0),
                // Another was first. Then this one is for us alone.
                Err(_) => Place::Further(Handle::adopt(block), 0),
            });
        }
        match arm(first, waker) {
            Arm::Armed(slot) => Ok(Place::First(slot)),
            Arm::Cancelled(waker) => Err(NoPlace::Cancelled(waker)),
            Arm::Taken(waker) => wait_further(token, parts(first).purse, waker),
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
        let made = birth::block::<FURTHER>(token, waker, 1 + FULL);
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
    unsafe { at(token).waiters.load(Relaxed) }
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

/// Whether there is something to [`end`].
///
/// # Safety
/// As [`end`].
#[inline(always)]
pub(super) unsafe fn is_needed(token: *mut Node) -> bool {
    // SAFETY: the handle. Relaxed: as in `end`.
    unsafe { !at(token).waiters.load(Relaxed).is_null() }
}

/// The end of a token's waiting: gives back what the token has of its blocks, which therefore end before it does.
///
/// # Safety
/// The caller holds the last handle on `token`, has acquired what the others did (E7), and calls this once.
#[cold]
pub(super) unsafe fn end(token: *mut Node, bin: &mut Bin) {
    // SAFETY: nobody else can reach the pointers any more; their handles are ours.
    unsafe {
        // Relaxed: acquired by the caller.
        let first = at(token).waiters.load(Relaxed);
        parts(first).purse.end(bin);
        release(first, HANDLE, bin);
    }
}
