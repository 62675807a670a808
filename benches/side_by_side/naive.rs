//! What one writes by hand in an afternoon: a flag, a list of children behind a mutex, and an event for the waiters.

use crate::tokens::Token;
use event_listener::{Event, EventListener};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

#[derive(Clone)]
pub(crate) struct Naive(Arc<Node>);

#[derive(Default)]
struct Node {
    cancelled: AtomicBool,
    children: Mutex<Vec<Weak<Node>>>,
    changed: Event,
    /// Keeps the way from the root to here, when nobody else has a handle on it.
    _parent: Option<Naive>,
}

impl Node {
    fn children(&self) -> MutexGuard<'_, Vec<Weak<Node>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token for Naive {
    const NAME: &'static str = "mutex + event";
    type Wait<'a> = Wait<'a>;

    fn new() -> Self {
        Self(Arc::default())
    }

    fn child(&self) -> Self {
        let child = Arc::new(Node { _parent: Some(self.clone()), ..Node::default() });
        let mut children = self.0.children();
        if self.0.cancelled.load(Ordering::Relaxed) {
            child.cancelled.store(true, Ordering::Relaxed);
        } else {
            if children.len() == children.capacity() {
                // Dead ones are swept out when the list is full, and it grows only if half of it lives.
                children.retain(|child| child.strong_count() > 0);
                if children.len() * 2 >= children.capacity() {
                    let more = children.len();
                    children.reserve(more);
                }
            }
            children.push(Arc::downgrade(&child));
        }
        drop(children);
        Self(child)
    }

    fn cancel(&self) {
        if self.is_cancelled() {
            return;
        }
        let mut todo = vec![self.0.clone()];
        while let Some(node) = todo.pop() {
            let mut children = node.children();
            if node.cancelled.swap(true, Ordering::Release) {
                continue;
            }
            let orphans = mem::take(&mut *children);
            drop(children);
            node.changed.notify(usize::MAX);
            todo.extend(orphans.iter().filter_map(Weak::upgrade));
        }
    }

    #[inline]
    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    fn wait(&self) -> Wait<'_> {
        Wait { token: self, listener: None }
    }
}

pub(crate) struct Wait<'a> {
    token: &'a Naive,
    listener: Option<EventListener>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.token.is_cancelled() {
                return Poll::Ready(());
            }
            match &mut self.listener {
                None => self.listener = Some(self.token.0.changed.listen()),
                Some(listener) => {
                    ready!(Pin::new(listener).poll(cx));
                    self.listener = None;
                }
            }
        }
    }
}
