//! For models: what an event of `event-listener` 5.4 does, on loom's lock. Who is told is woken under it; who has been told and goes
//! tells another.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use loom::sync::Mutex;

pub(super) struct Event(Arc<Mutex<Vec<Entry>>>);

struct Entry {
    number: usize,
    told: Told,
}

enum Told {
    No(Option<Waker>),
    Yes,
}

pub(super) struct EventListener {
    event: Event,
    number: usize,
}

impl Event {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub(super) fn listen(&self) -> EventListener {
        let mut entries = self.0.lock().unwrap();
        let number = entries.last().map_or(0, |last| last.number + 1);
        entries.push(Entry { number, told: Told::No(None) });
        EventListener { event: Self(Arc::clone(&self.0)), number }
    }

    pub(super) fn notify(&self, most: usize) {
        tell(&mut self.0.lock().unwrap(), most);
    }
}

fn tell(entries: &mut [Entry], most: usize) {
    for entry in entries.iter_mut().filter(|entry| matches!(entry.told, Told::No(_))).take(most) {
        if let Told::No(Some(waker)) = mem::replace(&mut entry.told, Told::Yes) {
            waker.wake();
        }
    }
}

fn remove(entries: &mut Vec<Entry>, number: usize) -> Option<Told> {
    let place = entries.iter().position(|entry| entry.number == number)?;
    Some(entries.remove(place).told)
}

impl EventListener {
    pub(super) fn discard(self) {
        remove(&mut self.event.0.lock().unwrap(), self.number);
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut entries = self.event.0.lock().unwrap();
        let entry = entries.iter_mut().find(|entry| entry.number == self.number).unwrap();
        match &mut entry.told {
            Told::Yes => {
                remove(&mut entries, self.number);
                Poll::Ready(())
            }
            Told::No(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        let mut entries = self.event.0.lock().unwrap();
        if let Some(Told::Yes) = remove(&mut entries, self.number) {
            tell(&mut entries, 1);
        }
    }
}
