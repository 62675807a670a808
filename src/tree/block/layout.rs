//! What a block looks like in memory.

use super::super::extended::{Payload, Role, payload, role};
use super::super::purse::Purse;
use super::super::{Node, WakerCell, at};
use crate::primitives::{AtomicWord, UnsafeCell, Word};
use core::array;
use core::mem::MaybeUninit;
use core::task::Waker;

/// Slots of a first block.
#[cfg(not(cancel_tree_loom))]
const FIRST: usize = 10;
/// Slots of a segment of another block: as many as its word has bits for.
#[cfg(not(cancel_tree_loom))]
const FURTHER: usize = MOST;
/// Segments of such a block.
#[cfg(not(cancel_tree_loom))]
const SEGMENTS: usize = 4;
// Small enough for the models to come to the end of each.
#[cfg(cancel_tree_loom)]
const FIRST: usize = 1;
#[cfg(cancel_tree_loom)]
const FURTHER: usize = 1;
#[cfg(cancel_tree_loom)]
const SEGMENTS: usize = 2;

pub(super) const FIRED: Word = 1;
pub(super) const MOST: usize = Word::BITS as usize / 2 - 1;
pub(super) const ALL: Word = (1 << MOST) - 1;
const SET_SHIFT: u32 = Word::BITS / 2;
pub(super) const ALL_SET: Word = ALL << SET_SHIFT;
pub(super) const fn occupied(bit: u32) -> Word {
    FIRED << (1 + bit)
}
pub(super) const fn set(bit: u32) -> Word {
    1 << (SET_SHIFT + bit)
}

pub(super) type First = Block<FIRST, 1>;
pub(super) type Further = Block<FURTHER, SEGMENTS>;

/// What a block carries. (In this order: a cell at the place of the whole would be taken for it by `interrupts`.)
#[repr(C)]
pub(in super::super) struct Block<const N: usize, const S: usize> {
    /// Of a first block. What the others have is null.
    purse: Purse,
    segments: [Segment<N>; S],
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
        Self { purse: Purse::empty(), segments: array::from_fn(|_| Segment::new(waker.take())) }
    }
}

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
/// As [`first_segment`]; the block has this segment.
#[inline(always)]
pub(super) unsafe fn segment<'a>(block: *mut Node, segment: usize) -> Slots<'a> {
    // SAFETY: as in `first_segment`; only further blocks have other segments than the first.
    unsafe {
        if segment == 0 {
            return first_segment(block);
        }
        (*payload::<Further>(block).with(|cell| cell.cast::<Further>())).segments.get_unchecked(segment).slots()
    }
}

/// How many the block has.
///
/// # Safety
/// As [`first_segment`].
#[inline(always)]
pub(super) unsafe fn segments(block: *mut Node) -> usize {
    // SAFETY: the caller's contract.
    unsafe { if role(block) == Role::First { 1 } else { SEGMENTS } }
}

/// The purse of a first block.
///
/// # Safety
/// As [`first_segment`]; the block is a first one.
pub(super) unsafe fn purse<'a>(block: *mut Node) -> &'a Purse {
    // SAFETY: as in `first_segment`.
    unsafe { &(*payload::<First>(block).with(|cell| cell.cast::<First>())).purse }
}

/// The number of a slot, of the segment and in it; and back.
pub(super) fn number(segment: usize, bit: u32) -> u8 {
    (segment as u32 * SET_SHIFT + bit) as u8
}

/// # Safety
/// The caller keeps the block, and has the number of a slot of it.
#[inline(always)]
pub(super) unsafe fn slot<'a>(block: *mut Node, number: u8) -> Slot<'a> {
    let number = u32::from(number);
    // SAFETY: the caller's contract.
    unsafe { segment(block, (number / SET_SHIFT) as usize).slot(number % SET_SHIFT) }
}
