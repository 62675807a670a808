//! The purse of a token: a pointer to the open one of its further blocks, which owns some handles on it, and counts in its low
//! bits how many of them are spent. So the step that reads the pointer takes what keeps the block.
//!
//! Who takes a handle when half of them are spent brings new ones, and nobody waits for him: if all but one are spent
//! meanwhile, who comes then is told so.

use super::head::NODE_ALIGN;
use super::memory::Bin;
use super::release::release;
use super::state::HANDLE;
use super::{Node, at};
use crate::primitives::{AcqRel, Acquire, AtomicPtr, Relaxed, Release, Word};
use core::ptr;

/// Handles that a full purse owns.
#[cfg(not(cancel_tree_loom))]
pub(super) const FULL: usize = NODE_ALIGN;
// Small enough for the models to come to the end.
#[cfg(cancel_tree_loom)]
pub(super) const FULL: usize = 2;

/// So many are spent at most: what the low bits can count.
const MOST_SPENT: usize = FULL - 1;
const SPENT: usize = NODE_ALIGN - 1;
const _: () = assert!(MOST_SPENT <= SPENT);

/// Null, or the open block with the number of handles that are spent.
pub(super) struct Purse(AtomicPtr<Node>);

/// What a purse has given.
pub(super) enum Taken {
    /// A handle on the open block.
    Handle(*mut Node),
    /// There is no open block.
    Nothing,
    /// Those who came at once have spent all.
    Spent,
}

fn block_of(purse: *mut Node) -> *mut Node {
    purse.map_addr(|address| address & !SPENT)
}

fn spent_of(purse: *mut Node) -> usize {
    purse.addr() & SPENT
}

impl Purse {
    pub(super) fn empty() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Takes a handle on the open block.
    ///
    /// Lock-free: tried again if somebody else has taken one, or filled the purse.
    pub(super) fn take(&self) -> Taken {
        // Relaxed: looked at again.
        let mut seen = self.0.load(Relaxed);
        loop {
            if seen.is_null() {
                return Taken::Nothing;
            }
            if spent_of(seen) == MOST_SPENT {
                return Taken::Spent;
            }
            // Acquire (E17): the block, and the handles that came into the purse.
            match self.0.compare_exchange(seen, seen.map_addr(|address| address + 1), Acquire, Relaxed) {
                Ok(_) => break,
                Err(newer) => seen = newer,
            }
        }
        let (block, spent) = (block_of(seen), spent_of(seen) + 1);
        if spent > MOST_SPENT / 2 {
            // SAFETY: our handle keeps the block.
            unsafe { self.fill(block, spent) };
        }
        Taken::Handle(block)
    }

    /// Brings as many handles as were spent when somebody looked, if the purse still has that block, and has spent as many.
    ///
    /// Lock-free: as [`take`](Self::take).
    ///
    /// # Safety
    /// The caller holds a handle on `block`.
    #[cold]
    unsafe fn fill(&self, block: *mut Node, spent: usize) {
        // SAFETY: the handle.
        unsafe {
            // Before they are in the purse: else those who take them could give back what is not there yet.
            at(block).state.add(spent);
            let mut seen = self.0.load(Relaxed); // Relaxed: looked at again.
            while ptr::eq(block_of(seen), block) && spent_of(seen) >= spent {
                // Release (E17): the handles.
                match self.0.compare_exchange(seen, seen.map_addr(|address| address - spent), Release, Relaxed) {
                    Ok(_) => return,
                    Err(newer) => seen = newer,
                }
            }
            at(block).state.give_back(spent);
        }
    }

    /// Makes `block` the open one, if `open` still is, or none was. It comes with the handles for a full purse.
    ///
    /// Lock-free: as [`take`](Self::take).
    ///
    /// # Safety
    /// The caller holds a handle on each that is not null, and on `block` those for the purse besides.
    pub(super) unsafe fn open(&self, block: *mut Node, open: *mut Node) {
        let mut seen = self.0.load(Relaxed); // Relaxed: looked at again.
        // SAFETY: the handles; those in the purse are the caller's with the step.
        unsafe {
            while ptr::eq(block_of(seen), open) {
                // Release (E17): the block. Acquire (E17): the handles in the purse.
                match self.0.compare_exchange(seen, block, AcqRel, Relaxed) {
                    Ok(_) => return spend_all(seen, &mut Bin::immediate()),
                    Err(newer) => seen = newer,
                }
            }
            // Another was first. Then this one is for the caller alone.
            at(block).state.give_back(FULL);
        }
    }

    /// Gives back what is in the purse.
    ///
    /// # Safety
    /// Nobody else can reach the purse any more, and the caller has acquired what was done with it.
    pub(super) unsafe fn end(&self, bin: &mut Bin) {
        // SAFETY: the handles in the purse. Relaxed: the caller's contract.
        unsafe { spend_all(self.0.load(Relaxed), bin) };
    }
}

/// # Safety
/// The caller has taken all that a purse had.
unsafe fn spend_all(purse: *mut Node, bin: &mut Bin) {
    let block = block_of(purse);
    if !block.is_null() {
        // SAFETY: the caller's handles.
        unsafe { release(block, HANDLE * (FULL - spent_of(purse)) as Word, bin) };
    }
}
