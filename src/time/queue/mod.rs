//! The queue behind the timers that keep their own: an inbox that any thread puts alarms into without waiting, and one
//! owner at a time, who sorts them by their deadlines and takes out what is due.
//!
//! Arming and removing are pushes on one stack, of the same [`Entry`], which is the only allocation of an
//! armed alarm. What has been removed before the owner looks is given back without ever having been sorted.
//!
//! # Words
//!
//! | word | what it holds |
//! |---|---|
//! | `head` | the stack of entries that wait for the owner; what the owner is doing ([`Tag`]) |
//! | `until` | when an owner who naps looks again |
//! | `seated` | 1 while someone is the owner |
//! | `state` of an entry | who holds it, see [`entry`] |
//!
//! Pusher and owner meet in `head`: the owner goes to rest by a read-modify-write that fails if there is something on
//! the stack, and a pusher learns from his own whether the owner rests. So no wake-up is lost, without a fence.
//!
//! # Invariants
//!
//! - **I1** An entry has two shares: that of its [`Armed`], and that of the owner's side (stack, map, or being looked at).
//!   Who gives back the second frees it. `ORPHAN` says that the first is gone, `RETIRED` that the second is.
//! - **I2** An entry is on the stack, or in the hands of who is about to push it, or on the list that the owner is going
//!   through, exactly while `LINKED` is set; it is there once, and its `next` belongs to who has it there.
//! - **I3** `REMOVED` is set in a step that finds or sets `LINKED`. So a removed entry is on its way to the owner, who
//!   retires it in the same step in which he unlinks it.
//! - **I4** The owner retires an entry after he has taken it out of his map and its alarm out of its cell, and not while
//!   it is linked. He does not touch it afterwards, unless that very step has left him the free.
//! - **I5** The cell of an entry is touched by who makes it, before the push, and then by owners alone.
//! - **I6** There is one [`Owner`] of a core at a time; each owner acquires what the one before has released.
//! - **I7** All of an entry's life is with one core, which outlives its `Armed` ([`Home`]).

pub(super) mod entry;

use self::entry::{Entry, Fate};
use super::Alarm;
use crate::primitives::{AcqRel, Acquire, AtomicPtr, AtomicU32, AtomicWord, Relaxed, Release, UnsafeCell, Word};
use alloc::collections::BTreeMap;
use core::ptr::{self, NonNull};
use core::time::Duration;

pub(super) use self::entry::Armed;

/// What the owner is doing, in the low bits of `head`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tag {
    /// He is up, or has been told to get up, and goes through the stack before he rests.
    Awake = 0,
    /// He goes through the stack at the time in `until` at the latest.
    Nap = 1,
    /// There is none, or he waits for the first deadline that he knows of.
    Rest = 2,
    /// He is firing alarms, and goes through the stack before he rests. For clocks that are set by hand.
    Firing = 3,
    /// As `Firing`, and the clock has moved since he looked.
    Again = 4,
}

const TAGS: usize = 7;

impl Tag {
    fn of(head: *mut Entry) -> Self {
        match head.addr() & TAGS {
            0 => Self::Awake,
            1 => Self::Nap,
            2 => Self::Rest,
            3 => Self::Firing,
            _ => Self::Again,
        }
    }

    fn on(self, entry: *mut Entry) -> *mut Entry {
        entry.map_addr(|addr| addr & !TAGS | self as usize)
    }
}

/// A deadline so far away that it never comes: 2⁶⁴ − 1 ns, 584 years after the origin.
pub(super) const NEVER: u64 = u64::MAX;

/// Nanoseconds, or [`NEVER`].
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

/// For `until`. Where a word has 32 bits, this saturates, and every push wakes an owner who naps.
#[allow(clippy::unnecessary_fallible_conversions, reason = "a word has 32 bits on some targets")]
fn word(nanos: u64) -> Word {
    Word::try_from(nanos).unwrap_or(Word::MAX)
}

/// Where an [`Armed`] finds its core, and wakes whoever owns it.
///
/// # Safety
///
/// `core` says the same core each time, also after the home has been moved, and that core lives as long as the home.
pub(super) unsafe trait Home {
    fn core(&self) -> &Core;
    /// Called by who has turned the tag from `Rest` or `Nap` to `Awake`. Never called on the cancel path.
    fn wake(&self);
    /// An alarm has been removed before it was fired. May be called on the cancel path.
    fn left(&self) {}
}

/// Inbox, and the owner's seat.
pub(super) struct Core {
    head: AtomicPtr<Entry>,
    until: AtomicWord,
    seated: AtomicU32,
    queue: UnsafeCell<Queue>,
}

/// What only the owner sees: every entry that has come out of the inbox and has not been retired.
struct Queue {
    map: BTreeMap<(u64, u64), NonNull<Entry>>,
    /// Of the entry that came last. Entries of one deadline are fired in the order in which they were pushed.
    serial: u64,
}

// SAFETY: entries are shared as said in I1 to I5; what they own, alarms, is `Send`. The queue is reached only through an
// `Owner`, and of those there is one (I6).
unsafe impl Sync for Core {}
// SAFETY: as above.
unsafe impl Send for Core {}

impl Core {
    /// A core with an empty inbox. A tag of 0 lets this be a `const` without provenance to worry about: the owner is
    /// thought to be up. Nothing is pushed with another tag before he has said so.
    #[cfg(not(cancel_tree_loom))]
    pub(super) const fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            until: AtomicWord::new(0),
            seated: AtomicU32::new(0),
            queue: UnsafeCell::new(Queue { map: BTreeMap::new(), serial: 0 }),
        }
    }

    #[cfg(cancel_tree_loom)]
    pub(super) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            until: AtomicWord::new(0),
            seated: AtomicU32::new(0),
            queue: UnsafeCell::new(Queue { map: BTreeMap::new(), serial: 0 }),
        }
    }

    /// What the owner is doing.
    #[inline]
    pub(super) fn tag(&self) -> Tag {
        // Acquire: pairs with the release of who set the tag.
        Tag::of(self.head.load(Acquire))
    }

    /// Changes the tag as `next` says, given the tag and whether the stack is empty. `Ok` is the tag that was changed,
    /// `Err` that for which `next` said no. Lock-free.
    pub(super) fn retag(&self, mut next: impl FnMut(Tag, bool) -> Option<Tag>) -> Result<Tag, Tag> {
        // Acquire: pairs with the release of who set the tag, for a caller who is told no.
        let mut head = self.head.load(Acquire);
        loop {
            let tag = Tag::of(head);
            let Some(new) = next(tag, head.addr() & !TAGS == 0) else { return Err(tag) };
            // Release: what the caller did before (a clock moved, a seat left) is seen by who meets the tag.
            // Acquire: pairs with the same of whoever set the tag, and with the release of the pushes.
            match self.head.compare_exchange_weak(head, new.on(head), AcqRel, Acquire) {
                Ok(_) => return Ok(tag),
                Err(now) => head = now,
            }
        }
    }

    /// Turns one tag into another, if it is that.
    pub(super) fn turn(&self, from: Tag, to: Tag) -> bool {
        self.retag(|tag, _| (tag == from).then_some(to)).is_ok()
    }

    /// From `from` to `Rest`, if nothing waits on the stack.
    pub(super) fn rest(&self, from: Tag) -> bool {
        self.retag(|tag, empty| (tag == from && empty).then_some(Tag::Rest)).is_ok()
    }

    /// Puts an entry on the stack, and changes the tag by `tag`. Says the tag before. Lock-free.
    ///
    /// # Safety
    ///
    /// The caller has just set `LINKED` (I2), and does not rely on the entry's life beyond that.
    unsafe fn push(&self, entry: NonNull<Entry>, tag: impl Fn(Tag) -> Tag) -> Tag {
        let mut head = self.head.load(Relaxed);
        loop {
            let old = Tag::of(head);
            // SAFETY: the entry lives, since the owner gets it from the stack before he can retire it (I3, I4).
            unsafe { entry.as_ref() }.set_next(head.map_addr(|addr| addr & !TAGS));
            // Release: pairs with the acquire in `absorb`, E1: the entry's fields. Acquire: pairs with the release of
            // the owner who set the tag, for `until`, and for what the clock says to who pushes afterwards.
            match self.head.compare_exchange_weak(head, tag(old).on(entry.as_ptr()), AcqRel, Relaxed) {
                Ok(_) => return old,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the owner's seat, unless someone has it. One read-modify-write.
    pub(super) fn own(&self) -> Option<Owner<'_>> {
        // Acquire: pairs with the release in `Owner::drop`, the state of the queue (I6).
        self.seated.compare_exchange(0, 1, Acquire, Relaxed).is_ok().then_some(Owner { core: self })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // No `Armed` is left (I7). So what is on the stack or in the map has been removed and is on the stack.
        let Some(mut owner) = self.own() else { return };
        owner.absorb(Tag::Rest);
        debug_assert!(owner.is_empty(), "an alarm outlived its timer");
    }
}

/// The right to look into the queue.
pub(super) struct Owner<'a> {
    core: &'a Core,
}

impl Owner<'_> {
    fn with<R>(&mut self, f: impl FnOnce(&mut Queue) -> R) -> R {
        // SAFETY: this is the only owner (I6), borrowed mutably, and nothing that `f` does here comes back to it.
        self.core.queue.with_mut(|queue| f(unsafe { &mut *queue }))
    }

    /// Says when a napping owner will look again. To be called before `absorb(Tag::Nap)`.
    pub(super) fn nap_until(&mut self, nanos: u64) {
        // Relaxed: read by who has acquired the tag `Nap`, which is set after this.
        self.core.until.store(word(nanos), Relaxed);
    }

    /// Goes through the stack: sorts what is new, gives back what has been removed. Sets the tag. Says how many came.
    ///
    /// A removed alarm is dropped here.
    pub(super) fn absorb(&mut self, tag: Tag) -> usize {
        // Acquire: pairs with the release in `push`, E1. Release: `until`, for who acquires the tag.
        let head = self.core.head.swap(tag.on(ptr::null_mut()), AcqRel);
        let mut newest = NonNull::new(head.map_addr(|addr| addr & !TAGS));
        let (mut oldest, mut count) = (ptr::null_mut(), 0);
        while let Some(entry) = newest {
            count += 1;
            // SAFETY: the list that the swap has taken is the owner's, and its entries live (I2, I3). It is read before the
            // entry is unlinked.
            newest = NonNull::new(unsafe { entry.as_ref() }.swap_next(oldest));
            // SAFETY: as above.
            if unsafe { entry.as_ref() }.is_removed() {
                // SAFETY: this is the owner, and has the entry from the stack.
                drop(unsafe { self.admit(entry) });
            } else {
                oldest = entry.as_ptr();
            }
        }
        // The rest, in the order in which it was pushed.
        while let Some(entry) = NonNull::new(oldest) {
            // SAFETY: as above.
            oldest = unsafe { entry.as_ref() }.swap_next(ptr::null_mut());
            // SAFETY: as above.
            drop(unsafe { self.admit(entry) });
        }
        count
    }

    /// Unlinks one entry. Says the alarm if that has been removed.
    ///
    /// # Safety
    ///
    /// The entry is linked, and in the hands of this owner.
    unsafe fn admit(&mut self, entry: NonNull<Entry>) -> Option<Alarm> {
        self.with(|queue| {
            queue.serial += 1;
            // SAFETY: of the caller.
            match unsafe { entry::unlink(entry, queue.serial) } {
                Fate::Sorted(key) => {
                    queue.map.insert(key, entry);
                    None
                }
                Fate::Removed(key) => {
                    if key.1 != 0 {
                        queue.map.remove(&key);
                    }
                    // SAFETY: removed and linked, of this owner, and no longer in the map.
                    unsafe { entry::retire(entry) }
                }
            }
        })
    }

    /// The next deadline.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.with(|queue| queue.map.first_key_value().map(|(&(at, _), _)| at))
    }

    fn is_empty(&mut self) -> bool {
        self.with(|queue| queue.map.is_empty())
    }

    /// Takes out the first alarm that is due. Nobody can remove it any more.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Alarm> {
        self.with(|queue| {
            loop {
                let first = queue.map.first_entry().filter(|first| first.key().0 <= now)?;
                // SAFETY: the owner's share of the entry, which has just left the map.
                if let Some(alarm) = unsafe { entry::claim(first.remove()) } {
                    return Some(alarm);
                }
            }
        })
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `own` (I6).
        self.core.seated.store(0, Release);
    }
}

/// Fires, and drops the alarm. A panic of what it runs (a waker) is caught, and handed to the caller.
#[cfg(feature = "std")]
pub(super) fn fire(alarm: Alarm) -> std::thread::Result<()> {
    // After a panic, the alarm is not looked at again but by its drop.
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(move || {
        alarm.fire();
    }))
}

/// Drops what a panic has left, which may panic in turn; what that leaves is left.
#[cfg(feature = "std")]
pub(super) fn discard(panic: alloc::boxed::Box<dyn core::any::Any + Send>) {
    if let Err(again) = std::panic::catch_unwind(core::panic::AssertUnwindSafe(move || drop(panic))) {
        core::mem::forget(again);
    }
}

#[cfg(all(test, cancel_tree_loom))]
mod model;
#[cfg(all(test, feature = "std", not(cancel_tree_loom)))]
mod tests;
