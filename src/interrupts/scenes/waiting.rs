//! Waits that are polled and dropped.

use super::{Scene, scene};

pub(in super::super) const WAIT: &[Scene] = &[
    scene("poll: the first waiter", "r(a)", "ra", |w| w.poll(0)).given(|w| w.wait('a')),
    scene("poll: a second waiter", "r(a)", "ra", |w| w.poll(1)).given(|w| {
        w.wait('a');
        w.poll(0);
        w.wait('a');
    }),
    scene("poll again", "r(a)", "ra", |w| w.poll(0)).given(|w| {
        w.wait('a');
        w.poll(0);
    }),
    scene("poll again with another waker", "r(a)", "ra", |w| w.poll_anew(0)).given(|w| {
        w.wait('a');
        w.poll(0);
    }),
    scene("poll a second waiter again with another waker", "r(a)", "ra", |w| w.poll_anew(1)).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
    }),
    scene("poll after another first waiter", "r(a)", "ra", |w| w.poll(1)).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.forget(0);
    }),
    scene("poll when cancelled", "r(a)", "ra", |w| w.poll(0)).given(|w| {
        w.wait('a');
        w.cancel('r');
    }),
    scene("poll when woken", "r(a)", "ra", |w| w.poll(0)).given(|w| {
        w.wait('a');
        w.poll(0);
        w.cancel('r');
    }),
    scene("drop a waiter", "r(a)", "ra", |w| w.forget(0)).given(|w| {
        w.wait('a');
        w.poll(0);
    }),
    scene("drop a second waiter", "r(a)", "r", |w| w.forget(1)).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
    }),
    scene("drop the first of two waiters", "r(a)", "ra", |w| w.forget(0)).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
    }),
    scene("drop a waiter that was woken", "r(a)", "ra", |w| w.forget(0)).given(|w| {
        w.wait('a');
        w.poll(0);
        w.cancel('a');
    }),
    scene("cancelled(): poll and drop", "r(a)", "ra", |w| w.poll_and_drop('a')),
    scene("run_until_cancelled: poll", "r(a)", "ra", |w| w.poll(0)).given(|w| w.race('a')),
    scene("run_until_cancelled: drop", "r(a)", "ra", |w| w.forget(0)).given(|w| {
        w.race('a');
        w.poll(0);
    }),
    scene("drop the last handle, of a waiter", "r(a)", "r", |w| w.forget(0)).given(|w| {
        w.wait('a');
        w.poll(0);
        w.drop("a");
    }),
    scene("drop the last handle, of a waiter in a block", "r(a)", "r", |w| w.forget(1)).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
        w.forget(0);
        w.drop("a");
    }),
];

/// More than a pool has room for.
#[cfg(feature = "alloc")]
pub(in super::super) const MANY_WAIT: &[Scene] = &[
    scene("poll: a twelfth waiter", "r(a)", "ra", |w| w.poll(11)).given(|w| {
        (0..11).for_each(|number| {
            w.wait('a');
            w.poll(number);
        });
        w.wait('a');
    }),
    scene("cancel, with twelve waiters", "r(a)", "ra", |w| w.cancel('r')).given(|w| {
        (0..12).for_each(|number| {
            w.wait('a');
            w.poll(number);
        });
    }),
];
