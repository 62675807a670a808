//! The operations.

use crate::stage::{OURS, POOL, Stage, Wait, Waits, alarm, child_of};

pub struct Scene {
    pub name: &'static str,
    pub wait: Wait,
    pub prepare: fn(&mut Stage),
    pub operation: fn(&mut Stage),
}

pub static SCENES: [Scene; 29] = [
    Scene {
        name: "create: a root",
        wait: Wait::First,
        prepare: |_| (),
        operation: |stage| stage.other = Some(POOL.try_token().unwrap()),
    },
    Scene {
        name: "create: a child",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[1] = stage.child();
            stage.give([stage.below[1].clone()]);
        },
        operation: |stage| stage.below[0] = stage.child(),
    },
    Scene {
        name: "create: the last node",
        wait: Wait::First,
        prepare: |stage| {
            let left = POOL.capacity() - POOL.in_use() - 1;
            stage.ballast.iter_mut().take(left).for_each(|token| *token = Some(POOL.try_token().unwrap()));
        },
        operation: Stage::ask_for_last,
    },
    Scene {
        name: "create: below two parents",
        wait: Wait::First,
        prepare: |stage| stage.ballast[0] = Some(POOL.try_token().unwrap()),
        operation: |stage| {
            let parents = [stage.near().clone(), stage.ballast[0].clone().unwrap()];
            stage.below[0] = Some(POOL.try_any(parents).unwrap());
        },
    },
    Scene { name: "create: with a deadline", wait: Wait::First, prepare: |_| (), operation: Stage::timed },
    Scene { name: "create: a callback", wait: Wait::First, prepare: |_| (), operation: Stage::callback },
    Scene { name: "clone", wait: Wait::First, prepare: |_| (), operation: |stage| stage.below[0] = stage.near.clone() },
    Scene {
        name: "poll: the first waiter",
        wait: Wait::Later,
        prepare: |stage| stage.waits[0] = Some(Waits::on(stage.near())),
        operation: |stage| stage.waits[0].as_mut().unwrap().poll(0),
    },
    Scene {
        name: "poll: a further waiter",
        wait: Wait::First,
        prepare: |stage| stage.waits[0] = Some(Waits::on(stage.near())),
        operation: |stage| stage.waits[0].as_mut().unwrap().poll(0),
    },
    Scene {
        name: "poll: the first again",
        wait: Wait::Later,
        prepare: |stage| stage.waits[0] = Some(Waits::on(stage.near()).polled(0)),
        operation: |stage| stage.waits[0].as_mut().unwrap().poll(1),
    },
    Scene {
        name: "poll: a further one again",
        wait: Wait::First,
        prepare: |stage| stage.waits[0] = Some(Waits::on(stage.near()).polled(0)),
        operation: |stage| stage.waits[0].as_mut().unwrap().poll(1),
    },
    Scene {
        name: "drop: the first waiter",
        wait: Wait::Later,
        prepare: |stage| {
            stage.waits = [0, 1, 2].map(|waker| Some(Waits::on(stage.near()).polled(waker)));
            stage.back = Some(0);
        },
        operation: |stage| stage.waits[0] = None,
    },
    Scene {
        name: "drop: a further waiter",
        wait: Wait::First,
        prepare: |stage| {
            stage.waits = [0, 1, 2].map(|waker| Some(Waits::on(stage.near()).polled(waker)));
            stage.back = Some(1);
        },
        operation: |stage| stage.waits[1] = None,
    },
    Scene {
        name: "drop: a callback",
        wait: Wait::First,
        prepare: |stage| {
            stage.callback();
            stage.back = Some(1);
        },
        operation: |stage| {
            let registration = stage.callback.take().and_then(Result::ok).unwrap();
            stage.unregistered = Some(registration.unregister());
        },
    },
    Scene {
        name: "detach a callback",
        wait: Wait::First,
        prepare: |stage| {
            stage.callback();
            stage.detached = true;
        },
        operation: |stage| stage.callback.take().and_then(Result::ok).unwrap().detach(),
    },
    Scene {
        name: "drop: a child among others",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = stage.child();
            let younger = stage.child();
            stage.below[1] = stage.child();
            stage.below[2] = stage.child();
            stage.give([younger, stage.child()]);
            stage.below[3] = stage.child();
            stage.back = Some(1);
        },
        operation: |stage| stage.below[1] = None,
    },
    // A callback that is left to itself keeps the token in the middle.
    Scene {
        name: "drop: the last below a dropped one",
        wait: Wait::First,
        prepare: |stage| {
            let middle = stage.child().unwrap();
            middle.try_on_cancel_fn(|()| (), ()).unwrap().detach();
            stage.below[0] = child_of(&middle);
            stage.back = Some(3);
        },
        operation: |stage| stage.below[0] = None,
    },
    Scene {
        name: "drop: with a deadline",
        wait: Wait::First,
        prepare: |stage| {
            stage.timed();
            stage.back = Some(1);
        },
        operation: |stage| stage.timed = None,
    },
    Scene {
        name: "drop: below two parents",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = Some(POOL.try_any([stage.near(), &stage.child().unwrap()]).unwrap());
            stage.back = Some(3);
        },
        operation: |stage| stage.below[0] = None,
    },
    // The interrupt's handles may be the last.
    Scene {
        name: "drop: the whole tree",
        wait: Wait::Never,
        prepare: |stage| {
            let child = stage.child().unwrap();
            stage.below[0] = child_of(&child);
            stage.below[1] = stage.child();
        },
        operation: |stage| {
            stage.root = None;
            stage.near = None;
            stage.below = Default::default();
        },
    },
    Scene {
        name: "collapse: of the middle",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = stage.child();
            stage.below[1] = stage.child();
            let leaf = stage.below[1].as_ref().and_then(child_of);
            stage.give([leaf, stage.child()]);
            stage.below[2] = stage.child();
            stage.back = Some(1);
        },
        operation: |stage| stage.below[1] = None,
    },
    Scene {
        name: "collapse: above a waiter",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[1] = stage.child();
            stage.below[2] = stage.below[1].as_ref().and_then(child_of);
            stage.waits[0] = stage.below[2].as_ref().map(|token| Waits::on(token).polled(0));
            stage.waits[1] = stage.below[2].as_ref().map(|token| Waits::on(token).polled(1));
            stage.back = Some(1);
        },
        operation: |stage| stage.below[1] = None,
    },
    Scene {
        name: "collapse: by a drop below",
        wait: Wait::First,
        prepare: |stage| {
            let middle = stage.child().unwrap();
            stage.below[0] = child_of(&middle);
            stage.below[1] = child_of(&middle);
            stage.waits[0] = stage.below[1].as_ref().map(|token| Waits::on(token).polled(0));
            stage.back = Some(2);
        },
        operation: |stage| stage.below[0] = None,
    },
    // The interrupt holds what keeps the second in its place.
    Scene {
        name: "collapse: of two in a row",
        wait: Wait::First,
        prepare: |stage| {
            let first = stage.child().unwrap();
            stage.below[0] = child_of(&first);
            let second = child_of(&first).unwrap();
            stage.below[1] = child_of(&second);
            stage.give([child_of(&second)]);
            stage.back = Some(2);
        },
        operation: |stage| stage.below[0] = None,
    },
    // Of what has two parents only what is below it is left, and of its parents the one that is dropped.
    Scene {
        name: "collapse: above a link",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = stage.child();
            let both = POOL.try_any([stage.below[0].as_ref().unwrap(), &stage.child().unwrap()]).unwrap();
            stage.below[1] = child_of(&both);
            stage.back = Some(1);
        },
        operation: |stage| stage.below[0] = None,
    },
    Scene {
        name: "cancel: the whole tree",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = stage.child();
            stage.below[1] = stage.child();
            stage.below[2] = stage.below[1].as_ref().and_then(child_of);
            stage.waits[0] = Some(Waits::on(stage.near()).polled(0));
            stage.waits[1] = stage.below[2].as_ref().map(|token| Waits::on(token).polled(1));
            stage.waits[2] = stage.below[2].as_ref().map(|token| Waits::on(token).polled(2));
            stage.callback();
            stage.give([0, 1, 2].map(|index: usize| stage.below[index].clone()));
        },
        operation: |stage| stage.decided = stage.root.as_ref().map(|root| root.cancel_with(&OURS)),
    },
    Scene {
        name: "cancel: a part of the tree",
        wait: Wait::First,
        prepare: |stage| {
            stage.below[0] = stage.child();
            stage.below[1] = stage.child();
            stage.below[2] = stage.below[1].as_ref().and_then(child_of);
            stage.give([stage.below[2].clone()]);
        },
        operation: |stage| stage.part = Some(stage.near().cancel_with(&OURS)),
    },
    // The interrupt holds a child, and one with another below it: it may drop both.
    Scene {
        name: "cancel: above what is dropped",
        wait: Wait::Never,
        prepare: |stage| {
            stage.below[0] = stage.child();
            let middle = stage.child();
            stage.below[1] = middle.as_ref().and_then(child_of);
            stage.give([middle, stage.child()]);
            stage.below[2] = stage.child();
        },
        operation: |stage| stage.decided = stage.root.as_ref().map(|root| root.cancel_with(&OURS)),
    },
    Scene {
        name: "cancel: by an alarm",
        wait: Wait::First,
        prepare: |stage| {
            stage.timed();
            stage.alarm = alarm();
            stage.waits[0] = stage.timed.as_ref().map(|token| Waits::on(token).polled(0));
        },
        operation: |stage| stage.fired = stage.alarm.take().map(|alarm| alarm.fire()),
    },
];
