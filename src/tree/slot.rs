//! The waker slot: one waker per node, between one future and one canceller.
//!
//! | FIRED | SET | BUSY | meaning |
//! |---|---|---|---|
//! | 0 | 0 | 0 | free |
//! | f | 0 | 1 | its future is writing or comparing; a canceller that comes now leaves it to the future, which sees f |
//! | 0 | 1 | 0 | a waker is in it |
//! | 1 | 1 | 0 | the waker is the canceller's, who wakes it |
//! | 1 | 0 | 0 | nothing is in it, and nothing will be again |
//!
//! Why not `atomic-waker`: its slot has one waiter and no owner, and when a registration meets a wake it wakes and asks
//! to be polled again. Here the canceller has to learn, in one step, whether it has got a waker (`fire`), a future
//! whether the slot is another's (`arm`), and the models have to see every ordering, which that crate hides from loom.
//! It would also take 8 bytes more in every node, and is no faster (`benches/README.md`, "register and drop").
//!
//! Foreign code (`clone`, `drop`, `wake` of a waker) never runs while a slot is BUSY: a clone is made before, and what
//! has to be dropped is handed out. `Waker::will_wake` compares two pointers and runs nothing.

use super::head::WAITED;
use super::{Node, at};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release};
use core::mem;
use core::task::Waker;

pub(super) const FREE: u32 = 0;
const BUSY: u32 = 0b001;
pub(super) const SET: u32 = 0b010;
const FIRED: u32 = 0b100;

/// What became of a waker that was to be put into a node's slot.
pub(super) enum Arm {
    /// It is in: this future's to take out again, or a canceller's to wake.
    Armed,
    /// The node is cancelled, and flagged.
    Cancelled(Waker),
    /// Another future has the slot.
    Taken(Waker),
}

/// Puts a waker into the node's slot for a future that has none there.
///
/// Wait-free but for the first time on a node, which sets WAITED.
///
/// # Safety
/// The caller holds a handle on the node.
pub(super) unsafe fn arm(node: *mut Node, waker: Waker) -> Arm {
    // SAFETY: the handle; the cell by BUSY.
    unsafe {
        // Acquire (E14): the cell as the last future left it. On failure, E6: `fire` comes after the flag.
        match at(node).slot.compare_exchange(FREE, BUSY, Acquire, Acquire) {
            Ok(_) => {}
            Err(seen) if seen & FIRED != 0 => return Arm::Cancelled(waker),
            Err(_) => return Arm::Taken(waker),
        }
        at(node).waker.with_mut(|cell| *cell = Some(waker));
        if let Some(waker) = publish(node) {
            return Arm::Cancelled(waker);
        }
        if announce(node) {
            return Arm::Armed;
        }
        match disarm(node) {
            Some(waker) => Arm::Cancelled(waker),
            // A canceller has it, and will wake it.
            None => Arm::Armed,
        }
    }
}

/// Makes sure that whoever cancels the node looks at its slot. False if it has been cancelled before that.
///
/// Both sides change the head by read-modify-writes, so one of them is first: either the canceller finds WAITED, and
/// then in the slot what `publish` left there, or we find CANCELLED. (Store, then load on the one side, and the
/// other way round on the other, would need sequentially consistent fences.)
///
/// # Safety
/// As [`arm`].
pub(super) unsafe fn announce(node: *mut Node) -> bool {
    // SAFETY: the handle.
    unsafe {
        // Acquire (E5): the reason, or what came before the cancel, for `help`.
        let mut head = at(node).head.load(Acquire);
        loop {
            if head.is_cancelled() {
                at(node).reason.help();
                return false;
            }
            // WAITED is sticky. If we read it here without CANCELLED, any cancel comes after and finds it, too.
            if head.is_waited() {
                return true;
            }
            // Release (E16): the payload of a node with a deadline. For wakers all that counts here is which of the two steps
            // came first; the slot hands them over.
            match at(node).head.replace(head, head.with(WAITED), Release, Acquire) {
                Ok(()) => return true,
                Err(newer) => head = newer,
            }
        }
    }
}

/// BUSY to SET. If the canceller has come meanwhile, hands the waker out instead.
///
/// # Safety
/// The slot is BUSY, by the caller.
unsafe fn publish(node: *mut Node) -> Option<Waker> {
    // SAFETY: BUSY makes the cell the caller's.
    unsafe {
        // Release (E14): the waker, for the canceller or the next future. Acquire on failure (E6): as in `arm`.
        if at(node).slot.compare_exchange(BUSY, SET, Release, Acquire).is_ok() {
            return None;
        }
        take(node)
    }
}

/// Takes the waker out of a BUSY slot and frees the slot.
///
/// # Safety
/// The slot is BUSY, by the caller.
unsafe fn take(node: *mut Node) -> Option<Waker> {
    // SAFETY: BUSY makes the cell the caller's, until the step that gives it up.
    unsafe {
        let waker = at(node).waker.with_mut(|cell| mem::take(&mut *cell));
        // Release (E14): the empty cell, for the next future. FIRED stays if it has come.
        at(node).slot.fetch_and(!BUSY, Release);
        waker
    }
}

/// Takes the waker out again. `None` if a canceller has it.
///
/// # Safety
/// The caller is the future whose waker was put into the slot, and holds a handle on the node.
pub(super) unsafe fn disarm(node: *mut Node) -> Option<Waker> {
    // SAFETY: the handle; the cell by BUSY.
    unsafe { if seize(node) { take(node) } else { None } }
}

/// SET to BUSY. False if a canceller has the waker; then the node is flagged.
///
/// # Safety
/// As [`disarm`].
unsafe fn seize(node: *mut Node) -> bool {
    // SAFETY: the handle.
    // Relaxed: the cell was last written by this very future. Acquire on failure (E6): as in `arm`.
    unsafe { at(node).slot.compare_exchange(SET, BUSY, Relaxed, Acquire).is_ok() }
}

/// A later poll: sees to it that the waker in the slot is `waker`. False if the node has been cancelled.
///
/// # Safety
/// As [`disarm`].
pub(super) unsafe fn rearm(node: *mut Node, waker: &Waker) -> bool {
    // SAFETY: the handle; the cell by BUSY.
    unsafe {
        if !seize(node) {
            return false;
        }
        let same = at(node).waker.with(|cell| (*cell).as_ref().is_some_and(|old| old.will_wake(waker)));
        // Back it goes before anything foreign runs: the old waker stays armed while the new one is cloned.
        if let Some(_dropped) = publish(node) {
            return false;
        }
        if same {
            return true;
        }
        let new = waker.clone();
        if !seize(node) {
            return false;
        }
        let _old = at(node).waker.with_mut(|cell| (*cell).replace(new));
        publish(node).is_none()
    }
}

/// Canceller: ends the slot, and takes the waker that is in it.
///
/// # Safety
/// The caller keeps the node and has the duty to wake (I8), which this fulfils but for the wake itself.
pub(super) unsafe fn fire(node: *mut Node) -> Option<Waker> {
    // SAFETY: the caller's contract; FIRED over SET makes the cell the caller's for good.
    unsafe { if claim(node) { at(node).waker.with_mut(|cell| mem::take(&mut *cell)) } else { None } }
}

/// Canceller: ends the slot. True if what it stands for, a waker or a closure, is the caller's now.
///
/// # Safety
/// As [`fire`].
pub(super) unsafe fn claim(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    // Acquire (E14): the waker. Release (E6): the flag, for the future that finds FIRED.
    unsafe { at(node).slot.fetch_or(FIRED, AcqRel) == SET }
}
