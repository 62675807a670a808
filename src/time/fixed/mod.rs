//! A timer with room for so many alarms, and no heap.
//!
//! The places are looked at one after the other, by whoever arms and by whoever polls; all that threads, harts and interrupts have
//! to agree upon is in the word of one [`place`].
//!
//! # Room
//!
//! Whoever arms tries the places in their order, and takes the first that is free. So he is refused only if at some moment of that
//! call N others had a place, or were looking for one. For assume that there are never more than N − 1. Then while he is at
//! place b there are never more than N − 1 − i others at place i or behind, for each i up to b: there are N − 1 at most to
//! begin with; and who goes on from i to i + 1, he or another, does so because somebody has place i, and stays behind. So
//! when he is at the last place, nobody is there.

mod place;

use self::place::{Claim, Look, Place};
use super::{Alarm, Timer};
use crate::tree::run_all;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

pub use self::place::StaticArmed;

/// Where a [`StaticTimer`] reads the time. Made for types without values, one for each clock of the program.
pub trait Clock: 'static {
    /// The time since the clock's origin. It never goes back, also not from one thread or hart to another that has heard from
    /// it; it may stand still. It must not use the timer.
    fn now() -> Duration;

    /// An alarm for `at` has been armed, by this thread; polls find it from now on. What a timer without a periodic tick needs: this
    /// is to see to it that [`poll`](StaticTimer::poll) is called then. The best way to do that, if there are
    /// interrupts or other threads, is to have whoever polls, *poll* soon, and set the hardware by the answer: by pending the
    /// timer's interrupt, or by waking a task. If each sets the hardware for his own, the later deadline may be set last.
    ///
    /// It does nothing if not said otherwise, as a tick comes anyway. If it panics, so does the arming, and nothing is armed.
    fn armed(at: Duration) {
        let _ = at;
    }
}

/// A timer with room for `N` alarms, for firmware and whatever else does without a heap. It has to be a `static`.
///
/// Nothing happens by itself: [`poll`](Self::poll) fires what is due. It is called by a tick interrupt, an idle
/// loop, a task, a thread, or several of them.
///
/// ```
/// use cancel_tree::{CancellationToken, time::{Clock, StaticTimer}};
/// use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use core::time::Duration;
///
/// static MILLISECONDS: AtomicU32 = AtomicU32::new(0);
///
/// struct Ticks;
/// impl Clock for Ticks {
///     fn now() -> Duration {
///         Duration::from_millis(MILLISECONDS.load(Relaxed).into())
///     }
/// }
///
/// static TIMER: StaticTimer<Ticks, 8> = StaticTimer::new();
///
/// /// The interrupt.
/// fn tick() {
///     MILLISECONDS.fetch_add(1, Relaxed);
///     TIMER.poll();
/// }
///
/// let request = CancellationToken::new().child_with_timer(&&TIMER, Duration::from_millis(2));
/// tick();
/// assert!(!request.is_cancelled());
/// tick();
/// assert!(request.reason().unwrap().is_deadline_exceeded());
/// ```
///
/// It is `&'static StaticTimer` that is a [`Timer`].
///
/// # Room
///
/// A token has a place from when it is armed until it is dropped, whether the alarm has been fired or not. A place that is given
/// back can be used again at once. Arming is refused only if, at some moment of the call, `N` others are armed, being
/// armed, or being dropped: [`try_arm`](Timer::try_arm) gives the alarm back then, [`arm`](Timer::arm) panics. (One that is
/// dropped while a poll is just taking it out counts until that has.) So with room for as many as there can be at a time,
/// it never is.
///
/// A token that was cancelled keeps its place, and its deadline counts in the answer of `poll`, until it is dropped: to
/// disarm does nothing. One that ends inside of a `cancel()` is dropped with the next token that is, or when a token is
/// refused for want of its place, which is then tried for once more.
///
/// # Progress
///
/// Nothing waits or allocates. Arming and polling are lock-free, and dropping is. Any of them may be interrupted anywhere
/// by a handler that does any of them; only the alarm that a poll is just taking out, a few instructions, is not at the
/// handler's disposal: the poll goes on with it after the handler. Arming looks at up to `N` places, a poll at
/// `N` for each alarm that it fires, and `N` more.
///
/// A poll *drops* the alarms that it fires. That frees memory, if the tokens are on the heap: then an interrupt handler
/// should poll only if it may free.
///
/// # Size
///
/// On 32-bit targets 20 bytes a place, on 64-bit ones 32. It is all zero at first: so a `static` is in `.bss`, and takes no room
/// in an image.
///
/// # Limits
///
/// On 32-bit targets, a deadline of 2³² s (136 years) or more after the clock's origin never comes; it takes a place all the same.
/// A timer without room does not compile:
///
/// ```compile_fail,E0080
/// # use cancel_tree::time::{Clock, StaticTimer};
/// # struct Ticks;
/// # impl Clock for Ticks {
/// #     fn now() -> core::time::Duration { core::time::Duration::ZERO }
/// # }
/// static TIMER: StaticTimer<Ticks, 0> = StaticTimer::new();
/// # assert_eq!(TIMER.poll(), None);
/// ```
/// ```
/// # use cancel_tree::time::{Clock, StaticTimer};
/// # struct Ticks;
/// # impl Clock for Ticks {
/// #     fn now() -> core::time::Duration { core::time::Duration::ZERO }
/// # }
/// static TIMER: StaticTimer<Ticks, 1> = StaticTimer::new();
/// # assert_eq!(TIMER.poll(), None);
/// ```
pub struct StaticTimer<C: Clock, const N: usize> {
    places: [Place; N],
    clock: PhantomData<fn() -> C>,
}

impl<C: Clock, const N: usize> StaticTimer<C, N> {
    /// A timer with nothing armed.
    #[cfg(not(cancel_tree_loom))]
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0, "a timer has room for an alarm") };
        Self { places: [const { Place::new() }; N], clock: PhantomData }
    }

    #[cfg(cancel_tree_loom)]
    #[allow(missing_docs, reason = "as above")]
    pub fn new() -> Self {
        Self { places: core::array::from_fn(|_| Place::new()), clock: PhantomData }
    }

    /// Fires what is due, in the order of the deadlines, and says the earliest that is still to come; `None` if there is none.
    ///
    /// The clock is read when it begins, and then no more, but for an alarm that another poll has left to this one. What had
    /// been armed before and is due by that clock is fired by this call, or is being fired by another, which may be the one that
    /// this has interrupted. Wakers and callbacks run here, and may do anything, with the timer, too: also poll. What they
    /// arm is fired by this call if it is due already.
    ///
    /// What others arm meanwhile may be missing in the answer: [`Clock::armed`] tells of it.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker or callback, after all that is due has been fired. (Without `std`: it goes on
    /// firing while it unwinds, and a second one aborts.)
    pub fn poll(&self) -> Option<Duration> {
        let (mut now, mut next, mut fired) = (C::now(), None, None::<Alarm>);
        run_all(|| {
            // Only now: in a step of its own, if the last one has panicked.
            drop(fired.take());
            (fired, next) = self.due(&mut now);
            fired.as_ref().map(Alarm::fire).is_some()
        });
        next
    }

    /// Takes the earliest alarm out of those that are due; and the earliest deadline of the others.
    fn due(&self, now: &mut Duration) -> (Option<Alarm>, Option<Duration>) {
        loop {
            let (mut first, mut next) = (None::<(Duration, &Place)>, None::<Duration>);
            for place in &self.places {
                match place.look(*now) {
                    Look::Nothing => {}
                    Look::Later(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    Look::Due(at) if first.is_some_and(|(first, _)| first <= at) => {}
                    Look::Due(at) => first = Some((at, place)),
                }
            }
            let Some((_, place)) = first else { return (None, next) };
            match place.claim(*now) {
                Claim::Due(alarm) => return (Some(alarm), next),
                Claim::Orphan(alarm) => drop(alarm),
                Claim::Lost => {}
                // Not earlier than who has left it to us.
                Claim::Again => *now = C::now().max(*now),
            }
        }
    }

    /// How many alarms there is room for: `N`.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many places are taken: by what is armed, and by what has been fired and not dropped. Wait-free. While others are at
    /// work, it may be a number that there never was.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.places.iter().filter(|place| !place.is_free()).count()
    }
}

impl<C: Clock, const N: usize> Default for StaticTimer<C, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, const N: usize> fmt::Debug for StaticTimer<C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticTimer").field("in_use", &self.in_use()).field("capacity", &N).finish()
    }
}

/// `arm` panics if there is no room; the alarm is dropped then, and the token.
impl<C: Clock, const N: usize> Timer for &'static StaticTimer<C, N> {
    type Armed = StaticArmed;

    fn now(&self) -> Duration {
        C::now()
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> StaticArmed {
        let armed = self.try_arm(at, alarm).or_else(|alarm| self.try_arm(at, alarm.after_the_dead()));
        armed.unwrap_or_else(|alarm| {
            drop(alarm);
            panic!("cancel-tree: a StaticTimer has no room for another alarm")
        })
    }

    fn try_arm(&self, at: Duration, alarm: Alarm) -> Result<StaticArmed, Alarm> {
        let timer: &'static StaticTimer<C, N> = self;
        let Some(place) = timer.places.iter().find_map(Place::reserve) else { return Err(alarm) };
        let armed = place.fill(at, alarm);
        C::armed(at);
        Ok(armed)
    }

    /// Nothing: the drop is soon enough.
    fn disarm(_: &StaticArmed) {}
}

#[cfg(all(test, cancel_tree_loom))]
mod model;
#[cfg(all(test, feature = "std", not(cancel_tree_loom)))]
mod tests;
