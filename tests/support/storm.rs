//! What one thread of a storm holds and does. Nothing here waits for another thread, but for a moment at the table.

use cancel_tree::time::ManualTimer;
use cancel_tree::{CancelKind, CancellationToken, Finished, Registration, Unregister, WaitForCancellationFutureOwned};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Duration;

/// One step of one thread; the numbers choose among what the thread holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    New,
    Child(u8),
    Clone(u8),
    Drop(u8),
    Cancel(u8),
    CancelWith(u8),
    Wait(u8),
    Poll(u8),
    DropWait(u8),
    OnCancel(u8),
    Unregister(u8),
    Detach(u8),
    Finished(u8),
    Any(u8),
    Timed(u8),
    Advance(u8),
    /// Puts a token where all threads find it, or takes one from there.
    Give(u8),
    Take,
}

/// Why a token is cancelled: a cause is named by its thread and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Reason {
    Plain,
    Deadline,
    Cause(usize, usize),
}

#[derive(Debug)]
struct Cause {
    name: (usize, usize),
    _alive: Arc<()>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Cause {}

pub(crate) fn reason(token: &CancellationToken) -> Option<Reason> {
    let reason = token.reason()?;
    let cause = reason.cause().map(|cause| cause.downcast_ref::<Cause>().expect("there are no others").name);
    Some(match (reason.kind(), cause) {
        (CancelKind::Cancelled, None) => Reason::Plain,
        (CancelKind::Cancelled, Some((thread, number))) => Reason::Cause(thread, number),
        (_, cause) => {
            assert_eq!(cause, None, "a deadline has no cause here");
            Reason::Deadline
        }
    })
}

/// A token, with the names of all its ancestors and its own; a name stands for all clones of one token.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) token: CancellationToken,
    /// In its own tree.
    path: Vec<usize>,
    /// And the sources of all these, and their ancestors.
    pub(crate) above: Vec<usize>,
    seen: Option<Reason>,
}

impl Held {
    pub(crate) fn root(name: usize) -> Self {
        Self { token: CancellationToken::new(), path: vec![name], above: vec![name], seen: None }
    }

    pub(crate) fn name(&self) -> usize {
        *self.path.last().expect("its own name")
    }

    pub(crate) fn look(&mut self) -> Option<Reason> {
        let (cancelled, reason) = (self.token.is_cancelled(), reason(&self.token));
        assert!(!cancelled || reason.is_some(), "cancelled, and nobody knows why (C6)");
        assert!(self.seen.is_none() || self.seen == reason, "{:?}, and then {reason:?} (C2, C6)", self.seen);
        self.seen = reason;
        reason
    }

    pub(crate) fn child(&mut self, name: usize, make: impl FnOnce(&CancellationToken) -> CancellationToken) -> Self {
        let seen = self.look();
        let with = |names: &[usize]| [names, &[name]].concat();
        let mut child = Self { token: make(&self.token), path: with(&self.path), above: with(&self.above), seen: None };
        assert!(seen.is_none() || child.look() == seen, "a child of a cancelled token is born cancelled (C4, C6)");
        child
    }

    fn any(name: usize, sources: &mut [Self]) -> Self {
        let seen = sources.iter_mut().find_map(Held::look);
        let token = CancellationToken::any(sources.iter().map(|source| &source.token));
        let above = sources.iter().flat_map(|source| source.above.clone()).chain([name]).collect();
        let mut any = Self { token, path: vec![name], above, seen: None };
        assert!(seen.is_none() || any.look().is_some(), "linked to a cancelled token, and not born cancelled (C4)");
        any
    }
}

/// How a token has come about: what the reference needs to know.
#[derive(Clone, Default)]
pub(crate) struct Born {
    pub(crate) parent: Option<usize>,
    pub(crate) sources: Option<Vec<usize>>,
    pub(crate) at: Option<u64>,
}

#[derive(Default)]
pub(crate) struct CountingWaker(pub(crate) AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A future, and a waker of its own for each poll.
pub(crate) struct Waiter {
    pub(crate) future: Option<WaitForCancellationFutureOwned>,
    pub(crate) above: Vec<usize>,
    pub(crate) wakers: Vec<Arc<CountingWaker>>,
    pub(crate) pending: bool,
}

/// A callback, from its registration on.
pub(crate) struct Callback {
    pub(crate) registration: Option<Registration>,
    pub(crate) finished: Option<Finished>,
    /// A future of its end has been made.
    pub(crate) was_asked: bool,
    /// What it said when it was unregistered.
    pub(crate) unregistered: Option<Unregister>,
    /// Counts its runs; the closure has a clone.
    pub(crate) runs: Arc<AtomicUsize>,
    pub(crate) token: usize,
    pub(crate) above: Vec<usize>,
}

/// What one thread holds, and has done.
#[derive(Default)]
pub(crate) struct Hand {
    pub(crate) thread: usize,
    pub(crate) tokens: Vec<Held>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) dropped: Vec<Waiter>,
    pub(crate) callbacks: Vec<Callback>,
    pub(crate) causes: Vec<Arc<()>>,
    pub(crate) born: Vec<(usize, Born)>,
    /// The token, what it was cancelled for, and whether that decided, as far as it was said.
    pub(crate) cancels: Vec<(usize, Reason, bool)>,
}

/// What all threads share: where they give and take tokens, a clock, the next name, and where they start.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) tokens: Mutex<Vec<Held>>,
    pub(crate) timer: ManualTimer,
    pub(crate) names: AtomicUsize,
    arrived: AtomicUsize,
}

impl Table {
    pub(crate) fn name(&self) -> usize {
        self.names.fetch_add(1, Relaxed)
    }

    /// A barrier would take longer to wake a thread than the thread then takes for its acts.
    pub(crate) fn meet(&self, threads: usize) {
        self.arrived.fetch_add(1, Relaxed);
        while self.arrived.load(Relaxed) < threads {
            thread::yield_now();
        }
    }

    /// Lets nobody wait for a thread that has failed.
    pub(crate) fn leave(&self) {
        self.arrived.fetch_add(usize::from(u8::MAX), Relaxed);
    }
}

fn pick<T>(all: &[T], choice: u8) -> Option<usize> {
    usize::from(choice).checked_rem(all.len())
}

impl Hand {
    pub(crate) fn act(&mut self, act: Act, table: &Table) -> Option<()> {
        match act {
            Act::New => self.make(Born::default(), Held::root(table.name())),
            Act::Child(of) => {
                let parent = pick(&self.tokens, of)?;
                let child = self.tokens[parent].child(table.name(), CancellationToken::child_token);
                self.make(Born { parent: Some(self.tokens[parent].name()), ..Born::default() }, child);
            }
            Act::Timed(of) => {
                let parent = pick(&self.tokens, of)?;
                let at = table.timer.now() + Duration::from_nanos(u64::from(of / 32));
                let make = |token: &CancellationToken| token.child_with_timer(&table.timer, at);
                let child = self.tokens[parent].child(table.name(), make);
                let (parent, at) = (Some(self.tokens[parent].name()), u64::try_from(at.as_nanos()).ok());
                self.make(Born { parent, at, sources: None }, child);
            }
            Act::Any(first) => {
                let places = (0..1 + first / 64).filter_map(|n| pick(&self.tokens, first.wrapping_add(n * 7)));
                let mut sources: Vec<Held> = places.map(|place| self.tokens[place].clone()).collect();
                let any = Held::any(table.name(), &mut sources);
                let sources = Some(sources.iter().map(Held::name).collect());
                self.make(Born { sources, ..Born::default() }, any);
            }
            Act::Clone(token) => self.tokens.push(self.tokens[pick(&self.tokens, token)?].clone()),
            Act::Drop(token) => drop(self.tokens.swap_remove(pick(&self.tokens, token)?)),
            Act::Cancel(token) => self.cancel(token, Reason::Plain)?,
            Act::CancelWith(token) => self.cancel(token, Reason::Cause(self.thread, self.causes.len()))?,
            Act::Advance(by) => table.timer.advance(Duration::from_nanos(u64::from(by / 64))),
            Act::Wait(token) => {
                let Held { token, above, .. } = self.tokens.swap_remove(pick(&self.tokens, token)?);
                let future = Some(token.cancelled_owned());
                self.waiters.push(Waiter { future, above, wakers: Vec::new(), pending: false });
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
            Act::OnCancel(token) => {
                let Held { token, above, .. } = &self.tokens[pick(&self.tokens, token)?];
                let (runs, name) = (Arc::new(AtomicUsize::new(0)), *above.last()?);
                let run = runs.clone();
                let registration = Some(token.on_cancel(move || {
                    run.fetch_add(1, Relaxed);
                }));
                let (above, finished, was_asked, unregistered) = (above.clone(), None, false, None);
                self.callbacks.push(Callback {
                    registration,
                    finished,
                    was_asked,
                    unregistered,
                    runs,
                    token: name,
                    above,
                });
            }
            Act::Unregister(callback) => {
                let callback = pick(&self.callbacks, callback)?;
                let callback = &mut self.callbacks[callback];
                callback.unregistered = Some(callback.registration.take()?.unregister());
                if callback.unregistered == Some(Unregister::Done) {
                    assert_eq!(callback.runs.load(Relaxed), 1, "what the callback did is visible (C18)");
                }
            }
            Act::Detach(callback) => {
                let callback = pick(&self.callbacks, callback)?;
                self.callbacks[callback].registration.take()?.detach();
            }
            Act::Finished(callback) => {
                let callback = pick(&self.callbacks, callback)?;
                let callback = &mut self.callbacks[callback];
                callback.finished = Some(callback.registration.as_ref()?.finished());
                callback.was_asked = true;
            }
            Act::Give(token) => {
                let held = self.tokens.swap_remove(pick(&self.tokens, token)?);
                table.tokens.lock().unwrap().push(held);
            }
            Act::Take => self.tokens.push({ table.tokens.lock().unwrap().pop() }?),
        }
        Some(())
    }

    fn make(&mut self, born: Born, held: Held) {
        self.born.push((held.name(), born));
        self.tokens.push(held);
    }

    fn cancel(&mut self, token: u8, reason: Reason) -> Option<()> {
        let root = &self.tokens[pick(&self.tokens, token)?];
        let name = root.name();
        let decided = if let Reason::Cause(thread, number) = reason {
            let alive = Arc::new(());
            self.causes.push(alive.clone());
            root.token.cancel_with(Cause { name: (thread, number), _alive: alive })
        } else {
            root.token.cancel();
            false
        };
        self.cancels.push((name, reason, decided));
        // First those that were made last, which a cancel of an ancestor may not have come to.
        for held in self.tokens.iter_mut().rev().filter(|held| held.path.contains(&name)) {
            assert!(held.look().is_some(), "a cancel has returned, and a descendant is not flagged (C3)");
        }
        Some(())
    }
}
