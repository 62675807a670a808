//! Alarms that tell what becomes of them: for the tests of timers.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part, the crate itself, too")]

use cancel_tree::CancellationToken;
use cancel_tree::time::{Alarm, Timer};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the alarms of one test tell it.
#[derive(Clone, Default)]
pub struct Probe(Arc<Counts>);

#[derive(Default)]
struct Counts {
    fired: AtomicUsize,
    live: AtomicUsize,
}

impl Probe {
    /// How often an alarm of this probe has cancelled its token.
    pub fn fired(&self) -> usize {
        self.0.fired.load(SeqCst)
    }
    /// How many alarms of this probe have been neither fired nor dropped.
    pub fn live(&self) -> usize {
        self.0.live.load(SeqCst)
    }
    /// A new alarm that does nothing but count.
    pub fn alarm(&self) -> Alarm {
        self.alarm_with(|| {})
    }
    /// A new alarm that calls `hook` when it is fired.
    pub fn alarm_with(&self, hook: impl FnOnce() + Send + 'static) -> Alarm {
        self.0.live.fetch_add(1, SeqCst);
        let kept = Arc::new(Mutex::new(None));
        let timer = Taken::default();
        let token = CancellationToken::new().child_with_timer_cause(&timer, Duration::from_secs(1), Keep(kept.clone()));
        let (counts, keep) = (self.0.clone(), Arc::downgrade(&kept));
        let fired = move || {
            counts.fired.fetch_add(1, SeqCst);
            drop(keep.upgrade().and_then(|kept| kept.lock().unwrap().take()));
            hook();
        };
        token.on_cancel(fired).detach();
        *kept.lock().unwrap() = Some((token, Live(self.0.clone())));
        let alarm = timer.0.lock().unwrap().take();
        alarm.expect("armed")
    }
}

/// One that has been neither fired nor dropped.
struct Live(Arc<Counts>);
impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

/// The cause that an alarm has: it keeps the token of the alarm, so that this goes with it.
struct Keep(#[expect(dead_code, reason = "kept")] Arc<Mutex<Option<(CancellationToken, Live)>>>);
impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time is up")
    }
}
impl std::error::Error for Keep {}

/// A timer that only keeps the alarm.
#[derive(Default)]
struct Taken(Mutex<Option<Alarm>>);

impl Timer for Taken {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) {
        *self.0.lock().unwrap() = Some(alarm);
    }
    fn disarm((): &()) {}
}
