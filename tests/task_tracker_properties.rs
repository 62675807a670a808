//! Random sequences of what a tracker offers, on one thread, beside a closed flag, a number, and for each wait whether such a moment has
//! come; compared after every step:
//!
//! - what each call returns, and what the tracker says of itself;
//! - a wait is ready if, and only if, the tracker has been closed and empty since it was made;
//! - it is woken once for that, if it has been polled, and never otherwise;
//! - nothing is left when everything has been dropped.
//!
//! `CANCEL_TREE_TEST_SECONDS` makes it run for so long, `PROPTEST_CASES` for so many cases.
#![cfg(feature = "task")]

use cancel_tree::task::TaskTracker;
use cancel_tree::task::task_tracker::{TaskTrackerToken, TaskTrackerWaitFuture, TrackedFuture};
use proptest::collection::vec;
use proptest::prelude::*;
use std::future::Ready;
use support::explore::explore;
use support::nodes;
use support::trackers::CROWD;
use support::wakers::Counter;

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
    pub(crate) mod trackers;
    pub(crate) mod wakers;
}

/// The numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
enum Op {
    Token,
    CloneToken(usize),
    DropToken(usize),
    Track,
    DropTracked(usize),
    Close,
    Reopen,
    Wait,
    /// More waits than have room in the tracker, and each is polled.
    Crowd,
    Poll(usize),
    DropWait(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Token),
        1 => any::<usize>().prop_map(Op::CloneToken),
        3 => any::<usize>().prop_map(Op::DropToken),
        1 => Just(Op::Track),
        1 => any::<usize>().prop_map(Op::DropTracked),
        3 => Just(Op::Close),
        2 => Just(Op::Reopen),
        3 => Just(Op::Wait),
        1 => Just(Op::Crowd),
        3 => any::<usize>().prop_map(Op::Poll),
        1 => any::<usize>().prop_map(Op::DropWait),
    ]
}

struct Wait<'a> {
    future: TaskTrackerWaitFuture<'a>,
    counter: Counter,
    // The reference.
    over: bool,
    registered: bool,
    wakes: usize,
}

impl<'a> Wait<'a> {
    fn new(tracker: &'a TaskTracker, over: bool) -> Self {
        Self { future: tracker.wait(), counter: Counter::new(), over, registered: false, wakes: 0 }
    }
    fn poll(&mut self) {
        assert_eq!(self.counter.poll(&mut self.future).is_ready(), self.over);
        self.registered = !self.over;
    }
    fn step(&mut self, over: bool) {
        if over && !self.over {
            self.over = true;
            self.wakes += usize::from(self.registered);
        }
        assert_eq!(self.counter.wakes(), self.wakes);
    }
}

fn take<T>(from: &mut Vec<T>, which: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(which % from.len()))
}

fn run(ops: &[Op]) {
    let (before, tracker) = (nodes::live(), TaskTracker::new());
    let mut tokens: Vec<TaskTrackerToken> = Vec::new();
    let mut tracked: Vec<TrackedFuture<Ready<()>>> = Vec::new();
    let mut waits: Vec<Wait<'_>> = Vec::new();
    let mut closed = false;
    for &op in ops {
        match op {
            Op::Token => tokens.push(tracker.token()),
            Op::CloneToken(which) => {
                let clone = (!tokens.is_empty()).then(|| tokens[which % tokens.len()].clone());
                tokens.extend(clone);
            }
            Op::DropToken(which) => drop(take(&mut tokens, which)),
            Op::Track => tracked.push(tracker.track_future(std::future::ready(()))),
            Op::DropTracked(which) => drop(take(&mut tracked, which)),
            Op::Close => assert_eq!(tracker.close(), !std::mem::replace(&mut closed, true)),
            Op::Reopen => assert_eq!(tracker.reopen(), std::mem::replace(&mut closed, false)),
            Op::Wait => waits.push(Wait::new(&tracker, closed && tokens.is_empty() && tracked.is_empty())),
            Op::Crowd if waits.len() > 3 * CROWD => waits.clear(),
            Op::Crowd => {
                let over = closed && tokens.is_empty() && tracked.is_empty();
                waits.extend((0..CROWD).map(|_| Wait::new(&tracker, over)));
                waits.iter_mut().for_each(Wait::poll);
            }
            Op::Poll(which) => {
                let count = waits.len();
                if count != 0 {
                    waits[which % count].poll();
                }
            }
            Op::DropWait(which) => {
                if let Some(Wait { future, counter, .. }) = take(&mut waits, which) {
                    drop(future);
                    assert_eq!(counter.kept(), 0);
                }
            }
        }
        let len = tokens.len() + tracked.len();
        assert_eq!((tracker.len(), tracker.is_empty(), tracker.is_closed()), (len, len == 0, closed));
        waits.iter_mut().for_each(|wait| wait.step(closed && len == 0));
    }
    waits.iter_mut().for_each(Wait::poll);
    drop((tokens, tracked));
    drop(waits);
    drop(tracker);
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), before);
}

#[test]
fn a_tracker_does_what_the_reference_does() {
    explore(1500, vec(op(), 0..80), |ops| run(&ops));
}
