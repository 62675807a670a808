//! Another timer than the thread's as the default.

use super::{Alarm, Timer};
use alloc::boxed::Box;
use core::time::Duration;
use std::sync::OnceLock;

static CHOSEN: OnceLock<Default> = OnceLock::new();

/// Makes `timer` the one that [`child_with_timeout`](crate::CancellationToken::child_with_timeout),
/// [`child_with_deadline`](crate::CancellationToken::child_with_deadline) and their siblings use, instead of a
/// [`ThreadTimer`](super::ThreadTimer). For programs, not for libraries. Once in a process; what has been armed before stays
/// where it is.
///
/// The timer has to count from [`origin`](super::origin). It costs one allocation more for each deadline than the thread's.
///
/// May block, if two threads do this at the same time. One allocation.
///
/// # Errors
///
/// The timer, if one has been chosen before.
pub fn set_default_timer<T: Timer + 'static>(timer: T) -> Result<(), T> {
    let mut offered = Some(timer);
    CHOSEN.get_or_init(|| Default(Box::new(offered.take().expect("taken once"))));
    offered.map_or(Ok(()), Err)
}

/// The timer that was chosen; else the default is the thread's. Wait-free.
pub(super) fn default_timer() -> Option<&'static Default> {
    CHOSEN.get()
}

/// A timer of any type.
pub(super) struct Default(Box<dyn Erased>);

/// What it keeps in a token.
pub(super) struct Armed(Box<dyn ErasedArmed>);

trait Erased: Send + Sync {
    fn now(&self) -> Duration;
    fn is_system_clock(&self) -> bool;
    fn arm(&self, at: Duration, alarm: Alarm) -> Armed;
}

trait ErasedArmed: Send {
    fn disarm(&self);
}

struct Of<T: Timer>(T::Armed);

impl<T: Timer + 'static> Erased for T {
    fn now(&self) -> Duration {
        Timer::now(self)
    }
    fn is_system_clock(&self) -> bool {
        Timer::is_system_clock(self)
    }
    fn arm(&self, at: Duration, alarm: Alarm) -> Armed {
        Armed(Box::new(Of::<T>(Timer::arm(self, at, alarm))))
    }
}

impl<T: Timer> ErasedArmed for Of<T> {
    fn disarm(&self) {
        T::disarm(&self.0);
    }
}

impl Timer for Default {
    type Armed = Armed;

    fn now(&self) -> Duration {
        self.0.now()
    }
    fn is_system_clock(&self) -> bool {
        self.0.is_system_clock()
    }
    fn arm(&self, at: Duration, alarm: Alarm) -> Armed {
        self.0.arm(at, alarm)
    }
    fn disarm(armed: &Armed) {
        armed.0.disarm();
    }
}
