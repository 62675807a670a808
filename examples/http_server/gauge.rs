//! How many there are of something, and a wait for the last one to go.

use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<Inner>);

#[derive(Default)]
struct Inner {
    now: AtomicUsize,
    emptied: Event,
}

/// One of those that are counted, until it is dropped.
pub(crate) struct Counted(Gauge);

impl Gauge {
    pub(crate) fn enter(&self) -> Counted {
        self.0.now.fetch_add(1, SeqCst);
        Counted(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.now.load(SeqCst)
    }

    /// Waits until there is none.
    pub(crate) async fn empty(&self) {
        while self.now() != 0 {
            let emptied = self.0.emptied.listen();
            // The last one may have gone just before.
            if self.now() != 0 {
                emptied.await;
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.0.now.fetch_sub(1, SeqCst) == 1 {
            self.0.0.emptied.notify(usize::MAX);
        }
    }
}
