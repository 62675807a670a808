//! Models of the timer, run by `cargo test --manifest-path loom-tests/Cargo.toml --lib`.

#[path = "../../../loom-tests/tests/support/mod.rs"]
#[macro_use]
mod support;

use super::{Clock, StaticArmed, StaticTimer};
use crate::CancellationToken;
use crate::time::Timer;
use crate::time::probe::Probe;
use alloc::sync::Arc;
use core::time::Duration;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::boxed::Box;
use std::sync::Mutex;
use support::{explore, in_every_order, together};

loom::lazy_static! {
    /// As weak as a clock may be: what it has told one thread, another need not find exceeded before it has heard from the first.
    static ref NOW: AtomicUsize = AtomicUsize::new(0);
}

struct Halves;

impl Clock for Halves {
    fn now() -> Duration {
        halves(NOW.load(Relaxed))
    }
}

/// Half seconds: so the parts of two deadlines can be mixed to a third.
fn halves(halves: usize) -> Duration {
    Duration::from_millis(500) * halves as u32
}

fn it_is(now: usize) {
    NOW.fetch_max(now, Relaxed);
}

type Bench<const N: usize> = &'static StaticTimer<Halves, N>;

fn arm<const N: usize>(timer: Bench<N>, at: usize, probe: &Probe) -> StaticArmed {
    timer.try_arm(halves(at), probe.alarm()).expect("refused")
}

/// What an actor leaves for the end of the scene.
type Left<T> = Arc<Mutex<Option<T>>>;

fn leave<T>(left: &Left<T>, what: T) {
    *left.lock().unwrap() = Some(what);
}

fn left<T>(left: &Left<T>) -> T {
    left.lock().unwrap().take().expect("left")
}

/// In every interleaving: a new timer, which has to be empty again when the scene is over.
fn bench<const N: usize>(name: &str, bound: usize, floor: usize, scene: fn(Bench<N>)) {
    explore(name, bound, floor, move || {
        let timer = Box::into_raw(Box::new(StaticTimer::new()));
        // SAFETY: it lives until the scene is over.
        let place = unsafe { &*timer };
        scene(place);
        assert_eq!((place.in_use(), place.poll()), (0, None), "left");
        // SAFETY: from above; nothing is armed any more, and the actors have ended.
        drop(unsafe { Box::from_raw(timer) });
    });
}

#[test]
fn what_is_armed_and_due_is_fired_by_the_poll_that_follows_or_by_one_beside_it() {
    bench::<1>("arm and poll, poll", 6, 30, |timer| {
        let (probe, armed) = (Probe::default(), Left::default());
        let (seen, kept) = (probe.clone(), armed.clone());
        it_is(1);
        together([
            actor!({
                leave(&kept, arm(timer, 1, &seen));
                assert_eq!(timer.poll(), None);
            }),
            actor!(assert_eq!(timer.poll(), None)),
        ]);
        assert_eq!((probe.fired(), probe.live()), (1, 0));
        drop(left(&armed));
    });
}

#[test]
fn of_two_polls_one_fires_and_both_know_what_is_still_to_come() {
    bench::<2>("poll, poll", 6, 30, |timer| {
        let (due, late) = (Probe::default(), Probe::default());
        let armed = [arm(timer, 1, &due), arm(timer, 9, &late)];
        it_is(1);
        together([0, 1].map(|_| actor!(assert_eq!(timer.poll(), Some(halves(9))))));
        assert_eq!((due.fired(), due.live(), late.fired()), (1, 0, 0));
        drop(armed);
    });
}

#[test]
fn two_polls_fire_two() {
    bench::<2>("poll, poll, of two", 3, 30, |timer| {
        let probe = Probe::default();
        let armed = [arm(timer, 2, &probe), arm(timer, 1, &probe)];
        it_is(2);
        together([0, 1].map(|_| actor!(timer.poll())));
        assert_eq!((probe.fired(), probe.live()), (2, 0));
        drop(armed);
    });
}

#[test]
fn an_alarm_dropped_during_a_poll_is_given_back() {
    bench::<1>("drop, poll", 6, 30, |timer| {
        let probe = Probe::default();
        let armed = arm(timer, 1, &probe);
        it_is(1);
        together([actor!(drop(armed)), actor!(timer.poll())]);
        assert!(probe.live() == 0 && probe.fired() <= 1);
    });
}

#[test]
fn an_alarm_dropped_during_two_polls_is_given_back() {
    in_every_order(3, || {
        bench::<1>("drop, poll, poll", 2, 100, |timer| {
            let probe = Probe::default();
            let armed = arm(timer, 1, &probe);
            it_is(1);
            together([actor!(drop(armed)), actor!(timer.poll()), actor!(timer.poll())]);
            assert!(probe.live() == 0 && probe.fired() <= 1);
        });
    });
}

#[test]
fn a_token_cancelled_during_a_poll_gives_its_place_back_when_it_is_dropped() {
    bench::<1>("cancel and drop, poll", 3, 30, |timer| {
        let token = CancellationToken::new().child_with_timer(&timer, halves(1));
        it_is(1);
        together([
            actor!({
                token.cancel();
                assert!(token.is_cancelled());
                drop(token);
            }),
            actor!(timer.poll()),
        ]);
    });
}

#[test]
fn a_token_dropped_during_a_poll_gives_its_place_back() {
    bench::<1>("drop of the token, poll", 4, 30, |timer| {
        let token = CancellationToken::new().child_with_timer(&timer, halves(1));
        it_is(1);
        together([actor!(drop(token)), actor!(timer.poll())]);
    });
}

#[test]
fn a_place_that_is_armed_again_during_a_poll_has_one_alarm() {
    bench::<2>("drop and arm and poll, poll", 3, 30, |timer| {
        let (first, second, again) = (Probe::default(), Probe::default(), Left::default());
        let armed = arm(timer, 1, &first);
        it_is(1);
        let (seen, kept) = (second.clone(), again.clone());
        together([
            actor!({
                drop(armed);
                // Perhaps beside the place that the poll is about to give back.
                leave(&kept, arm(timer, 1, &seen));
                timer.poll();
            }),
            actor!(timer.poll()),
        ]);
        assert!(first.live() == 0 && first.fired() <= 1);
        assert_eq!((second.fired(), second.live()), (1, 0));
        drop(left(&again));
    });
}

#[test]
fn a_place_goes_from_a_poll_through_a_drop_to_another_alarm() {
    in_every_order(3, || {
        bench::<1>("poll, drop, arm", 2, 100, |timer| {
            let (first, second) = (Probe::default(), Probe::default());
            let armed = arm(timer, 1, &first);
            it_is(1);
            let seen = second.clone();
            together([actor!(timer.poll()), actor!(drop(armed)), actor!(drop(timer.try_arm(halves(2), seen.alarm())))]);
            assert_eq!((first.live(), second.live()), (0, 0));
        });
    });
}

#[test]
fn a_poll_beside_an_arming_does_not_speak_of_what_was_there_before() {
    bench::<1>("arm where another was, poll", 6, 30, |timer| {
        let (probe, armed) = (Probe::default(), Left::default());
        drop(arm(timer, 5, &probe));
        it_is(1);
        let kept = armed.clone();
        together([
            actor!(leave(&kept, arm(timer, 9, &probe))),
            actor!({
                let next = timer.poll();
                assert!(next.is_none_or(|next| next == halves(9)), "{next:?}");
            }),
        ]);
        drop(left(&armed));
    });
}

/// Of half past five and six, a poll may read five.
#[test]
fn nothing_is_fired_before_its_time() {
    bench::<1>("drop and arm and poll, poll, too early", 4, 30, |timer| {
        let (first, second, again) = (Probe::default(), Probe::default(), Left::default());
        let armed = arm(timer, 11, &first);
        it_is(10);
        let (seen, kept) = (second.clone(), again.clone());
        together([
            actor!({
                drop(armed);
                leave(&kept, arm(timer, 12, &seen));
                assert_eq!(timer.poll(), Some(halves(12)));
            }),
            actor!(timer.poll()),
        ]);
        assert_eq!((first.fired(), first.live(), second.fired(), second.live()), (0, 0, 0, 1));
        drop(left(&again));
    });
}

#[test]
fn who_is_left_an_alarm_by_another_poll_has_that_ones_time() {
    bench::<1>("drop and arm and poll later, poll", 3, 30, |timer| {
        let (first, second, again) = (Probe::default(), Probe::default(), Left::default());
        let armed = arm(timer, 1, &first);
        it_is(1);
        let (seen, kept) = (second.clone(), again.clone());
        together([
            actor!({
                drop(armed);
                leave(&kept, timer.try_arm(halves(2), seen.alarm()).ok());
                it_is(2);
                timer.poll();
            }),
            actor!(timer.poll()),
        ]);
        assert_eq!((first.live(), second.live()), (0, 0));
        let armed = left(&again);
        assert_eq!(second.fired(), usize::from(armed.is_some()));
        drop(armed);
    });
}

#[test]
fn of_three_polls_of_a_place_that_is_armed_again_one_fires() {
    in_every_order(3, || {
        bench::<1>("drop and arm and poll later, poll, poll", 1, 100, |timer| {
            let (first, second, again) = (Probe::default(), Probe::default(), Left::default());
            let armed = arm(timer, 1, &first);
            it_is(1);
            let (seen, kept) = (second.clone(), again.clone());
            together([
                actor!({
                    drop(armed);
                    leave(&kept, timer.try_arm(halves(2), seen.alarm()).ok());
                    it_is(2);
                    timer.poll();
                }),
                actor!(timer.poll()),
                actor!(timer.poll()),
            ]);
            assert_eq!((first.live(), second.live()), (0, 0));
            let armed = left(&again);
            assert_eq!(second.fired(), usize::from(armed.is_some()));
            drop(armed);
        });
    });
}

#[test]
fn an_alarm_dropped_while_it_is_given_back_is_not_lost() {
    bench::<1>("drop and arm and drop, poll", 3, 30, |timer| {
        let (first, second) = (Probe::default(), Probe::default());
        let armed = arm(timer, 1, &first);
        it_is(1);
        let seen = second.clone();
        together([
            actor!({
                drop(armed);
                drop(timer.try_arm(halves(2), seen.alarm()));
                // Perhaps where that was.
                drop(timer.try_arm(halves(2), seen.alarm()));
            }),
            actor!(timer.poll()),
        ]);
        assert_eq!((first.live(), second.live(), second.fired()), (0, 0, 0));
    });
}

#[test]
fn with_room_for_all_nobody_is_refused() {
    bench::<2>("drop and arm, arm", 6, 30, |timer| {
        let (probe, armed) = (Probe::default(), [Left::default(), Left::default()]);
        let first = arm(timer, 1, &probe);
        let ([one, other], seen) = (armed.clone(), probe.clone());
        together([
            actor!({
                drop(first);
                leave(&one, arm(timer, 2, &seen));
            }),
            actor!(leave(&other, arm(timer, 3, &probe))),
        ]);
        assert_eq!(timer.in_use(), 2);
        drop(armed.each_ref().map(left));
    });
}

#[test]
fn who_goes_from_one_place_to_another_is_not_met_in_both() {
    bench::<2>("drop behind and arm, arm", 6, 30, |timer| {
        let (probe, armed) = (Probe::default(), [Left::default(), Left::default()]);
        let first = arm(timer, 1, &probe);
        let behind = arm(timer, 1, &probe);
        drop(first);
        let ([one, other], seen) = (armed.clone(), probe.clone());
        together([
            actor!({
                drop(behind);
                leave(&one, arm(timer, 2, &seen));
            }),
            actor!(leave(&other, arm(timer, 3, &probe))),
        ]);
        assert_eq!(timer.in_use(), 2);
        drop(armed.each_ref().map(left));
    });
}

#[test]
fn of_two_who_want_the_last_place_one_gets_it() {
    bench::<1>("arm, arm", 6, 30, |timer| {
        let (probe, armed) = (Probe::default(), [Left::default(), Left::default()]);
        let (kept, seen) = (armed.clone(), probe.clone());
        together(kept.map(|kept| {
            let seen = seen.clone();
            actor!(leave(&kept, timer.try_arm(halves(1), seen.alarm())))
        }));
        let armed = armed.each_ref().map(left);
        assert_eq!((armed.iter().filter(|armed| armed.is_ok()).count(), timer.in_use()), (1, 1));
        drop(armed);
        drop(arm(timer, 1, &probe));
        assert_eq!(probe.live(), 0);
    });
}
