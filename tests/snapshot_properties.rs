//! Random sequences of operations, on one thread; after every step the living tree is compared to a plain reference:
//!
//! - nobody else is at work: so it is complete;
//! - a token that has a handle, and no cancelled ancestor, is in it, with its name, reason and deadline, and with the exact
//!   counts of its handles, waiters and callbacks;
//! - whether one without a handle is in it, is not said, but it is there for others: it is not cancelled, and a token with a
//!   handle is below it;
//! - a token stands below its nearest ancestor that is in it; and each before its children, the eldest of these first. (One that
//!   has replaced its parent is as old as that.)
//! - a look changes nothing: neither the number of nodes, nor what the next look sees.
//!
//! `CANCEL_TREE_TEST_SECONDS` makes each test run for so long, `PROPTEST_CASES` for so many cases.
#![cfg(feature = "std")]

use cancel_tree::snapshot::{Listing, TokenSnapshot};
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancelKind, CancellationToken, Registration, WaitForCancellationFutureOwned};
use proptest::collection::vec;
use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;
use support::explore::explore;
use support::nodes;

mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
}

/// The numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Op {
    Child(u8),
    /// A child, and the parent's handle goes.
    Replace(u8),
    Timed(u8, u8),
    Clone(u8),
    Drop(u8),
    Cancel(u8),
    Advance(u8),
    Wait(u8),
    Poll(u8),
    DropWait(u8),
    OnCancel(u8),
    Unregister(u8),
    Detach(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any::<u8>().prop_map(Op::Child),
        2 => any::<u8>().prop_map(Op::Replace),
        2 => any::<(u8, u8)>().prop_map(|(token, at)| Op::Timed(token, at)),
        1 => any::<u8>().prop_map(Op::Clone),
        6 => any::<u8>().prop_map(Op::Drop),
        1 => any::<u8>().prop_map(Op::Cancel),
        1 => any::<u8>().prop_map(|by| Op::Advance(by % 16)),
        3 => any::<u8>().prop_map(Op::Wait),
        3 => any::<u8>().prop_map(Op::Poll),
        2 => any::<u8>().prop_map(Op::DropWait),
        2 => any::<u8>().prop_map(Op::OnCancel),
        1 => any::<u8>().prop_map(Op::Unregister),
        1 => any::<u8>().prop_map(Op::Detach),
    ]
}

/// A token as the reference knows it. Its name is its number.
struct Known {
    /// The numbers of its ancestors and its own, from the root: that of a token made later is greater.
    path: Vec<usize>,
    handles: usize,
    waiters: usize,
    callbacks: usize,
    /// When it is cancelled by its own timer.
    at: Option<u64>,
    reason: Option<CancelKind>,
}

struct Wait {
    token: usize,
    future: WaitForCancellationFutureOwned,
    waits: bool,
}

struct World {
    known: Vec<Known>,
    /// Of each token, any number. The first is the root's, and stays.
    handles: Vec<(usize, CancellationToken)>,
    waits: Vec<Wait>,
    registrations: Vec<(usize, Registration)>,
    timer: ManualTimer,
    now: u64,
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new() -> Self {
        let root = Known { path: vec![0], handles: 1, waiters: 0, callbacks: 0, at: None, reason: None };
        Self {
            known: vec![root],
            handles: vec![(0, CancellationToken::named("0"))],
            waits: Vec::new(),
            registrations: Vec::new(),
            timer: ManualTimer::new(),
            now: 0,
        }
    }

    /// A child of the token with this handle; its handle is the last.
    fn child(&mut self, handle: usize, at: Option<u64>) {
        let (parent, token) = &self.handles[handle];
        let number = self.known.len();
        let naming = token.naming(number.to_string());
        let child = match at {
            Some(at) => naming.child_with_timer(&self.timer, s(at)),
            None => naming.child_token(),
        };
        let expired = at.is_some_and(|at| at <= self.now).then_some(CancelKind::DeadlineExceeded);
        let (path, reason) =
            ([&self.known[*parent].path[..], &[number]].concat(), self.known[*parent].reason.or(expired));
        self.known.push(Known { path, handles: 1, waiters: 0, callbacks: 0, at, reason });
        self.handles.push((number, child));
    }

    fn drop_handle(&mut self, handle: usize) {
        let (number, token) = self.handles.swap_remove(handle);
        self.known[number].handles -= 1;
        drop(token);
    }

    /// Everything below has a reason now, and nobody waits there any more.
    fn cancelled(&mut self, number: usize, why: CancelKind) {
        for known in self.known.iter_mut().filter(|known| known.reason.is_none() && known.path.contains(&number)) {
            (known.reason, known.waiters, known.callbacks) = (Some(why), 0, 0);
        }
        for wait in &mut self.waits {
            wait.waits &= self.known[wait.token].reason.is_none();
        }
    }

    /// A token without a handle that nobody is below is gone, and what it had with it.
    fn settle(&mut self) {
        for number in 0..self.known.len() {
            let needed = self.known.iter().any(|below| below.handles > 0 && below.path.contains(&number));
            if !needed {
                (self.known[number].callbacks, self.known[number].at) = (0, None);
            }
        }
    }

    fn run(&mut self, op: Op) {
        fn pick(choice: u8, length: usize) -> Option<usize> {
            usize::from(choice).checked_rem(length)
        }
        let handle = |choice| pick(choice, self.handles.len()).expect("there is the root's");
        match op {
            Op::Child(token) => self.child(handle(token), None),
            Op::Replace(token) => {
                let handle = handle(token);
                self.child(handle, None);
                if handle > 0 {
                    self.drop_handle(handle);
                }
            }
            Op::Timed(token, at) => self.child(handle(token), Some(u64::from(at))),
            Op::Clone(token) => {
                let (number, token) = self.handles[handle(token)].clone();
                self.known[number].handles += 1;
                self.handles.push((number, token));
            }
            Op::Drop(token) => {
                let handle = handle(token);
                if handle > 0 {
                    self.drop_handle(handle);
                }
            }
            Op::Cancel(token) => {
                // The root is cancelled in one of many only: else there is nothing to be seen.
                let handle = handle(token);
                if handle > 0 || token % 8 == 0 {
                    let (number, token) = &self.handles[handle];
                    token.cancel();
                    self.cancelled(*number, CancelKind::Cancelled);
                }
            }
            Op::Advance(by) => {
                self.now += u64::from(by);
                self.timer.advance(s(by.into()));
                let due = |known: &Known| known.at.is_some_and(|at| at <= self.now);
                let due: Vec<_> = (0..self.known.len()).filter(|&number| due(&self.known[number])).collect();
                for number in due {
                    self.cancelled(number, CancelKind::DeadlineExceeded);
                }
            }
            Op::Wait(token) => {
                let (number, token) = self.handles[handle(token)].clone();
                self.known[number].handles += 1;
                self.waits.push(Wait { token: number, future: token.cancelled_owned(), waits: false });
            }
            Op::Poll(wait) => {
                let Some(wait) = pick(wait, self.waits.len()) else { return };
                let wait = &mut self.waits[wait];
                let ready = Pin::new(&mut wait.future).poll(&mut Context::from_waker(Waker::noop())).is_ready();
                let known = &mut self.known[wait.token];
                assert_eq!(ready, known.reason.is_some());
                known.waiters += usize::from(!ready && !wait.waits);
                wait.waits = !ready;
            }
            Op::DropWait(wait) => {
                let Some(wait) = pick(wait, self.waits.len()) else { return };
                let Wait { token, future, waits } = self.waits.swap_remove(wait);
                drop(future);
                self.known[token].handles -= 1;
                self.known[token].waiters -= usize::from(waits);
            }
            Op::OnCancel(token) => {
                let (number, token) = &self.handles[handle(token)];
                let registration = token.try_on_cancel(|| ()).ok();
                assert_eq!(registration.is_none(), self.known[*number].reason.is_some());
                if let Some(registration) = registration {
                    self.known[*number].handles += 1;
                    self.known[*number].callbacks += 1;
                    self.registrations.push((*number, registration));
                }
            }
            Op::Unregister(registration) | Op::Detach(registration) => {
                let Some(place) = pick(registration, self.registrations.len()) else { return };
                let (number, registration) = self.registrations.swap_remove(place);
                let known = &mut self.known[number];
                known.handles -= 1;
                if matches!(op, Op::Detach(_)) {
                    registration.detach();
                } else {
                    drop(registration);
                    known.callbacks -= usize::from(known.reason.is_none());
                }
            }
        }
        self.settle();
    }

    /// Looks from this token.
    fn check(&self, top: usize, token: &CancellationToken) {
        let live = nodes::live();
        let tree = token.tree();
        assert_eq!(nodes::live(), live, "a look is no drop");
        assert!(tree.is_complete());
        let number = |seen: &TokenSnapshot| -> usize { seen.name().expect("a name").parse().expect("a number") };
        let numbers: Vec<_> = tree.tokens().iter().map(number).collect();
        assert_eq!(numbers[0], top);
        // The order: path by path.
        let paths: Vec<_> = numbers.iter().map(|&number| &self.known[number].path).collect();
        assert!(paths.is_sorted_by(|a, b| a < b), "{paths:?}");
        for (seen, &number) in tree.tokens().iter().zip(&numbers) {
            let known = &self.known[number];
            let counts = (seen.handles(), seen.waiters(), seen.callbacks(), seen.links());
            assert_eq!(counts, (known.handles, known.waiters, known.callbacks, 0), "of {number}");
            assert_eq!(seen.reason().map(|reason| reason.kind()), known.reason);
            let listing = if seen.is_cancelled() { Listing::Dissolved } else { Listing::Complete };
            assert_eq!(seen.listing(), listing);
            // Its parent is the nearest that is there.
            let above = known.path.iter().rev().skip(1).find(|above| numbers.contains(above));
            assert_eq!(seen.parent().map(|parent| numbers[parent]), above.copied().filter(|_| number != top));
            if seen.handles() == 0 {
                assert!(!seen.is_cancelled() && seen.children() > 0, "{number} is of no use");
            }
        }
        let is_there = |known: &&Known| {
            let below = known.path.iter().position(|&above| above == top).map(|at| &known.path[at..]);
            let cut =
                |above: &[usize]| above[..above.len() - 1].iter().any(|&above| self.known[above].reason.is_some());
            known.handles > 0 && below.is_some_and(|below| !cut(below))
        };
        for known in self.known.iter().filter(is_there) {
            let number = known.path.last().expect("its own");
            assert!(numbers.contains(number), "{number} is not seen");
        }
        assert_eq!(token.tree().to_string().lines().count(), numbers.len(), "what was seen is seen again");
    }

    fn check_all(&self) {
        for (top, token) in &self.handles {
            self.check(*top, token);
            let tree = token.tree();
            assert_eq!(tree.root().deadline(), token.deadline());
        }
    }
}

fn run(ops: &[Op]) {
    let before = nodes::live();
    let mut world = World::new();
    for &op in ops {
        world.run(op);
        let (top, root) = &world.handles[0];
        world.check(*top, root);
    }
    world.check_all();
    drop(world);
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), before);
}

#[test]
fn the_living_tree_is_that_of_the_reference() {
    explore(500, vec(op(), 0..100), |ops| run(&ops));
}

/// Trees alone, which are deeper.
#[test]
fn trees_that_are_made_and_dropped_are_seen_as_the_reference_says() {
    let op = prop_oneof![
        4 => any::<u8>().prop_map(Op::Child),
        2 => any::<u8>().prop_map(Op::Replace),
        4 => any::<u8>().prop_map(Op::Drop),
    ];
    explore(300, vec(op, 0..150), |ops| run(&ops));
}
