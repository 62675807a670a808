//! One alarm in the queue, and what holds it from outside.
//!
//! # States of an entry
//!
//! | `LINKED` | `REMOVED` | `ORPHAN` | `RETIRED` | |
//! |---|---|---|---|---|
//! | 1 | 0 | 0 | 0 | new, on the stack |
//! | 0 | 0 | 0 | 0 | in the owner's map |
//! | 1 | 1 | 0 | 0 | removed by a `disarm`, on the stack (and maybe in the map) |
//! | 1 | 1 | 1 | 0 | the `Armed` has been dropped, likewise |
//! | 0 | 1 | 0 | 1 | removed, and the owner is done with it; the `Armed` frees it |
//! | 0 | 0 | 0 | 1 | claimed to be fired; the `Armed` frees it |
//!
//! The owner frees the fourth kind when he unlinks it. There are no other states.

use super::{Home, NEVER, Tag, nanos, word};
use crate::primitives::{AcqRel, Acquire, AtomicPtr, AtomicU32, Life, Relaxed, Release, UnsafeCell};
use crate::time::Alarm;
use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::time::Duration;

const LINKED: u32 = 1;
const REMOVED: u32 = 2;
const ORPHAN: u32 = 4;
const RETIRED: u32 = 8;

/// Aligned so that the three low bits of its address are free for the tag.
#[repr(align(8))]
pub(super) struct Entry {
    state: AtomicU32,
    next: AtomicPtr<Entry>,
    at: u64,
    own: UnsafeCell<Own>,
    life: Life,
}

/// The owner's part of an entry (I5).
struct Own {
    alarm: Option<Alarm>,
    /// The second half of its key in the map; 0 before it has been there.
    serial: u64,
}

/// What the owner finds when he takes an entry off the stack, and its key.
pub(super) enum Fate {
    Sorted((u64, u64)),
    Removed((u64, u64)),
}

impl Entry {
    /// For an [`Armed`].
    fn state(&self) -> &AtomicU32 {
        self.life.check();
        &self.state
    }

    pub(super) fn set_next(&self, next: *mut Entry) {
        self.life.check();
        // Relaxed: published by the push, or of no interest to others (I2).
        self.next.store(next, Relaxed);
    }

    /// For the owner, on the list that he has taken: whether it need not be sorted. If so, it stays so.
    pub(super) fn is_removed(&self) -> bool {
        // Relaxed: `retire` acquires.
        self.state.load(Relaxed) & REMOVED != 0
    }

    /// For the owner, on the list that he has taken.
    pub(super) fn swap_next(&self, next: *mut Entry) -> *mut Entry {
        self.life.check();
        // Relaxed: acquired with the stack; and only the owner has the list (I2).
        let old = self.next.load(Relaxed);
        self.next.store(next, Relaxed);
        old
    }
}

/// Takes a linked entry over from the stack: into the map under `serial`, unless it has been removed. A removed one
/// stays linked, for [`retire`].
///
/// # Safety
///
/// The caller is the owner, and has the entry from the stack.
pub(super) unsafe fn unlink(entry: NonNull<Entry>, serial: u64) -> Fate {
    // SAFETY: it has not been retired, since it is linked (I4).
    let this = unsafe { entry.as_ref() };
    this.life.check();
    // Release: pairs with the acquire of a `leave` that links it anew: the owner is done with `next`.
    // Relaxed on failure: `retire` acquires.
    if !this.is_removed() && this.state.compare_exchange(LINKED, 0, Release, Relaxed).is_ok() {
        // SAFETY: the owner's cell (I5).
        this.own.with_mut(|own| unsafe { (*own).serial = serial });
        return Fate::Sorted((this.at, serial));
    }
    // SAFETY: as above.
    Fate::Removed((this.at, this.own.with(|own| unsafe { (*own).serial })))
}

/// Gives back the owner's share of a removed entry, and unlinks it. Says the alarm, if it was still there.
///
/// # Safety
///
/// The caller is the owner, [`unlink`] has just said `Removed`, and the entry is not in the map.
pub(super) unsafe fn retire(entry: NonNull<Entry>) -> Option<Alarm> {
    // SAFETY: as in `unlink`.
    let this = unsafe { entry.as_ref() };
    // SAFETY: the owner's cell (I5).
    let alarm = this.own.with_mut(|own| unsafe { (*own).alarm.take() });
    // Release: pairs with the acquire of the `Armed` that frees the entry. Acquire: pairs with the release of that which
    // has set `ORPHAN`, whose accesses come before the free.
    if this.state.fetch_xor(LINKED | RETIRED, AcqRel) & ORPHAN != 0 {
        // SAFETY: both shares are given back, by this step the second (I1).
        unsafe { free(entry) };
    }
    alarm
}

/// Claims the alarm of an entry that is due, and gives back the owner's share. `None` if it has been removed meanwhile: then
/// the entry is on its way here.
///
/// # Safety
///
/// The caller is the owner, and has just taken the entry out of the map.
pub(super) unsafe fn claim(entry: NonNull<Entry>) -> Option<Alarm> {
    // SAFETY: what is in the map has not been retired (I4).
    let this = unsafe { entry.as_ref() };
    this.life.check();
    // SAFETY: the owner's cell (I5).
    let alarm = this.own.with_mut(|own| unsafe { (*own).alarm.take() });
    // Release: pairs with the acquire of the `Armed` that frees the entry. Relaxed on failure: nothing is concluded but that
    // the entry will be met again.
    this.state.compare_exchange(0, RETIRED, Release, Relaxed).ok().and(alarm)
}

/// # Safety
///
/// The caller has given back the second share (I1), and has acquired what the first did.
unsafe fn free(entry: NonNull<Entry>) {
    #[cfg(cancel_tree_loom)]
    // SAFETY: of the caller.
    unsafe { entry.as_ref() }.life.end();
    // SAFETY: of the caller; it comes from `Box::into_raw` in `Armed::new`.
    drop(unsafe { Box::from_raw(entry.as_ptr()) });
}

/// An alarm in the queue, seen from outside. Dropping it takes the alarm out.
pub(in crate::time) struct Armed<H: Home> {
    /// `None` for what never comes.
    entry: Option<NonNull<Entry>>,
    home: H,
}

// SAFETY: the share of an entry may be used and given back on any thread (I1); it owns nothing but an alarm, which is
// `Send`.
unsafe impl<H: Home + Send> Send for Armed<H> {}
// SAFETY: `remove` is all that can be done through a reference, and is a matter of atomic words.
unsafe impl<H: Home + Sync> Sync for Armed<H> {}

impl<H: Home> Armed<H> {
    /// Puts an alarm into the home's queue, and wakes the owner if he would be late.
    ///
    /// One allocation; then lock-free, except for what [`Home::wake`] does. An alarm that never comes is dropped at once.
    pub(in crate::time) fn new(home: H, at: Duration, alarm: Alarm) -> Self {
        let at = nanos(at);
        if at == NEVER {
            return Self { entry: None, home };
        }
        let entry = Entry {
            state: AtomicU32::new(LINKED),
            next: AtomicPtr::new(ptr::null_mut()),
            at,
            own: UnsafeCell::new(Own { alarm: Some(alarm), serial: 0 }),
            life: Life::new(),
        };
        let entry = NonNull::from(Box::leak(Box::new(entry)));
        let armed = Self { entry: Some(entry), home };
        let core = armed.home.core();
        // SAFETY: new, and therefore linked by this call.
        let wake = match unsafe { core.push(entry, |tag| if tag == Tag::Rest { Tag::Awake } else { tag }) } {
            Tag::Rest => true,
            // Relaxed: the push has acquired the tag, and with it this nap's `until`, or one that began later. Read after
            // the push, so that it is never of a nap before.
            Tag::Nap => word(at) <= core.until.load(Relaxed) && core.turn(Tag::Nap, Tag::Awake),
            _ => false,
        };
        if wake {
            armed.home.wake();
        }
        armed
    }

    /// Takes the alarm out: it is dropped soon, and not fired unless it has been claimed already.
    ///
    /// Lock-free. Allocates, frees and wakes nothing: an owner who rests sees it when he is next up, or when the `Armed` is
    /// dropped, whichever is first.
    pub(in crate::time) fn remove(&self) {
        let Some(entry) = self.entry else { return };
        // SAFETY: `self` has its share (I1).
        let state = unsafe { entry.as_ref() }.state();
        // Relaxed: nothing is concluded from it but what to do next.
        let mut seen = state.load(Relaxed);
        while seen & (REMOVED | RETIRED) == 0 {
            // Acquire: pairs with the release in `unlink`: `next` is free. Release: nothing (the push does it).
            match state.compare_exchange_weak(seen, seen | REMOVED | LINKED, Acquire, Relaxed) {
                Ok(_) => return self.removed(entry, seen),
                Err(now) => seen = now,
            }
        }
    }

    /// After the step that has set `REMOVED`, and found `seen`.
    fn removed(&self, entry: NonNull<Entry>, seen: u32) {
        self.home.left();
        if seen & LINKED == 0 {
            // SAFETY: linked by this very step. If this `Armed` still has its share, the entry lives in any case.
            unsafe { self.home.core().push(entry, |tag| tag) };
        }
    }
}

impl<H: Home> Drop for Armed<H> {
    fn drop(&mut self) {
        let Some(entry) = self.entry else { return };
        // SAFETY: `self` has its share (I1), until it sets `ORPHAN`.
        let state = unsafe { entry.as_ref() }.state();
        // Acquire: pairs with the release of who has retired the entry, for the free.
        let mut seen = state.load(Acquire);
        loop {
            if seen & RETIRED != 0 {
                // SAFETY: the owner has given back his share, and this is the other (I1).
                return unsafe { free(entry) };
            }
            // Release: pairs with the acquire of the owner who frees the entry. Acquire: as in `remove`; on failure as
            // above.
            match state.compare_exchange_weak(seen, seen | ORPHAN | REMOVED | LINKED, AcqRel, Acquire) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & REMOVED == 0 {
            self.removed(entry, seen);
        }
        // From here on the entry may be gone. The owner may rest on what this, or a `remove`, has put on the stack.
        if self.home.core().retag(|tag, empty| (tag == Tag::Rest && !empty).then_some(Tag::Awake)).is_ok() {
            self.home.wake();
        }
    }
}
