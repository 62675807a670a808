//! The waker slot: one waker per node, between one future and one canceller.
//!
//! | KEPT | GONE | FIRED | SET | BUSY | meaning |
//! |---|---|---|---|---|---|
//! | 0 | 0 | 0 | 0 | 0 | free |
//! | 0 | 0 | f | 0 | 1 | its future is writing; a canceller that comes now leaves it to the future, which sees f |
//! | 0 | 0 | 0 | 1 | 0 | a waker is in it |
//! | k | 0 | 1 | 1 | 0 | the node is in a canceller's list, and the waker still its future's to take back |
//! | k | 1 | 1 | 0 | 0 | the same, and the future has taken it back |
//! | 0 | 0 | 1 | 0 | 0 | nothing is in it, and nothing will be again; a waker that was in it is the canceller's |
//!
//! KEPT: the last handle on the node was to go while it was in the list; it is the canceller's now (`leave`). On a node that
//! STAYS, of which a canceller's list has a claim, there is neither that nor GONE: its slot is left alone by the walk, and
//! then ended by one step (`fire`).
//!
//! Between BUSY and the step that takes the waker back only its future writes the cell. Everybody else reads it: to take a
//! waker is to copy it out first, and then to make the step that says whose the copy is. So a future takes its waker back
//! by one step, and looks whether it is still the right one by none.
//!
//! Why not `atomic-waker`: its slot has one waiter and no owner, and when a registration meets a wake it wakes and asks
//! to be polled again. Here the canceller has to learn, in one step, whether it has got a waker (`fire`), a future
//! whether the slot is another's (`arm`), and the models have to see every ordering, which that crate hides from loom.
//! It would also take 8 bytes more in every node, and is no faster (`benches/README.md`, "register and drop").
//!
//! Foreign code (`clone`, `drop`, `wake` of a waker) never runs while a slot is BUSY: a clone is made before, and what
//! has to be dropped is handed out. `Waker::will_wake` compares two pointers and runs nothing.

use super::announce::help;
use super::head::WAITED;
use super::{Node, WakerCell, at};
use crate::primitives::{AcqRel, Acquire, Relaxed, Release};
use core::mem::MaybeUninit;
use core::task::Waker;

pub(super) const FREE: u32 = 0;
const BUSY: u32 = 0b0_0001;
pub(super) const SET: u32 = 0b0_0010;
const FIRED: u32 = 0b0_0100;
const GONE: u32 = 0b0_1000;
const KEPT: u32 = 0b1_0000;

/// What became of a waker that was to be put into a slot.
pub(super) enum Arm<T> {
    /// It is in: this future's to take out again, or a canceller's to wake.
    Armed(T),
    /// The node is cancelled, and flagged.
    Cancelled(Waker),
    /// There is no slot free.
    Taken(Waker),
}

/// A copy of what is in the cell. Whose it is, a step decides.
///
/// # Safety
/// Nobody writes the cell meanwhile.
#[inline(always)]
pub(super) unsafe fn copy(cell: &WakerCell) -> MaybeUninit<Waker> {
    // SAFETY: the caller's contract; a `MaybeUninit` may be anything.
    cell.with(|cell| unsafe { cell.read() })
}

/// Writes the cell.
///
/// # Safety
/// The cell is the caller's, and no waker in it.
#[inline(always)]
pub(super) unsafe fn fill(cell: &WakerCell, waker: Waker) {
    // SAFETY: the caller's contract.
    cell.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(waker)) });
}

/// Whether the waker in the cell wakes what `waker` does.
///
/// # Safety
/// A waker was put into the cell, and nobody writes it meanwhile. It may be another's by now: what is compared stays.
#[inline(always)]
pub(super) unsafe fn is_for(cell: &WakerCell, waker: &Waker) -> bool {
    // SAFETY: the caller's contract. `will_wake` compares pointers, and reads nothing of what they point to.
    cell.with(|cell| unsafe { (*cell).assume_init_ref().will_wake(waker) })
}

/// Puts a waker into the node's slot for a future that has none there.
///
/// Wait-free but for the first time on a node, which sets WAITED.
///
/// # Safety
/// The caller holds a handle on the node.
#[inline]
pub(super) unsafe fn arm(node: *mut Node, waker: Waker) -> Arm<()> {
    // SAFETY: the handle; the cell by BUSY.
    unsafe {
        // Acquire: as in the step.
        let seen = at(node).slot.load(Acquire);
        if seen != FREE {
            return if seen & FIRED == 0 { Arm::Taken(waker) } else { Arm::Cancelled(waker) };
        }
        // Acquire (E14): the last future has read the cell. On failure, E6: `fire` comes after the flag.
        match at(node).slot.compare_exchange(FREE, BUSY, Acquire, Acquire) {
            Ok(_) => {}
            Err(seen) if seen & FIRED != 0 => return Arm::Cancelled(waker),
            Err(_) => return Arm::Taken(waker),
        }
        fill(&at(node).waker, waker);
        if let Some(waker) = publish(node) {
            return Arm::Cancelled(waker);
        }
        if announce(node) {
            return Arm::Armed(());
        }
        match disarm(node) {
            Some(waker) => Arm::Cancelled(waker),
            // A canceller has it, and will wake it.
            None => Arm::Armed(()),
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
#[inline]
pub(super) unsafe fn announce(node: *mut Node) -> bool {
    // SAFETY: the handle.
    unsafe {
        // Acquire (E5): the reason, or what came before the cancel, for `help`.
        let mut head = at(node).head.load(Acquire);
        loop {
            if head.is_cancelled() {
                help(node);
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
/// The slot is BUSY, by the caller, and the waker in the cell.
#[inline]
unsafe fn publish(node: *mut Node) -> Option<Waker> {
    // SAFETY: BUSY makes the cell the caller's; over FIRED it stays so for good.
    unsafe {
        // Release (E14): the waker, for the canceller or the next future. Acquire on failure (E6): as in `arm`.
        if at(node).slot.compare_exchange(BUSY, SET, Release, Acquire).is_ok() {
            return None;
        }
        Some(copy(&at(node).waker).assume_init())
    }
}

/// Takes the waker out again. `None` if a canceller has it.
///
/// # Safety
/// The caller is the future whose waker was put into the slot, and holds a handle on the node.
#[inline]
pub(super) unsafe fn disarm(node: *mut Node) -> Option<Waker> {
    // SAFETY: the handle. Nobody writes the cell but this future; it was written by it, and the copy is its by the step.
    unsafe {
        let waker = copy(&at(node).waker);
        // Release (E14): we have read the cell, for the next future.
        let taken = match at(node).slot.compare_exchange(SET, FREE, Release, Relaxed) {
            Ok(_) => true,
            Err(seen) => take_back(node, seen),
        };
        taken.then(|| waker.assume_init())
    }
}

/// FIRED over SET: the canceller's turn has not come yet.
///
/// # Safety
/// As [`disarm`].
#[cold]
unsafe fn take_back(node: *mut Node, seen: u32) -> bool {
    // SAFETY: the handle. Relaxed: the waker is this future's own; and who gives up the last handle meets the canceller (`leave`).
    unsafe { seen == FIRED | SET && at(node).slot.compare_exchange(seen, FIRED | GONE, Relaxed, Relaxed).is_ok() }
}

/// A later poll: sees to it that the waker in the slot is `waker`. False if the node has been cancelled.
///
/// # Safety
/// As [`disarm`].
pub(super) unsafe fn rearm(node: *mut Node, waker: &Waker) -> bool {
    // SAFETY: the handle. Nobody writes the cell but this future; the old waker is its by the step.
    unsafe {
        if is_for(&at(node).waker, waker) {
            // Acquire (E6): as in `arm`. If it is not to be seen yet, the canceller finds this waker, which is the latest.
            return at(node).slot.load(Acquire) & FIRED == 0;
        }
        // The old one stays armed while the new one is cloned.
        let new = waker.clone();
        let old = copy(&at(node).waker);
        // Relaxed: the cell was last written by this very future. Acquire on failure (E6): as in `arm`.
        if at(node).slot.compare_exchange(SET, BUSY, Relaxed, Acquire).is_err() {
            return false;
        }
        let _old = old.assume_init();
        fill(&at(node).waker, new);
        publish(node).is_none()
    }
}

/// Whether something is in the slot, a waker or a closure, and no canceller has come to it.
///
/// # Safety
/// The caller keeps the node.
#[cfg(feature = "alloc")]
pub(super) unsafe fn is_set(node: *mut Node) -> bool {
    // SAFETY: the caller's contract. Relaxed: a look.
    unsafe { at(node).slot.load(Relaxed) == SET }
}

/// Canceller: ends the slot. True if what it stands for, a waker or a closure, is the caller's now.
///
/// # Safety
/// The caller keeps the node by a claim and has the duty to wake (I8), which this fulfils but for the wake itself.
pub(super) unsafe fn claim(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    // Acquire (E14): the waker. Release (E6): the flag, for the future that finds FIRED.
    unsafe { at(node).slot.swap(FIRED, AcqRel) == SET }
}

/// The same, with the waker.
///
/// # Safety
/// As [`claim`].
pub(super) unsafe fn fire(node: *mut Node) -> Option<Waker> {
    // SAFETY: the caller's contract; FIRED over SET makes the waker the caller's, and nobody writes the cell again.
    unsafe { claim(node).then(|| copy(&at(node).waker).assume_init()) }
}

/// Canceller, in its walk: ends the slot, but for the future that is in it. True if there is one: then the node belongs into
/// the canceller's list, and is kept for it, without a claim, until [`finish`].
///
/// # Safety
/// The caller keeps the node by a visit or a claim, and has the duty to wake (I8). The node does not STAY.
#[inline]
pub(super) unsafe fn list(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    // Acquire (E14): the waker. Release (E6): the flag, for the future that finds FIRED.
    unsafe { at(node).slot.fetch_or(FIRED, AcqRel) == SET }
}

/// What the canceller finds when the turn of a node in its list has come.
pub(super) struct Finished {
    pub(super) waker: Option<Waker>,
    /// A handle on the node is the caller's to give back. If not, the node may be gone.
    pub(super) kept: bool,
}

/// Canceller: takes the node out of its list.
///
/// # Safety
/// [`list`] has been called, and this not yet. The caller has read `link` before.
#[inline]
pub(super) unsafe fn finish(node: *mut Node) -> Finished {
    // SAFETY: the node is kept until the step: by its handles, of which the last is passed to us (I17).
    unsafe {
        let waker = copy(&at(node).waker);
        // Release (E18): our reads of the node come before what follows in `leave`. Acquire (E18): all uses of the node by who has
        // passed its handle on.
        let seen = at(node).slot.swap(FIRED, AcqRel);
        Finished { waker: (seen & SET != 0).then(|| waker.assume_init()), kept: seen & KEPT != 0 }
    }
}

/// Whether the last handle may go without [`leave`].
///
/// # Safety
/// The caller holds the last handle on the node.
#[inline(always)]
pub(super) unsafe fn is_left(node: *mut Node) -> bool {
    // SAFETY: the handle.
    // Acquire (E18): the canceller has read the node, before it is freed.
    unsafe { at(node).slot.load(Acquire) & (SET | GONE) == 0 }
}

/// Before the last handle goes. True if the node is in a canceller's list: then the handle is the canceller's now.
///
/// A waker that is still in the slot is that of a future that was forgotten, not dropped. It stays where it is; but no
/// canceller may list a node without handles.
///
/// # Safety
/// The caller holds the last handle on the node, which does not STAY, and by the load of the state that told so has acquired
/// what was done by the others (E7).
pub(super) unsafe fn leave(node: *mut Node) -> bool {
    // SAFETY: the handle.
    unsafe {
        let mut seen = at(node).slot.load(Acquire); // Acquire: as in `is_left`.
        // Once, or once more because the canceller has come: nobody else is left.
        loop {
            let to = match seen {
                SET => FREE,
                _ if seen & (SET | GONE) != 0 => seen | KEPT,
                _ => return false,
            };
            // Release (E18): all uses of the node. Acquire on failure: as in `is_left`.
            match at(node).slot.compare_exchange(seen, to, Release, Acquire) {
                Ok(_) => return to & KEPT != 0,
                Err(newer) => seen = newer,
            }
        }
    }
}
