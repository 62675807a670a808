//! Wakers that count, and wakers that do something.

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

/// Polls once with this waker.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count {
    wakes: AtomicUsize,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Relaxed);
    }
}

/// The test's end of a [`Count`]: it makes the wakers, and knows how many of them are left.
#[derive(Default)]
pub(crate) struct Counter(Arc<Count>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self::default()
    }
    pub(crate) fn many(n: usize) -> Vec<Self> {
        std::iter::repeat_with(Self::new).take(n).collect()
    }
    pub(crate) fn wakes(&self) -> usize {
        self.0.wakes.load(Relaxed)
    }
    /// How many wakers somebody keeps.
    pub(crate) fn kept(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
    /// Polls once with a waker of this counter. Nothing of it is left with the caller.
    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        poll(future, &Waker::from(Arc::clone(&self.0)))
    }
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// What a waker does besides counting, each time that it is cloned, woken or dropped.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_clone: Option<Hook>,
    pub(crate) on_wake: Option<Hook>,
    pub(crate) on_drop: Option<Hook>,
    pub(crate) wakes: AtomicUsize,
    /// How many wakers were dropped without being woken.
    pub(crate) drops: AtomicUsize,
}

impl Hooks {
    pub(crate) fn on_clone(hook: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { on_clone: Some(Box::new(hook)), ..Self::default() })
    }
    pub(crate) fn on_wake(hook: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { on_wake: Some(Box::new(hook)), ..Self::default() })
    }
    pub(crate) fn on_drop(hook: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { on_drop: Some(Box::new(hook)), ..Self::default() })
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Relaxed)
    }
    pub(crate) fn drops(&self) -> usize {
        self.drops.load(Relaxed)
    }

    /// A waker for one poll. It is forgotten, not dropped, when the poll is over: so each call of `on_clone` and
    /// `on_drop` is the tree's doing.
    pub(crate) fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let data = Arc::as_ptr(self).cast();
        // SAFETY: the functions treat `data` as what `Arc::into_raw` gave for a `Hooks`. This waker does not own the
        // count that goes with it, and therefore is never dropped.
        let waker = std::mem::ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &HOOKS)) });
        poll(future, &waker)
    }
}

// A hook may panic: so each function first sees to the count, and then runs the hook.
static HOOKS: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the waker that is cloned keeps the hooks.
        let hooks = unsafe { &*data.cast::<Hooks>() };
        run(hooks.on_clone.as_ref());
        // SAFETY: as above; the new count is the new waker's.
        unsafe { Arc::increment_strong_count(data.cast::<Hooks>()) };
        RawWaker::new(data, &HOOKS)
    },
    |data| {
        // SAFETY: the waker's count, which ends with it.
        let hooks = unsafe { Arc::from_raw(data.cast::<Hooks>()) };
        hooks.wakes.fetch_add(1, Relaxed);
        run(hooks.on_wake.as_ref());
    },
    |data| {
        // SAFETY: the waker that is woken keeps the hooks.
        let hooks = unsafe { &*data.cast::<Hooks>() };
        hooks.wakes.fetch_add(1, Relaxed);
        run(hooks.on_wake.as_ref());
    },
    |data| {
        // SAFETY: the waker's count, which ends with it.
        let hooks = unsafe { Arc::from_raw(data.cast::<Hooks>()) };
        hooks.drops.fetch_add(1, Relaxed);
        run(hooks.on_drop.as_ref());
    },
);

fn run(hook: Option<&Hook>) {
    if let Some(hook) = hook {
        hook();
    }
}

/// A wait with all the wakers that it has been polled with, so that [`check`](Self::check) can tell whether it was woken
/// as it should be.
///
/// While it lives, its wakers allocate and free nothing: a signal handler may run them.
pub(crate) struct Waiter {
    future: WaitForCancellationFutureOwned,
    counters: Vec<Counter>,
    latest: usize,
    pub(crate) result: Poll<()>,
}

impl Waiter {
    /// To be polled before it is checked.
    pub(crate) fn new(token: &CancellationToken) -> Self {
        let future = token.clone().cancelled_owned();
        Self { future, counters: Counter::many(4), latest: 0, result: Poll::Pending }
    }

    /// Polls with one of its wakers.
    pub(crate) fn poll(&mut self, waker: usize) {
        self.latest = waker % self.counters.len();
        self.result = self.counters[self.latest].poll(&mut self.future);
    }

    /// C2, C12, C13, when nobody is at work on its token.
    pub(crate) fn check(&mut self) {
        let latest = &self.counters[self.latest];
        let (wakes, kept) = (latest.wakes(), latest.kept());
        // If it is pending, this changes nothing, the waker being the same.
        let cancelled = usize::from(latest.poll(&mut self.future).is_ready());
        match self.result {
            Poll::Pending => assert_eq!((wakes, kept), (cancelled, 1 - cancelled), "wakes and wakers kept"),
            Poll::Ready(()) => assert_eq!((cancelled, kept), (1, 0), "it was ready, and kept nothing"),
        }
        let mut wakes = 0;
        for (index, counter) in self.counters.iter().enumerate() {
            wakes += counter.wakes();
            if index != self.latest {
                assert_eq!(counter.kept(), 0, "an earlier waker is kept");
                assert!(counter.wakes() == 0 || self.result.is_ready(), "an earlier waker was woken");
            }
        }
        assert!(wakes <= 1, "woken {wakes} times");
    }

    /// Drops the future. What is left is to be asked whether it [`is_silent`].
    pub(crate) fn end(self) -> Vec<Counter> {
        self.counters
    }
}

/// The wakers of a dropped future: one of them may have been woken, and nobody keeps any (C12).
pub(crate) fn is_silent(counters: &[Counter]) -> bool {
    counters.iter().map(Counter::wakes).sum::<usize>() <= 1 && counters.iter().all(|counter| counter.kept() == 0)
}
