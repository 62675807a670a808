//! Real threads on shared trees. `CANCEL_TREE_STRESS_SECONDS` makes it longer than three seconds;
//! `CANCEL_TREE_STRESS_ROUNDS` fixes the number of rounds instead, for sanitizers and valgrind.
//!
//! A failure names the seed of its round. What the threads do follows from that; when they do it does not.

mod support;

use cancel_tree::{CancellationToken, StaticCause};
use std::cell::UnsafeCell;
use std::sync::{Arc, Barrier};
use std::thread;
use support::wakers::{Counter, Waiter, is_silent};
use support::{Random, balanced, until_done};

/// The tokens that all threads start with: parents by index, the root last of all its own.
const SHARED: [usize; 8] = [0, 0, 0, 1, 1, 3, 3, 5];

/// A token as one thread knows it. What is `None` has been dropped by that thread; its descendants remember it.
struct Known {
    token: Option<CancellationToken>,
    parent: usize,
    /// Once seen, always so (C2).
    seen_cancelled: bool,
}

/// One thread of a round.
struct Storm {
    random: Random,
    known: Vec<Known>,
    waiters: Vec<Waiter>,
    /// The wakers of dropped waiters.
    gone: Vec<Vec<Counter>>,
    /// One in so many operations is a cancel.
    calm: usize,
}

impl Storm {
    fn new(seed: u64, shared: &[CancellationToken], calm: usize) -> Self {
        let know = |(token, &parent): (&CancellationToken, _)| Known {
            token: Some(token.clone()),
            parent,
            seen_cancelled: false,
        };
        let known = shared.iter().zip(&SHARED).map(know).collect();
        Self { random: Random(seed), known, waiters: Vec::new(), gone: Vec::new(), calm }
    }

    /// The index of a token that this thread has a handle on, if chance finds one.
    fn pick(&mut self) -> Option<usize> {
        (0..4).map(|_| self.random.below(self.known.len())).find(|&index| self.known[index].token.is_some())
    }

    fn is_below(&self, mut index: usize, top: usize) -> bool {
        while index > top {
            index = self.known[index].parent;
        }
        index == top
    }

    fn step(&mut self) -> Option<()> {
        let index = self.pick()?;
        let token = self.known[index].token.as_ref()?;
        if self.random.below(self.calm) == 0 {
            token.cancel();
            for (below, known) in self.known.iter().enumerate().skip(index) {
                let cancelled = known.token.as_ref().is_none_or(CancellationToken::is_cancelled);
                assert!(cancelled || !self.is_below(below, index), "C3: {below} below {index}");
            }
            return Some(());
        }
        match self.random.below(12) {
            0..3 => {
                let cancelled = token.is_cancelled();
                let child = token.child_token();
                assert!(child.is_cancelled() || !cancelled, "C4");
                self.known.push(Known { token: Some(child), parent: index, seen_cancelled: cancelled });
            }
            // One that takes its parent's place: so there is a chain to be collapsed.
            3 => {
                let child = token.child_token();
                self.known[index].token = None;
                self.known.push(Known { token: Some(child), parent: index, seen_cancelled: false });
            }
            4..6 => self.known[index].token = None,
            6 => drop(token.clone()),
            7..9 => {
                let mut waiter = Waiter::new(token);
                waiter.poll(0);
                self.waiters.push(waiter);
            }
            9 if !self.waiters.is_empty() => {
                let index = self.random.below(self.waiters.len());
                if self.waiters[index].result.is_pending() {
                    self.waiters[index].poll(self.random.below(4));
                }
            }
            10 if !self.waiters.is_empty() => {
                let index = self.random.below(self.waiters.len());
                self.gone.push(self.waiters.swap_remove(index).end());
            }
            _ => {
                let cancelled = token.is_cancelled();
                assert!(cancelled || !self.known[index].seen_cancelled, "C2");
                self.known[index].seen_cancelled = cancelled;
            }
        }
        Some(())
    }

    /// When all threads are at rest: C1 and C4 as far as one thread knows, and the waiters.
    fn check(&mut self) {
        for known in &self.known {
            if let (Some(token), Some(parent)) = (&known.token, &self.known[known.parent].token) {
                assert!(token.is_cancelled() || !parent.is_cancelled());
            }
        }
        self.waiters.iter_mut().for_each(Waiter::check);
        assert!(self.gone.iter().all(|counters| is_silent(counters)), "C12");
    }
}

/// Starts a thread for each job, all at once, and waits for them.
fn at_once<R: Send + 'static>(jobs: Vec<Box<dyn FnOnce() -> R + Send>>) -> Vec<R> {
    let start = Arc::new(Barrier::new(jobs.len()));
    let threads: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                job()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
}

fn job<R>(f: impl FnOnce() -> R + Send + 'static) -> Box<dyn FnOnce() -> R + Send> {
    Box::new(f)
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let mut shared = vec![CancellationToken::new()];
    for &parent in &SHARED[1..] {
        shared.push(shared[parent].child_token());
    }
    let steps = if cfg!(miri) { 20 } else { 100 + random.below(300) };
    let calm = [20, 100, 500][random.below(3)];
    let jobs = (0..2 + random.below(7)).map(|_| {
        let mut storm = Storm::new(random.next(), &shared, calm);
        job(move || {
            for _ in 0..steps {
                storm.step();
            }
            storm
        })
    });
    let jobs = jobs.collect();
    // The threads have the only handles on what they share: any of them may drop the last one.
    drop(shared);
    let mut storms = at_once(jobs);
    storms.iter_mut().for_each(Storm::check);

    // The end: half of the rounds by one more cancel; and all drop what they have at the same time.
    let root = storms.iter().find_map(|storm| storm.known[0].token.clone());
    if let Some(root) = root.filter(|_| random.below(2) == 0) {
        root.cancel();
        for storm in &mut storms {
            assert!(storm.known.iter().filter_map(|known| known.token.as_ref()).all(CancellationToken::is_cancelled));
            storm.check();
        }
    }
    for storm in &mut storms {
        random.shuffle(&mut storm.known);
        random.shuffle(&mut storm.waiters);
    }
    let drops = storms.into_iter().map(|storm| {
        job(move || {
            let (mut tokens, mut waiters) = (storm.known.into_iter(), storm.waiters.into_iter());
            let mut counters = Vec::new();
            loop {
                let (token, waiter) = (tokens.next(), waiters.next());
                if token.is_none() && waiter.is_none() {
                    return counters;
                }
                drop(token);
                counters.extend(waiter.map(Waiter::end));
            }
        })
    });
    assert!(at_once(drops.collect()).iter().flatten().all(|counters| is_silent(counters)), "C12");
}

/// C1 to C4, C7, C8, C12, C13; no node is left after any round.
#[test]
fn a_storm_of_all_operations_on_shared_trees_breaks_no_promise() {
    let (mut done, mut rounds) = (until_done(3), 0_u64);
    while !done() {
        rounds += 1;
        balanced(|| {
            let round = std::panic::catch_unwind(|| round(rounds));
            if let Err(panic) = round {
                eprintln!("the seed was {rounds}");
                std::panic::resume_unwind(panic);
            }
        });
    }
    println!("{rounds} rounds");
    assert!(rounds > 0);
}

/// C11: what is written before a cancel may be read by whoever sees the token, or one below it, cancelled, or whose
/// future is ready. No atomics but the tree's: a data race here is the tree's fault, for a sanitizer to find.
#[test]
fn what_was_written_before_a_cancel_can_be_read_after_it_has_been_seen() {
    struct Letter(UnsafeCell<u64>);
    // SAFETY: written before the cancel, read after it has been seen, by the tests below.
    unsafe impl Sync for Letter {}

    let rounds = if cfg!(miri) { 10 } else { 500 };
    balanced(|| {
        for number in 1..=rounds {
            let letter = Arc::new(Letter(UnsafeCell::new(0)));
            let root = CancellationToken::new();
            let child = root.child_token();
            let readers = [root.clone(), child.clone(), child.child_token()].map(|token| {
                let letter = Arc::clone(&letter);
                job(move || {
                    let mut wait = token.clone().cancelled_owned();
                    if number % 2 == 0 {
                        while !token.is_cancelled() {
                            thread::yield_now();
                        }
                    } else {
                        let counter = Counter::new();
                        while counter.poll(&mut wait).is_pending() {
                            thread::yield_now();
                        }
                    }
                    // SAFETY: the writer has finished before its cancel, which has been seen.
                    assert_eq!(unsafe { *letter.0.get() }, number, "C11");
                })
            });
            let writer = job(move || {
                // SAFETY: nobody reads before the cancel.
                unsafe { *letter.0.get() = number };
                root.cancel();
            });
            drop(child);
            at_once(readers.into_iter().chain([writer]).collect());
        }
    });
}

/// C3, C12: many cancels of a chain, each from its own thread and place, while others wait; all return, and each with
/// everything below it cancelled.
#[test]
fn cancels_of_every_node_of_a_chain_at_once_all_return_with_all_below_flagged() {
    let (rounds, length) = if cfg!(miri) { (2, 4) } else { (40, 24) };
    balanced(|| {
        for seed in 0..rounds {
            let mut chain = vec![CancellationToken::new()];
            for last in 0..length - 1 {
                chain.push(chain[last].child_token());
            }
            let counter = Counter::new();
            let mut waits: Vec<_> = chain.iter().chain(&chain).map(|token| token.clone().cancelled_owned()).collect();
            waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
            let mut jobs: Vec<_> = (0..length)
                .map(|top| {
                    let below = chain[top..].to_vec();
                    job(move || {
                        below[0].cancel();
                        assert!(below.iter().all(CancellationToken::is_cancelled), "C3");
                    })
                })
                .collect();
            Random(seed).shuffle(&mut jobs);
            at_once(jobs);
            assert_eq!((counter.wakes(), counter.kept()), (2 * length, 0));
        }
    });
}

/// C3, C7, C8: children go, and come, and put themselves into their parents' places, while the root is cancelled.
#[test]
fn children_may_be_dropped_while_their_root_is_cancelled() {
    let (rounds, width) = if cfg!(miri) { (2, 6) } else { (300, 60) };
    for seed in 0..rounds {
        balanced(|| {
            let root = CancellationToken::new();
            let mut random = Random(seed);
            let mut children: Vec<_> = (0..width).map(|_| root.child_token()).collect();
            random.shuffle(&mut children);
            let kept = children.split_off(width - 3);
            let others = children.split_off(width / 2);
            let mut jobs: Vec<_> = [children, others]
                .map(|mut children| {
                    job(move || {
                        let mut last = None;
                        while let Some(child) = children.pop() {
                            // A relay, and then another one in its place.
                            let grandchild = child.child_token();
                            drop(child);
                            last = Some(grandchild.child_token());
                        }
                        last
                    })
                })
                .into();
            let canceller = root.clone();
            jobs.push(job(move || {
                canceller.cancel();
                assert!(kept.iter().all(CancellationToken::is_cancelled), "C3");
                None
            }));
            random.shuffle(&mut jobs);
            let left = at_once(jobs);
            assert!(left.iter().flatten().all(CancellationToken::is_cancelled), "C4, C7");
            drop(root);
        });
    }
}

/// C3, C4, C6: children get reasons of their own, wait, and have children, while their parent is cancelled for none.
#[test]
fn reasons_of_children_beside_a_plain_cancel_of_their_parent_are_final() {
    #[derive(Debug)]
    struct Of(usize);
    impl std::fmt::Display for Of {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0)
        }
    }
    impl std::error::Error for Of {}
    static CAUSES: [StaticCause; 2] = [StaticCause::new(&Of(0)), StaticCause::new(&Of(1))];

    /// Whose reason it is; if nobody's, the parent's.
    fn whose(token: &CancellationToken) -> Option<usize> {
        let reason = token.reason().expect("it is cancelled");
        reason.cause().map(|cause| cause.downcast_ref::<Of>().expect("one of these").0)
    }

    let (rounds, width) = if cfg!(miri) { (2, 4) } else { (200, 300) };
    for seed in 0..rounds {
        balanced(|| {
            let mut random = Random(seed);
            let root = CancellationToken::new();
            let children: Arc<Vec<_>> = Arc::new((0..width).map(|_| root.child_token()).collect());
            let mut jobs: Vec<_> = (0..3)
                .map(|who| {
                    let (children, mut order) = (Arc::clone(&children), (0..width).collect::<Vec<_>>());
                    random.shuffle(&mut order);
                    job(move || {
                        let counter = Counter::new();
                        let seen = order.into_iter().map(|index| {
                            let child = &children[index];
                            match CAUSES.get(who) {
                                Some(cause) => assert_eq!(child.cancel_with(cause), whose(child) == Some(who), "C6"),
                                None if index % 3 == 0 => child.cancel(),
                                None if index % 3 == 1 => {
                                    let born_cancelled = child.child_token().is_cancelled();
                                    assert!(child.is_cancelled() || !born_cancelled, "C4");
                                }
                                None => {
                                    let ready = counter.poll(&mut child.clone().cancelled_owned()).is_ready();
                                    assert!(child.is_cancelled() || !ready, "C13");
                                }
                            }
                            assert!(child.is_cancelled() || who == 2 && index % 3 != 0, "C3");
                            (index, child.is_cancelled().then(|| whose(child)))
                        });
                        seen.collect::<Vec<_>>()
                    })
                })
                .collect();
            let of_root = Arc::clone(&children);
            jobs.push(job(move || {
                root.cancel();
                assert!(of_root.iter().all(CancellationToken::is_cancelled), "C3");
                of_root.iter().enumerate().map(|(index, child)| (index, Some(whose(child)))).collect()
            }));
            random.shuffle(&mut jobs);
            for (index, seen) in at_once(jobs).into_iter().flatten() {
                assert!(seen.is_none_or(|seen| seen == whose(&children[index])), "C6: a reason changed");
            }
        });
    }
}
