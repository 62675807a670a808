use super::{Armed, Core, Home, NEVER, Tag, fire, nanos};
use crate::time::probe::Probe;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use std::thread;

/// A core whose owner is told to get up by a count.
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
        self.0.1.swap(0, SeqCst)
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

#[test]
fn fires_what_is_due_once() {
    let (bench, probe) = (Bench::new(), Probe::default());
    let armed: Vec<_> = [30, 10, 20].into_iter().map(|at| bench.arm(at, &probe)).collect();
    assert_eq!(bench.absorb(Tag::Awake), 3);
    assert_eq!(bench.core().own().unwrap().next(), Some(10));
    assert_eq!((bench.fire(9), bench.fire(20), bench.fire(20)), (0, 2, 0));
    assert_eq!((probe.fired(), probe.live()), (2, 1));
    drop(armed);
    assert_eq!(bench.absorb(Tag::Awake), 1);
    assert_eq!((probe.fired(), probe.live()), (2, 0));
    assert_eq!(bench.core().own().unwrap().next(), None);
}

#[test]
fn every_order_of_removal_gives_the_alarm_back() {
    // Bits: remove, then drop; with the owner going through the stack, or firing, at each point.
    for script in 0..64_u32 {
        let (bench, probe) = (Bench::new(), Probe::default());
        let step = |bit: u32| match script >> (2 * bit) & 3 {
            1 => drop(bench.absorb(Tag::Rest)),
            2 => drop(bench.fire(10)),
            3 => drop((bench.absorb(Tag::Rest), bench.fire(10))),
            _ => {}
        };
        let armed = bench.arm(10, &probe);
        step(0);
        armed.remove();
        armed.remove();
        step(1);
        drop(armed);
        step(2);
        bench.absorb(Tag::Rest);
        assert_eq!(probe.live(), 0, "{script}");
        assert_eq!(probe.fired(), usize::from(script & 3 == 3), "{script}");
        assert!(bench.core().own().unwrap().is_empty());
        assert_eq!(Arc::strong_count(&bench.0), 1);
    }
}

#[test]
fn removed_between_map_and_claim() {
    let (bench, probe) = (Bench::new(), Probe::default());
    let armed = bench.arm(1, &probe);
    bench.absorb(Tag::Awake);
    armed.remove();
    assert_eq!(bench.fire(1), 0);
    drop(armed);
    assert_eq!(probe.live(), 0);
    bench.absorb(Tag::Awake);
}

#[test]
fn a_core_gives_back_what_it_still_holds() {
    let probe = Probe::default();
    for (absorb, remove) in [(false, false), (true, false), (true, true), (false, true)] {
        let bench = Bench::new();
        let armed = bench.arm(1, &probe);
        if absorb {
            bench.absorb(Tag::Rest);
        }
        drop(bench);
        if remove {
            armed.remove();
        }
        drop(armed);
        assert_eq!(probe.live(), 0);
    }
}

#[test]
fn wakes_who_rests_and_no_one_else() {
    let (bench, probe) = (Bench::new(), Probe::default());
    let first = bench.arm(100, &probe);
    assert_eq!(bench.woken(), 0, "not yet at rest");
    assert!(!bench.core().rest(Tag::Awake), "nothing may wait on the stack");
    bench.absorb(Tag::Awake);
    assert!(bench.core().rest(Tag::Awake));

    first.remove();
    assert_eq!(bench.woken(), 0, "a disarm wakes nobody");
    drop(first);
    assert_eq!(bench.woken(), 1, "but the drop does");
    assert_eq!(bench.core().tag(), Tag::Awake);

    bench.core().own().unwrap().nap_until(50);
    bench.absorb(Tag::Nap);
    let late = bench.arm(51, &probe);
    assert_eq!(bench.woken(), 0);
    let early = [bench.arm(50, &probe), bench.arm(10, &probe)];
    assert_eq!(bench.woken(), 1);
    bench.absorb(Tag::Nap);
    drop((late, early));
    assert_eq!(bench.woken(), 0, "who naps comes by himself");
    bench.absorb(Tag::Rest);
    assert_eq!(probe.live(), 0);
    let again = [bench.arm(1000, &probe), bench.arm(1000, &probe)];
    assert_eq!(bench.woken(), 1, "once is enough");
    drop(again);
    assert_eq!(bench.woken(), 0);
}

#[test]
fn never_is_never() {
    let (bench, probe) = (Bench::new(), Probe::default());
    let armed = Armed::new(bench.clone(), Duration::MAX, probe.alarm());
    assert_eq!((probe.live(), nanos(Duration::MAX)), (0, NEVER));
    armed.remove();
    drop(armed);
    assert_eq!(bench.absorb(Tag::Awake), 0);
}

#[test]
fn one_owner_at_a_time() {
    let bench = Bench::new();
    let owner = bench.core().own();
    assert!(owner.is_some() && bench.core().own().is_none());
    drop(owner);
    assert!(bench.core().own().is_some());
}

#[test]
fn many_threads() {
    let rounds: u64 = if cfg!(miri) { 30 } else { 20_000 };
    let (bench, probe) = (Bench::new(), Probe::default());
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..3_u64 {
            let (bench, probe, done) = (bench.clone(), &probe, &done);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..rounds {
                    let armed = bench.arm(round, probe);
                    match (round + seed) % 5 {
                        0 => armed.remove(),
                        1 => kept.push(armed),
                        2 => {
                            kept.push(armed);
                            thread::yield_now();
                        }
                        3 => drop(kept.pop()),
                        _ => drop(armed),
                    }
                    if round % 7 == 0 {
                        kept.iter().for_each(Armed::remove);
                        kept.clear();
                    }
                }
                done.fetch_add(1, SeqCst);
            });
        }
        let mut now = 0;
        while done.load(SeqCst) < 3 {
            bench.absorb(Tag::Nap);
            bench.fire(now);
            now += 1;
            thread::yield_now();
        }
    });
    bench.absorb(Tag::Awake);
    bench.fire(NEVER - 1);
    assert_eq!(probe.live(), 0);
    assert!(bench.core().own().unwrap().is_empty());
}
