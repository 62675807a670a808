//! What tasks tell each other, with nothing but std: the scenario must not lean on what it tests.

use cancel_tree::CancellationToken;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A value to come, or the news that it never will.
enum Letter<T> {
    Awaited(Option<Waker>),
    Here(T),
    Lost,
}

/// Keeps a promise, or is dropped: the task that had it was dropped, or panicked.
pub(crate) struct Promise<T>(Arc<Mutex<Letter<T>>>);

/// Ready when the promise is kept. Panics if it is dropped.
pub(crate) struct Promised<T>(Arc<Mutex<Letter<T>>>);

pub(crate) fn promise<T>() -> (Promise<T>, Promised<T>) {
    let letter = Arc::new(Mutex::new(Letter::Awaited(None)));
    (Promise(letter.clone()), Promised(letter))
}

fn settle<T>(letter: &Mutex<Letter<T>>, outcome: Letter<T>) {
    let before = {
        let mut letter = letter.lock().unwrap_or_else(PoisonError::into_inner);
        match *letter {
            Letter::Awaited(_) => std::mem::replace(&mut *letter, outcome),
            _ => return,
        }
    };
    if let Letter::Awaited(Some(waker)) = before {
        waker.wake();
    }
}

impl<T> Promise<T> {
    pub(crate) fn keep(self, value: T) {
        settle(&self.0, Letter::Here(value));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        settle(&self.0, Letter::Lost);
    }
}

impl<T> Promised<T> {
    /// Whether the promise is still neither kept nor broken.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.0.lock().unwrap(), Letter::Awaited(_))
    }
}

impl<T> Future for Promised<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut letter = self.0.lock().unwrap();
        match std::mem::replace(&mut *letter, Letter::Awaited(Some(context.waker().clone()))) {
            Letter::Here(value) => Poll::Ready(value),
            Letter::Awaited(_) => Poll::Pending,
            Letter::Lost => panic!("a task was dropped or has panicked"),
        }
    }
}

/// Counts tasks that have come to a point; one other waits for all of them.
#[derive(Clone)]
pub(crate) struct Arrivals(Arc<(AtomicUsize, Mutex<Option<Waker>>)>);

impl Arrivals {
    pub(crate) fn of(tasks: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(tasks), Mutex::new(None))))
    }

    pub(crate) fn arrive(&self) {
        let last = self.0.0.fetch_sub(1, SeqCst) == 1;
        let waker = if last { self.0.1.lock().unwrap().take() } else { None };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) async fn all(&self) {
        poll_fn(|context| {
            *self.0.1.lock().unwrap() = Some(context.waker().clone());
            if self.0.0.load(SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Arrives when `future` has been polled for the first time: what it registers is registered then.
    pub(crate) async fn begin<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut arrivals = Some(self);
        poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            if let Some(arrivals) = arrivals.take() {
                arrivals.arrive();
            }
            polled
        })
        .await
    }
}

/// Lets the other tasks go first, once.
pub(crate) async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Count {
    pub(crate) fn wakes(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Polls a future once, with a waker of the test's.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Whether each of these is cancelled, now.
pub(crate) fn marks(tokens: &[CancellationToken]) -> Vec<bool> {
    tokens.iter().map(CancellationToken::is_cancelled).collect()
}
