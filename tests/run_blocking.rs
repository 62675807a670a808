//! Blocking calls that their caller can leave: what `run_blocking` promises.
#![cfg(feature = "blocking")]

mod support;

use cancel_tree::blocking::{RunBlocking, run_blocking};
use cancel_tree::{CancelKind, CancellationToken};
use futures_lite::future::block_on;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use support::PATIENCE;
use support::wakers::Counter;

/// A call that says when it begins, and goes on when it is told to.
struct Call<T> {
    running: RunBlocking<T>,
    begun: mpsc::Receiver<ThreadId>,
    go: mpsc::Sender<()>,
}

fn call<T: Send + 'static>(token: &CancellationToken, f: impl FnOnce() -> T + Send + 'static) -> Call<T> {
    let ((begin, begun), (go, may_go)) = (mpsc::channel(), mpsc::channel());
    let running = run_blocking(token, move || {
        begin.send(thread::current().id()).ok();
        may_go.recv_timeout(PATIENCE).ok();
        f()
    });
    Call { running, begun, go }
}

/// Tells on which thread it was dropped.
struct Result(mpsc::Sender<ThreadId>);
impl Drop for Result {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).ok();
    }
}

#[test]
fn it_runs_at_once_on_another_thread_and_brings_the_result() {
    let token = CancellationToken::new();
    // Nobody polls, and yet it begins.
    let Call { running, begun, go } = call(&token, || 42);
    assert_ne!(begun.recv_timeout(PATIENCE).expect("it begins"), thread::current().id());
    go.send(()).expect("it listens");
    assert_eq!(block_on(running).unwrap(), 42);
    assert_eq!(run_blocking(&token, || vec![1, 2]).wait().unwrap(), [1, 2]);
}

#[test]
fn a_caller_leaves_when_the_token_is_cancelled_and_the_result_is_dropped_where_it_comes() {
    for wait in [false, true] {
        let token = CancellationToken::new();
        let (tell, dropped) = mpsc::channel();
        let Call { running, begun, go } = call(&token, move || Result(tell));
        let pool = begun.recv_timeout(PATIENCE).expect("it begins");
        let canceller = thread::spawn({
            let token = token.clone();
            move || token.cancel_with(std::fmt::Error)
        });
        let result = if wait { running.wait() } else { block_on(running) };
        let cancelled = result.err().expect("the call has not returned");
        assert!(cancelled.kind() == CancelKind::Cancelled && cancelled.cause().unwrap().is::<std::fmt::Error>());
        assert!(canceller.join().unwrap());
        assert!(dropped.try_recv().is_err());
        go.send(()).expect("it listens");
        assert_eq!(dropped.recv_timeout(PATIENCE), Ok(pool));
    }
}

#[test]
fn dropping_the_future_leaves_the_call_too() {
    let token = CancellationToken::new();
    let (tell, dropped) = mpsc::channel();
    let Call { running, begun, go } = call(&token, move || Result(tell));
    let pool = begun.recv_timeout(PATIENCE).expect("it begins");
    drop(running);
    go.send(()).expect("it listens");
    assert_eq!(dropped.recv_timeout(PATIENCE), Ok(pool));
}

#[test]
fn under_a_cancelled_token_nothing_runs() {
    let token = CancellationToken::new();
    token.cancel();
    let captured = Arc::new(());
    let inside = captured.clone();
    let running = run_blocking(&token, move || drop(inside));
    assert_eq!(Arc::strong_count(&captured), 1, "it is not even handed over");
    assert!(block_on(running).is_err());
}

/// The pool is full, with calls that wait: the next one has not begun when the token is cancelled.
#[test]
fn a_call_that_has_not_begun_when_the_token_is_cancelled_never_does() {
    let (token, keep) = (CancellationToken::new(), CancellationToken::new());
    let ran = Arc::new(AtomicUsize::new(0));
    let (mut keepers, mut waiting) = (Vec::new(), Vec::new());
    // The pool grows while it is busy: of so many some are still to be begun.
    for _ in 0..600 {
        keepers.push(call(&keep, || ()));
    }
    for _ in 0..10 {
        let ran = ran.clone();
        waiting.push(run_blocking(&token, move || ran.fetch_add(1, Relaxed)));
    }
    token.cancel();
    let kept = waiting.split_off(6);
    for (number, running) in waiting.into_iter().enumerate() {
        if number % 2 == 0 {
            assert!(running.wait().is_err());
        } else {
            drop(running);
        }
    }
    for Call { running, go, .. } in keepers {
        go.send(()).expect("it listens, or will");
        running.wait().expect("it is not cancelled");
    }
    // Nobody has looked at these: it is the pool that finds them cancelled.
    for running in kept {
        assert!(running.wait().is_err());
    }
    // All that was handed over is through when its closure is gone.
    while Arc::strong_count(&ran) > 1 {
        thread::yield_now();
    }
    assert_eq!(ran.load(Relaxed), 0);
}

#[test]
fn a_result_that_is_there_counts_though_the_token_be_cancelled() {
    let token = CancellationToken::new();
    let Call { mut running, go, .. } = call(&token, || 7);
    let counter = Counter::new();
    assert!(counter.poll(&mut running).is_pending());
    go.send(()).expect("it listens");
    while counter.wakes() == 0 {
        thread::yield_now();
    }
    token.cancel();
    assert_eq!(block_on(running).unwrap(), 7);
}

#[test]
fn a_panic_reaches_a_caller_who_still_waits_and_nobody_else() {
    let token = CancellationToken::new();
    for wait in [false, true] {
        let running = run_blocking(&token, || -> u8 { resume_unwind(Box::new("in the call")) });
        let panic = catch_unwind(AssertUnwindSafe(|| if wait { running.wait() } else { block_on(running) }));
        assert_eq!(panic.expect_err("it panics").downcast_ref(), Some(&"in the call"));
    }
    let (tell, dropped) = mpsc::channel();
    let Call { running, begun, go } = call(&token, move || -> u8 {
        let _result = Result(tell);
        resume_unwind(Box::new("in a call that was left"))
    });
    begun.recv_timeout(PATIENCE).expect("it begins");
    token.cancel();
    assert!(running.wait().is_err());
    go.send(()).expect("it listens");
    dropped.recv_timeout(PATIENCE).expect("it unwinds");
    // The pool goes on.
    assert_eq!(run_blocking(&CancellationToken::new(), || 1).wait().unwrap(), 1);
}

#[test]
fn the_call_may_look_at_the_token_itself() {
    let token = CancellationToken::new();
    let (within, (tell, told)) = (token.clone(), mpsc::channel());
    let running = run_blocking(&token, move || {
        tell.send(()).expect("the test listens");
        within.wait();
        within.check()
    });
    told.recv_timeout(PATIENCE).expect("it begins");
    token.cancel();
    // Whichever it is, the call's own result or that it was left.
    assert!(running.wait().and_then(|result| result).is_err());
}

#[test]
fn it_may_be_sent_and_unpinned() {
    fn is<T: Send + Unpin + 'static>(_: &T) {}
    is(&run_blocking(&CancellationToken::new(), std::cell::Cell::<u8>::default));
}
