//! The scenario: written once, for whatever runs futures.
//!
//! An executor is here what starts a task, and nothing else. Every task asserts what it has been promised at the moment at
//! which it is told; nothing here depends on how long anything takes.

mod parts;
mod server;
pub(crate) mod tools;

use cancel_tree::time::{ThreadTimer, Timer};
use cancel_tree::{CancellationToken, StaticCause, TokenPool};
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tools::{Promised, give_way, promise};

/// An executor whose tasks may go to another thread, or that at least does not mind that they could.
pub(crate) trait Executor: Clone + 'static {
    /// Starts a task that nobody waits for.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Runs `f` on another thread, while tasks run. (Where there are no threads: in another task.)
    fn elsewhere(&self, f: impl FnOnce() + Send + 'static) {
        std::thread::spawn(f);
    }

    /// Lets other tasks go first. (Some executors poll a task that has woken itself again before all others.)
    fn give_way() -> impl Future<Output = ()> + Send {
        give_way()
    }

    /// A child with a timeout, on the timer that goes with the executor.
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        on_timer(&ThreadTimer::new(), parent, timeout)
    }
}

/// One that runs all of its tasks on one thread, and so takes those that cannot leave it.
pub(crate) trait Local: Executor {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static);
}

pub(crate) fn on_timer<T: Timer>(timer: &T, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
    let at = timer.now().saturating_add(timeout);
    parent.try_child_with_timer(timer, at).expect("there is room in the pool")
}

/// Where nodes live.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Heap,
    Pool,
}

pub(crate) static POOL: TokenPool<192> = TokenPool::new();

impl Place {
    pub(crate) fn root(self) -> CancellationToken {
        match self {
            Self::Heap => CancellationToken::new(),
            Self::Pool => POOL.try_token().expect("there is room in the pool"),
        }
    }

    pub(crate) fn child(self, parent: &CancellationToken) -> CancellationToken {
        match self {
            Self::Heap => parent.child_token(),
            Self::Pool => parent.try_child_token().expect("there is room in the pool"),
        }
    }

    pub(crate) fn any(self, sources: &[&CancellationToken]) -> CancellationToken {
        match self {
            Self::Heap => CancellationToken::any(sources.iter().copied()),
            Self::Pool => POOL.try_any(sources.iter().copied()).expect("there is room in the pool"),
        }
    }
}

/// A cause of this test's.
#[derive(Debug, PartialEq)]
pub(crate) struct Why(pub(crate) &'static str);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Why {}

pub(crate) static HUNG_UP: StaticCause = StaticCause::new(&Why("the client hung up"));

/// The text of what was given as the cause, if anything was.
pub(crate) fn cause_of(token: &CancellationToken) -> Option<String> {
    let reason = token.reason().expect("it is cancelled");
    reason.cause().map(ToString::to_string)
}

/// A task's result.
pub(crate) fn start<E: Executor, T: Send + 'static>(
    executor: &E,
    task: impl Future<Output = T> + Send + 'static,
) -> Promised<T> {
    let (promise, promised) = promise();
    executor.spawn(async move { promise.keep(task.await) });
    promised
}

/// All of it, for tasks that may move.
pub(crate) async fn run<E: Executor>(executor: E, place: Place) {
    server::a_server_its_connections_and_their_requests(&executor, place).await;
    parts::a_timeout_fires_though_nobody_polls(&executor, place).await;
    parts::what_comes_first_decides(&executor, place).await;
    parts::linked_tokens(&executor, place).await;
    parts::futures_that_are_dropped_midway(&executor, place).await;
    parts::a_crowd_on_one_token(&executor, place).await;
    parts::guards_and_callbacks(&executor, place).await;
}

/// The part for tasks that cannot move.
pub(crate) async fn run_local<E: Local>(executor: E, place: Place) {
    parts::tasks_that_share_an_rc(&executor, place).await;
}

/// Waits for what comes by itself soon after.
pub(crate) async fn until<E: Executor>(mut done: impl FnMut() -> bool) {
    while !done() {
        E::give_way().await;
    }
}
