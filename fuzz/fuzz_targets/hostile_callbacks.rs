//! Callbacks and causes that re-enter the tree or panic, wherever foreign code runs: when a callback is run, when its
//! closure is dropped, run or not, when a cause is dropped, and when a waker is woken.
//!
//! - no crash, whatever they do (C14, C16);
//! - at every entry of foreign code, and after every operation, exactly those tokens are flagged that were cancelled or have
//!   a cancelled ancestor or source: so all of a cancel's tokens before its first callback (C5, C22);
//! - each callback is run at most once, never after it was unregistered, and only if its token is flagged; with no cancel
//!   running, each that is registered with a flagged token has been run, also where others panicked, and the panic came
//!   out of the cancel (C15, C17);
//! - `unregister` says `Running` if and only if it is called from within that callback (C18);
//! - nothing is left at the end: no node, no closure, no cause.
//!
//! The first 48 bytes are what they do (four kinds, three occasions, four bytes each), then come the operations. Timers and
//! the futures of other adapters are not for this target.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use cancel_tree::{CancellationToken, Cause, Registration, StaticCause, Unregister};
use libfuzzer_sys::fuzz_target;
use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake};
use std::{fmt, mem, thread};
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

/// What is done on one occasion.
#[derive(Clone, Copy, Debug)]
enum Hook {
    Nothing,
    Panic,
    Do(Op),
    DoAndPanic(Op),
}

impl Hook {
    fn from_bytes([how, kind, a, b]: [u8; 4]) -> Self {
        let op = Op::from_bytes([kind, a, b]);
        match how % 8 {
            0 => Hook::Nothing,
            1 => Hook::Panic,
            2 => Hook::DoAndPanic(op),
            _ => Hook::Do(op),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Occasion {
    Run,
    Drop,
    Wake,
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

/// Foreign code.
fn act(kind: usize, occasion: Occasion) {
    let hook = with(|world| {
        world.check_flags();
        let may = world.fuel > 0 && world.depth < 6;
        world.fuel -= u32::from(may);
        if may { world.hooks[kind % KINDS][occasion as usize] } else { Hook::Nothing }
    });
    let mut panic: Option<Box<dyn Any + Send>> = None;
    if let Hook::Do(op) | Hook::DoAndPanic(op) = hook {
        with(|world| world.depth += 1);
        panic = step(op).err();
        with(|world| world.depth -= 1);
    }
    if matches!(hook, Hook::Panic | Hook::DoAndPanic(_)) {
        panic.get_or_insert(Box::new(Deliberate));
    }
    if let (Some(panic), false) = (panic, thread::panicking()) {
        if occasion != Occasion::Drop {
            with(|world| world.escaped += 1);
        }
        // Without the panic hook: that is libFuzzer's, and aborts.
        resume_unwind(panic);
    }
}

/// What a callback captures.
struct Captured {
    number: usize,
}

impl Captured {
    fn run(self) {
        with(|world| {
            let callback = &mut world.callbacks[self.number];
            assert!(world.family[callback.token].cancelled, "a callback is run, and its token is not cancelled");
            assert_eq!((callback.runs, callback.drops), (0, 0), "a callback is run that was run or unregistered");
            (callback.runs, callback.running) = (1, true);
        });
        /// Also if it panics.
        struct Over(usize);
        impl Drop for Over {
            fn drop(&mut self) {
                with(|world| world.callbacks[self.0].running = false);
            }
        }
        // What is captured goes before it is over.
        let _over = Over(self.number);
        let captured = self;
        act(captured.number, Occasion::Run);
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        with(|world| world.callbacks[self.number].drops += 1);
        act(self.number, Occasion::Drop);
    }
}

#[derive(Debug)]
struct Hostile(usize);

impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostile")
    }
}

impl std::error::Error for Hostile {}

impl Drop for Hostile {
    fn drop(&mut self) {
        with(|world| world.causes -= 1);
        act(self.0, Occasion::Drop);
    }
}

#[derive(Debug)]
struct Quiet;

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("quiet")
    }
}

impl std::error::Error for Quiet {}

static QUIET: StaticCause = StaticCause::new(&Quiet);

struct Waker(usize);

impl Wake for Waker {
    fn wake(self: Arc<Self>) {
        act(self.0, Occasion::Wake);
    }
}

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// Tokens are named by their places in `family`.
struct Member {
    above: Vec<usize>,
    cancelled: bool,
}

struct Callback {
    token: usize,
    runs: u32,
    drops: u32,
    running: bool,
}

struct World {
    tokens: Vec<(CancellationToken, usize)>,
    registrations: Vec<(Registration, usize)>,
    waits: Vec<Waiting>,
    family: Vec<Member>,
    callbacks: Vec<Callback>,
    /// How many there are.
    causes: usize,
    hooks: [[Hook; OCCASIONS]; KINDS],
    /// How often foreign code may still do something, and how deep in itself it is.
    fuel: u32,
    depth: u32,
    /// How many operations are running that run callbacks.
    cancels: u32,
    /// How many callbacks and wakers have panicked in the innermost of them.
    escaped: u32,
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
    assert!(outcome.as_ref().err().is_none_or(|panic| panic.is::<Deliberate>()), "another panic than was meant");
    outcome
}

fn take<T>(all: &mut Vec<T>, choice: u8) -> Option<T> {
    let at = usize::from(choice).checked_rem(all.len())?;
    Some(all.swap_remove(at))
}

impl World {
    fn make(&mut self, token: CancellationToken, above: Vec<usize>) {
        let cancelled = above.iter().any(|&above| self.family[above].cancelled);
        self.tokens.push((token, self.family.len()));
        self.family.push(Member { above, cancelled });
    }

    fn choose(&self, choice: u8) -> Option<&(CancellationToken, usize)> {
        self.tokens.get(usize::from(choice).checked_rem(self.tokens.len())?)
    }

    fn check_flags(&self) {
        for (token, name) in &self.tokens {
            assert_eq!(token.is_cancelled(), self.family[*name].cancelled, "the flag of token {name}");
        }
    }

    /// With no cancel running.
    fn check_callbacks(&self) {
        for (_, number) in &self.registrations {
            let Callback { token, runs, drops, .. } = self.callbacks[*number];
            let due = u32::from(self.family[token].cancelled);
            assert_eq!((runs, drops), (due, due), "the runs and drops of callback {number}");
        }
    }
}

/// Runs what cancels the token of that name.
fn cancelling(name: usize, cancel: impl FnOnce()) -> Caught {
    with(|world| {
        world.family[name].cancelled = true;
        for at in name + 1..world.family.len() {
            let reached = world.family[at].above.iter().any(|&above| world.family[above].cancelled);
            world.family[at].cancelled |= reached;
        }
    });
    running(cancel)
}

/// Runs what may run callbacks.
fn running(f: impl FnOnce()) -> Caught {
    let outer = with(|world| {
        world.cancels += 1;
        mem::take(&mut world.escaped)
    });
    let outcome = caught(f);
    let escaped = with(|world| {
        world.cancels -= 1;
        mem::replace(&mut world.escaped, outer)
    });
    assert!(outcome.is_err() || escaped == 0, "{escaped} callbacks and wakers have panicked, and nobody was told");
    outcome
}

/// One operation. The error is a panic that has come out of it.
fn step(op: Op) -> Caught {
    match op {
        Op::New => with(|world| world.make(CancellationToken::new(), Vec::new())),
        Op::Child { of } => with(|world| {
            let child = world.choose(of).map(|(token, name)| (token.child_token(), *name));
            child.into_iter().for_each(|(child, parent)| world.make(child, vec![parent]));
        }),
        Op::Clone { token } => with(|world| {
            let clone = world.choose(token).cloned();
            world.tokens.extend(clone);
        }),
        Op::Drop { token } => {
            let token = with(|world| take(&mut world.tokens, token));
            return running(|| drop(token));
        }
        Op::Cancel { token } => {
            if let Some((token, name)) = with(|world| world.choose(token).cloned()) {
                return cancelling(name, || {
                    token.cancel();
                    drop(token);
                });
            }
        }
        Op::CancelWith { token, cause } => {
            if let Some((token, name)) = with(|world| world.choose(token).cloned()) {
                let kind = usize::from(cause);
                let cause = if cause % 3 == 0 {
                    Cause::from(&QUIET)
                } else {
                    with(|world| world.causes += 1);
                    Cause::from(Hostile(kind))
                };
                return cancelling(name, move || {
                    token.cancel_with(cause);
                    drop(token);
                });
            }
        }
        Op::OnCancel { token, hand_back } => {
            if let Some((token, name)) = with(|world| world.choose(token).cloned()) {
                return on_cancel(token, name, hand_back);
            }
        }
        Op::Unregister { registration } => {
            if let Some((registration, number)) = with(|world| take(&mut world.registrations, registration)) {
                let (runs, is_running) = with(|world| (world.callbacks[number].runs, world.callbacks[number].running));
                return running(|| {
                    let expected = match (runs, is_running) {
                        (0, _) => Unregister::Prevented,
                        (_, true) => Unregister::Running,
                        (_, false) => Unregister::Done,
                    };
                    assert_eq!(registration.unregister(), expected, "callback {number}");
                });
            }
        }
        Op::DropRegistration { registration } => {
            let registration = with(|world| take(&mut world.registrations, registration));
            return running(|| drop(registration));
        }
        Op::Detach { registration } => {
            if let Some((registration, _)) = with(|world| take(&mut world.registrations, registration)) {
                return running(|| registration.detach());
            }
        }
        Op::Finished { registration } => with(|world| {
            let registration = usize::from(registration).checked_rem(world.registrations.len());
            let finished = registration.map(|at| world.registrations[at].0.finished());
            world.waits.extend(finished.map(|finished| Box::pin(finished) as Waiting));
        }),
        Op::Wait { token, .. } => with(|world| {
            let wait = world.choose(token).map(|(token, _)| Box::pin(token.clone().cancelled_owned()) as Waiting);
            world.waits.extend(wait);
        }),
        Op::Poll { wait, waker } => {
            if let Some(mut wait) = with(|world| take(&mut world.waits, wait)) {
                let waker = Arc::new(Waker(usize::from(waker))).into();
                let outcome = running(|| {
                    let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
                });
                with(|world| world.waits.push(wait));
                return outcome;
            }
        }
        Op::DropWait { wait } => {
            let wait = with(|world| take(&mut world.waits, wait));
            return running(|| drop(wait));
        }
        Op::Any { first, how } => {
            let sources: Vec<(CancellationToken, usize)> = with(|world| {
                let places = (0..how % 5).map(|n| first.wrapping_add(n.wrapping_mul(how / 5)));
                places.filter_map(|place| world.choose(place).cloned()).collect()
            });
            let above = sources.iter().map(|(_, name)| *name).collect();
            let mut any = None;
            // What it drops may be the end of others.
            let outcome = running(|| any = Some(CancellationToken::any(sources.iter().map(|(token, _)| token))));
            if let Some(any) = any {
                with(|world| world.make(any, above));
            }
            let dropped = running(|| drop(sources));
            return outcome.and(dropped);
        }
        _ => {}
    }
    Ok(())
}

fn on_cancel(token: CancellationToken, name: usize, hand_back: bool) -> Caught {
    let number = with(|world| {
        world.callbacks.push(Callback { token: name, runs: 0, drops: 0, running: false });
        world.callbacks.len() - 1
    });
    let captured = Captured { number };
    let run = move || captured.run();
    let mut registration = None;
    let outcome = running(|| {
        registration = if hand_back { token.try_on_cancel(run).ok() } else { Some(token.on_cancel(run)) };
    });
    with(|world| world.registrations.extend(registration.map(|registration| (registration, number))));
    let dropped = running(|| drop(token));
    outcome.and(dropped)
}

fn attack(Attack { hooks, ops }: Attack) {
    let _alone = nodes::exclusive();
    let nodes = nodes::live();
    let (tokens, registrations, waits, family, callbacks) = Default::default();
    let (causes, fuel, depth, cancels, escaped) = (0, 100, 0, 0, 0);
    WORLD.set(Some(World {
        tokens,
        registrations,
        waits,
        family,
        callbacks,
        causes,
        hooks,
        fuel,
        depth,
        cancels,
        escaped,
    }));
    // Whatever it is that panicked, the next operation follows.
    let next = |op| {
        let _ = step(op);
        with(|world| {
            world.check_flags();
            world.check_callbacks();
        });
    };
    ops.into_iter().for_each(next);
    // What foreign code does meanwhile runs out of fuel.
    while with(|world| !(world.tokens.is_empty() && world.waits.is_empty() && world.registrations.is_empty())) {
        next(Op::Drop { token: 0 });
        next(Op::DropWait { wait: 0 });
        next(Op::DropRegistration { registration: 0 });
    }
    nodes::empty_graveyard();
    let (callbacks, causes) = with(|world| (mem::take(&mut world.callbacks), world.causes));
    assert!(callbacks.iter().all(|callback| callback.drops == 1), "a closure is left, or was dropped twice");
    assert_eq!(causes, 0, "causes are left");
    WORLD.set(None);
    assert_eq!(nodes::live(), nodes, "nodes are left when everything has been dropped");
}

fuzz_target!(|input: Attack| attack(input));
