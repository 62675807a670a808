//! Deadlines of a world: on a timer that only keeps the alarm, and on a `StaticTimer`.

use super::attached::Until;
use super::injector::{call, demand};
use super::reasons::Why;
use super::world::{Home, World};
use crate::time::{self, Alarm, StaticTimer, Timer};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// The line of what a timer has armed, which is called by its drop.
pub(super) const GUARD: usize = usize::MAX;

/// A timer with one alarm, on a clock that stands still.
#[derive(Default)]
pub(super) struct Clock {
    alarm: RwLock<Option<Alarm>>,
    armed: AtomicUsize,
    disarmed: AtomicUsize,
    dropped: AtomicUsize,
}

impl Clock {
    /// Armed, disarmed, dropped.
    fn counts(&self) -> [usize; 3] {
        [&self.armed, &self.disarmed, &self.dropped].map(|count| count.load(Relaxed))
    }
}

struct Stub(Arc<Clock>);

/// What it has armed.
pub(super) struct Guard(Arc<Clock>);
impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
        call(GUARD);
    }
}

impl Timer for Stub {
    type Armed = Guard;
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) -> Guard {
        *self.0.alarm.write().unwrap_or_else(PoisonError::into_inner) = Some(alarm);
        self.0.armed.fetch_add(1, Relaxed);
        Guard(self.0.clone())
    }
    fn disarm(guard: &Guard) {
        guard.0.disarmed.fetch_add(1, Relaxed);
    }
}

/// A deadline.
impl World {
    /// A child with a deadline, which has passed or has not.
    pub(super) fn timed(&self, parent: char, name: char, passed: bool) {
        let at = Duration::from_secs(u64::from(!passed));
        let timer = Stub(self.clock.clone());
        let child = self.with(parent, |token| match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => Ok(token.child_with_timer(&timer, at)),
            Home::Pool => token.try_child_with_timer(&timer, at),
        });
        if passed {
            self.early.set(Why::Deadline.into());
        }
        self.timed.set(child.is_ok().then_some(name));
        self.perhaps_born(name, &[parent], false, child);
    }

    /// Fires the alarm, if there is one; its token may be still in the making.
    pub(super) fn fire(&self) {
        let alarm = self.clock.alarm.read().unwrap_or_else(PoisonError::into_inner);
        let Some(alarm) = &*alarm else { return };
        match self.timed.get() {
            Some(name) => self.cancelling(&self.member(name), Why::Deadline, || Some(alarm.fire())),
            None => {
                alarm.fire();
                self.early.set(Why::Deadline.into());
            }
        }
    }

    pub(super) fn drop_alarm(&self) {
        drop(self.clock.alarm.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(super) fn look_at_the_clock(&self) {
        let Some(name) = self.timed.get().filter(|&name| self.is_here(name)) else { return };
        let [armed, disarmed, dropped] = self.clock.counts();
        let has_come = self.has_come(Until::Cancelled(name));
        demand(disarmed == if has_come { armed } else { 0 }, "a timer was disarmed too often, or not at all");
        demand(dropped == 0, "what a timer has armed was dropped before its token");
    }

    /// When all has been dropped.
    pub(super) fn look_back(&self) {
        let [armed, disarmed, dropped] = self.clock.counts();
        demand(dropped == armed && disarmed <= armed, "what a timer has armed was not dropped once");
        demand(TIMER.in_use() == 0, "a timer has not got all its places back");
    }
}

/// Whether two seconds have passed.
static LATER: AtomicBool = AtomicBool::new(false);

struct Seconds;
impl time::Clock for Seconds {
    fn now() -> Duration {
        Duration::from_secs(if LATER.load(Relaxed) { 2 } else { 0 })
    }
}

static TIMER: StaticTimer<Seconds, 2> = StaticTimer::new();

/// Deadlines on a `StaticTimer`.
impl World {
    pub(super) fn turn_the_clock_back(&self) {
        LATER.store(false, Relaxed);
    }

    /// A child with one second left.
    pub(super) fn ticking(&self, parent: char, name: char) {
        let child = self.with(parent, |token| token.try_child_with_timer(&&TIMER, Duration::from_secs(1)));
        let is_born = child.is_ok();
        if LATER.load(Relaxed) {
            self.perhaps.set(Why::Deadline.into());
        }
        self.perhaps_born(name, &[parent], false, child);
        if is_born {
            self.ticking.set(self.ticking.get() | self.member(name).bit);
        }
    }

    /// Two seconds later: a poll. It may have interrupted another one, to which it leaves something: so nothing is due when it
    /// returns.
    pub(super) fn tick(&self) {
        LATER.store(true, Relaxed);
        for member in self.those(self.ticking.get()) {
            member.begun.set(member.begun.get().or(Why::Deadline.into()));
        }
        TIMER.poll();
    }

    /// What another poll has found armed, this one does.
    pub(super) fn tick_in_the_end(&self) {
        if LATER.load(Relaxed) {
            TIMER.poll();
        }
    }
}
