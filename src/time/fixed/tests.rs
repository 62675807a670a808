use super::place::{Claim, Look, Place};
use crate::time::probe::Probe;
use core::time::Duration;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_place_is_taken_fired_and_given_back() {
    static PLACE: Place = Place::new();
    let place = &PLACE;
    let probe = Probe::default();
    assert!(place.is_free() && matches!(place.look(Duration::MAX), Look::Nothing));
    assert!(matches!(place.claim(Duration::MAX), Claim::Lost));

    let reserved = place.reserve().expect("free");
    assert!(!place.is_free() && place.reserve().is_none());
    assert!(matches!(place.look(Duration::MAX), Look::Nothing), "not before it is filled");
    let armed = reserved.fill(s(5), probe.alarm());
    assert!(matches!(place.look(s(4)), Look::Later(at) if at == s(5)));
    assert!(matches!(place.look(s(5)), Look::Due(at) if at == s(5)));

    let Claim::Due(alarm) = place.claim(s(5)) else { panic!("due") };
    assert!(place.reserve().is_none() && matches!(place.look(s(5)), Look::Nothing));
    assert!(matches!(place.claim(s(5)), Claim::Lost));
    assert_eq!(probe.live(), 1);
    alarm.fire();
    drop(armed);
    assert!(place.is_free() && place.reserve().is_some());
}

#[test]
fn a_claim_that_comes_too_early_is_given_back() {
    static PLACE: Place = Place::new();
    let place = &PLACE;
    let probe = Probe::default();
    let armed = place.reserve().expect("free").fill(s(5), probe.alarm());
    assert!(matches!(place.claim(s(4)), Claim::Lost));
    assert!(matches!(place.look(s(4)), Look::Later(_)) && matches!(place.look(s(5)), Look::Due(_)));
    drop(armed);
    assert!(place.is_free() && probe.live() == 0 && probe.fired() == 0);
}
