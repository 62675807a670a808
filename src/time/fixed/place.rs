//! One place of a timer: a word, a deadline, and room for one alarm.
//!
//! # States
//!
//! | word | the alarm | who goes on from here |
//! |---|---|---|
//! | `FREE` | is not there | whoever arms |
//! | `BUSY` | is being put in, or taken out by the drop of its [`StaticArmed`] | who does that |
//! | `ARMED` | is there | a poll; the drop of the `StaticArmed` |
//! | `CLAIMED` | is in the hands of a poll | that poll. Others may add: |
//! | … `AGAIN` | | a poll that it was due for, and that left it to the first |
//! | … `ORPHAN` | | the drop of the `StaticArmed` |
//! | `FIRED` | is gone | the drop of the `StaticArmed` |
//!
//! # Invariants
//!
//! - **P1** The cell belongs to who has made the word `BUSY` or `CLAIMED`, until he makes it something else. He runs nothing of
//!   somebody else's meanwhile: no waker, no clock, no drop of an alarm.
//! - **P2** There is an alarm in the cell while the word is `ARMED`, and none while it is `FREE` or `FIRED`.
//! - **P3** A place that is not `FREE` has one `StaticArmed`, or is about to get it (`BUSY`), or has been left to a poll, which
//!   gives it back (`ORPHAN`, and `FIRED` after that). So who finds `FIRED` or `ORPHAN` and may go on from there is alone.
//! - **P4** The deadline is written while the word is `BUSY`. A poll that has not claimed the place may read parts of two, or one
//!   that is over, if the alarm that it found goes meanwhile; it never fires by that, as it looks again when it has claimed. If
//!   the alarm stays, what it reads is right.
//! - **P5** A poll that finds an alarm due, and another poll at it, tells that other (`AGAIN`), by a step that this one meets in
//!   the same word. Who gives a place back as `ARMED` and has been told reads the clock once more, and looks again.

use crate::primitives::{AcqRel, Acquire, AtomicU32, AtomicUsize, Relaxed, Release, UnsafeCell};
use crate::time::Alarm;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;

const FREE: u32 = 0;
/// Being filled, or emptied by the drop of the [`StaticArmed`].
const BUSY: u32 = 1;
/// Holds an alarm.
const ARMED: u32 = 2;
/// Has been emptied by a poll.
const FIRED: u32 = 3;
/// A poll is at it.
const CLAIMED: u32 = 4;
/// Besides `CLAIMED`: another poll relies on that one.
const AGAIN: u32 = 8;
/// Besides `CLAIMED`: the poll gives the place back.
const ORPHAN: u32 = 16;

/// In `nanos`: the seconds are more than a word can say.
const NEVER: u32 = u32::MAX;

/// All zero while it is new.
pub(super) struct Place {
    state: AtomicU32,
    nanos: AtomicU32,
    secs: AtomicUsize,
    alarm: UnsafeCell<Option<Alarm>>,
}

#[cfg(not(cancel_tree_loom))]
const _: () = assert!(size_of::<Place>() == if usize::BITS == 64 { 32 } else { 20 });

// SAFETY: the cell belongs to one at a time (P1), and what is in it is `Send`.
unsafe impl Sync for Place {}
// Foreign code runs where no place is between two states (P1).
impl UnwindSafe for Place {}
impl RefUnwindSafe for Place {}

/// What a poll sees of a place.
pub(super) enum Look {
    /// Nothing that concerns it.
    Nothing,
    Later(Duration),
    Due(Duration),
}

/// What has become of a claim.
pub(super) enum Claim {
    /// To be fired.
    Due(Alarm),
    /// Its token is gone: to be dropped.
    Orphan(Option<Alarm>),
    /// It was another's, or is not due: to be looked at again.
    Lost,
    /// The same; but first the clock has to be read again (P5).
    Again,
}

impl Place {
    #[cfg(not(cancel_tree_loom))]
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            nanos: AtomicU32::new(0),
            secs: AtomicUsize::new(0),
            alarm: UnsafeCell::new(None),
        }
    }

    #[cfg(cancel_tree_loom)]
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            nanos: AtomicU32::new(0),
            secs: AtomicUsize::new(0),
            alarm: UnsafeCell::new(None),
        }
    }

    /// To look at.
    pub(super) fn is_free(&self) -> bool {
        // Relaxed: nothing is concluded from it.
        self.state.load(Relaxed) == FREE
    }

    /// Takes the place, if it is free.
    pub(super) fn reserve(&'static self) -> Option<Reserved> {
        // Acquire: pairs with the release of who freed it, and has emptied the cell. Release: pairs with the acquire on failure:
        // who finds me here, and goes on to the places behind, finds those free that I have freed.
        let free = self.state.compare_exchange(FREE, BUSY, AcqRel, Acquire).is_ok();
        free.then_some(Reserved(self))
    }

    /// For a poll: what there is. Leaves what is due to another poll, if that is at it.
    pub(super) fn look(&self, now: Duration) -> Look {
        loop {
            // Acquire: pairs with the release in `fill`: the deadline is not an earlier alarm's.
            let seen = self.state.load(Acquire);
            if seen != ARMED && seen & !AGAIN != CLAIMED {
                return Look::Nothing;
            }
            match self.at() {
                None => return Look::Nothing,
                Some(at) if at > now => return Look::Later(at),
                Some(at) if seen == ARMED => return Look::Due(at),
                Some(_) => {}
            }
            // P5. Release: pairs with the acquire in `claim`: that poll's next look at the clock comes after ours. Also if `AGAIN` is
            // set: it was by another, and perhaps for an earlier alarm.
            if self.state.compare_exchange_weak(seen, seen | AGAIN, Release, Relaxed).is_ok() {
                return Look::Nothing;
            }
        }
    }

    /// For a poll that has found it due: takes the alarm out, if it is.
    pub(super) fn claim(&self, now: Duration) -> Claim {
        // Acquire: pairs with the release in `fill`: the alarm, and its deadline.
        if self.state.compare_exchange(ARMED, CLAIMED, Acquire, Relaxed).is_err() {
            return Claim::Lost;
        }
        if self.at().is_some_and(|at| at <= now) {
            let alarm = self.take();
            // Release: pairs with the acquire in `vacate`: the cell is empty.
            let is_orphan = self.state.swap(FIRED, Release) & ORPHAN != 0;
            if is_orphan {
                // Release: pairs with the acquire in `reserve`, likewise. Nobody else goes on from here (P3).
                self.state.store(FREE, Release);
            }
            return match alarm {
                Some(alarm) if !is_orphan => Claim::Due(alarm),
                alarm => Claim::Orphan(alarm),
            };
        }
        // The one that was due has gone, and another has come (P4).
        let mut seen = CLAIMED;
        loop {
            if seen & ORPHAN != 0 {
                let alarm = self.take();
                // Release: pairs with the acquire in `reserve`: the cell is empty. Nobody else goes on from here (P3).
                self.state.store(FREE, Release);
                return Claim::Orphan(alarm);
            }
            // Acquire: pairs with the release in `look` (P5). No release: we have changed nothing, and who claims it next
            // acquires what `fill` has released, as read-modify-writes pass that on.
            match self.state.compare_exchange_weak(seen, ARMED, Acquire, Relaxed) {
                Ok(_) if seen & AGAIN != 0 => return Claim::Again,
                Ok(_) => return Claim::Lost,
                Err(now) => seen = now,
            }
        }
    }

    /// For the drop of the [`StaticArmed`]. The alarm, if it is still there and no poll is at it.
    fn vacate(&self) -> Option<Alarm> {
        let mut seen = ARMED;
        loop {
            let next = match seen {
                ARMED => BUSY,
                FIRED => {
                    // Release: pairs with the acquire in `reserve`: the cell is empty. Nobody else goes on from here (P3).
                    self.state.store(FREE, Release);
                    return None;
                }
                claimed => claimed | ORPHAN,
            };
            // Relaxed: the alarm is visible to who has the `StaticArmed`, and who meets `ORPHAN` finds nothing of ours. Acquire on
            // failure: pairs with the release of who set `FIRED`, and has emptied the cell.
            match self.state.compare_exchange_weak(seen, next, Relaxed, Acquire) {
                Ok(_) if next == BUSY => break,
                Ok(_) => return None,
                Err(now) => seen = now,
            }
        }
        let alarm = self.take();
        // Release: pairs with the acquire in `reserve`: the cell is empty.
        self.state.store(FREE, Release);
        alarm
    }

    /// The deadline, or for who has not claimed the place perhaps another (P4). `None`: never.
    fn at(&self) -> Option<Duration> {
        // Relaxed: acquired with the word.
        let nanos = self.nanos.load(Relaxed);
        (nanos != NEVER).then(|| Duration::new(self.secs.load(Relaxed) as u64, nanos))
    }

    /// For who has the cell.
    fn take(&self) -> Option<Alarm> {
        // SAFETY: the callers have made the word `BUSY` or `CLAIMED`, and have not changed it since (P1).
        self.alarm.with_mut(|cell| unsafe { (*cell).take() })
    }
}

/// A place that is `BUSY`, by us.
pub(super) struct Reserved(&'static Place);

impl Reserved {
    /// Puts an alarm in.
    pub(super) fn fill(self, at: Duration, alarm: Alarm) -> StaticArmed {
        let Self(place) = self;
        let (secs, nanos) = match usize::try_from(at.as_secs()) {
            Ok(secs) => (secs, at.subsec_nanos()),
            Err(_) => (0, NEVER),
        };
        // Relaxed, both: released with the word (P4).
        place.secs.store(secs, Relaxed);
        place.nanos.store(nanos, Relaxed);
        // SAFETY: the word is `BUSY`, by `reserve`, of which this is the only outcome (P1). The cell is empty (P2), so that
        // nothing is dropped.
        place.alarm.with_mut(|cell| unsafe { *cell = Some(alarm) });
        // Release: pairs with the acquires of `look` and `claim`: the deadline, and the alarm.
        place.state.store(ARMED, Release);
        StaticArmed(place)
    }
}

/// An alarm at a [`StaticTimer`](super::StaticTimer). One word.
///
/// Dropping it takes the alarm out, unless that has been fired, and gives the place back: at once, or if a
/// [`poll`](super::StaticTimer::poll) is just taking the alarm out, when that has. Lock-free; allocates nothing, and drops
/// the alarm.
pub struct StaticArmed(&'static Place);

const _: () = assert!(size_of::<Option<StaticArmed>>() == size_of::<usize>());

impl Drop for StaticArmed {
    fn drop(&mut self) {
        // The alarm is dropped after the place has been given back (P1).
        drop(self.0.vacate());
    }
}

impl fmt::Debug for StaticArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticArmed").finish_non_exhaustive()
    }
}
