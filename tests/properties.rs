//! Random sequences of every public operation.
//!
//! One thread, against the reference in `support/reference.rs`, compared after every step (`support/ops.rs`):
//! - every answer of a poll, and of Eq, Hash and Debug; the flag of every live token (C1, C2, C7);
//! - every token flagged before the first waker runs (C5); `cancel()` does not call the allocator (C10);
//! - every waker's number of wakes and of clones: each waiter that is pending is woken exactly once, by the waker of its
//!   latest poll, and keeps that one only; none is woken or kept after it was dropped (C12, C13);
//! - the polls and drops of a future in a race;
//! - the exact number of live nodes: who has a handle, where branches meet, and nothing else (C8);
//! - no node and no byte is left when everything has been dropped.
//!
//! Several threads, checked without regard to order:
//! - when a cancel returns, what its thread knows to be below is cancelled (C3); seen once, for ever (C2);
//! - a child of a token that was seen cancelled is born cancelled (C4);
//! - after all, a token is cancelled if and only if it or an ancestor was (C1, C4, C7);
//! - a waiter whose last poll was pending has been woken once by the waker of that poll if its token is cancelled, and
//!   not at all if not; no other waker of it has; a waiter that is ready or dropped was woken at most once (C12, C13);
//! - with all threads at rest the live nodes are exactly those of the reference (C8), and none at the end.
//!
//! `CANCEL_TREE_TEST_SECONDS` makes each test run for so long, `PROPTEST_CASES` for so many cases.

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::iter::repeat_n;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use support::nodes;
use support::ops::{self, Op};
use support::reference::Tree;

mod support {
    pub(crate) mod nodes;
    pub(crate) mod ops;
    pub(crate) mod reference;
}

/// Runs `check` on random values, as often or as long as the environment says, and shrinks what fails.
fn explore<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let _alone = nodes::exclusive();
    let seconds = env::var("CANCEL_TREE_TEST_SECONDS").ok().map(|seconds| seconds.parse().expect("whole seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 4 } else { cases };
    }
    loop {
        let outcome = TestRunner::new(config.clone()).run(&strategy, |value| {
            check(value);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        if Instant::now() >= end {
            return;
        }
    }
}

/// A first token, and then steps, any number up to `most`; some kinds more often, some never.
fn steps(most: usize, weight: fn(&Op) -> usize) -> impl Strategy<Value = Vec<Op>> {
    let kinds = (0..Op::KINDS).flat_map(|kind| repeat_n(kind, weight(&Op::from_bytes([kind, 0, 0]))));
    let op = (select(kinds.collect::<Vec<_>>()), any::<[u8; 2]>()).prop_map(|(kind, [a, b])| [kind, a, b]);
    vec(op.prop_map(Op::from_bytes), 0..most).prop_map(|ops| [&[Op::New], ops.as_slice()].concat())
}

#[test]
fn any_sequence_of_operations_agrees_with_the_reference() {
    explore(2000, steps(200, |_| 1), |ops| ops::run(&ops));
}

#[test]
fn trees_that_are_made_and_dropped_in_any_order_keep_the_nodes_that_are_needed() {
    let weight = |op: &Op| match op {
        Op::Child { .. } | Op::Drop { .. } | Op::Clone { .. } | Op::New => 1,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn trees_that_are_cancelled_in_parts_keep_the_nodes_that_are_needed() {
    let weight = |op: &Op| match op {
        Op::Child { .. } | Op::Drop { .. } | Op::Clone { .. } | Op::New | Op::Cancel { .. } => 1,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn many_waiters_of_few_tokens_are_woken_as_the_reference_says() {
    let weight = |op: &Op| match op {
        Op::New | Op::Child { .. } | Op::Cancel { .. } => 1,
        Op::Wait { .. } | Op::RunUntilCancelled { .. } | Op::WithToken { .. } => 4,
        Op::Poll { .. } | Op::Finish { .. } | Op::DropWait { .. } => 2,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn every_seed_of_the_fuzz_corpus_agrees_with_the_reference() {
    let _alone = nodes::exclusive();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tree_ops");
    let seeds = fs::read_dir(corpus).expect("the corpus is part of the repository");
    let run = |seed: fs::DirEntry| ops::run(&Op::list(&fs::read(seed.path()).expect("a seed is a file")));
    assert!(seeds.map(|seed| run(seed.expect("a seed"))).count() >= 10);
}

/// One step of one thread; the numbers choose among what the thread holds.
#[derive(Clone, Copy, Debug)]
enum Act {
    New,
    Child(u8),
    Clone(u8),
    Drop(u8),
    Cancel(u8),
    Wait(u8),
    Poll(u8),
    DropWait(u8),
    /// Puts a token where all threads find it, or takes one from there.
    Give(u8),
    Take,
}

/// A token, with the names of all its ancestors and its own; a name stands for all clones of one token.
#[derive(Clone)]
struct Held {
    token: CancellationToken,
    path: Vec<usize>,
    seen: bool,
}

impl Held {
    fn name(&self) -> usize {
        *self.path.last().expect("its own name")
    }

    fn look(&mut self) -> bool {
        let cancelled = self.token.is_cancelled();
        assert!(cancelled || !self.seen, "a cancelled token is not cancelled any more (C2)");
        self.seen = cancelled;
        cancelled
    }

    fn child(&mut self, name: usize) -> Self {
        let seen = self.look();
        let path = self.path.iter().copied().chain([name]).collect();
        let mut child = Self { token: self.token.child_token(), path, seen: false };
        assert!(child.look() || !seen, "a child of a cancelled token is born cancelled (C4)");
        child
    }
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A future, and a waker of its own for each poll.
struct Waiter {
    future: Option<WaitForCancellationFutureOwned>,
    path: Vec<usize>,
    wakers: Vec<Arc<CountingWaker>>,
    pending: bool,
}

/// What one thread holds, and has done.
#[derive(Default)]
struct Hand {
    tokens: Vec<Held>,
    waiters: Vec<Waiter>,
    dropped: Vec<Waiter>,
    cancelled: BTreeSet<usize>,
}

/// What all threads share: where they give and take tokens, the next name, and where they start.
#[derive(Default)]
struct Table {
    tokens: Mutex<Vec<Held>>,
    names: AtomicUsize,
    arrived: AtomicUsize,
}

impl Table {
    fn name(&self) -> usize {
        self.names.fetch_add(1, Relaxed)
    }

    /// A barrier would take longer to wake a thread than the thread then takes for its acts.
    fn meet(&self, threads: usize) {
        self.arrived.fetch_add(1, Relaxed);
        while self.arrived.load(Relaxed) < threads {
            thread::yield_now();
        }
    }
}

/// Lets nobody wait for a thread that has failed.
struct Leave<'a>(&'a [Table]);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        for table in self.0 {
            table.arrived.fetch_add(usize::from(u8::MAX), Relaxed);
        }
    }
}

fn pick<T>(all: &[T], choice: u8) -> Option<usize> {
    usize::from(choice).checked_rem(all.len())
}

impl Hand {
    fn act(&mut self, act: Act, table: &Table) -> Option<()> {
        match act {
            Act::New => {
                self.tokens.push(Held { token: CancellationToken::new(), path: vec![table.name()], seen: false });
            }
            Act::Child(of) => {
                let parent = pick(&self.tokens, of)?;
                let child = self.tokens[parent].child(table.name());
                self.tokens.push(child);
            }
            Act::Clone(token) => self.tokens.push(self.tokens[pick(&self.tokens, token)?].clone()),
            Act::Drop(token) => drop(self.tokens.swap_remove(pick(&self.tokens, token)?)),
            Act::Cancel(token) => {
                let root = &self.tokens[pick(&self.tokens, token)?];
                let name = root.name();
                self.cancelled.insert(name);
                root.token.cancel();
                // First those that were made last, which a cancel of an ancestor may not have come to.
                for held in self.tokens.iter_mut().rev().filter(|held| held.path.contains(&name)) {
                    assert!(held.look(), "a cancel has returned, and a descendant is not flagged (C3)");
                }
            }
            Act::Wait(token) => {
                let Held { token, path, .. } = self.tokens.swap_remove(pick(&self.tokens, token)?);
                let future = Some(token.cancelled_owned());
                self.waiters.push(Waiter { future, path, wakers: Vec::new(), pending: false });
            }
            Act::Poll(waiter) => {
                let waiter = pick(&self.waiters, waiter)?;
                let Waiter { future, wakers, pending, .. } = &mut self.waiters[waiter];
                let waker = Arc::new(CountingWaker::default());
                wakers.push(waker.clone());
                let poll = pin!(future.as_mut()?).poll(&mut Context::from_waker(&waker.into()));
                assert!(*pending || wakers.len() == 1 || poll.is_ready(), "ready once, ready for ever");
                *pending = poll == Poll::Pending;
            }
            Act::DropWait(waiter) => {
                let mut waiter = self.waiters.swap_remove(pick(&self.waiters, waiter)?);
                waiter.future = None;
                self.dropped.push(waiter);
            }
            Act::Give(token) => {
                let held = self.tokens.swap_remove(pick(&self.tokens, token)?);
                table.tokens.lock().unwrap().push(held);
            }
            Act::Take => self.tokens.push({ table.tokens.lock().unwrap().pop() }?),
        }
        Some(())
    }
}

/// A tree that is there beforehand, and what each thread then does to it.
#[derive(Clone, Debug)]
struct Storm {
    /// The parent of each token, chosen among those before it (the first is a root); bit by bit, which threads get a
    /// handle on it.
    tree: Vec<(u8, u8)>,
    acts: Vec<Vec<Act>>,
}

/// Every storm is run so often, on trees of their own: threads take longer to start than to act.
const ROUNDS: usize = 8;

fn storms(tree: Range<usize>, acts: Range<usize>, act: impl Strategy<Value = Act>) -> impl Strategy<Value = Storm> {
    (vec(any::<(u8, u8)>(), tree), vec(vec(act, acts), 2..=4)).prop_map(|(tree, acts)| Storm { tree, acts })
}

fn run_storm(Storm { tree, acts }: &Storm) {
    let before = nodes::live();
    let mut hands: Vec<Vec<Hand>> = acts.iter().map(|_| Vec::new()).collect();
    let mut tables = Vec::new();
    for _ in 0..ROUNDS {
        let table = Table::default();
        let mut tokens = vec![Held { token: CancellationToken::new(), path: vec![table.name()], seen: false }];
        for &(parent, _) in &tree[1..] {
            let parent = usize::from(parent) % tokens.len();
            let child = tokens[parent].child(table.name());
            tokens.push(child);
        }
        for (thread, hands) in hands.iter_mut().enumerate() {
            let shared = tokens.iter().zip(tree).filter(|(_, (_, shares))| shares >> thread & 1 != 0);
            hands.push(Hand { tokens: shared.map(|(held, _)| held.clone()).collect(), ..Hand::default() });
        }
        tables.push(table);
    }
    let play = |hands: Vec<Hand>, acts: &[Act], threads| {
        let _leave = Leave(&tables);
        let play = |(mut hand, table): (Hand, &Table)| {
            table.meet(threads);
            for &act in acts {
                hand.act(act, table);
            }
            hand
        };
        hands.into_iter().zip(&tables).map(play).collect()
    };
    let mut hands: Vec<Vec<Hand>> = thread::scope(|scope| {
        let threads = hands.into_iter().zip(acts).map(|(hands, mine)| scope.spawn(|| play(hands, mine, acts.len())));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let (mut tokens, mut expected) = (Vec::new(), 0);
    for table in tables.into_iter().rev() {
        let hands = hands.iter_mut().map(|hands| hands.pop().expect("one each round")).collect();
        let (left, needed) = check_round(hands, table.tokens.into_inner().unwrap());
        tokens.extend(left);
        expected += needed as isize;
    }
    nodes::empty_graveyard();
    assert_eq!(nodes::live() - before, expected, "the live nodes with all threads at rest (C8)");
    drop(tokens);
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), before, "nodes are left when everything has been dropped");
}

/// With all threads at rest. Drops the waiters; gives back the tokens, and how many nodes they need.
fn check_round(hands: Vec<Hand>, table: Vec<Held>) -> (Vec<Held>, usize) {
    let cancels: BTreeSet<usize> = hands.iter().flat_map(|hand| hand.cancelled.clone()).collect();
    let is_cancelled = |path: &[usize]| path.iter().any(|name| cancels.contains(name));
    let mut tokens = table;
    for hand in hands {
        for waiter in hand.waiters.into_iter().chain(hand.dropped) {
            let wakes = |waker: &Arc<CountingWaker>| waker.0.load(Relaxed);
            let all: usize = waiter.wakers.iter().map(wakes).sum();
            if waiter.future.is_some() && waiter.pending {
                let latest = waiter.wakers.last().map_or(0, wakes);
                let due = usize::from(is_cancelled(&waiter.path));
                assert_eq!((latest, all), (due, due), "the wakes of a waiter: its latest waker's, and all (C13)");
            }
            assert!(all <= 1, "a waiter was woken {all} times (C12)");
            drop(waiter.future);
            let kept = waiter.wakers.iter().any(|waker| Arc::strong_count(waker) > 1);
            assert!(!kept, "a waker is kept though its waiter is gone (C12)");
        }
        tokens.extend(hand.tokens);
    }
    for held in &mut tokens {
        assert_eq!(held.look(), is_cancelled(&held.path), "a token and its ancestors' cancels (C1, C4)");
    }
    let needed = needed(&tokens, &cancels);
    (tokens, needed)
}

/// How many nodes the reference needs for these tokens.
fn needed(tokens: &[Held], cancels: &BTreeSet<usize>) -> usize {
    let mut tree = Tree::default();
    let mut ids = BTreeMap::new();
    for held in tokens {
        let mut parent = None;
        for &name in &held.path {
            let id = *ids.entry(name).or_insert_with(|| match parent {
                None => tree.root(),
                Some(parent) => tree.child(parent),
            });
            parent = Some(id);
        }
        tree.retain(ids[&held.name()]);
    }
    for (name, &id) in &ids {
        if cancels.contains(name) {
            tree.cancel(id);
        }
        tree.release(id);
    }
    tree.live_nodes()
}

type Kind = fn(u8) -> Act;

/// Some kinds of acts, each so often.
fn mix(kinds: &[(usize, Kind)]) -> impl Strategy<Value = Act> {
    let kinds: Vec<Kind> = kinds.iter().flat_map(|&(times, kind)| repeat_n(kind, times)).collect();
    (0..kinds.len(), any::<u8>()).prop_map(move |(kind, choice)| kinds[kind](choice))
}

#[test]
fn threads_that_do_anything_at_once_leave_a_tree_that_is_right() {
    use Act::*;
    let life = [(1, (|_| New) as Kind), (8, Child), (3, Clone), (6, Drop), (1, Cancel), (1, Give), (1, |_| Take)];
    let waits = [(2, Wait as Kind), (5, Poll), (1, DropWait)];
    explore(800, storms(1..12, 0..100, mix(&[&life[..], &waits].concat())), |storm| run_storm(&storm));
}

#[test]
fn threads_that_make_and_drop_at_once_leave_the_nodes_that_are_needed() {
    use Act::*;
    explore(800, storms(1..12, 0..60, mix(&[(4, Child), (1, Clone), (4, Drop)])), |storm| run_storm(&storm));
}

#[test]
fn threads_that_cancel_what_others_drop_leave_no_node_behind() {
    use Act::*;
    let acts = mix(&[(1, |_| New), (20, Child), (4, Clone), (20, Drop), (3, Cancel)]);
    explore(800, storms(1..30, 0..30, acts), |storm| run_storm(&storm));
}

#[test]
fn threads_that_cancel_at_once_each_find_all_below_cancelled() {
    use Act::*;
    explore(800, storms(1..60, 1..4, mix(&[(4, Cancel), (1, Child)])), |storm| run_storm(&storm));
}

#[test]
fn threads_that_cancel_what_others_wait_for_wake_each_waiter_once() {
    use Act::*;
    let acts = mix(&[(1, |_| New), (4, Child), (8, Clone), (8, Wait), (12, Poll), (4, DropWait), (1, Cancel)]);
    explore(800, storms(1..12, 0..50, acts), |storm| run_storm(&storm));
}
