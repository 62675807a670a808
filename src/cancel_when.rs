//! A future that cancels a token, without a task of its own.

use crate::{CancellationToken, Registration};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::task::Wake;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use core::task::{Context, Poll, Waker};
use pin_project_lite::pin_project;
use std::sync::{Mutex, PoisonError};

/// For cancelling on an event.
impl CancellationToken {
    /// Cancels this token when `future` completes: whatever there is a future for becomes a reason to stop, without a task
    /// being spawned for it.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let token = CancellationToken::new();
    /// let (hang_up, hung_up) = tokio::sync::oneshot::channel::<()>();
    /// let _guard = token.cancel_when(hung_up);
    /// drop(hang_up);
    /// assert!(token.is_cancelled());
    /// ```
    ///
    /// What comes of the future is dropped, and the reason has no cause. For another one, let the future itself cancel. Ctrl-C,
    /// with the signal as the cause:
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use async_signal::{Signal, Signals};
    /// use cancel_tree::CancellationToken;
    /// use futures_lite::StreamExt;
    ///
    /// #[derive(Debug)]
    /// struct Interrupted(Signal);
    /// impl std::fmt::Display for Interrupted {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         write!(f, "interrupted by signal {}", self.0 as i32)
    ///     }
    /// }
    /// impl std::error::Error for Interrupted {}
    ///
    /// let token = CancellationToken::new();
    /// let mut signals = Signals::new([Signal::Int, Signal::Term])?;
    /// let signalled = token.clone();
    /// token
    ///     .cancel_when(async move {
    ///         if let Some(Ok(signal)) = signals.next().await {
    ///             signalled.cancel_with(Interrupted(signal));
    ///         }
    ///     })
    ///     .detach();
    ///
    /// # // What the terminal does on Ctrl-C.
    /// # unsafe { libc::raise(libc::SIGINT) };
    /// token.wait();
    /// let reason = token.reason().unwrap();
    /// assert!(matches!(reason.cause().unwrap().downcast_ref(), Some(Interrupted(Signal::Int))));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Who polls
    ///
    /// This call polls the future once. From then on it is polled by whoever wakes it, on that thread, inside of the `wake()`:
    /// a reactor's thread, the sender of a message, another token's canceller. Wake-ups that come while it is being polled,
    /// from the future itself or from other threads, make that thread poll it again; they wait for nothing, do not recurse,
    /// and none is lost.
    ///
    /// So the future should do next to nothing between two waits. It may not block, nor assume that it is polled on a
    /// particular thread, or inside of an async runtime: what needs tokio's context, say, has to enter it in its `poll`, or be
    /// spawned. One that wakes itself in every poll keeps the thread for as long as it does so. And whoever wakes it may not
    /// hold a lock that its poll takes: most wake after they have let go of their locks; `event-listener`, and with it
    /// `async-channel`, does not, and would deadlock. What you are not sure of, spawn.
    ///
    /// To follow another token, use [`any`](Self::any), or make a child of it: a chain of a thousand tokens, each cancelled when
    /// the one before it is, by way of futures, has a thousand `cancel()`s on the stack at the same time.
    ///
    /// # When it is dropped
    ///
    /// As soon as it completes, before the token is cancelled; when the guard is dropped; or when this token is cancelled
    /// otherwise. In the last case it happens on the thread that cancels, inside of the `cancel()`, as in any
    /// [callback](Self::on_cancel). So a token that may be cancelled in a signal or interrupt handler, or where nothing may block,
    /// should have this for a child of it only if the future's drop is fit for that. If the future is being polled
    /// at that moment, the thread that does so drops it, when that poll is over, and nobody waits for it. If this token is
    /// cancelled already, the future is dropped without having been polled.
    ///
    /// Until then it keeps the token. A [detached](CancelWhen::detach) future that nobody can wake any more, because all its
    /// wakers are gone, is dropped, too; but one that waits for something that only it keeps alive stays, as a task would,
    /// until the token is cancelled.
    ///
    /// # Panics
    ///
    /// If the future panics in a poll, or its output when it is dropped, the panic goes to whoever called this function, or `wake()`. The future is dropped then,
    /// and the token is not cancelled by it. If the drop of a future that has completed panics, the token is cancelled.
    ///
    /// # Progress
    ///
    /// Lock-free, but for the future itself. Three allocations. (Go: a goroutine that waits and cancels.)
    pub fn cancel_when<F: Future + Send + 'static>(&self, future: F) -> CancelWhen {
        let driver = Arc::new(Driver { state: AtomicU8::new(BUSY), work: Mutex::new(None) });
        let weak = Arc::downgrade(&driver);
        if let Ok(registration) = self.try_on_cancel(move || stop(&weak)) {
            let future = Box::pin(Silent { future });
            driver.put(Work { future, token: self.clone(), registration });
            driver.run();
        }
        CancelWhen { driver: Some(driver) }
    }
}

/// Keeps a future at work that cancels a token: [`CancellationToken::cancel_when`]. Dropping it stops and drops the future.
///
/// Should the future be in the middle of a poll on another thread, then that thread drops it when the poll is over, and
/// does not poll it again; the drop of the guard does not wait for it. The poll may still turn out to be the last one, and
/// cancel the token.
#[must_use = "dropping it drops the future; `detach` lets it go on"]
pub struct CancelWhen {
    /// `None`: detached.
    driver: Option<Arc<Driver>>,
}

impl CancelWhen {
    /// Lets the future go on, until it completes or the token is cancelled.
    ///
    /// It keeps a handle on the token meanwhile. Where tokens come and go under an event that stays, keep the guard instead.
    ///
    /// If nobody has a waker of the future, it is dropped here.
    pub fn detach(mut self) {
        self.driver = None;
    }
}

impl Drop for CancelWhen {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.stop();
        }
    }
}

impl fmt::Debug for CancelWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelWhen").finish_non_exhaustive()
    }
}

/// Somebody owns the work: he polls it, or has ended it. Never taken back after the end.
const BUSY: u8 = 1;
/// It is to be polled, again.
const WOKEN: u8 = 2;
/// It is to be dropped.
const STOPPED: u8 = 4;

/// A future, and who has it. It is kept by the future's wakers, and by the guard; the token's callback only knows of it.
struct Driver {
    state: AtomicU8,
    /// Only touched by who owns it (BUSY), so nobody ever waits for this lock. `None` once it has ended.
    work: Mutex<Option<Work>>,
}

pin_project! {
    /// A future whose output does not matter.
    struct Silent<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Silent<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx).map(drop)
    }
}

/// In the order in which they are to be dropped.
struct Work {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Ends the work when the token is cancelled otherwise.
    registration: Registration,
    token: CancellationToken,
}

fn stop(driver: &Weak<Driver>) {
    if let Some(driver) = driver.upgrade() {
        driver.stop();
    }
}

impl Driver {
    fn put(&self, work: Work) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    fn take(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Drops the work, or leaves that to who has it.
    fn stop(&self) {
        // Acquire: the work, from who had it last. Release: for who owns it, and has to see what came before.
        if self.state.fetch_or(BUSY | STOPPED, AcqRel) & BUSY == 0 {
            drop(self.take());
        }
    }

    /// Polls the work until it rests or has ended. The caller owns it. A panic in a poll leaves it owned for ever, by nobody.
    fn run(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        let Some(mut work) = self.take() else { return };
        loop {
            // Acquire: what those did who woke it before this; who comes later sets WOKEN again.
            if self.state.fetch_and(!WOKEN, AcqRel) & STOPPED != 0 {
                return;
            }
            if work.future.as_mut().poll(&mut cx).is_ready() {
                let Work { future, registration, token } = work;
                // Also if the drop panics.
                let _cancel = token.drop_guard();
                drop(future);
                drop(registration);
                return;
            }
            self.put(work);
            // Release: the work. Acquire on failure: as above.
            if self.state.compare_exchange(BUSY, 0, Release, Acquire).is_ok() {
                return;
            }
            let Some(again) = self.take() else { return };
            work = again;
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Acquire: the work, from who had it last. Release: what came before the wake-up.
        if self.state.fetch_or(BUSY | WOKEN, AcqRel) & BUSY == 0 {
            self.run();
        }
    }
}
