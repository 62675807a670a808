//! The interpreter: every step is done to the crate and to the reference, and everything that can be seen is compared.

use super::super::nodes;
use super::super::reference::{Fate, Id, Race, Tree, WAKERS, Why};
use super::Op;
use super::parts::{CountingWaker, Guard, Inner, Numbered, RUNNING, STATIC, Script, Told, Waiting, erased, why};
use cancel_tree::future::FutureExt;
use cancel_tree::time::{ManualTimer, instant};
use cancel_tree::{CancellationToken, Cause, Registration, Unregister};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(super) struct World {
    tree: Tree,
    pub(super) tokens: Vec<(CancellationToken, Id)>,
    pub(super) waits: Vec<Waiting>,
    pub(super) guards: Vec<Guard>,
    /// With the numbers of their callbacks.
    pub(super) registrations: Vec<(Registration, usize)>,
    wakers: [(Arc<CountingWaker>, Waker); WAKERS],
    /// Of each callback, one that its closure has a clone of.
    callbacks: Vec<Arc<()>>,
    /// Which callbacks have run, in that order; and how many of them have been checked.
    log: Arc<Mutex<Vec<usize>>>,
    checked: usize,
    /// Of each cause on the heap, one that it has a clone of.
    causes: Vec<Arc<()>>,
    timer: ManualTimer,
    /// Several cancels are running, one after the other, and the reference has done them all.
    partly: bool,
    /// How many nodes there were before.
    pub(super) nodes: isize,
}

impl World {
    pub(super) fn new() -> Self {
        let wakers = std::array::from_fn(|_| {
            let waker = Arc::new(CountingWaker::default());
            (waker.clone(), waker.into())
        });
        let (tree, tokens, waits, guards, registrations) = Default::default();
        let (callbacks, log, causes, timer) = Default::default();
        let nodes = nodes::live();
        Self {
            tree,
            tokens,
            waits,
            guards,
            registrations,
            wakers,
            callbacks,
            log,
            checked: 0,
            causes,
            timer,
            partly: false,
            nodes,
        }
    }

    pub(super) fn step(&mut self, op: Op) {
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
                self.tree.cancel(*id, Why::Plain);
                self.running(|world| {
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
                self.tree.cancel(id, Why::Plain);
                self.running(|_| drop(guard));
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
            Op::CancelWith { token, cause } => self.cancel_with(token, cause),
            Op::OnCancel { token, hand_back } => self.on_cancel(token, hand_back),
            Op::Unregister { registration } => {
                let Some((registration, callback)) = take(&mut self.registrations, registration) else { return };
                let expected = match self.tree.unregister(callback) {
                    Fate::Waits => Unregister::Prevented,
                    Fate::Ran(_) | Fate::Dropped => Unregister::Done,
                };
                self.running(|_| assert_eq!(registration.unregister(), expected, "the answer (C18)"));
            }
            Op::DropRegistration { registration } => {
                let Some((registration, callback)) = take(&mut self.registrations, registration) else { return };
                self.tree.unregister(callback);
                self.running(|_| drop(registration));
            }
            Op::Detach { registration } => {
                let Some((registration, callback)) = take(&mut self.registrations, registration) else { return };
                self.tree.detach(callback);
                self.running(|_| registration.detach());
            }
            Op::Finished { registration } => {
                let Some((registration, callback)) = choose(&self.registrations, registration) else { return };
                let mut poll = erased(registration.finished(), |()| None);
                if let Some(id) = self.tree.finished(*callback) {
                    let (script, model) = (Rc::default(), self.tree.wait(id, true, None));
                    self.waits.push(Waiting { poll, script, model, _borrowed: None });
                } else {
                    let answer = poll(&mut Context::from_waker(&self.wakers[0].1));
                    assert_eq!(answer, Poll::Ready(None), "the callback has finished");
                }
            }
            Op::Any { first, how } => {
                let place = |n: u8| usize::from(first) + usize::from(n) * usize::from(how / 5);
                let sources = (0..how % 5).filter_map(|n| self.tokens.get(place(n) % self.tokens.len().max(1)));
                let (sources, ids): (Vec<_>, Vec<_>) = sources.map(|(token, id)| (token, *id)).unzip();
                let any = (CancellationToken::any(sources), self.tree.any(&ids));
                self.tokens.push(any);
                self.empty_graveyard();
            }
            Op::Timed { of, after } => {
                let Some((parent, id)) = choose(&self.tokens, of) else { return };
                let at = self.tree.now + u64::from(after % 64);
                let child = (parent.child_with_timer(&self.timer, Duration::from_nanos(at)), self.tree.timed(*id, at));
                self.tokens.push(child);
                self.empty_graveyard();
            }
            Op::Advance { by } => {
                let by = u64::from(by % 32);
                self.empty_graveyard();
                self.tree.advance(by);
                self.partly = true;
                self.running(|world| world.timer.advance(Duration::from_nanos(by)));
                self.partly = false;
                self.empty_graveyard();
            }
        }
    }

    /// Lets the wakers and callbacks look at the world meanwhile.
    fn running(&self, f: impl FnOnce(&Self)) {
        struct Over;
        impl Drop for Over {
            fn drop(&mut self) {
                RUNNING.set(ptr::null());
            }
        }
        RUNNING.set(self);
        let _over = Over;
        f(self);
    }

    /// What links, arms or fires may empty it, or not: handles and alarms do that when they are dropped, one day.
    fn empty_graveyard(&mut self) {
        nodes::empty_graveyard();
        self.tree.settle();
    }

    fn cancel_with(&mut self, token: u8, cause: u8) {
        let Some((_, id)) = choose(&self.tokens, token) else { return };
        let number = usize::from(cause % 4);
        let (why, cause) = match STATIC.get(number) {
            Some(cause) => (Why::Static(number), Cause::from(cause)),
            None => {
                let (number, alive) = (self.causes.len(), Arc::new(()));
                self.causes.push(alive.clone());
                (Why::Heap(number), Cause::from(Numbered::Heap(number, alive)))
            }
        };
        let decides = self.tree.cancel(*id, why);
        self.running(|world| {
            let (token, _) = choose(&world.tokens, token).expect("it was there");
            let calls = nodes::calls();
            assert_eq!(token.cancel_with(cause), decides, "whether the call decided (C6)");
            let called = nodes::calls() != calls;
            assert!(!called || matches!(why, Why::Heap(_)), "a cancel has called the allocator (C10)");
        });
    }

    fn on_cancel(&mut self, token: u8, hand_back: bool) {
        let Some((token, id)) = choose(&self.tokens, token) else { return };
        let (number, alive) = (self.callbacks.len(), Arc::new(()));
        self.callbacks.push(alive.clone());
        // For a run that may not allocate.
        self.log.lock().unwrap().reserve(number + 1);
        let told = Told { number, alive, log: self.log.clone() };
        let run = move || told.run();
        let registration = if hand_back { token.try_on_cancel(run).ok() } else { Some(token.on_cancel(run)) };
        let registered = self.tree.on_cancel(*id, hand_back);
        assert_eq!(registration.is_some(), registered || !hand_back, "whether it was handed back (C17)");
        self.registrations.extend(registration.map(|registration| (registration, number)));
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
    pub(super) fn check(&mut self) {
        self.check_flags();
        self.check_callbacks();
        for (number, cause) in self.causes.iter().enumerate() {
            let alive = self.tree.causes.contains(&number);
            assert_eq!(Arc::strong_count(cause) > 1, alive, "whether cause {number} is there");
        }
        assert_eq!(self.timer.pending(), self.tree.pending(), "the timers that are armed (C20)");
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

    /// C17, C18: each runs once or never, and then its closure is gone; those of an earlier cancel run earlier.
    fn check_callbacks(&mut self) {
        let log = self.log.lock().unwrap();
        let cancel_of = |callback: &usize| match self.tree.callbacks[*callback].fate {
            Fate::Ran(cancel) => cancel,
            fate => panic!("callback {callback} has run: {fate:?}"),
        };
        assert!(log[self.checked..].is_sorted_by_key(cancel_of), "the order of the callbacks (C19)");
        self.checked = log.len();
        let ran = self.tree.callbacks.iter().filter(|callback| matches!(callback.fate, Fate::Ran(_)));
        // With the line above: each once, for none is there twice.
        assert_eq!(log.len(), ran.count(), "how many callbacks have run (C17)");
        assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len(), "a callback has run twice (C17)");
        for (number, closure) in self.callbacks.iter().enumerate() {
            let waits = self.tree.callbacks[number].fate == Fate::Waits;
            assert_eq!(Arc::strong_count(closure) > 1, waits, "whether the closure of callback {number} is there");
        }
    }

    /// When all has been dropped.
    pub(super) fn check_ends(&self) {
        assert!(self.callbacks.iter().all(|closure| Arc::strong_count(closure) == 1), "a closure is left");
        assert!(self.causes.iter().all(|cause| Arc::strong_count(cause) == 1), "a cause is left");
    }

    pub(super) fn check_flags(&self) {
        let guards = self.guards.iter().map(|guard| match guard {
            Guard::Owned(guard, id) => (guard.token(), *id),
            Guard::Ref(guard, _, id) => (guard.token(), *id),
        });
        // Cancel by cancel: all that one flags before the first that the next one does (C5).
        let (mut flagged, mut not_yet) = (0, usize::MAX);
        for (token, id) in self.tokens.iter().map(|(token, id)| (token, *id)).chain(guards) {
            let (reason, expected) = (token.reason().as_ref().map(why), self.tree.why(id));
            assert_eq!(token.is_cancelled(), reason.is_some(), "the flag and the reason of token {id} (C6)");
            if !self.partly || reason.is_some() {
                assert_eq!(reason, expected, "the reason of token {id} (C6)");
                flagged = flagged.max(self.tree.cancelled_by(id));
            } else if expected.is_some() {
                not_yet = not_yet.min(self.tree.cancelled_by(id));
            }
            let deadline = self.tree.deadline(id).map(Duration::from_nanos);
            assert_eq!(token.deadline(), deadline.and_then(instant), "the deadline of token {id} (C19)");
        }
        assert!(flagged < not_yet, "not all are flagged (C5)");
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
