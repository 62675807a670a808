//! An executor of a few lines, with nothing but std, and its orderly shutdown by a token.
//!
//! All that a token asks of an executor is a waker that may be called from any thread. Here that is the task itself,
//! which puts itself into the ready queue. `shutdown` stops the workers: each finishes the job that it has at hand, and
//! the executor returns when the last task has ended.

use cancel_tree::CancellationToken;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Runs its tasks on the thread that calls [`run`](Self::run), which sleeps while none is ready.
struct Executor {
    queue: Sender<Arc<Task>>,
    ready: Receiver<Arc<Task>>,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    /// `None` when it has ended.
    work: Mutex<Option<Work>>,
    queue: Sender<Arc<Task>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // No executor, no more polls.
        let _ = self.queue.send(self.clone());
    }
}

impl Executor {
    fn new() -> Self {
        let (queue, ready) = mpsc::channel();
        Self { queue, ready }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = Task { work: Mutex::new(Some(Box::pin(work))), queue: self.queue.clone() };
        Arc::new(task).wake();
    }

    /// Polls the tasks that are ready until no task is left.
    fn run(self) {
        // From here on only tasks can put tasks into the queue. One that waits is kept by its wakers alone: when the
        // last task has gone, the queue has no sender any more.
        drop(self.queue);
        for task in self.ready {
            let waker = Waker::from(task.clone());
            let mut work = task.work.lock().unwrap();
            if let Some(pending) = work.as_mut() {
                if pending.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *work = None;
                }
            }
        }
    }
}

/// Lets the other tasks go first, once.
async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn main() {
    const WORKERS: usize = 3;
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static FINISHED: AtomicUsize = AtomicUsize::new(0);
    static ENDED: AtomicUsize = AtomicUsize::new(0);

    let shutdown = CancellationToken::new();
    let executor = Executor::new();
    let (progress, jobs_finished) = mpsc::channel();

    for worker in 0..WORKERS {
        let (stop, progress) = (shutdown.child_token(), progress.clone());
        executor.spawn(async move {
            let mut jobs = 0;
            while !stop.is_cancelled() {
                BEGUN.fetch_add(1, SeqCst);
                // A job of two halves. The token is looked at between jobs, never within one.
                give_way().await;
                FINISHED.fetch_add(1, SeqCst);
                jobs += 1;
                let _ = progress.send(());
            }
            println!("worker {worker} stopped after {jobs} jobs");
            ENDED.fetch_add(1, SeqCst);
        });
    }

    let stop = shutdown.child_token();
    executor.spawn(async move {
        // Never polled between its first poll and the shutdown: it costs nothing to wait.
        stop.cancelled().await;
        println!("the reporter heard of the shutdown");
        ENDED.fetch_add(1, SeqCst);
    });

    // Another thread decides when it is enough.
    let operator = thread::spawn(move || {
        jobs_finished.iter().take(100).for_each(drop);
        println!("100 jobs are done: that is enough");
        shutdown.cancel();
    });

    drop(progress);
    executor.run();
    operator.join().unwrap();

    assert_eq!(ENDED.load(SeqCst), WORKERS + 1, "every task has come to its own end");
    assert!(FINISHED.load(SeqCst) >= 100);
    assert_eq!(BEGUN.load(SeqCst), FINISHED.load(SeqCst), "no job was left half done");
    println!("{} jobs begun, all of them finished; nothing is left to run", BEGUN.load(SeqCst));
}
