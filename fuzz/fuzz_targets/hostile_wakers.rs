//! Wakers that re-enter the tree or panic, wherever foreign code runs: when they are cloned, woken and dropped.
//!
//! - no crash, whatever they do (C14, C16);
//! - at every entry of foreign code, and after every operation, exactly those tokens are flagged that were cancelled or
//!   have a cancelled ancestor: so all of a cancel's tokens before its first waker (C5);
//! - a pending waiter of a cancelled token has been woken once by its latest waker, also where others panicked, and the
//!   panic came out of the cancel (C12, C15); nobody is woken after the drop, unless a cancel that runs had claimed it;
//! - nothing is left at the end: no node, no clone of a waker.
//!
//! The first 48 bytes are what the wakers do (four kinds, three occasions, four bytes each), then come the operations.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use cancel_tree::future::FutureExt;
use cancel_tree::{CancellationToken, DropGuard};
use libfuzzer_sys::fuzz_target;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::{mem, thread};
use support::nodes;
use support::ops::Op;

#[path = "../../tests/support"]
mod support {
    pub(crate) mod nodes;
    #[allow(dead_code, reason = "only its operations are used here")]
    pub(crate) mod ops;
    #[allow(dead_code, reason = "for the operations' own interpreter")]
    pub(crate) mod reference;
}

/// What a waker does on one occasion.
#[derive(Clone, Copy, Debug)]
enum Hook {
    Nothing,
    Panic,
    Do(Op),
    DoAndPanic(Op),
}

impl Hook {
    const BYTES: usize = 4;

    fn from_bytes([how, kind, a, b]: [u8; Self::BYTES]) -> Self {
        let op = Op::from_bytes([kind, a, b]);
        match how % 8 {
            0 => Hook::Nothing,
            1 => Hook::Panic,
            2 => Hook::DoAndPanic(op),
            _ => Hook::Do(op),
        }
    }
}

#[derive(Clone, Copy)]
enum Occasion {
    Clone,
    Wake,
    Drop,
}

const KINDS: usize = 4;
const OCCASIONS: usize = 3;

#[derive(Debug)]
struct Attack {
    hooks: [[Hook; OCCASIONS]; KINDS],
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Attack {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut hooks = [[Hook::Nothing; OCCASIONS]; KINDS];
        for hook in hooks.as_flattened_mut() {
            *hook = Hook::from_bytes(input.arbitrary()?);
        }
        Ok(Attack { hooks, ops: Op::list(input.bytes(input.len())?) })
    }
}

/// The payload of a panic that is meant.
struct Deliberate;

type Caught = Result<(), Box<dyn Any + Send>>;

/// One waker, made for one poll.
struct Hostile {
    kind: usize,
    woken: AtomicU32,
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        act_on(data, Occasion::Clone);
        // SAFETY: `data` is a counted reference, by `Hostile::waker`.
        unsafe { Arc::increment_strong_count(data.cast::<Hostile>()) };
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: as above; this one is consumed.
        let _hostile = unsafe { Arc::from_raw(data.cast::<Hostile>()) };
        wake(data);
    },
    wake,
    |data| {
        // SAFETY: as above; this one is consumed.
        let _hostile = unsafe { Arc::from_raw(data.cast::<Hostile>()) };
        // A cancel drops the waker that it has of a wait that has gone meanwhile.
        counted(|world| world.depth == world.depth_of_cancel, || act_on(data, Occasion::Drop));
    },
);

impl Hostile {
    fn waker(self: Arc<Self>) -> Waker {
        // SAFETY: the table counts references, and all is done on one thread.
        unsafe { Waker::new(Arc::into_raw(self).cast(), &VTABLE) }
    }

    fn woken(&self) -> u32 {
        self.woken.load(Relaxed)
    }
}

fn wake(data: *const ()) {
    // SAFETY: the caller's reference.
    unsafe { &*data.cast::<Hostile>() }.woken.fetch_add(1, Relaxed);
    counted(|_| true, || act_on(data, Occasion::Wake));
}

/// Runs `act`; if it panics, and if it was the innermost cancel that ran it, that is noted.
fn counted(is_by_cancel: impl FnOnce(&World) -> bool, act: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
        with(|world| world.escaped += u32::from(is_by_cancel(world)));
        resume_unwind(panic);
    }
}

/// Foreign code.
fn act_on(data: *const (), occasion: Occasion) {
    // SAFETY: the caller's reference, which he holds for as long as this runs.
    let kind = unsafe { &*data.cast::<Hostile>() }.kind;
    let hook = with(|world| {
        world.check_flags();
        let may = world.fuel > 0 && world.depth < 6;
        world.fuel -= u32::from(may);
        if may { world.hooks[kind][occasion as usize] } else { Hook::Nothing }
    });
    if let Hook::Do(op) | Hook::DoAndPanic(op) = hook {
        with(|world| world.depth += 1);
        let outcome = step(op);
        with(|world| world.depth -= 1);
        // What another waker has thrown goes on through this one.
        if let (Err(panic), false) = (outcome, thread::panicking()) {
            resume_unwind(panic);
        }
    }
    if matches!(hook, Hook::Panic | Hook::DoAndPanic(_)) && !thread::panicking() {
        // Without the panic hook: that is libFuzzer's, and aborts.
        resume_unwind(Box::new(Deliberate));
    }
}

/// Any of the crate's futures, type erased.
type ErasedPoll = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

fn erased<F: Future + 'static>(future: F) -> ErasedPoll {
    let mut future = Box::pin(future);
    Box::new(move |context| future.as_mut().poll(context).map(drop))
}

/// Ready when it is told to be.
fn until(ready: Option<Rc<Cell<bool>>>) -> impl Future<Output = ()> {
    poll_fn(move |_| if ready.as_ref().is_some_and(|ready| ready.get()) { Poll::Ready(()) } else { Poll::Pending })
}

struct Wait {
    future: ErasedPoll,
    token: usize,
    /// Of the future in a race.
    ready: Option<Rc<Cell<bool>>>,
    wakers: Vec<Arc<Hostile>>,
    /// Its last poll was pending.
    pending: bool,
    /// A poll has panicked since: whether it changed the waker before that, is open.
    open: bool,
}

impl Wait {
    fn wakes(&self) -> u32 {
        self.wakers.iter().map(|waker| waker.woken()).sum()
    }
}

/// Tokens are named by their places in `family`, where each has its parent and whether it is cancelled.
struct World {
    tokens: Vec<(CancellationToken, usize)>,
    guards: Vec<(DropGuard, usize)>,
    waits: Vec<Wait>,
    family: Vec<(Option<usize>, bool)>,
    /// The wakers of dropped waits, and how often each wait had been woken if that was final.
    past: Vec<(Vec<Arc<Hostile>>, Option<u32>)>,
    hooks: [[Hook; OCCASIONS]; KINDS],
    /// How often foreign code may still do something, and how deep in itself it is.
    fuel: u32,
    depth: u32,
    /// How many cancels are running.
    cancels: u32,
    /// How many wakers have panicked in the innermost of them, and how deep that one is itself.
    escaped: u32,
    depth_of_cancel: u32,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Never calls what could call back.
fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| f(world.as_mut().expect("foreign code runs in a world")))
}

fn caught(f: impl FnOnce()) -> Caught {
    let outcome = catch_unwind(AssertUnwindSafe(f));
    assert!(outcome.as_ref().err().is_none_or(|panic| panic.is::<Deliberate>()), "another panic than a waker's");
    outcome
}

fn take<T>(all: &mut Vec<T>, choice: u8) -> Option<T> {
    let at = usize::from(choice).checked_rem(all.len())?;
    Some(all.swap_remove(at))
}

impl World {
    fn make(&mut self, token: CancellationToken, parent: Option<usize>) {
        let cancelled = parent.is_some_and(|parent| self.family[parent].1);
        self.tokens.push((token, self.family.len()));
        self.family.push((parent, cancelled));
    }

    fn choose(&self, choice: u8) -> Option<&(CancellationToken, usize)> {
        self.tokens.get(usize::from(choice).checked_rem(self.tokens.len())?)
    }

    fn check_flags(&self) {
        let guarded = self.guards.iter().map(|(guard, name)| (guard.token(), *name));
        for (token, name) in self.tokens.iter().map(|(token, name)| (token, *name)).chain(guarded) {
            assert_eq!(token.is_cancelled(), self.family[name].1, "the flag of token {name}");
        }
    }

    /// With no cancel running.
    fn check_waits(&self) {
        for wait in &self.waits {
            let (all, latest) = (wait.wakes(), wait.wakers.last().map_or(0, |waker| waker.woken()));
            let due = u32::from(self.family[wait.token].1);
            assert!(all <= 1, "a waiter was woken {all} times");
            if wait.pending && !wait.open {
                assert_eq!((latest, all), (due, due), "the wakes by a waiter's latest waker, and all");
            } else if wait.pending && wait.ready.is_none() {
                // None, if that poll came during the cancel: it took the waker back, and dropping it panicked.
                assert!(all <= due, "the wakes of a waiter whose last poll panicked");
            }
        }
    }
}

/// Runs what cancels the token of that name.
fn cancelling(name: usize, cancel: impl FnOnce()) -> Caught {
    let outer = with(|world| {
        world.family[name].1 = true;
        for at in name + 1..world.family.len() {
            world.family[at].1 |= world.family[at].0.is_some_and(|parent| world.family[parent].1);
        }
        world.cancels += 1;
        (mem::take(&mut world.escaped), mem::replace(&mut world.depth_of_cancel, world.depth))
    });
    let outcome = caught(cancel);
    let escaped = with(|world| {
        world.cancels -= 1;
        world.depth_of_cancel = outer.1;
        mem::replace(&mut world.escaped, outer.0)
    });
    assert_eq!(outcome.is_err(), escaped > 0, "{escaped} wakers have panicked");
    outcome
}

/// One operation. The error is a panic that has come out of it.
fn step(op: Op) -> Caught {
    match op {
        Op::New => with(|world| world.make(CancellationToken::new(), None)),
        Op::Child { of } => with(|world| {
            let child = world.choose(of).map(|(token, name)| (token.child_token(), *name));
            child.into_iter().for_each(|(child, parent)| world.make(child, Some(parent)));
        }),
        Op::Clone { token } => with(|world| {
            let clone = world.choose(token).cloned();
            world.tokens.extend(clone);
        }),
        Op::Drop { token } => drop(with(|world| take(&mut world.tokens, token))),
        Op::Cancel { token } => {
            if let Some((token, name)) = with(|world| world.choose(token).cloned()) {
                return cancelling(name, || token.cancel());
            }
        }
        Op::Compare { left, right } => with(|world| {
            if let (Some(left), Some(right)) = (world.choose(left), world.choose(right)) {
                assert_eq!(left.0 == right.0, left.1 == right.1, "equal are the clones of one token");
            }
        }),
        Op::Wait { token, owned } => wait(token, owned, None, |token, _| erased(token.cancelled_owned())),
        Op::RunUntilCancelled { token, owned } => wait(token, owned, Some(Rc::default()), |token, ready| {
            erased(token.run_until_cancelled_owned(until(ready)))
        }),
        Op::WithToken { token, owned } => wait(token, owned, Some(Rc::default()), |token, ready| {
            erased(until(ready).with_cancellation_token_owned(token))
        }),
        Op::Poll { wait, waker } => return poll(wait, usize::from(waker) % KINDS),
        Op::Finish { wait } => with(|world| {
            let wait = usize::from(wait).checked_rem(world.waits.len()).map(|at| &world.waits[at]);
            wait.and_then(|wait| wait.ready.as_ref()).into_iter().for_each(|ready| ready.set(true));
        }),
        Op::DropWait { wait } => {
            if let Some(Wait { future, wakers, .. }) = with(|world| take(&mut world.waits, wait)) {
                let outcome = caught(|| drop(future));
                with(|world| {
                    let wakes = wakers.iter().map(|waker| waker.woken()).sum();
                    world.past.push((wakers, (world.cancels == 0).then_some(wakes)));
                });
                return outcome;
            }
        }
        Op::Guard { token, .. } => with(|world| {
            let taken = take(&mut world.tokens, token);
            world.guards.extend(taken.map(|(token, name)| (token.drop_guard(), name)));
        }),
        Op::DropGuard { guard } => {
            if let Some((guard, name)) = with(|world| take(&mut world.guards, guard)) {
                return cancelling(name, || drop(guard));
            }
        }
        Op::Disarm { guard } => with(|world| {
            let taken = take(&mut world.guards, guard);
            world.tokens.extend(taken.map(|(guard, name)| (guard.disarm(), name)));
        }),
        // Of these, `hostile_callbacks`.
        Op::CancelWith { .. }
        | Op::OnCancel { .. }
        | Op::Unregister { .. }
        | Op::DropRegistration { .. }
        | Op::Detach { .. }
        | Op::Finished { .. }
        | Op::Any { .. }
        | Op::Timed { .. }
        | Op::Advance { .. } => {}
    }
    Ok(())
}

/// A future of a token that is taken, or of a clone.
fn wait(
    token: u8,
    owned: bool,
    ready: Option<Rc<Cell<bool>>>,
    future: impl FnOnce(CancellationToken, Option<Rc<Cell<bool>>>) -> ErasedPoll,
) {
    let taken = with(|world| if owned { take(&mut world.tokens, token) } else { world.choose(token).cloned() });
    if let Some((token, name)) = taken {
        let future = future(token, ready.clone());
        let wait = Wait { future, token: name, ready, wakers: Vec::new(), pending: false, open: false };
        with(|world| world.waits.push(wait));
    }
}

/// Polls with a new waker. While it is polled, foreign code does not find the wait.
fn poll(wait: u8, kind: usize) -> Caught {
    let Some(mut wait) = with(|world| take(&mut world.waits, wait)) else { return Ok(()) };
    let hostile = Arc::new(Hostile { kind, woken: AtomicU32::new(0) });
    let waker = hostile.clone().waker();
    let mut poll = Poll::Pending;
    let outcome = caught(|| poll = (wait.future)(&mut Context::from_waker(&waker)));
    wait.wakers.push(hostile);
    if outcome.is_ok() {
        wait.pending = poll.is_pending();
        wait.open = false;
    } else {
        wait.open = true;
    }
    with(|world| world.waits.push(wait));
    let dropped = caught(|| drop(waker));
    outcome.and(dropped)
}

fn attack(Attack { hooks, ops }: Attack) {
    let _alone = nodes::exclusive();
    let nodes = nodes::live();
    let (tokens, guards, waits, family, past) = Default::default();
    let world = World {
        tokens,
        guards,
        waits,
        family,
        past,
        hooks,
        fuel: 100,
        depth: 0,
        cancels: 0,
        escaped: 0,
        depth_of_cancel: u32::MAX,
    };
    WORLD.set(Some(world));
    // Whatever it is that panicked, the next operation follows.
    let next = |op| {
        let _ = step(op);
        with(|world| {
            world.check_flags();
            world.check_waits();
        });
    };
    ops.into_iter().for_each(next);
    // What foreign code does meanwhile runs out of fuel.
    while with(|world| !(world.tokens.is_empty() && world.waits.is_empty() && world.guards.is_empty())) {
        next(Op::Drop { token: 0 });
        next(Op::DropWait { wait: 0 });
        next(Op::DropGuard { guard: 0 });
    }
    for (wakers, wakes) in with(|world| mem::take(&mut world.past)) {
        let all: u32 = wakers.iter().map(|waker| waker.woken()).sum();
        assert!(all <= 1 && wakes.is_none_or(|wakes| wakes == all), "a waiter was woken after it was dropped");
        assert!(wakers.iter().all(|waker| Arc::strong_count(waker) == 1), "a clone of a waker is left");
    }
    WORLD.set(None);
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), nodes, "nodes are left when everything has been dropped");
}

fuzz_target!(|input: Attack| attack(input));
