//! What hangs on the tokens of a world, and what has to have become of it: futures with wakers, and callbacks.

use super::injector::{call, complain, demand};
use super::reasons::Reasons;
use super::world::{Home, World};
use crate::{NotRegistered, Registration, Unregister};
use core::cell::{Cell, RefCell};
use core::pin::Pin;
use core::task::{Context, Waker};
use std::boxed::Box;
use std::format;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

/// Counts the calls of one waker or callback.
#[derive(Default)]
pub(super) struct Line {
    calls: Cell<usize>,
    closed: Cell<bool>,
}

impl Line {
    pub(super) fn ring(&self) {
        self.calls.set(self.calls.get() + 1);
        demand(!self.closed.get(), "what was dropped, or prevented, is called all the same");
    }
}

/// What a future waits for.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Cancelled(char),
    /// The end of a callback.
    Finished(usize),
}

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

pub(super) struct Waiter {
    until: Until,
    task: RefCell<Option<Task>>,
    /// Its two wakers, which stay here: so the wake of one frees nothing.
    wakers: [Arc<Ringer>; 2],
    /// Which of them the latest poll had.
    latest: Cell<usize>,
    /// What the latest poll said.
    ready: Cell<Option<bool>>,
}

/// A waker that calls a line.
struct Ringer(usize);
impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        call(self.0);
    }
}

pub(super) struct Callback {
    on: char,
    line: usize,
    registration: RefCell<Option<Registration>>,
    prevented: Cell<bool>,
    /// What the closure has a share in: to be given back with it.
    _share: Arc<()>,
}

/// Waiting.
impl World {
    fn line(&self) -> usize {
        self.lines_given.replace(self.lines_given.get() + 1)
    }

    pub(super) fn attach(&self, until: Until, task: Task) {
        let wakers = [(); 2].map(|()| Arc::new(Ringer(self.line())));
        let (task, latest, ready) = (RefCell::new(Some(task)), Cell::new(0), Cell::new(None));
        self.waiters.borrow_mut().push(Rc::new(Waiter { until, task, wakers, latest, ready }));
    }

    fn waiter(&self, which: usize) -> Rc<Waiter> {
        self.waiters.borrow()[which].clone()
    }

    /// Polls with the waker of the last poll, or with the other one.
    pub(super) fn poll_with(&self, which: usize, other: bool) {
        let waiter = self.waiter(which);
        waiter.latest.set(waiter.latest.get() ^ usize::from(other));
        let waker = Waker::from(waiter.wakers[waiter.latest.get()].clone());
        let mut task = waiter.task.borrow_mut();
        let poll = task.as_mut().expect("a future").as_mut().poll(&mut Context::from_waker(&waker));
        waiter.ready.set(Some(poll.is_ready()));
    }

    /// Drops a future, unless somebody uses it.
    pub(super) fn forget(&self, which: usize) {
        let waiter = self.waiter(which);
        let Some(task) = waiter.task.try_borrow_mut().ok().and_then(|mut task| task.take()) else { return };
        drop(task);
        waiter.ready.set(None);
        // Who has interrupted a cancel may have come between its taking the waker and its waking it.
        let closed = !self.is_cancelling();
        waiter.wakers.iter().for_each(|waker| self.lines[waker.0].closed.set(closed));
    }

    pub(super) fn has_come(&self, until: Until) -> bool {
        match until {
            Until::Cancelled(name) => self.may(&self.member(name)) != Reasons::NONE,
            Until::Finished(which) => {
                let callback = self.callback(which);
                callback.prevented.get() || self.lines[callback.line].calls.get() != 0
            }
        }
    }

    fn look_at_waiters(&self) {
        for which in 0..self.waiters.borrow().len() {
            let waiter = self.waiter(which);
            let calls = [0, 1].map(|which| self.lines[waiter.wakers[which].0].calls.get());
            let (all, latest) = (calls[0] + calls[1], calls[waiter.latest.get()]);
            let has_come = self.has_come(waiter.until);
            match waiter.ready.get() {
                None => demand(all == 0 || waiter.task.borrow().is_none(), "the waker of nobody was called"),
                Some(true) => demand(all <= 1 || self.full.get(), "a waker was called more than once"),
                Some(false) if self.full.get() => demand(latest > 0 || !has_come, "a wake-up is lost"),
                Some(false) if has_come => {
                    demand(latest > 0, "a wake-up is lost");
                    demand(all <= 1, "a waker was called more than once");
                }
                Some(false) => demand(all == 0, "a waker was called too early"),
            }
            // The next poll, or the first.
            let is_ready = waiter.ready.get() == Some(true);
            if !is_ready && waiter.task.borrow().is_some() && (has_come || waiter.ready.get().is_none()) {
                self.poll_with(which, false);
            }
            demand(
                waiter.ready.get().is_none_or(|ready| ready == has_come),
                "a future is ready too early, or too late",
            );
        }
    }
}

/// Callbacks.
impl World {
    fn callback(&self, which: usize) -> Rc<Callback> {
        self.callbacks.borrow()[which].clone()
    }

    pub(super) fn on_cancel(&self, name: char) {
        let (line, share) = (self.line(), Arc::new(()));
        let registration = self.with(name, |token| match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => {
                let share = share.clone();
                Ok(token.on_cancel(move || {
                    let _share = share;
                    call(line);
                }))
            }
            Home::Pool => token.try_on_cancel_fn(call, line),
        });
        let prevented = match &registration {
            Ok(_) => false,
            Err(NotRegistered::Cancelled) => {
                demand(self.has_come(Until::Cancelled(name)), "a callback was refused for no reason");
                true
            }
            Err(NotRegistered::PoolFull) => {
                self.is_full();
                true
            }
        };
        self.lines[line].closed.set(prevented);
        let (registration, prevented) = (RefCell::new(registration.ok()), Cell::new(prevented));
        self.callbacks.borrow_mut().push(Rc::new(Callback { on: name, line, registration, prevented, _share: share }));
    }

    pub(super) fn unregister(&self, which: usize) {
        let callback = self.callback(which);
        let Some(registration) = callback.registration.take() else { return };
        let answer = registration.unregister();
        let calls = self.lines[callback.line].calls.get();
        let is_right = match answer {
            Unregister::Prevented => calls == 0,
            Unregister::Done => calls == 1,
            // By the cancel that we have interrupted.
            _ => self.is_cancelling(),
        };
        if !is_right {
            complain(|| format!("unregister says {answer:?} of what was run {calls} times"));
        }
        self.prevented(&callback, answer == Unregister::Prevented);
    }

    pub(super) fn drop_registration(&self, which: usize) {
        let callback = self.callback(which);
        drop(callback.registration.take());
        self.prevented(&callback, self.lines[callback.line].calls.get() == 0);
    }

    fn prevented(&self, callback: &Callback, prevented: bool) {
        callback.prevented.set(prevented);
        self.lines[callback.line].closed.set(prevented);
    }

    pub(super) fn detach(&self, which: usize) {
        if let Some(registration) = self.callback(which).registration.take() {
            registration.detach();
        }
    }

    /// A future of the end of a callback.
    pub(super) fn finished(&self, which: usize) {
        let callback = self.callback(which);
        let registration = callback.registration.borrow();
        let registration = registration.as_ref().expect("a registration");
        let finished = match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => registration.finished(),
            Home::Pool => registration.try_finished().expect("room"),
        };
        self.attach(Until::Finished(which), Box::pin(finished));
    }

    fn look_at_callbacks(&self) {
        for callback in self.callbacks.borrow().iter() {
            let has_come = self.has_come(Until::Cancelled(callback.on)) && !callback.prevented.get();
            let calls = self.lines[callback.line].calls.get();
            // One that is detached goes with its token, if that is not cancelled before.
            let may_be_gone = callback.registration.borrow().is_none() && !self.is_here(callback.on);
            if calls != usize::from(has_come) && !(may_be_gone && calls == 0) {
                complain(|| format!("a callback was run {calls} times"));
            }
        }
    }
}

impl World {
    pub(super) fn look_at_the_attached(&self) {
        self.look_at_waiters();
        self.look_at_callbacks();
        self.look_at_the_clock();
    }
}
