//! Sequences of public operations, and an interpreter that runs them against the crate and against the reference at once
//! and compares everything after every step. Shared by `tests/properties.rs` and the fuzz targets.

use super::nodes;
use super::reference::{Id, Race, Tree, WAKERS};
use cancel_tree::future::FutureExt;
use cancel_tree::{CancellationToken, DropGuard, DropGuardRef};
use std::cell::Cell;
use std::future::Future;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// One step. The numbers choose among what is there, modulo how much that is, so that every step can be done; if there
/// is nothing to choose from, nothing is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    New,
    Child { of: u8 },
    Clone { token: u8 },
    Drop { token: u8 },
    Cancel { token: u8 },
    Compare { left: u8, right: u8 },
    Wait { token: u8, owned: bool },
    RunUntilCancelled { token: u8, owned: bool },
    WithToken { token: u8, owned: bool },
    Poll { wait: u8, waker: u8 },
    Finish { wait: u8 },
    DropWait { wait: u8 },
    Guard { token: u8, owned: bool },
    DropGuard { guard: u8 },
    Disarm { guard: u8 },
}

impl Op {
    /// How many bytes of a fuzzer's input are one step.
    pub(crate) const BYTES: usize = 3;
    /// First bytes below this are all kinds of steps; those above repeat.
    pub(crate) const KINDS: u8 = 40;

    /// Every three bytes are some step. The order is part of the corpus: add to it only by taking a repetition's place.
    pub(crate) fn from_bytes([kind, a, b]: [u8; Self::BYTES]) -> Self {
        let owned = b % 3 == 0;
        match kind % Self::KINDS {
            0 | 1 => Op::New,
            2..=11 => Op::Child { of: a },
            12 | 13 => Op::Clone { token: a },
            14..=18 => Op::Drop { token: a },
            19 => Op::Cancel { token: a },
            20 => Op::Compare { left: a, right: b },
            21..=23 => Op::Wait { token: a, owned },
            24 => Op::RunUntilCancelled { token: a, owned },
            25 => Op::WithToken { token: a, owned },
            26..=32 => Op::Poll { wait: a, waker: b },
            33 => Op::Finish { wait: a },
            34 | 35 => Op::DropWait { wait: a },
            36 => Op::Guard { token: a, owned },
            37 => Op::DropGuard { guard: a },
            _ => Op::Disarm { guard: a },
        }
    }

    /// A fuzzer's input; what is left over at its end is ignored.
    #[allow(dead_code, reason = "not every user has bytes")]
    pub(crate) fn list(bytes: &[u8]) -> Vec<Self> {
        bytes.chunks_exact(Self::BYTES).map(|op| Self::from_bytes([op[0], op[1], op[2]])).collect()
    }
}

/// Runs a list of steps, then drops what is left in some order (every other list: polls and cancels in between), and
/// checks that nothing is left.
pub(crate) fn run(ops: &[Op]) {
    let bytes = nodes::bytes();
    let mut world = World::new();
    for &op in ops {
        world.step(op);
        world.check();
    }
    let drops_only = ops.len() % 2 == 0;
    // Any order will do, so long as it is the same for the same list.
    let mut choice = ops.len() as u64;
    loop {
        choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (at, waker) = ((choice >> 40) as u8, (choice >> 48) as u8);
        let (tokens, waits, guards) = (!world.tokens.is_empty(), !world.waits.is_empty(), !world.guards.is_empty());
        world.step(match (choice >> 33) % 12 {
            0..=2 if waits && !drops_only => Op::Poll { wait: at, waker },
            3 if tokens && !drops_only => Op::Cancel { token: at },
            4..=5 if waits => Op::DropWait { wait: at },
            6 if guards => Op::DropGuard { guard: at },
            _ if tokens => Op::Drop { token: at },
            _ if waits => Op::DropWait { wait: at },
            _ if guards => Op::DropGuard { guard: at },
            _ => break,
        });
        world.check();
    }
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), world.nodes, "nodes are left when everything has been dropped");
    drop(world);
    assert_eq!(nodes::bytes(), bytes, "memory is left when everything has been dropped");
}

thread_local! {
    /// The world whose cancel is running, for the wakers to look at.
    static CANCELLING: Cell<*const World> = const { Cell::new(ptr::null()) };
}

/// Counts its wakes, and how many of it there are by its references.
#[derive(Default)]
struct CountingWaker {
    woken: AtomicUsize,
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Relaxed);
        // SAFETY: only `World::cancelling` sets it, for as long as it borrows the world.
        match unsafe { CANCELLING.get().as_ref() } {
            // All are flagged before the first is woken (C5).
            Some(world) => world.check_flags(),
            // A guard that goes down with a failed world cancels, too.
            None => assert!(thread::panicking(), "nothing but a cancel wakes"),
        }
    }
}

/// A future that is ready when it is told to be.
struct Inner(Rc<Script>);

#[derive(Default)]
struct Script {
    ready: Cell<bool>,
    polls: Cell<u32>,
    drops: Cell<u32>,
}

impl Future for Inner {
    type Output = u32;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        self.0.polls.set(self.0.polls.get() + 1);
        if self.0.ready.get() { Poll::Ready(self.0.polls.get()) } else { Poll::Pending }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.0.drops.set(self.0.drops.get() + 1);
    }
}

type ErasedPoll = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<u32>>>;

/// Any of the crate's futures, type erased. What the future borrows from is dropped after it.
struct Waiting {
    poll: ErasedPoll,
    script: Rc<Script>,
    model: usize,
    _borrowed: Option<Rc<CancellationToken>>,
}

fn erased<F: Future + 'static>(future: F, answer: fn(F::Output) -> Option<u32>) -> ErasedPoll {
    let mut future = Box::pin(future);
    Box::new(move |context| future.as_mut().poll(context).map(answer))
}

enum Guard {
    Owned(DropGuard, Id),
    Ref(DropGuardRef<'static>, Rc<CancellationToken>, Id),
}

struct World {
    tree: Tree,
    tokens: Vec<(CancellationToken, Id)>,
    waits: Vec<Waiting>,
    guards: Vec<Guard>,
    wakers: [(Arc<CountingWaker>, Waker); WAKERS],
    /// How many nodes there were before.
    nodes: isize,
}

impl World {
    fn new() -> Self {
        let wakers = std::array::from_fn(|_| {
            let waker = Arc::new(CountingWaker::default());
            (waker.clone(), waker.into())
        });
        let (tree, tokens, waits, guards) = Default::default();
        Self { tree, tokens, waits, guards, wakers, nodes: nodes::live() }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::New => self.tokens.push((CancellationToken::new(), self.tree.root())),
            Op::Child { of } => {
                let Some((parent, id)) = choose(&self.tokens, of) else { return };
                let child = (parent.child_token(), self.tree.child(*id));
                self.tokens.push(child);
            }
            Op::Clone { token } => {
                let Some((token, id)) = choose(&self.tokens, token) else { return };
                let clone = (token.clone(), *id);
                self.tree.retain(clone.1);
                self.tokens.push(clone);
            }
            Op::Drop { token } => {
                let Some((token, id)) = take(&mut self.tokens, token) else { return };
                drop(token);
                self.tree.release(id);
            }
            Op::Cancel { token } => {
                let Some((_, id)) = choose(&self.tokens, token) else { return };
                self.tree.cancel(*id);
                self.cancelling(|world| {
                    let (token, _) = choose(&world.tokens, token).expect("it was there");
                    let calls = nodes::calls();
                    token.cancel();
                    assert_eq!(nodes::calls(), calls, "a cancel has called the allocator (C10)");
                });
            }
            Op::Compare { left, right } => self.compare(left, right),
            Op::Wait { token, owned } => self.wait(token, owned, None),
            Op::RunUntilCancelled { token, owned } => self.wait(token, owned, Some(false)),
            Op::WithToken { token, owned } => self.wait(token, owned, Some(true)),
            Op::Poll { wait, waker } => {
                let waker = usize::from(waker) % WAKERS;
                let Some(wait) = choose_mut(&mut self.waits, wait) else { return };
                let expected = self.tree.poll(wait.model, waker);
                let answer = (wait.poll)(&mut Context::from_waker(&self.wakers[waker].1));
                assert_eq!(answer, expected, "the answer of a poll");
            }
            Op::Finish { wait } => {
                let Some(wait) = choose(&self.waits, wait) else { return };
                wait.script.ready.set(true);
                self.tree.waits[wait.model].race.iter_mut().for_each(|race| race.ready = true);
            }
            Op::DropWait { wait } => {
                let Some(Waiting { poll, script, model, _borrowed }) = take(&mut self.waits, wait) else { return };
                drop(poll);
                drop(_borrowed);
                self.tree.drop_wait(model);
                let drops = u32::from(self.tree.waits[model].race.is_some());
                assert_eq!(script.drops.get(), drops, "the drops of the future in a race");
            }
            Op::Guard { token, owned } => self.guard(token, owned),
            Op::DropGuard { guard } => {
                let Some(guard) = take(&mut self.guards, guard) else { return };
                let (Guard::Owned(_, id) | Guard::Ref(_, _, id)) = guard;
                self.tree.cancel(id);
                self.cancelling(|_| drop(guard));
                self.tree.release(id);
            }
            Op::Disarm { guard } => {
                let Some(guard) = take(&mut self.guards, guard) else { return };
                self.tokens.push(match guard {
                    Guard::Owned(guard, id) => (guard.disarm(), id),
                    Guard::Ref(guard, token, id) => {
                        assert!(ptr::eq(guard.disarm(), &*token), "the borrow that was guarded");
                        (Rc::into_inner(token).expect("only the guard borrowed it"), id)
                    }
                });
            }
        }
    }

    /// Lets the wakers look at the world while `cancel` runs.
    fn cancelling(&self, cancel: impl FnOnce(&Self)) {
        struct Over;
        impl Drop for Over {
            fn drop(&mut self) {
                CANCELLING.set(ptr::null());
            }
        }
        CANCELLING.set(self);
        let _over = Over;
        cancel(self);
    }

    fn compare(&self, left: u8, right: u8) {
        let (Some((left, a)), Some((right, b))) = (choose(&self.tokens, left), choose(&self.tokens, right)) else {
            return;
        };
        assert_eq!(left == right, a == b, "equal are the clones of one token (C1)");
        let hash = |token| BuildHasherDefault::<DefaultHasher>::default().hash_one(token);
        assert!(a != b || hash(left) == hash(right), "clones hash alike");
        assert!(format!("{left:?}").contains(if self.tree.is_cancelled(*a) { "true" } else { "false" }));
    }

    /// `race` is whether the token is looked at when the race is made.
    fn wait(&mut self, token: u8, owned: bool, race: Option<bool>) {
        let Some((token, id)) = self.take_or_clone(token, owned) else { return };
        let script = Rc::new(Script::default());
        let inner = race.map(|looked| (Inner(script.clone()), looked));
        let mut borrowed = None;
        let poll = if owned {
            match inner {
                None => erased(token.cancelled_owned(), |()| None),
                Some((inner, false)) => erased(token.run_until_cancelled_owned(inner), |output| output),
                Some((inner, true)) => erased(inner.with_cancellation_token_owned(token), |output| output),
            }
        } else {
            // SAFETY: `Waiting` keeps the token until the future has been dropped.
            let token = unsafe { unbound(borrowed.insert(Rc::new(token))) };
            match inner {
                None => erased(token.cancelled(), |()| None),
                Some((inner, false)) => erased(token.run_until_cancelled(inner), |output| output),
                Some((inner, true)) => erased(inner.with_cancellation_token(token), |output| output),
            }
        };
        let model = self.tree.wait(id, owned, race.map(|looked| Race { looked, ..Race::default() }));
        self.waits.push(Waiting { poll, script, model, _borrowed: borrowed });
    }

    fn guard(&mut self, token: u8, owned: bool) {
        let Some((token, id)) = self.take_or_clone(token, owned) else { return };
        self.guards.push(if owned {
            Guard::Owned(token.drop_guard(), id)
        } else {
            let token = Rc::new(token);
            // SAFETY: `Guard` keeps the token until the guard has been dropped or disarmed.
            Guard::Ref(unsafe { unbound(&token) }.drop_guard_ref(), token, id)
        });
    }

    /// What owns gets the handle itself, what borrows borrows from a clone.
    fn take_or_clone(&mut self, token: u8, take_it: bool) -> Option<(CancellationToken, Id)> {
        if take_it {
            return take(&mut self.tokens, token);
        }
        let (token, id) = choose(&self.tokens, token)?;
        self.tree.retain(*id);
        Some((token.clone(), *id))
    }

    /// Compares all that can be seen.
    fn check(&self) {
        self.check_flags();
        for (k, (count, _)) in self.wakers.iter().enumerate() {
            assert_eq!(count.woken.load(Relaxed), self.tree.woken[k], "how often waker {k} was woken (C12)");
            assert_eq!(Arc::strong_count(count) - 2, self.tree.held(k), "how many waiters keep waker {k} (C12)");
        }
        for wait in &self.waits {
            if let Some(race) = self.tree.waits[wait.model].race {
                assert_eq!(wait.script.polls.get(), race.polls, "the polls of the future in a race");
                assert_eq!(wait.script.drops.get(), u32::from(race.decided), "its drops");
            }
        }
        assert_eq!(nodes::live() - self.nodes, self.tree.live_nodes() as isize, "the live nodes (C8)");
    }

    fn check_flags(&self) {
        let check = |token: &CancellationToken, id| {
            assert_eq!(token.is_cancelled(), self.tree.is_cancelled(id), "the flag of token {id}");
        };
        self.tokens.iter().for_each(|(token, id)| check(token, *id));
        for guard in &self.guards {
            match guard {
                Guard::Owned(guard, id) => check(guard.token(), *id),
                Guard::Ref(guard, _, id) => check(guard.token(), *id),
            }
        }
    }
}

/// # Safety
/// What borrows from the result is gone before the last of `owner` is.
unsafe fn unbound<'a>(owner: &Rc<CancellationToken>) -> &'a CancellationToken {
    // SAFETY: the caller keeps it; a shared borrow of what an `Rc` holds stays where it is.
    unsafe { &*Rc::as_ptr(owner) }
}

fn choose<T>(all: &[T], choice: u8) -> Option<&T> {
    all.get(usize::from(choice).checked_rem(all.len())?)
}

fn choose_mut<T>(all: &mut [T], choice: u8) -> Option<&mut T> {
    all.get_mut(usize::from(choice).checked_rem(all.len())?)
}

fn take<T>(all: &mut Vec<T>, choice: u8) -> Option<T> {
    let at = usize::from(choice).checked_rem(all.len())?;
    Some(all.swap_remove(at))
}
