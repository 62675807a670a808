//! Models of the queue, run by `cargo test --manifest-path loom-tests/Cargo.toml --lib`.

use super::{Armed, Core, Home, Tag, fire};
use crate::time::probe::Probe;
use crate::time::{ManualTimer, Timer};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use loom::thread;

#[derive(Clone)]
struct Bench(Arc<(Core, AtomicUsize)>);

// SAFETY: the core is in the shared allocation.
unsafe impl Home for Bench {
    fn core(&self) -> &Core {
        &self.0.0
    }
    fn wake(&self) {
        self.0.1.fetch_add(1, SeqCst);
    }
}

impl Bench {
    fn new() -> Self {
        Self(Arc::new((Core::new(), AtomicUsize::new(0))))
    }
    fn woken(&self) -> usize {
        self.0.1.load(SeqCst)
    }
    fn arm(&self, at: u64, probe: &Probe) -> Armed<Bench> {
        Armed::new(self.clone(), Duration::from_nanos(at), probe.alarm())
    }
    fn absorb(&self, tag: Tag) -> usize {
        self.core().own().unwrap().absorb(tag)
    }
    fn fire(&self, now: u64) -> usize {
        let mut owner = self.core().own().unwrap();
        core::iter::from_fn(|| owner.pop_due(now)).map(|alarm| fire(alarm).unwrap()).count()
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(f);
}

#[test]
fn model_remove_and_drop_against_the_owner() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        let there = bench.clone();
        let armed = bench.arm(1, &probe);
        let other = thread::spawn(move || {
            armed.remove();
            drop(armed);
        });
        there.absorb(Tag::Awake);
        there.fire(1);
        there.absorb(Tag::Rest);
        other.join().unwrap();
        there.absorb(Tag::Rest);
        assert_eq!(probe.live(), 0);
        assert!(probe.fired() <= 1);
        assert!(there.core().own().unwrap().next().is_none());
    });
}

#[test]
fn model_remove_on_two_threads() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        // Loom's: it has to see that the last share comes after the other thread's `remove`.
        let armed = loom::sync::Arc::new(bench.arm(1, &probe));
        bench.absorb(Tag::Awake);
        let shared = armed.clone();
        let other = thread::spawn(move || shared.remove());
        let third = thread::spawn(move || {
            armed.remove();
            drop(armed);
        });
        bench.fire(1);
        bench.absorb(Tag::Awake);
        other.join().unwrap();
        third.join().unwrap();
        bench.absorb(Tag::Rest);
        assert_eq!(probe.live(), 0);
    });
}

#[test]
fn model_two_arm_and_drop() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        let (there, seen) = (bench.clone(), probe.clone());
        let other = thread::spawn(move || drop(there.arm(5, &seen)));
        let kept = bench.arm(3, &probe);
        bench.absorb(Tag::Awake);
        drop(kept);
        bench.fire(9);
        other.join().unwrap();
        bench.absorb(Tag::Rest);
        bench.fire(9);
        assert_eq!(probe.live(), 0);
    });
}

#[test]
fn model_who_rests_is_woken() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        let (there, seen) = (bench.clone(), probe.clone());
        let other = thread::spawn(move || there.arm(5, &seen));
        let came = bench.absorb(Tag::Awake);
        let rests = bench.core().rest(Tag::Awake);
        let armed = other.join().unwrap();
        assert!(came == 1 || !rests || bench.woken() == 1);
        assert!(bench.woken() == 0 || bench.core().tag() == Tag::Awake);
        drop(armed);
    });
}

#[test]
fn model_a_dropped_alarm_does_not_stay_with_who_rests() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        let armed = bench.arm(5, &probe);
        bench.absorb(Tag::Awake);
        let other = thread::spawn(move || {
            armed.remove();
            drop(armed);
        });
        let came = bench.absorb(Tag::Awake);
        let rests = bench.core().rest(Tag::Awake);
        other.join().unwrap();
        assert!(came == 1 || !rests || bench.woken() == 1);
        bench.absorb(Tag::Rest);
        assert_eq!(probe.live(), 0);
    });
}

#[test]
fn model_who_naps_is_woken_in_time() {
    model(|| {
        let (bench, probe) = (Bench::new(), Probe::default());
        let (there, seen) = (bench.clone(), probe.clone());
        let other = thread::spawn(move || there.arm(70, &seen));
        let mut came = 0;
        for until in [50, 100] {
            bench.core().own().unwrap().nap_until(until);
            came += bench.absorb(Tag::Nap);
        }
        let armed = other.join().unwrap();
        // Asleep until 100 now, unless woken.
        assert!(came == 1 || (bench.woken() == 1 && bench.core().tag() == Tag::Awake));
        drop(armed);
    });
}

#[test]
fn model_a_step_of_the_clock_and_an_arming() {
    model(|| {
        let (timer, probe) = (ManualTimer::new(), Probe::default());
        let there = timer.clone();
        let other = thread::spawn(move || there.advance(Duration::from_secs(1)));
        let armed = timer.arm(Duration::from_secs(1), probe.alarm());
        other.join().unwrap();
        assert_eq!((probe.fired(), probe.live(), timer.pending()), (1, 0, 0));
        drop(armed);
    });
}

#[test]
fn model_two_steps_of_the_clock() {
    model(|| {
        let (timer, probe) = (ManualTimer::new(), Probe::default());
        let armed = timer.arm(Duration::from_secs(2), probe.alarm());
        let there = timer.clone();
        let other = thread::spawn(move || there.advance(Duration::from_secs(1)));
        timer.advance(Duration::from_secs(1));
        other.join().unwrap();
        assert_eq!((probe.fired(), probe.live(), timer.pending()), (1, 0, 0));
        drop(armed);
    });
}

#[test]
fn model_a_step_of_the_clock_and_a_removal() {
    model(|| {
        let (timer, probe, gone) = (ManualTimer::new(), Probe::default(), Probe::default());
        let armed = timer.arm(Duration::from_secs(1), probe.alarm());
        let doomed = timer.arm(Duration::from_secs(9), gone.alarm());
        let other = thread::spawn(move || drop(doomed));
        timer.advance(Duration::from_secs(1));
        assert_eq!(probe.fired(), 1);
        other.join().unwrap();
        assert_eq!((gone.live(), timer.pending()), (0, 0));
        drop(armed);
    });
}
