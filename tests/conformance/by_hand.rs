//! An executor by hand: all that a token asks of one is a waker that may be called from anywhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks on one thread, known by their numbers.
#[derive(Clone)]
pub(crate) struct ByHand {
    tasks: Rc<RefCell<Vec<Option<Work>>>>,
    ready: Arc<Ready>,
}

struct Ready {
    /// `None` is the future that is run to its end.
    queue: Mutex<VecDeque<Option<usize>>>,
    unpark: Box<dyn Fn() + Send + Sync>,
}

struct TaskWaker {
    task: Option<usize>,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.task);
    }
}

impl Ready {
    fn push(&self, task: Option<usize>) {
        self.queue.lock().unwrap().push_back(task);
        (self.unpark)();
    }

    fn pop(&self) -> Option<Option<usize>> {
        self.queue.lock().unwrap().pop_front()
    }
}

impl ByHand {
    /// `unpark` is called, on any thread, when a task is ready.
    pub(crate) fn new(unpark: impl Fn() + Send + Sync + 'static) -> Self {
        let ready = Ready { queue: Mutex::default(), unpark: Box::new(unpark) };
        Self { tasks: Rc::default(), ready: Arc::new(ready) }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        self.ready.push(Some(tasks.len()));
        tasks.push(Some(Box::pin(task)));
    }

    fn waker(&self, task: Option<usize>) -> Waker {
        Waker::from(Arc::new(TaskWaker { task, ready: self.ready.clone() }))
    }

    /// Runs `main` to its end, and tasks meanwhile. After each poll `tick` is called; when nothing is ready, `park`.
    pub(crate) fn run_until(&self, main: impl Future<Output = ()>, mut tick: impl FnMut(), mut park: impl FnMut()) {
        let mut main = pin!(main);
        self.ready.push(None);
        loop {
            match self.ready.pop() {
                None => park(),
                Some(None) => {
                    if let Poll::Ready(()) = main.as_mut().poll(&mut Context::from_waker(&self.waker(None))) {
                        return;
                    }
                }
                Some(Some(number)) => {
                    // Out of its place, as it may start others. One that has ended may still be woken.
                    let work = self.tasks.borrow_mut()[number].take();
                    if let Some(mut work) = work {
                        let waker = self.waker(Some(number));
                        if work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                            self.tasks.borrow_mut()[number] = Some(work);
                        }
                    }
                }
            }
            tick();
        }
    }
}
