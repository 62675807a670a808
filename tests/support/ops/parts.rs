//! What the interpreter puts into the tree, and how that tells what becomes of it.

use super::super::reference::{Id, Why};
use super::world::World;
use cancel_tree::{CancelKind, CancellationToken, Cancelled, DropGuard, DropGuardRef, StaticCause};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};

thread_local! {
    /// The world that something is done to, for the wakers and callbacks to look at.
    pub(super) static RUNNING: Cell<*const World> = const { Cell::new(ptr::null()) };
}

/// All are flagged before the first waker or callback is run (C5).
fn look() {
    // SAFETY: only `World::running` sets it, for as long as it borrows the world.
    if let Some(world) = unsafe { RUNNING.get().as_ref() } {
        world.check_flags();
    }
}

/// Counts its wakes, and how many of it there are by its references.
#[derive(Default)]
pub(super) struct CountingWaker {
    pub(super) woken: AtomicUsize,
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Relaxed);
        look();
    }
}

/// What a callback captures, and its end of the log.
pub(super) struct Told {
    pub(super) number: usize,
    #[allow(dead_code, reason = "its count is looked at")]
    pub(super) alive: Arc<()>,
    pub(super) log: Arc<Mutex<Vec<usize>>>,
}

impl Told {
    /// What is to be run. The log has room.
    pub(super) fn run(self) {
        self.log.lock().unwrap().push(self.number);
        look();
    }
}

/// A cause that knows its number.
#[derive(Debug)]
pub(super) enum Numbered {
    Static(usize),
    Heap(usize, #[allow(dead_code, reason = "its count is looked at")] Arc<()>),
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Error for Numbered {}

pub(super) static STATIC: [StaticCause; 2] =
    [StaticCause::new(&Numbered::Static(0)), StaticCause::new(&Numbered::Static(1))];

/// What a token says.
pub(super) fn why(reason: &Cancelled) -> Why {
    let cause = reason.cause().map(|cause| cause.downcast_ref().expect("all causes have numbers"));
    match (reason.kind(), cause) {
        (CancelKind::Cancelled, None) => Why::Plain,
        (CancelKind::Cancelled, Some(Numbered::Static(number))) => Why::Static(*number),
        (CancelKind::Cancelled, Some(Numbered::Heap(number, _))) => Why::Heap(*number),
        (CancelKind::DeadlineExceeded, None) => Why::Deadline,
        other => panic!("nobody has given {other:?} as a reason"),
    }
}

/// A future that is ready when it is told to be.
pub(super) struct Inner(pub(super) Rc<Script>);

#[derive(Default)]
pub(super) struct Script {
    pub(super) ready: Cell<bool>,
    pub(super) polls: Cell<u32>,
    pub(super) drops: Cell<u32>,
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

pub(super) type ErasedPoll = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<u32>>>;

/// Any of the crate's futures, type erased. What the future borrows from is dropped after it.
pub(super) struct Waiting {
    pub(super) poll: ErasedPoll,
    pub(super) script: Rc<Script>,
    pub(super) model: usize,
    pub(super) _borrowed: Option<Rc<CancellationToken>>,
}

pub(super) fn erased<F: Future + 'static>(future: F, answer: fn(F::Output) -> Option<u32>) -> ErasedPoll {
    let mut future = Box::pin(future);
    Box::new(move |context| future.as_mut().poll(context).map(answer))
}

pub(super) enum Guard {
    Owned(DropGuard, Id),
    Ref(DropGuardRef<'static>, Rc<CancellationToken>, Id),
}
