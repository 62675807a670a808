//! Random operations of several threads on the same trees, checked without regard to order:
//!
//! - when a cancel returns, what its thread knows to be below is cancelled (C3); seen once, for ever, with the same reason
//!   (C2, C6), which is one that somebody gave;
//! - a child of a token that was seen cancelled is born cancelled (C4);
//! - after all, a token is cancelled if and only if it, an ancestor or a source was, or its deadline has passed (C1, C4, C7,
//!   C19, C22);
//! - a waiter whose last poll was pending has been woken once by the waker of that poll if its token is cancelled, and
//!   not at all if not; no other waker of it has; a waiter that is ready or dropped was woken at most once (C12, C13);
//! - a callback has run once or not at all, as `unregister` said, and otherwise if its token is cancelled; every closure and
//!   every cause is dropped in the end (C17, C18);
//! - with all threads at rest the live nodes are exactly those of the reference (C8), and none at the end. (Exactly, but for
//!   tokens that were linked, and registrations that were made, while a source was being cancelled: whether those have got
//!   nodes for it, is open.)
//!
//! `CANCEL_TREE_TEST_SECONDS` makes each test run for so long, `PROPTEST_CASES` for so many cases.

use cancel_tree::{CancellationToken, Unregister};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat_n;
use std::ops::Range;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};
use std::thread;
use support::explore::explore;
use support::nodes;
use support::reference::{Id, Tree, Why};
use support::storm::{Act, Born, Callback, CountingWaker, Hand, Held, Reason, Table, Waiter};

mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
    #[allow(dead_code, unused_imports, reason = "waits are not looked at")]
    pub(crate) mod reference;
    pub(crate) mod storm;
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

/// Lets nobody wait for a thread that has failed.
struct Leave<'a>(&'a [Table]);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Table::leave);
    }
}

fn run_storm(Storm { tree, acts }: &Storm) {
    let before = nodes::live();
    let mut hands: Vec<Vec<Hand>> = acts.iter().map(|_| Vec::new()).collect();
    let mut tables = Vec::new();
    for _ in 0..ROUNDS {
        let table = Table::default();
        let mut tokens = vec![Held::root(table.name())];
        let mut born = vec![(0, Born::default())];
        for &(parent, _) in &tree[1..] {
            let parent = usize::from(parent) % tokens.len();
            let child = tokens[parent].child(table.name(), CancellationToken::child_token);
            born.push((child.name(), Born { parent: Some(tokens[parent].name()), ..Born::default() }));
            tokens.push(child);
        }
        for (thread, hands) in hands.iter_mut().enumerate() {
            let shared = tokens.iter().zip(tree).filter(|(_, (_, shares))| shares >> thread & 1 != 0);
            let tokens = shared.map(|(held, _)| held.clone()).collect();
            hands.push(Hand { thread, tokens, born: std::mem::take(&mut born), ..Hand::default() });
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
    let (mut rest, mut least, mut most) = (Vec::new(), 0, 0);
    for table in tables.into_iter().rev() {
        let hands = hands.iter_mut().map(|hands| hands.pop().expect("one each round")).collect();
        let round = Round::new(hands, table);
        round.check();
        least += round.needed(true) as isize;
        most += (round.needed(false) + round.spare_blocks()) as isize;
        rest.push(round);
    }
    nodes::empty_graveyard();
    let live = nodes::live() - before;
    assert!((least..=most).contains(&live), "{live} live nodes with all threads at rest, not {least} to {most} (C8)");
    let remains = |round: Round| (round.callbacks.into_iter().map(|callback| callback.runs).collect(), round.causes);
    let (runs, causes): (Vec<Vec<_>>, Vec<_>) = rest.into_iter().map(remains).unzip();
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), before, "nodes are left when everything has been dropped");
    assert!(runs.iter().flatten().all(|closure| Arc::strong_count(closure) == 1), "a closure is left");
    assert!(causes.iter().flatten().all(|cause| Arc::strong_count(cause) == 1), "a cause is left");
}

/// One round, with all threads at rest.
struct Round {
    tokens: Vec<Held>,
    callbacks: Vec<Callback>,
    causes: Vec<Arc<()>>,
    born: BTreeMap<usize, Born>,
    cancels: Vec<(usize, Reason, bool)>,
    now: u64,
    has_waited: bool,
    /// Those that somebody has cancelled, or whose time has come.
    cancelled: BTreeSet<usize>,
}

impl Round {
    /// Sees to what waits, which is dropped.
    fn new(hands: Vec<Hand>, table: Table) -> Self {
        let now = u64::try_from(table.timer.now().as_nanos()).expect("not so late");
        let (callbacks, causes, born, cancels, cancelled) = Default::default();
        let tokens = table.tokens.into_inner().unwrap();
        let has_waited = hands.iter().any(|hand| !(hand.waiters.is_empty() && hand.dropped.is_empty()));
        let mut round = Self { tokens, callbacks, causes, born, cancels, now, has_waited, cancelled };
        let mut waiters = Vec::new();
        for hand in hands {
            round.tokens.extend(hand.tokens);
            round.callbacks.extend(hand.callbacks);
            round.causes.extend(hand.causes);
            round.born.extend(hand.born);
            round.cancels.extend(hand.cancels);
            waiters.extend(hand.waiters.into_iter().chain(hand.dropped));
        }
        round.cancelled.extend(round.cancels.iter().map(|(name, ..)| *name));
        let expired = round.born.iter().filter(|(_, born)| born.at.is_some_and(|at| at <= now));
        round.cancelled.extend(expired.map(|(name, _)| *name));
        waiters.into_iter().for_each(|waiter| round.check_waiter(waiter));
        for callback in &mut round.callbacks {
            if let Some(finished) = callback.finished.take() {
                let ready = pin!(finished).poll(&mut Context::from_waker(Waker::noop())).is_ready();
                assert_eq!(ready, Arc::strong_count(&callback.runs) == 1, "the end of a callback (C18)");
            }
        }
        round
    }

    fn is_cancelled(&self, above: &[usize]) -> bool {
        above.iter().any(|name| self.cancelled.contains(name))
    }

    fn check_waiter(&self, waiter: Waiter) {
        let wakes = |waker: &Arc<CountingWaker>| waker.0.load(Relaxed);
        let all: usize = waiter.wakers.iter().map(wakes).sum();
        if waiter.future.is_some() && waiter.pending {
            let latest = waiter.wakers.last().map_or(0, wakes);
            let due = usize::from(self.is_cancelled(&waiter.above));
            assert_eq!((latest, all), (due, due), "the wakes of a waiter: its latest waker's, and all (C13)");
        }
        assert!(all <= 1, "a waiter was woken {all} times (C12)");
        drop(waiter.future);
        let kept = waiter.wakers.iter().any(|waker| Arc::strong_count(waker) > 1);
        assert!(!kept, "a waker is kept though its waiter is gone (C12)");
    }

    fn check(&self) {
        for held in &self.tokens {
            let reason = held.clone().look();
            assert_eq!(reason.is_some(), self.is_cancelled(&held.above), "a token and what is above (C1, C4, C22)");
            let given = self.cancels.iter().any(|(name, given, _)| held.above.contains(name) && reason == Some(*given));
            assert!(reason.is_none_or(|reason| reason == Reason::Deadline || given), "nobody's {reason:?} (C6)");
            let decided = self.cancels.iter().filter(|(name, _, decided)| *decided && *name == held.name());
            assert!(decided.clone().count() <= 1, "two have decided (C6)");
            assert!(decided.into_iter().all(|(_, given, _)| reason == Some(*given)), "the decision (C6)");
        }
        let held: BTreeSet<_> = self.tokens.iter().map(Held::name).collect();
        for callback in &self.callbacks {
            let (runs, gone) = (callback.runs.load(Relaxed), Arc::strong_count(&callback.runs) == 1);
            let due = self.is_cancelled(&callback.above);
            match callback.unregistered {
                Some(Unregister::Prevented) => assert_eq!((runs, gone), (0, true), "prevented (C18)"),
                Some(_) => assert_eq!((runs, gone), (1, true), "running, or done (C18)"),
                None if callback.registration.is_some() || held.contains(&callback.token) => {
                    assert_eq!((runs == 1, gone, runs < 2), (due, due, true), "whether it has run (C17)");
                }
                // It has been detached, and may have gone with its token, or run before that.
                None => assert!(runs <= usize::from(due) && (gone || runs == 0), "{runs} runs (C17)"),
            }
        }
    }

    /// How many blocks the tokens that are still there may keep, of waiters who have all gone.
    fn spare_blocks(&self) -> usize {
        let registered = self.callbacks.iter().filter(|callback| callback.registration.is_some());
        let kept: BTreeSet<usize> =
            self.tokens.iter().map(Held::name).chain(registered.map(|callback| callback.token)).collect();
        if self.has_waited { 2 * kept.len() } else { 0 }
    }

    /// How many nodes the reference needs for what is held; what was born when a cancel had begun, after that or before.
    fn needed(&self, cancelled_first: bool) -> usize {
        let mut tree = Tree::default();
        let mut ids: BTreeMap<usize, Id> = BTreeMap::new();
        if cancelled_first {
            tree.advance(self.now);
        }
        for (name, born) in &self.born {
            let id = match (born.parent, born.at, &born.sources) {
                (Some(parent), Some(at), _) => tree.timed(ids[&parent], at),
                (Some(parent), None, _) => tree.child(ids[&parent]),
                (None, _, Some(sources)) => tree.any(&sources.iter().map(|name| ids[name]).collect::<Vec<_>>()),
                (None, _, None) => tree.root(),
            };
            ids.insert(*name, id);
            if cancelled_first && self.cancelled.contains(name) {
                tree.cancel(id, Why::Plain);
            }
        }
        for callback in self.callbacks.iter().filter(|callback| callback.unregistered.is_none()) {
            let number = tree.callbacks.len();
            if tree.on_cancel(ids[&callback.token], false) {
                if callback.was_asked {
                    // The future has gone, what it waited for has not.
                    tree.finished(number).into_iter().for_each(|finished| tree.release(finished));
                }
                if callback.registration.is_none() {
                    tree.detach(number);
                }
            }
        }
        if !cancelled_first {
            tree.advance(self.now);
            self.cancelled.iter().for_each(|name| {
                tree.cancel(ids[name], Why::Plain);
            });
        }
        for held in &self.tokens {
            tree.retain(ids[&held.name()]);
        }
        tree.release_all(ids.into_values());
        tree.live_nodes()
    }
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
    let waits =
        [(2, Wait as Kind), (5, Poll), (1, DropWait), (3, OnCancel), (1, Unregister), (1, Detach), (1, Finished)];
    let others = [(1, CancelWith as Kind), (2, Any), (2, Timed), (1, Advance)];
    explore(800, storms(1..12, 0..100, mix(&[&life[..], &waits, &others].concat())), |storm| run_storm(&storm));
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

#[test]
fn threads_that_cancel_what_others_register_with_run_each_callback_once() {
    use Act::*;
    let life = [(3, Child as Kind), (3, Drop), (1, Clone), (1, Cancel), (1, CancelWith)];
    let callbacks = [(6, OnCancel as Kind), (3, Unregister), (2, Detach), (2, Finished)];
    explore(400, storms(1..12, 0..40, mix(&[&life[..], &callbacks].concat())), |storm| run_storm(&storm));
}

#[test]
fn threads_that_cancel_what_others_link_to_leave_no_link_behind() {
    use Act::*;
    let acts = mix(&[(1, |_| New), (8, Any), (3, Child), (6, Drop), (1, OnCancel), (1, Detach), (1, CancelWith)]);
    explore(400, storms(1..12, 0..30, acts), |storm| run_storm(&storm));
}

#[test]
fn threads_that_move_the_clock_while_others_arm_and_drop_fire_what_is_due() {
    use Act::*;
    let acts = mix(&[(8, Timed), (3, Child), (6, Drop), (1, OnCancel), (2, Advance), (1, Cancel), (1, Any)]);
    explore(400, storms(1..12, 0..40, acts), |storm| run_storm(&storm));
}
