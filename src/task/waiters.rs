//! Who waits for a tracker: an event that tells of the ends of rounds, and what keeps foreign code out of its lock.
//!
//! An [`Event`] wakes under the lock of its list (`event-listener` 5.4). If a waker of others' ran there, a wait that is polled or
//! dropped in its own wake-up would wait for itself, and one that panics would leave those behind it unwoken. So what listens is
//! given a waker of ours, a *seat*: when the event wakes that, it moves the waker that sits there to `woken`, and whoever has called
//! into the event wakes those when the call has returned. Under the locks nothing foreign runs but the allocator.

#[cfg(cancel_tree_loom)]
use super::event::{Event, EventListener};
use super::lock::Lock;
use super::state::State;
use crate::tree::run_all;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
#[cfg(not(cancel_tree_loom))]
use event_listener::{Event, EventListener, Listener as _};

pub(super) struct Waiters {
    ended: Event,
    /// Taken out of their seats, and still to be woken.
    woken: Lock<Vec<Waker>>,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self { ended: Event::new(), woken: Lock::new(Vec::new()) }
    }

    /// Tells all that listen, perhaps also some that come meanwhile, and wakes them when nothing is locked. A panic of a waker does not
    /// keep the others from being woken.
    #[cold]
    pub(super) fn notify(&self) {
        self.ended.notify(usize::MAX);
        // (Calibration `who_notifies_wakes`.)
        let mut woken = mem::take(&mut *self.woken.lock()).into_iter();
        run_all(|| woken.next().map(Waker::wake).is_some());
    }
}

struct Seat {
    waker: Lock<Option<Waker>>,
    state: Arc<State>,
}

impl Seat {
    /// The waker of the latest poll. The one before is dropped when nothing is locked.
    fn put(&self, waker: &Waker) {
        // `will_wake` compares pointers.
        if !self.waker.lock().as_ref().is_some_and(|there| there.will_wake(waker)) {
            let new = waker.clone();
            let _old = self.waker.lock().replace(new);
        }
    }
}

impl Wake for Seat {
    /// Under the event's lock.
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.waker.lock().take() {
            self.state.waiters.woken.lock().push(waker);
        }
    }
}

/// One that waits. It takes two allocations, and one each time that it listens anew.
pub(super) struct Listener {
    seat: Arc<Seat>,
    /// The seat.
    waker: Waker,
    listening: Option<EventListener>,
}

impl Listener {
    /// Does not listen yet.
    pub(super) fn new(state: Arc<State>) -> Self {
        let seat = Arc::new(Seat { waker: Lock::new(None), state });
        Self { waker: Waker::from(Arc::clone(&seat)), seat, listening: None }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening.is_some()
    }

    pub(super) fn listen(&mut self) {
        self.listening = Some(self.seat.state.waiters.ended.listen());
    }

    /// Ready if the end of a round was told, perhaps of an older one. Then it listens no more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(listening) = &mut self.listening else { return Poll::Ready(()) };
        // Before the event knows the seat: who is told then is woken (calibration `the_seat_is_taken_first`).
        self.seat.put(cx.waker());
        let polled = Pin::new(listening).poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.listening = None;
        }
        polled
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
