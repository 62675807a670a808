//! What a block looks like in memory.

use super::super::extended::{Extended, Payload, Role, payload, role};
use super::super::purse::Purse;
use super::super::{Node, WakerCell, at};
use crate::primitives::{Acquire, AtomicPtr, AtomicWord, Relaxed, Release, UnsafeCell, Word};
use alloc::boxed::Box;
use core::mem::{MaybeUninit, offset_of};
use core::task::Waker;
use core::{array, ptr};

/// Slots of a first block.
#[cfg(not(cancel_tree_loom))]
const FIRST: usize = 10;
/// Slots of any other segment: as many as its word has bits for.
#[cfg(not(cancel_tree_loom))]
const FURTHER: usize = MOST;
/// Segments that a first block may have beside the one in it.
#[cfg(not(cancel_tree_loom))]
const EXTRAS: usize = 3;
/// Segments of a further block.
#[cfg(not(cancel_tree_loom))]
const SEGMENTS: usize = 8;
// Small enough for the models to come to the end of each.
#[cfg(cancel_tree_loom)]
const FIRST: usize = 1;
#[cfg(cancel_tree_loom)]
const FURTHER: usize = 1;
#[cfg(cancel_tree_loom)]
const EXTRAS: usize = 1;
#[cfg(cancel_tree_loom)]
const SEGMENTS: usize = 2;

pub(super) const FIRED: Word = 1;
pub(super) const MOST: usize = Word::BITS as usize / 2 - 1;
pub(super) const ALL: Word = (1 << MOST) - 1;
pub(super) const SET_SHIFT: u32 = Word::BITS / 2;
pub(super) const ALL_SET: Word = ALL << SET_SHIFT;
pub(super) const fn occupied(bit: u32) -> Word {
    FIRED << (1 + bit)
}
pub(super) const fn set(bit: u32) -> Word {
    1 << (SET_SHIFT + bit)
}
/// There is a segment after this one, and somebody has come to it, or is about to. Not set any more once FIRED is.
pub(super) const MORE: Word = 1 << (Word::BITS - 1);
const _: () = assert!(MORE & (ALL_SET | (ALL << 1) | FIRED) == 0, "a bit of its own");

pub(super) type First = Block<FIRST, 1>;
pub(super) type Further = Block<FURTHER, SEGMENTS>;

/// What a block carries. (In this order: a cell at the place of the whole would be taken for it by `interrupts`.)
#[repr(C)]
pub(in super::super) struct Block<const N: usize, const S: usize> {
    /// The next segment of a first block, once somebody has come to it. What the others have is null.
    next: AtomicPtr<Extra>,
    segments: [Segment<N>; S],
}

/// What a first block has for a crowd, on the heap: a segment more.
struct Extra {
    next: AtomicPtr<Extra>,
    /// With the open one of the further blocks. Only that in the first of these is used.
    purse: Purse,
    segment: Segment<FURTHER>,
}

#[repr(C)]
struct Segment<const N: usize> {
    word: AtomicWord,
    cells: [WakerCell; N],
}

// SAFETY: a waker may be sent; what else is in it is atomic.
unsafe impl<const N: usize, const S: usize> Send for Block<N, S> {}

impl<const N: usize, const S: usize> Payload for Block<N, S> {
    const ROLE: Role = if S == 1 { Role::First } else { Role::Further };
}

impl<const N: usize, const S: usize> Block<N, S> {
    /// With a waker in its first slot.
    pub(super) fn new(waker: Waker) -> Self {
        let mut waker = Some(waker);
        Self { next: AtomicPtr::new(ptr::null_mut()), segments: array::from_fn(|_| Segment::new(waker.take())) }
    }
}

/// Where in a block its wakers are.
pub(super) const WAKERS: usize = offset_of!(Extended<First>, payload) + offset_of!(First, segments);

impl<const N: usize> Segment<N> {
    /// Slots that it does not have are occupied for ever.
    fn new(mut waker: Option<Waker>) -> Self {
        let missing = (ALL << 1) & !((occupied(N as u32 - 1) << 1) - 1);
        let armed = if waker.is_some() { set(0) | occupied(0) } else { 0 };
        Self {
            word: AtomicWord::new(missing | armed),
            cells: array::from_fn(|_| UnsafeCell::new(waker.take().map_or(MaybeUninit::uninit(), MaybeUninit::new))),
        }
    }

    #[inline(always)]
    fn slots(&self) -> Slots<'_> {
        Slots { word: &self.word, cells: self.cells.as_ptr() }
    }
}

/// A segment, however many slots it has.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a> {
    pub(super) word: &'a AtomicWord,
    pub(super) cells: *const WakerCell,
}

/// A slot: a bit of a word, and a cell.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) word: &'a AtomicWord,
    pub(super) bit: u32,
    pub(super) cell: &'a WakerCell,
}

impl<'a> Slots<'a> {
    /// # Safety
    /// The segment has this slot.
    #[inline(always)]
    pub(super) unsafe fn slot(self, bit: u32) -> Slot<'a> {
        // SAFETY: the caller's contract.
        Slot { word: self.word, bit, cell: unsafe { &*self.cells.add(bit as usize) } }
    }
}

/// # Safety
/// The caller keeps the block.
#[inline(always)]
pub(super) unsafe fn first_segment<'a>(block: *mut Node) -> Slots<'a> {
    // SAFETY: the caller's contract. The payload is shared for as long as the node lives, and of the type that goes with the role.
    unsafe {
        let _ = at(block);
        // It is at the same place in both.
        if role(block) == Role::First {
            (*payload::<First>(block).with(|cell| cell.cast::<First>())).segments[0].slots()
        } else {
            (*payload::<Further>(block).with(|cell| cell.cast::<Further>())).segments[0].slots()
        }
    }
}

/// # Safety
/// As [`first_segment`]. The block has this segment, and the caller has acquired that (by MORE in the word of the one before it), or has a
/// place in it.
#[inline(always)]
pub(super) unsafe fn segment<'a>(block: *mut Node, segment: usize) -> Slots<'a> {
    // SAFETY: as in `first_segment`; what a first block has got is there as long as the block. Relaxed: acquired.
    unsafe {
        if segment == 0 {
            return first_segment(block);
        }
        if role(block) == Role::First {
            return (*place_of_extra(block, segment).load(Relaxed)).segment.slots();
        }
        (*payload::<Further>(block).with(|cell| cell.cast::<Further>())).segments.get_unchecked(segment).slots()
    }
}

/// How many the block has, or may have.
///
/// # Safety
/// As [`first_segment`].
#[inline(always)]
pub(super) unsafe fn segments(block: *mut Node) -> usize {
    // SAFETY: the caller's contract.
    unsafe { if role(block) == Role::First { 1 + EXTRAS } else { SEGMENTS } }
}

/// Where the segment of a first block with this number, from 1 on, is to be found.
///
/// # Safety
/// As [`first_segment`]; the block is a first one, and the caller has acquired that the segment before is there.
#[inline]
unsafe fn place_of_extra<'a>(block: *mut Node, number: usize) -> &'a AtomicPtr<Extra> {
    // SAFETY: as in `segment`.
    unsafe {
        let mut place = &(*payload::<First>(block).with(|cell| cell.cast::<First>())).next;
        for _ in 1..number {
            place = &(*place.load(Relaxed)).next;
        }
        place
    }
}

/// Makes the segment of a first block with this number, if nobody has. One allocation.
///
/// # Safety
/// As [`place_of_extra`].
#[cold]
pub(super) unsafe fn make_extra(block: *mut Node, number: usize) {
    // SAFETY: the caller's contract; what was made in vain, nobody has seen.
    unsafe {
        let place = place_of_extra(block, number);
        // Acquire (E17), both: if it is another's, the segment; also for those who come to it by our MORE.
        if place.load(Acquire).is_null() {
            let (next, purse) = (AtomicPtr::new(ptr::null_mut()), Purse::empty());
            let made = Box::into_raw(Box::new(Extra { next, purse, segment: Segment::new(None) }));
            // Release (E17): the segment (calibration `who_makes_a_segment_is_alone`).
            if place.compare_exchange(ptr::null_mut(), made, Release, Acquire).is_err() {
                drop(Box::from_raw(made));
            }
        }
    }
}

/// Gives back what a first block has got.
///
/// # Safety
/// The block is a first one; the caller has it for himself, and calls this once.
pub(in super::super) unsafe fn end_extras(block: *mut Node) {
    // SAFETY: the caller's contract. Relaxed: all that was done with the block is visible to who frees it (E7). Wakers are their futures'.
    unsafe {
        let mut extra = place_of_extra(block, 1).load(Relaxed);
        while !extra.is_null() {
            extra = Box::from_raw(extra).next.load(Relaxed);
        }
    }
}

/// The purse of a first block, if anybody has come to its end.
///
/// # Safety
/// As [`place_of_extra`], of the first one.
pub(super) unsafe fn purse<'a>(block: *mut Node) -> Option<&'a Purse> {
    // SAFETY: as in `segment`.
    unsafe { place_of_extra(block, 1).load(Relaxed).as_ref().map(|extra| &extra.purse) }
}

/// The number of a slot, of the segment and in it; and back.
pub(super) fn number(segment: usize, bit: u32) -> u8 {
    (segment as u32 * SET_SHIFT + bit) as u8
}

/// Whether it is the number of a slot of the first segment.
#[inline(always)]
pub(super) fn is_in_first(number: u8) -> bool {
    u32::from(number) < SET_SHIFT
}

/// # Safety
/// The caller keeps the block, and has the number of a slot of it.
#[inline(always)]
pub(super) unsafe fn slot<'a>(block: *mut Node, number: u8) -> Slot<'a> {
    let number = u32::from(number);
    // SAFETY: the caller's contract.
    unsafe { segment(block, (number / SET_SHIFT) as usize).slot(number % SET_SHIFT) }
}
