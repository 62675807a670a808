//! Threads that look at a tree, while others make, drop, cancel, wait and register in it:
//!
//! - what is looked at makes sense: each token once, below one of its ancestors;
//! - a token that is there before and after a look, and is not cancelled, is in it, unless the list of one of its ancestors was
//!   said to be busy or dissolved;
//! - looks hinder nobody: a cancel reaches all, each waiter is woken once, each closure is dropped, and no node is left;
//! - what a look ends for others may be hostile: it looks, makes and drops.
//!
//! `CANCEL_TREE_STRESS_ROUNDS` says how many rounds.
#![cfg(feature = "std")]

mod support;

use cancel_tree::snapshot::{Listing, TreeSnapshot};
use cancel_tree::{CancellationToken, Registration};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use support::nodes::live;
use support::wakers::{Counter, Waiter, is_silent};
use support::{PATIENCE, Random, balanced, until_done};

const WORKERS: usize = 3;
const LOOKERS: usize = 2;
/// How often to try, at most, to have a look end something.
const MOST: usize = if cfg!(miri) { 50 } else { usize::MAX };
const STEPS: usize = if cfg!(miri) { 30 } else { 150 };

/// A token, and the names of its ancestors and its own, which is also its name: "0/3/17/".
#[derive(Clone)]
struct Held {
    token: CancellationToken,
    path: String,
}

impl Held {
    fn root() -> Self {
        Self { token: CancellationToken::named("0/"), path: "0/".into() }
    }

    fn child(&self) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let path = format!("{}{}/", self.path, NEXT.fetch_add(1, Relaxed));
        Self { token: self.token.naming(path.clone()).child_token(), path }
    }
}

/// Looks, and checks what it sees. Who is held, was there before, and is there now.
fn look<'a>(root: &CancellationToken, held: impl IntoIterator<Item = &'a Held>) -> TreeSnapshot {
    let tree = root.tree();
    let held: Vec<_> = held.into_iter().filter(|held| !held.token.is_cancelled()).collect();
    // (No hash table: see `support/nodes.rs`.)
    let mut names: Vec<_> = tree.tokens().iter().map(|token| token.name().expect("all have names")).collect();
    for (place, token) in tree.tokens().iter().enumerate() {
        match token.parent() {
            Some(parent) => {
                assert!(parent < place && tree.tokens()[parent].depth() + 1 == token.depth());
                assert!(names[place].starts_with(names[parent]), "{} below {}", names[place], names[parent]);
                assert_eq!(tree.tokens()[parent].listing(), Listing::Complete);
            }
            None => assert_eq!((place, token.depth()), (0, 0)),
        }
    }
    let unfinished: Vec<_> = tree.tokens().iter().filter(|token| token.listing() != Listing::Complete).collect();
    let unfinished: Vec<_> = unfinished.into_iter().map(|token| token.name().unwrap()).collect();
    assert_eq!(tree.is_complete(), tree.tokens().iter().all(|token| token.listing() != Listing::Busy));
    assert_eq!(tree.is_complete(), !tree.to_string().contains("its children are changing"));
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a token is there twice");
    for Held { path, .. } in held {
        let seen = names.binary_search(&path.as_str()).is_ok();
        assert!(
            seen || unfinished.iter().any(|above| path.starts_with(above)),
            "{path} was there all the time:\n{tree}"
        );
    }
    tree
}

/// A callback's capture that does what it likes when it is dropped.
struct Hostile {
    root: Held,
    alive: Arc<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let child = self.root.child();
        look(&self.root.token, [&child]);
        assert!(Arc::strong_count(&self.alive) > 1, "the test has one");
        drop(child.child());
    }
}

#[derive(Default)]
struct Hand {
    tokens: Vec<Held>,
    waits: Vec<Waiter>,
    gone: Vec<Vec<Counter>>,
    registrations: Vec<Registration>,
}

/// What all threads of a round have.
struct Round {
    root: Held,
    /// These live as long as the round, and are cancelled only with the root.
    skeleton: Vec<Held>,
    /// Given by one thread, to be taken by another.
    table: [Mutex<Option<Held>>; 4],
    alive: Arc<()>,
    ran: AtomicUsize,
    complete: AtomicUsize,
    looks: AtomicUsize,
    workers: AtomicUsize,
}

impl Round {
    fn new() -> Self {
        let root = Held::root();
        let mut skeleton = vec![root.clone()];
        for number in 0..6 {
            let child = skeleton[number / 2].child();
            skeleton.push(child);
        }
        Self {
            root,
            skeleton,
            table: Default::default(),
            alive: Arc::new(()),
            ran: AtomicUsize::new(0),
            complete: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            workers: AtomicUsize::new(WORKERS),
        }
    }

    fn look<'a>(&'a self, held: &'a [Held]) {
        let tree = look(&self.root.token, self.skeleton.iter().chain(held));
        self.looks.fetch_add(1, Relaxed);
        self.complete.fetch_add(tree.is_complete().into(), Relaxed);
    }
}

impl Hand {
    fn any<'a>(&'a self, round: &'a Round, random: &mut Random) -> &'a Held {
        let choice = random.below(self.tokens.len() + round.skeleton.len());
        self.tokens.get(choice).unwrap_or_else(|| &round.skeleton[choice - self.tokens.len()])
    }

    fn step(&mut self, round: &Arc<Round>, random: &mut Random) {
        match random.below(24) {
            0..7 => {
                let child = self.any(round, random).child();
                self.tokens.push(child);
            }
            // One that is replaced by its child, or becomes a fork without a handle.
            7 if !self.tokens.is_empty() => {
                let index = random.below(self.tokens.len());
                let [elder, younger] = [self.tokens[index].child(), self.tokens[index].child()];
                self.tokens[index] = elder;
                if random.below(2) == 0 {
                    self.tokens.push(younger);
                }
            }
            8..13 if !self.tokens.is_empty() => drop(self.tokens.swap_remove(random.below(self.tokens.len()))),
            13 if !self.tokens.is_empty() && random.below(3) == 0 => {
                let Held { token, path } = &self.tokens[random.below(self.tokens.len())];
                token.cancel();
                assert!(self.tokens.iter().all(|held| !held.path.starts_with(path) || held.token.is_cancelled()), "C3");
            }
            14..16 => {
                let mut waiter = Waiter::new(&self.any(round, random).token);
                waiter.poll(0);
                self.waits.push(waiter);
            }
            16 if !self.waits.is_empty() => {
                let index = random.below(self.waits.len());
                self.gone.push(self.waits.swap_remove(index).end());
            }
            17..19 if !self.tokens.is_empty() => {
                let token = &self.tokens[random.below(self.tokens.len())].token;
                let hostile = Hostile { root: round.root.clone(), alive: round.alive.clone() };
                let counting = Arc::downgrade(round);
                let registration = token.try_on_cancel(move || {
                    let _hostile = hostile;
                    counting.upgrade().expect("the round goes on").ran.fetch_add(1, Relaxed);
                });
                match registration {
                    Ok(registration) if random.below(2) == 0 => registration.detach(),
                    Ok(registration) => self.registrations.push(registration),
                    Err(f) => drop(f),
                }
            }
            19 if !self.registrations.is_empty() => {
                drop(self.registrations.swap_remove(random.below(self.registrations.len())));
            }
            20 => {
                let given = self.any(round, random).clone();
                let mut place = round.table[random.below(round.table.len())].lock().unwrap();
                let before = place.replace(given);
                drop(place);
                drop(before);
            }
            21 => {
                let taken = round.table[random.below(round.table.len())].lock().unwrap().take();
                // One of the skeleton is not its to cancel.
                self.tokens.extend(taken.filter(|held| round.skeleton.iter().all(|other| other.path != held.path)));
            }
            22 => round.look(&self.tokens),
            _ => drop(self.any(round, random).token.tree()),
        }
    }

    /// The root has been cancelled, and all threads are at rest.
    fn end(mut self) {
        assert!(self.tokens.iter().all(|held| held.token.is_cancelled()), "C3");
        self.waits.iter_mut().for_each(Waiter::check);
        self.gone.extend(self.waits.drain(..).map(Waiter::end));
        assert!(self.gone.iter().all(|counters| is_silent(counters)), "C12");
    }
}

/// Says that a worker has ended, also if it fails.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn storm(number: u64) -> (usize, usize) {
    let round = Arc::new(Round::new());
    let start = Barrier::new(WORKERS + LOOKERS);
    let hands: Vec<Hand> = thread::scope(|scope| {
        for _ in 0..LOOKERS {
            scope.spawn(|| {
                start.wait();
                let begin = Instant::now();
                while round.workers.load(Relaxed) > 0 {
                    round.look(&[]);
                    assert!(begin.elapsed() < PATIENCE, "the workers hang");
                }
            });
        }
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (round, start) = (&round, &start);
                scope.spawn(move || {
                    let _ends = Ends(&round.workers);
                    let mut random = Random(number * WORKERS as u64 + worker as u64);
                    let mut hand = Hand::default();
                    start.wait();
                    for step in 0..STEPS {
                        hand.step(round, &mut random);
                        if worker == 0 && number % 2 == 0 && step == STEPS / 2 {
                            round.root.token.cancel();
                            assert!(round.skeleton.iter().all(|held| held.token.is_cancelled()), "C3");
                        }
                    }
                    hand
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker failed")).collect()
    });
    if number % 2 != 0 {
        // All threads are at rest: nothing is busy, and all is there.
        let held: Vec<_> = hands.iter().flat_map(|hand| &hand.tokens).cloned().collect();
        assert!(look(&round.root.token, &held).is_complete());
        assert!(round.skeleton.iter().all(|held| !held.token.is_cancelled()));
    }
    round.root.token.cancel();
    assert_eq!(look(&round.root.token, []).tokens().len(), 1);
    for place in &round.table {
        drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    hands.into_iter().for_each(Hand::end);
    drop(CancellationToken::new());
    assert_eq!(Arc::strong_count(&round.alive), 1, "a closure is left");
    (round.complete.load(Relaxed), round.looks.load(Relaxed))
}

#[test]
fn looks_see_what_lives_and_hinder_nobody() {
    let (mut number, mut complete, mut looks) = (0, 0, 0);
    let mut round = || {
        let before = live();
        let (more_complete, more_looks) = storm(number);
        (complete, looks, number) = (complete + more_complete, looks + more_looks, number + 1);
        assert_eq!(live(), before, "nodes are left");
    };
    balanced(|| {
        let mut done = until_done(3);
        // One with a cancel in it, and one without, in any case.
        round();
        round();
        while !done() {
            round();
        }
    });
    println!("{number} rounds; {complete} of {looks} looks were complete");
    assert!(complete > 0, "the storm proves little");
}

/// Who drops a child while somebody is inside its list, leaves it to him: he drops the closure of its callback, at the end, and
/// that may look at the same tree again.
#[test]
fn a_look_ends_what_others_have_left_to_it_and_that_may_be_hostile() {
    struct Tells(CancellationToken, thread::ThreadId, Arc<AtomicBool>, Arc<AtomicUsize>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let tree = self.0.tree();
            assert_eq!(tree.root().name(), Some("root"));
            drop(self.0.naming("made in a drop").child_token());
            if thread::current().id() == self.1 {
                // In a look, at its end: nobody else is in the list, or the other thread is, for a moment.
                self.2.store(true, Relaxed);
            }
            self.3.fetch_add(1, Relaxed);
        }
    }
    balanced(|| {
        let root = CancellationToken::named("root");
        let children: Vec<_> = (0..if cfg!(miri) { 20 } else { 5_000 }).map(|_| root.child_token()).collect();
        let (found, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let looker = thread::current().id();
        let made = thread::scope(|scope| {
            let dropper = scope.spawn(|| {
                let (begin, mut made) = (Instant::now(), 0);
                while !found.load(Relaxed) && made < MOST && begin.elapsed() < PATIENCE {
                    let child = root.naming("with a callback").child_token();
                    let tells = Tells(root.clone(), looker, found.clone(), dropped.clone());
                    child.on_cancel(move || drop(tells)).detach();
                    drop(child);
                    made += 1;
                }
                made
            });
            while !dropper.is_finished() {
                let tree = root.tree();
                assert!(!tree.is_complete() || tree.tokens().len() > children.len());
            }
            dropper.join().expect("the dropper failed")
        });
        assert!(found.load(Relaxed) || cfg!(miri), "no look had to end anything, of {made}");
        assert_eq!(dropped.load(Relaxed), made, "each closure is dropped once");
        assert_eq!(root.tree().tokens().len(), children.len() + 1);
    });
}

/// If such a drop panics, the panic comes out of the look; nothing is lost by that, and the next look sees all.
#[test]
fn a_panic_of_what_a_look_ends_comes_out_of_it_and_nothing_is_lost() {
    struct Panics(Arc<AtomicUsize>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
            resume_unwind(Box::new("from a drop"));
        }
    }
    balanced(|| {
        let root = CancellationToken::named("root");
        let children: Vec<_> = (0..if cfg!(miri) { 20 } else { 5_000 }).map(|_| root.child_token()).collect();
        let (found, dropped) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
        let made = thread::scope(|scope| {
            let dropper = scope.spawn(|| {
                let (begin, mut made) = (Instant::now(), 0);
                while !found.load(Relaxed) && made < MOST && begin.elapsed() < PATIENCE {
                    let child = root.naming("with a callback").child_token();
                    let panics = Panics(dropped.clone());
                    child.on_cancel(move || drop(panics)).detach();
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(child)));
                    made += 1;
                }
                made
            });
            while !dropper.is_finished() {
                if let Err(panic) = catch_unwind(|| root.tree()) {
                    assert_eq!(panic.downcast_ref(), Some(&"from a drop"));
                    found.store(true, Relaxed);
                }
            }
            dropper.join().expect("the dropper failed")
        });
        assert!(found.load(Relaxed) || cfg!(miri), "no look had to end anything, of {made}");
        assert_eq!(dropped.load(Relaxed), made, "each closure is dropped once");
        let tree = root.tree();
        assert_eq!((tree.tokens().len(), tree.is_complete()), (children.len() + 1, true));
        root.cancel();
        assert!(children.iter().all(CancellationToken::is_cancelled));
    });
}
