//! Random sequences of what a pool offers, on one thread, against the reference in `support/reference.rs`, compared after
//! every step. Pools of one node and of a few, so that they are full most of the time; with a timer that is smaller still.
//!
//! - a call that takes nodes succeeds if, and only if, there are so many that nobody needs, and then takes just those;
//! - nodes that nobody needs are back at once; those that end inside of a cancel with something of somebody else's in
//!   them, when the next handle is dropped, or they are needed;
//! - the same for the places of the timer, whose poll says which deadline comes next;
//! - the flag and the reason of every token; which callbacks have run;
//! - each waiter is woken once by a cancel, or by its own poll if there was no room for it (C12, C13);
//! - no call enters the allocator;
//! - nothing is in use when everything has been dropped.
//!
//! `CANCEL_TREE_TEST_SECONDS` makes each test run for so long, `PROPTEST_CASES` for so many cases.

use cancel_tree::time::{Clock, StaticTimer};
use cancel_tree::{CancelKind, CancellationToken, NotRegistered, PoolFull, Registration, TokenPool, Unregister};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::explore::explore;
use support::nodes;
use support::reference::{Fate, Id, Tree, WAKERS, Why};

mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
    pub(crate) mod reference;
}

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    /// How often each callback has run.
    static RUNS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

struct ByHand;
impl Clock for ByHand {
    fn now() -> Duration {
        Duration::from_nanos(NOW.get())
    }
}

/// How many deadlines there is room for.
const ROOM: usize = 3;
type Timer = &'static StaticTimer<ByHand, ROOM>;

#[derive(Default)]
struct CountingWaker(AtomicUsize);
impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Does something to the crate, which may not call the allocator.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    let calls = nodes::calls();
    let result = f();
    assert_eq!(nodes::calls(), calls, "the allocator was called");
    result
}

type Wait = Pin<Box<dyn Future<Output = ()>>>;

struct World<const N: usize> {
    pool: &'static TokenPool<N>,
    timer: Timer,
    tree: Tree,
    tokens: Vec<(CancellationToken, Id)>,
    /// With their numbers in the reference.
    waits: Vec<(Wait, usize)>,
    /// With the numbers of their callbacks.
    registrations: Vec<(Registration, usize)>,
    wakers: [(Arc<CountingWaker>, Waker); WAKERS],
    /// How often each was woken because there was no room.
    woken_for_room: [usize; WAKERS],
    /// The tokens that have been armed, with their deadlines.
    armed: Vec<(u64, Id)>,
}

/// A kind of step, and two numbers that choose among what is there.
type Step = [u8; 3];
const KINDS: u8 = 24;

impl<const N: usize> World<N> {
    fn new() -> Self {
        NOW.set(0);
        RUNS.take();
        let wakers = std::array::from_fn(|_| {
            let waker = Arc::new(CountingWaker::default());
            (waker.clone(), waker.into())
        });
        let (tokens, waits, registrations, armed) = Default::default();
        let tree = Tree::in_a_pool();
        // Left behind with each world: they are for ever.
        let (pool, timer) = (Box::leak(Box::default()), Box::leak(Box::default()));
        Self { pool, timer, tree, tokens, waits, registrations, wakers, woken_for_room: [0; WAKERS], armed }
    }

    fn has_room_for(&self, nodes: usize) -> bool {
        self.tree.needed() + nodes <= N
    }

    fn places(&self) -> impl Iterator<Item = u64> {
        self.armed.iter().filter(|(_, id)| self.tree.lives(*id)).map(|(at, _)| *at)
    }

    /// What a call has given that takes one node. True if it was to succeed.
    fn took(&mut self, made: Result<CancellationToken, PoolFull>, expected: Option<Id>) {
        assert_eq!(made.is_ok(), expected.is_some(), "whether there was room");
        self.tokens.extend(made.ok().zip(expected));
    }

    fn step(&mut self, [kind, a, b]: Step) {
        match kind % KINDS {
            0 | 1 => {
                let id = self.has_room_for(1).then(|| self.tree.root());
                let made = quietly(|| self.pool.try_token());
                self.took(made, id);
            }
            2..=6 => {
                let Some(at) = choose(&self.tokens, a) else { return };
                let id = self.has_room_for(1).then(|| self.tree.child(self.tokens[at].1));
                let made = quietly(|| self.tokens[at].0.try_child_token());
                self.took(made, id);
            }
            7 => {
                let Some(at) = choose(&self.tokens, a) else { return };
                let clone = (self.tokens[at].0.clone(), self.tokens[at].1);
                self.tree.retain(clone.1);
                self.tokens.push(clone);
            }
            8..=10 => {
                let Some(at) = choose(&self.tokens, a) else { return };
                let (token, id) = self.tokens.swap_remove(at);
                quietly(|| drop(token));
                self.tree.release(id);
            }
            11 => {
                let Some(at) = choose(&self.tokens, a) else { return };
                self.tree.cancel(self.tokens[at].1, Why::Plain);
                quietly(|| self.tokens[at].0.cancel());
            }
            12 | 13 => {
                let Some(at) = choose(&self.tokens, a) else { return };
                let (token, id) = self.tokens[at].clone();
                self.tree.retain(id);
                self.waits.push((Box::pin(token.cancelled_owned()), self.tree.wait(id, true, None)));
                self.poll(self.waits.len() - 1, b);
            }
            14 => {
                if let Some(at) = choose(&self.waits, a) {
                    self.poll(at, b);
                }
            }
            15 => {
                let Some(at) = choose(&self.waits, a) else { return };
                let (wait, model) = self.waits.swap_remove(at);
                drop(wait);
                self.tree.drop_wait(model);
            }
            16 | 17 => self.on_cancel(a),
            18 => self.end_registration(a, b),
            19 => self.finished(a),
            20 => self.any(a, b),
            21 | 22 => self.timed(a, b),
            _ => self.advance(a),
        }
    }

    fn poll(&mut self, at: usize, waker: u8) {
        let waker = usize::from(waker) % WAKERS;
        let (wait, model) = &mut self.waits[at];
        let takes = usize::from(self.tree.poll_takes_a_node(*model));
        let expected = if self.tree.needed() + takes <= N {
            self.tree.poll(*model, waker).map(|_| ())
        } else {
            self.woken_for_room[waker] += 1;
            Poll::Pending
        };
        let answer = quietly(|| wait.as_mut().poll(&mut Context::from_waker(&self.wakers[waker].1)));
        assert_eq!(answer, expected, "the answer of a poll");
    }

    fn on_cancel(&mut self, token: u8) {
        let Some(at) = choose(&self.tokens, token) else { return };
        let ((token, id), number) = (&self.tokens[at], self.tree.callbacks.len());
        let run = |number| RUNS.with_borrow_mut(|runs| runs[number] += 1);
        let made = quietly(|| token.try_on_cancel_fn(run, number));
        if self.tree.is_cancelled(*id) {
            assert_eq!(made.err(), Some(NotRegistered::Cancelled));
        } else if !self.has_room_for(1) {
            assert_eq!(made.err(), Some(NotRegistered::PoolFull));
        } else {
            assert!(self.tree.on_cancel(*id, true));
            RUNS.with_borrow_mut(|runs| runs.push(0));
            self.registrations.push((made.expect("there was room"), number));
        }
    }

    fn end_registration(&mut self, registration: u8, how: u8) {
        let Some(at) = choose(&self.registrations, registration) else { return };
        let (registration, callback) = self.registrations.swap_remove(at);
        if how % 3 == 0 {
            self.tree.detach(callback);
            return quietly(|| registration.detach());
        }
        let expected = match self.tree.unregister(callback) {
            Fate::Waits => Unregister::Prevented,
            Fate::Ran(_) | Fate::Dropped => Unregister::Done,
        };
        assert_eq!(quietly(|| registration.unregister()), expected);
    }

    fn finished(&mut self, registration: u8) {
        let Some(at) = choose(&self.registrations, registration) else { return };
        let (registration, callback) = &self.registrations[at];
        let takes = usize::from(self.tree.finished_takes_a_node(*callback));
        let made = quietly(|| registration.try_finished());
        assert_eq!(made.is_ok(), self.has_room_for(takes), "whether there was room");
        let Ok(mut finished) = made else { return };
        match self.tree.finished(*callback) {
            Some(id) => self.waits.push((Box::pin(finished), self.tree.wait(id, true, None))),
            None => assert!(Pin::new(&mut finished).poll(&mut Context::from_waker(Waker::noop())).is_ready()),
        }
    }

    /// Of up to four, one of which may stand there twice.
    fn any(&mut self, first: u8, how: u8) {
        let place = |n: u8| usize::from(first) + usize::from(n) * usize::from(how / 5);
        let sources = (0..how % 5).filter_map(|n| self.tokens.get(place(n) % self.tokens.len().max(1)));
        let (sources, ids): (Vec<_>, Vec<_>) = sources.map(|(token, id)| (token, *id)).unzip();
        let id = self.has_room_for(self.tree.any_takes(&ids)).then(|| self.tree.any(&ids));
        let made = quietly(|| self.pool.try_any(sources.iter().copied()));
        self.took(made, id);
    }

    fn timed(&mut self, of: u8, after: u8) {
        let Some(at) = choose(&self.tokens, of) else { return };
        let ((parent, id), deadline) = (&self.tokens[at], NOW.get() + u64::from(after % 16));
        let arms = deadline > NOW.get() && !self.tree.is_cancelled(*id);
        let has_room = self.has_room_for(1) && (!arms || self.places().count() < ROOM);
        let made = quietly(|| parent.try_child_with_timer(&self.timer, Duration::from_nanos(deadline)));
        let id = has_room.then(|| self.tree.timed(*id, deadline));
        if let (Some(id), true) = (id, arms) {
            self.armed.push((deadline, id));
        }
        self.took(made, id);
    }

    fn advance(&mut self, by: u8) {
        self.empty_graveyard();
        let by = u64::from(by % 8);
        NOW.set(NOW.get() + by);
        let next = quietly(|| self.timer.poll());
        self.tree.advance(by);
        let expected = self.places().filter(|at| *at > NOW.get()).min();
        assert_eq!(next, expected.map(Duration::from_nanos), "what comes next");
    }

    /// The drop of a token of the pool does that, and so does a call that would find it full.
    fn empty_graveyard(&mut self) {
        quietly(|| drop(self.pool.try_token()));
        self.tree.settle();
    }

    fn check(&self) {
        let needed = self.tree.needed();
        let in_use = self.pool.in_use();
        assert!(needed <= in_use && in_use <= needed + self.tree.may_be_left(), "{in_use} in use, {needed} needed");
        for (token, id) in &self.tokens {
            let why = token.reason().map(|reason| match reason.kind() {
                CancelKind::DeadlineExceeded => Why::Deadline,
                _ => Why::Plain,
            });
            assert_eq!((why, token.is_cancelled()), (self.tree.why(*id), why.is_some()), "token {id}");
        }
        for (k, (count, _)) in self.wakers.iter().enumerate() {
            let expected = self.tree.woken[k] + self.woken_for_room[k];
            assert_eq!(count.0.load(Relaxed), expected, "how often waker {k} was woken (C12)");
            assert_eq!(Arc::strong_count(count) - 2, self.tree.held(k), "how many waiters keep waker {k} (C12)");
        }
        let ran = |callback: &support::reference::Callback| u32::from(matches!(callback.fate, Fate::Ran(_)));
        assert!(
            self.tree.callbacks.iter().map(ran).eq(RUNS.with_borrow(Clone::clone)),
            "which callbacks have run (C17)"
        );
    }

    /// To be compared with nothing left over.
    fn check_settled(&mut self) {
        self.empty_graveyard();
        self.check();
        assert_eq!(self.pool.in_use(), self.tree.needed(), "nodes in use");
        assert_eq!(self.timer.in_use(), self.places().count(), "places of the timer");
    }

    fn run(steps: &[Step]) {
        let mut world = Self::new();
        for &step in steps {
            world.step(step);
            world.check();
            // Not always: what is left must not be in the way.
            if step[1] % 4 == 0 {
                world.check_settled();
            }
        }
        for kind in [8, 15, 18].into_iter().cycle() {
            world.step([kind, steps.len() as u8, 1]);
            world.check_settled();
            if world.tokens.is_empty() && world.waits.is_empty() && world.registrations.is_empty() {
                break;
            }
        }
        assert_eq!((world.pool.in_use(), world.timer.in_use()), (0, 0), "left");
    }
}

fn choose<T>(all: &[T], choice: u8) -> Option<usize> {
    usize::from(choice).checked_rem(all.len())
}

fn run(nodes: u8, steps: &[Step]) {
    match nodes % 7 {
        0 => World::<1>::run(steps),
        1 => World::<2>::run(steps),
        2 => World::<3>::run(steps),
        3 => World::<4>::run(steps),
        4 => World::<6>::run(steps),
        5 => World::<9>::run(steps),
        _ => World::<20>::run(steps),
    }
}

/// Any number of steps up to `most`, of these kinds.
fn steps(most: usize, kinds: &'static [u8]) -> impl Strategy<Value = (u8, Vec<Step>)> {
    let step = (prop::sample::select(kinds), any::<[u8; 2]>()).prop_map(|(kind, [a, b])| [kind, a, b]);
    (any::<u8>(), vec(step, 0..most))
}

#[test]
fn any_sequence_of_operations_agrees_with_the_reference() {
    const ALL: [u8; KINDS as usize] = {
        let mut all = [0; KINDS as usize];
        let mut kind = 0;
        while kind < KINDS {
            all[kind as usize] = kind;
            kind += 1;
        }
        all
    };
    explore(3000, steps(120, &ALL), |(nodes, steps)| run(nodes, &steps));
}

/// Where nothing may be left over by a cancel.
#[test]
fn tokens_and_waiters_are_back_at_once() {
    explore(2000, steps(150, &[0, 2, 2, 2, 7, 8, 8, 8, 11, 12, 12, 14, 15]), |(nodes, steps)| run(nodes, &steps));
}

#[test]
fn deadlines_take_places_and_give_them_back() {
    explore(2000, steps(150, &[0, 2, 2, 8, 8, 8, 11, 18, 20, 16, 21, 21, 21, 23]), |(nodes, steps)| run(nodes, &steps));
}

#[test]
fn callbacks_and_links_take_nodes_and_give_them_back() {
    explore(2000, steps(150, &[0, 2, 2, 8, 8, 8, 11, 15, 16, 16, 18, 18, 19, 20, 20]), |(nodes, steps)| {
        run(nodes, &steps)
    });
}
