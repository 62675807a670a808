//! Callbacks: how one is registered, and what a registration can do.

use crate::reason::CancelKind;
#[cfg(feature = "alloc")]
use crate::tree::Heap;
use crate::tree::{Handle, Home, Reason, Unborn};
use crate::{CancellationToken, NotRegistered, PoolFull, WaitForCancellationFutureOwned};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Callbacks.
impl CancellationToken {
    /// Registers `f`, to be run when this token is cancelled: once, by the thread that cancels it, after everything below
    /// has been marked. If it is cancelled already, `f` runs here and now.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, Unregister};
    /// # use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// let token = CancellationToken::new();
    /// let stop = Arc::new(AtomicBool::new(false));
    /// let registration = token.on_cancel({
    ///     let stop = stop.clone();
    ///     move || stop.store(true, Ordering::Relaxed)
    /// });
    /// token.cancel();
    /// assert!(stop.load(Ordering::Relaxed));
    /// assert_eq!(registration.unregister(), Unregister::Done);
    /// ```
    ///
    /// `f` is foreign code in a [`cancel`](Self::cancel): it may do with the tree what it likes, but it should be short, and
    /// if the cancel may come from a signal or interrupt handler, it has to be fit for that. If it panics, all other
    /// callbacks and wakers run all the same, and the panic reaches the caller of `cancel`, or of this function.
    ///
    /// Lock-free. One allocation, of 120 bytes and `f` (64-bit targets); none if the token is cancelled already. The
    /// registration is a handle on the token, too. (Go: `AfterFunc`, which starts a goroutine for it.)
    #[cfg(feature = "alloc")]
    #[must_use = "dropping the registration unregisters the callback; `detach` leaves it registered"]
    pub fn on_cancel<F: FnOnce() + Send + 'static>(&self, f: F) -> Registration {
        self.try_on_cancel(f).unwrap_or_else(|f| {
            f();
            Registration::done()
        })
    }

    /// As [`on_cancel`](Self::on_cancel), but never runs `f` here.
    ///
    /// # Errors
    ///
    /// `f`, if the token is cancelled already.
    #[cfg(feature = "alloc")]
    pub fn try_on_cancel<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<Registration, F> {
        if self.is_cancelled() {
            return Err(f);
        }
        match self.handle().callback(Heap, f) {
            Ok(callback) => Ok(Registration::new(self.handle().clone(), callback)),
            Err(Unborn::Cancelled(f)) => Err(f),
        }
    }

    /// Registers a function, to be run with `context` when this token is cancelled. As [`try_on_cancel`](Self::try_on_cancel), for a
    /// token in a [`TokenPool`](crate::TokenPool).
    ///
    /// ```
    /// # use cancel_tree::{PoolFull, TokenPool, Unregister};
    /// # use core::sync::atomic::{AtomicBool, Ordering};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// static POOL: TokenPool<2> = TokenPool::new();
    /// static MOTOR: AtomicBool = AtomicBool::new(true);
    ///
    /// let token = POOL.try_token()?;
    /// let registration = token.try_on_cancel_fn(|motor| motor.store(false, Ordering::Relaxed), &MOTOR)?;
    /// token.cancel();
    /// assert!(!MOTOR.load(Ordering::Relaxed));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A context that is larger than a word, or aligned more strictly, does not compile; that of several tokens may be one `static`.
    ///
    /// Lock-free. One node, from where this token came from: from its pool, or the heap.
    ///
    /// # Errors
    ///
    /// If this token is cancelled already, or its pool is full.
    pub fn try_on_cancel_fn<C: Copy + Send + 'static>(
        &self,
        f: fn(C),
        context: C,
    ) -> Result<Registration, NotRegistered> {
        if self.is_cancelled() {
            return Err(NotRegistered::Cancelled);
        }
        match self.handle().callback(self.handle().home(), move || f(context)) {
            Ok(callback) => Ok(Registration::new(self.handle().clone(), callback)),
            Err(Unborn::Cancelled(_)) => Err(NotRegistered::Cancelled),
            Err(Unborn::Full(..)) => Err(NotRegistered::PoolFull),
        }
    }
}

/// A callback that has been registered with [`CancellationToken::on_cancel`]. Dropping it unregisters the callback.
///
/// Nothing here ever waits for a callback that is running; so all of it may be called from within one, the same or
/// another. Each call is lock-free.
#[must_use = "dropping the registration unregisters the callback; `detach` leaves it registered"]
pub struct Registration {
    /// `None`: the token was cancelled before, and the callback ran.
    callback: Option<Callback>,
}

struct Callback {
    /// The token: as long as the registration lives, so does that.
    token: Handle,
    node: Handle,
}

/// What [`Registration::unregister`] found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unregister {
    /// The callback has not run and never will. It has been dropped.
    Prevented,
    /// A cancel has the callback: it is running, on another thread or further up on this one, or about to.
    Running,
    /// The callback has run, or has panicked; what it did is visible to this thread.
    Done,
}

impl Registration {
    pub(crate) fn new(token: Handle, node: Handle) -> Self {
        Self { callback: Some(Callback { token, node }) }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn done() -> Self {
        Self { callback: None }
    }

    /// Takes the callback back, if it has not begun to run, and tells which it was. Never waits.
    ///
    /// A panic in the drop of the callback goes to the caller; it is unregistered then.
    pub fn unregister(mut self) -> Unregister {
        self.end()
    }

    /// Leaves the callback registered: it runs when the token is cancelled, and is dropped without having run when the
    /// token is gone, that is, its last handle and all tokens that were derived from it.
    pub fn detach(mut self) {
        if let Some(Callback { token, node }) = self.callback.take() {
            token.detach(node);
        }
    }

    /// A future that is ready when the callback has finished, or will never run. It does not keep the callback registered.
    ///
    /// ```
    /// # use cancel_tree::{CancellationToken, Unregister};
    /// # futures_lite::future::block_on(async {
    /// # let token = CancellationToken::new();
    /// # let registration = token.on_cancel(|| {});
    /// let finished = registration.finished();
    /// if registration.unregister() == Unregister::Running {
    ///     finished.await;
    /// }
    /// // From here on nothing of the callback runs any more.
    /// # });
    /// ```
    ///
    /// Lock-free. One allocation, for the first future of a registration.
    #[cfg(feature = "alloc")]
    pub fn finished(&self) -> Finished {
        let Ok(finished) = self.finished_in(|_| Heap);
        finished
    }

    /// As [`finished`](Self::finished); the first future of a registration takes one node from where the token came from: from its
    /// pool, or the heap.
    ///
    /// # Errors
    ///
    /// If the pool is full.
    pub fn try_finished(&self) -> Result<Finished, PoolFull> {
        self.finished_in(Handle::home)
    }

    fn finished_in<H: Home>(&self, home: impl FnOnce(&Handle) -> H) -> Result<Finished, H::Full> {
        let token = match &self.callback {
            Some(Callback { node, .. }) => node.finished(home(node))?,
            None => None,
        };
        Ok(Finished { token: token.map(|token| CancellationToken::from_handle(token).cancelled_owned()) })
    }

    fn end(&mut self) -> Unregister {
        let Some(Callback { token: _token, node }) = self.callback.take() else {
            return Unregister::Done;
        };
        if node.has_finished() {
            return Unregister::Done;
        }
        /// Also if the callback's drop panics.
        struct Finish<'a>(&'a Handle);
        impl Drop for Finish<'_> {
            fn drop(&mut self) {
                self.0.finish(&Reason::new(CancelKind::Cancelled));
            }
        }
        let finish = Finish(&node);
        if node.prevent() {
            drop(finish);
            return Unregister::Prevented;
        }
        core::mem::forget(finish);
        if node.has_finished() { Unregister::Done } else { Unregister::Running }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

/// Ready when a callback has finished: [`Registration::finished`]. A poll after that says `Ready` again.
#[must_use = "futures do nothing unless polled"]
pub struct Finished {
    token: Option<WaitForCancellationFutureOwned>,
}

impl Future for Finished {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.token {
            Some(token) => Pin::new(token).poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").finish_non_exhaustive()
    }
}
