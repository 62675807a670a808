//! A future that cancels a token: what `cancel_when` promises.

mod support;

use cancel_tree::{CancelKind, CancelWhen, CancellationToken};
use std::fmt;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use support::{PATIENCE, balanced, measure, settles, until_done};

/// A future that the test completes; it knows how often it was polled, and whether it is still there.
#[derive(Default)]
struct Event {
    polls: AtomicUsize,
    drops: AtomicUsize,
    completed: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

struct Wait(Arc<Event>);

impl Event {
    fn new() -> Arc<Self> {
        Arc::default()
    }
    fn wait(self: &Arc<Self>) -> Wait {
        Wait(self.clone())
    }
    fn wake(&self) {
        let waker = self.waker.lock().unwrap().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    fn complete(&self) {
        self.completed.fetch_add(1, Relaxed);
        self.wake();
    }
    fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }
    fn drops(&self) -> usize {
        self.drops.load(Relaxed)
    }
}

impl Future for Wait {
    type Output = &'static str;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        self.0.polls.fetch_add(1, Relaxed);
        if self.0.completed.load(Relaxed) == 0 { Poll::Pending } else { Poll::Ready("done") }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Relaxed);
        // A cycle through the future itself is the future's affair.
        self.0.waker.lock().unwrap().take();
    }
}

#[test]
fn a_future_that_is_ready_cancels_in_the_call() {
    balanced(|| {
        let token = CancellationToken::new();
        let guard = token.cancel_when(ready(5));
        let reason = token.reason().expect("cancelled");
        assert_eq!((reason.kind(), reason.cause().is_none()), (CancelKind::Cancelled, true));
        drop(guard);
        // It may itself say why.
        let token = CancellationToken::new();
        let within = token.clone();
        token.cancel_when(async move { within.cancel_with(fmt::Error) }).detach();
        assert!(token.reason().unwrap().cause().unwrap().is::<fmt::Error>());
    });
}

#[test]
fn it_is_polled_by_who_wakes_it_and_dropped_before_the_token_is_cancelled() {
    settles(|| {
        let (token, event) = (CancellationToken::new(), Event::new());
        let ran = Arc::new(Mutex::new(None));
        let _callback = token.on_cancel({
            let (event, ran) = (event.clone(), ran.clone());
            move || *ran.lock().unwrap() = Some((thread::current().id(), event.drops()))
        });
        let _guard = token.cancel_when(event.wait());
        assert_eq!((event.polls(), token.is_cancelled()), (1, false));
        event.wake();
        event.wake();
        assert_eq!((event.polls(), token.is_cancelled()), (3, false));
        let waker = thread::scope(|scope| {
            let waker = scope.spawn(|| {
                event.complete();
                thread::current().id()
            });
            waker.join().expect("it does not panic")
        });
        assert_eq!((event.polls(), event.drops()), (4, 1));
        assert_eq!(*ran.lock().unwrap(), Some((waker, 1)));
        event.complete();
        assert_eq!(event.polls(), 4);
    });
}

#[test]
fn dropping_the_guard_stops_it_and_detaching_does_not() {
    balanced(|| {
        let (token, event) = (CancellationToken::new(), Event::new());
        let guard = token.cancel_when(event.wait());
        let waker = event.waker.lock().unwrap().clone().expect("it has been polled");
        drop(guard);
        assert_eq!(event.drops(), 1);
        waker.wake();
        assert_eq!((event.polls(), token.is_cancelled()), (1, false));

        let event = Event::new();
        token.cancel_when(event.wait()).detach();
        assert_eq!(event.drops(), 0);
        event.complete();
        assert_eq!((event.drops(), token.is_cancelled()), (1, true));
    });
}

#[test]
fn a_cancel_from_elsewhere_drops_it() {
    balanced(|| {
        for detach in [false, true] {
            let (root, event) = (CancellationToken::new(), Event::new());
            let token = root.child_token();
            let guard = token.cancel_when(event.wait());
            let waker = event.waker.lock().unwrap().clone().expect("it has been polled");
            let _guard: Option<CancelWhen> = if detach {
                guard.detach();
                None
            } else {
                Some(guard)
            };
            root.cancel();
            assert_eq!((event.drops(), event.polls()), (1, 1));
            waker.wake();
            assert_eq!(event.polls(), 1);
            // On a cancelled token it is not even polled.
            let late = Event::new();
            token.cancel_when(late.wait()).detach();
            assert_eq!((late.drops(), late.polls()), (1, 0));
        }
    });
}

/// It keeps the token while it can be woken; no longer.
#[test]
fn what_nobody_can_wake_is_dropped_with_its_token() {
    balanced(|| {
        let (_, account) = measure(|| {
            let dropped = Arc::new(());
            let kept = dropped.clone();
            let token = CancellationToken::new();
            let guard = token.cancel_when(async move {
                pending::<()>().await;
                drop(kept);
            });
            assert_eq!(Arc::strong_count(&dropped), 2);
            guard.detach();
            assert_eq!(Arc::strong_count(&dropped), 1);
            assert!(!token.is_cancelled());
            for _ in 0..1000 {
                let _guard = token.cancel_when(pending::<()>());
            }
            token.cancel();
        });
        assert_eq!(account.bytes, 0);
        // The other way round: the guard is the last that keeps the token.
        let (parent, event) = (CancellationToken::new(), Event::new());
        let guard = parent.child_token().cancel_when(event.wait());
        drop(parent);
        event.wake();
        assert_eq!((event.polls(), event.drops()), (2, 0));
        drop(guard);
        assert_eq!(event.drops(), 1);
    });
}

#[test]
fn wake_ups_from_within_a_poll_are_kept_and_cost_no_stack() {
    const ROUNDS: usize = if cfg!(miri) { 1000 } else { 100_000 };
    balanced(|| {
        support::on_a_small_stack(|| {
            let (token, mut polls) = (CancellationToken::new(), 0);
            token
                .cancel_when(poll_fn(move |cx| {
                    polls += 1;
                    let waker = cx.waker().clone();
                    waker.wake_by_ref();
                    waker.wake();
                    if polls == ROUNDS { Poll::Ready(()) } else { Poll::Pending }
                }))
                .detach();
            assert!(token.is_cancelled());
        });
    });
}

/// In the middle of a poll: nobody waits, and the poller drops it.
#[test]
fn what_happens_during_a_poll_is_done_when_that_is_over() {
    settles(|| {
        for stop_by_cancel in [false, true] {
            let (token, event) = (CancellationToken::new(), Event::new());
            let ((entered, has_entered), (go, may_go)) = (mpsc::channel(), mpsc::channel());
            let (wait, mut first) = (event.wait(), true);
            let mut wait = Box::pin(wait);
            let guard = token.cancel_when(poll_fn(move |cx| {
                if !std::mem::take(&mut first) {
                    entered.send(()).expect("the test listens");
                    may_go.recv_timeout(PATIENCE).expect("the test goes on");
                }
                wait.as_mut().poll(cx)
            }));
            thread::scope(|scope| {
                scope.spawn(|| event.wake());
                has_entered.recv_timeout(PATIENCE).expect("it is polled");
                if stop_by_cancel {
                    token.cancel();
                    drop(guard);
                } else {
                    // A wake-up is left to the poller, and then there is no more need of it.
                    event.wake();
                    drop(guard);
                }
                assert_eq!((event.polls(), event.drops()), (1, 0));
                go.send(()).expect("the poll listens");
            });
            assert_eq!((event.polls(), event.drops(), token.is_cancelled()), (2, 1, stop_by_cancel));
        }
    });
}

#[test]
fn a_poll_that_panics_ends_it_and_does_not_cancel() {
    balanced(|| {
        let (token, event) = (CancellationToken::new(), Event::new());
        let (wait, mut polls) = (event.wait(), 0);
        let mut wait = Box::pin(wait);
        let guard = token.cancel_when(poll_fn(move |cx| {
            polls += 1;
            if polls == 2 {
                resume_unwind(Box::new("in the poll"));
            }
            wait.as_mut().poll(cx)
        }));
        let waker = event.waker.lock().unwrap().clone().expect("it has been polled");
        let panic = catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref())).expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"in the poll"));
        waker.wake();
        assert_eq!((event.drops(), token.is_cancelled()), (1, false));
        drop(guard);
        assert!(
            catch_unwind(AssertUnwindSafe(
                || token.cancel_when(poll_fn(|_| -> Poll<()> { resume_unwind(Box::new(1)) }))
            ))
            .is_err()
        );
        token.cancel();
    });
}

#[test]
fn a_future_whose_drop_panics_when_it_is_complete_cancels_all_the_same() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new("in the drop"));
        }
    }
    balanced(|| {
        let (token, bomb) = (CancellationToken::new(), Bomb);
        let future = poll_fn(move |_| {
            let _bomb = &bomb;
            Poll::Ready(())
        });
        assert!(catch_unwind(AssertUnwindSafe(|| token.cancel_when(future).detach())).is_err());
        assert!(token.is_cancelled());
    });
}

/// Wakers, the guard's drop, a cancel from elsewhere, and the completion at the same time.
#[test]
fn all_at_once_it_is_dropped_once_and_no_wake_up_is_lost() {
    settles(|| {
        let (mut done, mut round) = (until_done(2), 0);
        while !done() {
            round += 1;
            let (token, event) = (CancellationToken::new(), Event::new());
            let mut guard = Some(token.cancel_when(event.wait()));
            let start = Barrier::new(3);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        start.wait();
                        event.complete();
                    });
                }
                start.wait();
                match round % 3 {
                    0 => guard = None,
                    1 => token.cancel(),
                    _ => {}
                }
            });
            assert_eq!(event.drops(), 1, "round {round}");
            assert!(token.is_cancelled() || round % 3 == 0);
            drop(guard);
            assert_eq!((event.drops(), Arc::strong_count(&event)), (1, 1));
        }
    });
}

#[test]
fn a_channel_of_a_runtime_that_is_not_there() {
    balanced(|| {
        for detach in [false, true] {
            let token = CancellationToken::new();
            let (hang_up, hung_up) = tokio::sync::oneshot::channel::<()>();
            let guard = token.child_token().cancel_when(hung_up);
            let child = token.child_token();
            child.cancel_when(token.clone().cancelled_owned()).detach();
            if detach {
                guard.detach();
            }
            hang_up.send(()).ok();
            assert!(!token.is_cancelled());
            token.cancel();
            assert!(child.is_cancelled());
        }
    });
}
