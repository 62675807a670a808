//! Where a further waiter puts its waker: finds a place in the blocks of its token, or makes one.

use super::super::announce::announce_block;
use super::super::birth;
use super::super::handle::Handle;
use super::super::memory::{Bin, Heap, give_up};
use super::super::purse::{FULL, Purse, Taken};
use super::super::release::release;
use super::super::slot::Arm;
use super::super::state::HANDLE;
use super::super::{Node, at};
use super::layout::{First, Further, first_segment, purse};
use super::{arm, arm_in, take_unseen};
use crate::primitives::Acquire;
use core::ptr;
use core::task::Waker;

/// Where a further waiter has put its waker.
pub(in super::super) enum Place {
    /// Into this slot of the token's first block.
    First(u8),
    /// Into this slot of another block, with a handle on that.
    Further(Handle, u8),
}

/// Where a further waiter has not found a place.
pub(in super::super) enum NoPlace {
    Cancelled(Waker),
    /// Those who came at once have spent the purse: the next will find it full again.
    Spent(Waker),
}

/// Puts the waker of a further waiter into a block of the token.
///
/// Lock-free: tried again if another has made the first block, or a canceller has come, meanwhile; and as `arm`.
///
/// # Safety
/// The caller holds a handle on `token`, which lives on the heap.
pub(in super::super) unsafe fn wait(token: *mut Node, mut waker: Waker) -> Result<Place, NoPlace> {
    // SAFETY: the handle keeps the first block. All that is made here is the caller's or, by `annex` and the purse, the token's.
    unsafe {
        loop {
            // Acquire (E17): the block; (E6) that none comes any more, and what came before the cancel.
            let first = at(token).annex.load(Acquire).node();
            if first.is_null() {
                // If another was first, or a canceller, there is something now.
                match make_first(token, waker) {
                    Ok(()) => return Ok(Place::First(0)),
                    Err(back) => waker = back,
                }
                continue;
            }
            if ptr::eq(first, token) {
                return Err(NoPlace::Cancelled(waker));
            }
            return match arm_in(first_segment(first), waker) {
                Arm::Armed(slot) => Ok(Place::First(slot as u8)),
                Arm::Cancelled(waker) => Err(NoPlace::Cancelled(waker)),
                Arm::Taken(waker) => wait_in_crowd(token, first, waker),
            };
        }
    }
}

/// Makes the first block of a token, with the waker in its first slot. One allocation. The waker comes back if somebody else has made it,
/// or none is to be made any more: `annex` says so then.
///
/// # Safety
/// As [`wait`].
#[cold]
unsafe fn make_first(token: *mut Node, waker: Waker) -> Result<(), Waker> {
    // SAFETY: as in `wait`; what was made in vain, nobody has seen.
    unsafe {
        if !announce_block(token) {
            // Whoever marked it has perhaps not heard of us.
            at(token).annex.last_block_of(token);
            return Err(waker);
        }
        let Ok(block) = birth::root_in(Heap, First::new(waker));
        if at(token).annex.add_block(block) {
            return Ok(());
        }
        let waker = take_unseen(block);
        give_up(block);
        Err(waker)
    }
}

/// # Safety
/// As [`wait`]; the token's own slot, and the first segment of its first block, were full a moment ago.
#[cold]
#[inline(never)]
unsafe fn wait_in_crowd(token: *mut Node, first: *mut Node, waker: Waker) -> Result<Place, NoPlace> {
    // SAFETY: as in `wait`.
    unsafe {
        match arm(first, waker) {
            Arm::Armed(slot) => Ok(Place::First(slot)),
            Arm::Cancelled(waker) => Err(NoPlace::Cancelled(waker)),
            Arm::Taken(waker) => match purse(first) {
                Some(purse) => wait_further(token, purse, waker),
                None => unreachable!(),
            },
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
