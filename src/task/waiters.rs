//! Who waits for a tracker, and is told of the ends of rounds.
//!
//! As many as there are [`Seats`] have one. Who finds none free listens to an event of `event-listener`, which has room for any number.
//!
//! An [`Event`] wakes under the lock of its list (`event-listener` 5.4). If a waker of others' ran there, a wait that is polled or
//! dropped in its own wake-up would wait for itself, and one that panics would leave those behind it unwoken. So what listens is
//! given a waker of ours, a *proxy*: when the event wakes that, it moves the waker that it stands for to `woken`, and whoever has
//! called into the event wakes those when the call has returned. Under the locks nothing foreign runs but the allocator.

#[cfg(cancel_tree_loom)]
use super::event::{Event, EventListener};
use super::lock::Lock;
use super::seats::{Seat, Seats};
use super::state::State;
use crate::tree::run_all;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::Future;
use core::iter;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
#[cfg(not(cancel_tree_loom))]
use event_listener::{Event, EventListener, Listener as _};

pub(super) struct Waiters {
    seats: Seats,
    ended: Event,
    /// Of those that listen: taken from their proxies, and still to be woken.
    woken: Lock<Vec<Waker>>,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self { seats: Seats::new(), ended: Event::new(), woken: Lock::new(Vec::new()) }
    }

    /// Tells all that wait, perhaps also some that come meanwhile, and wakes them when nothing is locked. A panic of a waker does
    /// not keep the others from being woken.
    #[cold]
    pub(super) fn notify(&self) {
        let mut sitting = self.seats.tell();
        let first = sitting.next();
        if sitting.is_over() {
            // As a rule. Nobody is left for whom a panic would have to be caught.
            return first.map_or((), Waker::wake);
        }
        // An event that nobody has listened to has no list yet, and would make one.
        let events = usize::from(sitting.was_full);
        let listening = iter::once_with(|| self.tell_listeners()).take(events).flatten();
        let mut woken = first.into_iter().chain(sitting).chain(listening);
        // (Calibrations `who_notifies_wakes`, `who_notifies_wakes_all`.)
        run_all(|| woken.next().map(Waker::wake).is_some());
    }

    fn tell_listeners(&self) -> Vec<Waker> {
        self.ended.notify(usize::MAX);
        mem::take(&mut *self.woken.lock())
    }
}

/// Where a waker is until it is told.
pub(super) trait Place {
    /// Under a lock, with the waker, if it is still there.
    fn with<R>(&self, look: impl FnOnce(&mut Waker) -> R) -> Option<R>;

    /// Pending as long as it is there; then it is the one of the latest poll.
    fn poll(&self, waker: &Waker) -> Poll<()> {
        // `will_wake` compares pointers.
        match self.with(|there| there.will_wake(waker)) {
            None => return Poll::Ready(()),
            Some(true) => return Poll::Pending,
            Some(false) => {}
        }
        // The one before is dropped when nothing is locked.
        let mut other = waker.clone();
        match self.with(|there| mem::swap(there, &mut other)) {
            None => Poll::Ready(()),
            Some(()) => Poll::Pending,
        }
    }
}

/// One that waits: whoever notifies finds it, until it is told or dropped.
pub(super) enum Waiter<'a> {
    Sits(Seat<'a>),
    Listens(Listener),
}

impl<'a> Waiter<'a> {
    pub(super) fn new(state: &'a Arc<State>, waker: &Waker) -> Self {
        match state.waiters.seats.sit(waker.clone()) {
            Ok(seat) => Self::Sits(seat),
            Err(waker) => Self::Listens(Listener::new(Arc::clone(state), waker)),
        }
    }

    /// Ready if the end of a round was told, perhaps of an older one.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<()> {
        match self {
            Self::Sits(seat) => seat.poll(waker),
            Self::Listens(listener) => listener.poll(waker),
        }
    }
}

/// One that found no seat. It takes two allocations.
pub(super) struct Listener {
    proxy: Arc<Proxy>,
    /// `None` when it goes.
    listening: Option<EventListener>,
}

/// The waker that the event knows of it.
struct Proxy {
    waker: Lock<Option<Waker>>,
    state: Arc<State>,
}

impl Listener {
    fn new(state: Arc<State>, waker: Waker) -> Self {
        // The waker is there before the event knows the proxy: who is told then is woken (calibration
        // `the_proxy_has_its_waker_first`).
        let proxy = Arc::new(Proxy { waker: Lock::new(Some(waker)), state });
        let known = Waker::from(Arc::clone(&proxy));
        loop {
            let mut listening = proxy.state.waiters.ended.listen();
            if Pin::new(&mut listening).poll(&mut Context::from_waker(&known)).is_pending() {
                break Self { proxy, listening: Some(listening) };
            }
            // Told before it knew the proxy, and so without a wake-up (calibration `who_is_told_at_once_listens_again`).
        }
    }
}

/// The event is not asked again: when it tells, it takes the waker.
impl Place for Listener {
    fn with<R>(&self, look: impl FnOnce(&mut Waker) -> R) -> Option<R> {
        self.proxy.waker.lock().as_mut().map(look)
    }
}

impl Wake for Proxy {
    /// Under the event's lock.
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.waker.lock().take() {
            self.state.waiters.woken.lock().push(waker);
        }
    }
}

/// Not as by a plain drop of what listens, which would pass on to another that it was told: all are told (T1).
impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.discard();
        }
    }
}
