//! The tracker on one thread: the same stories told by tokio-util's and by ours, and what is ours alone.
#![cfg(feature = "task")]

mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn ready<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// One source, whichever crate it names.
macro_rules! stories {
    ($library:ident) => {
        mod $library {
            use super::support::wakers::Counter;
            use super::*;
            use ::$library::task::TaskTracker;
            use ::$library::task::task_tracker::{TaskTrackerToken, TaskTrackerWaitFuture, TrackedFuture};
            use std::cell::Cell;
            use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

            #[test]
            fn a_new_one_is_open_and_empty() {
                for tracker in [TaskTracker::new(), TaskTracker::default()] {
                    assert!(!tracker.is_closed() && tracker.is_empty());
                    assert_eq!(tracker.len(), 0);
                }
            }

            #[test]
            fn close_and_reopen_say_whether_they_did_it() {
                let tracker = TaskTracker::new();
                assert!(!tracker.reopen());
                assert!(tracker.close() && tracker.is_closed());
                assert!(!tracker.close() && tracker.is_closed());
                assert!(tracker.reopen() && !tracker.is_closed());
                assert!(!tracker.reopen());
                assert!(tracker.close());
            }

            #[test]
            fn tokens_count_and_so_do_their_clones() {
                let tracker = TaskTracker::new();
                let mut tokens: Vec<TaskTrackerToken> = Vec::new();
                for n in 0..12 {
                    assert_eq!(tracker.len(), n);
                    assert_eq!(tracker.is_empty(), n == 0);
                    tokens.push(if n % 2 == 0 { tracker.token() } else { tokens[n - 1].clone() });
                    if n == 6 {
                        tracker.close();
                    }
                }
                while let Some(token) = tokens.pop() {
                    assert!(TaskTracker::ptr_eq(token.task_tracker(), &tracker));
                    drop(token);
                    assert_eq!(tracker.len(), tokens.len());
                }
            }

            #[test]
            fn clones_are_the_same_tracker() {
                let tracker = TaskTracker::new();
                let clone = tracker.clone();
                assert!(TaskTracker::ptr_eq(&tracker, &clone));
                assert!(!TaskTracker::ptr_eq(&tracker, &TaskTracker::new()));
                let token = tracker.token();
                assert_eq!(clone.len(), 1);
                drop(tracker);
                clone.close();
                assert!(token.task_tracker().is_closed());
                assert!(!ready(pin!(clone.wait())));
                drop(token);
                assert!(ready(pin!(clone.wait())));
            }

            #[test]
            fn a_wait_is_over_at_once_if_it_is_closed_and_empty() {
                let tracker = TaskTracker::new();
                tracker.close();
                let mut wait: Pin<&mut TaskTrackerWaitFuture<'_>> = pin!(tracker.wait());
                assert!(ready(wait.as_mut()));
                assert!(ready(wait.as_mut()), "after it was ready, it is so again");
            }

            #[test]
            fn a_wait_made_in_that_moment_is_over_though_it_is_reopened() {
                let tracker = TaskTracker::new();
                tracker.close();
                let wait = pin!(tracker.wait());
                tracker.reopen();
                let _token = tracker.token();
                assert!(ready(wait));
            }

            #[test]
            fn closing_an_empty_one_wakes() {
                let (tracker, counter) = (TaskTracker::new(), Counter::new());
                let mut wait = Box::pin(tracker.wait());
                assert!(counter.poll(&mut wait).is_pending());
                assert_eq!(counter.wakes(), 0);
                tracker.close();
                assert_eq!(counter.wakes(), 1);
                assert!(counter.poll(&mut wait).is_ready());
                assert_eq!(counter.kept(), 0);
            }

            #[test]
            fn a_moment_that_nobody_polled_in_counts() {
                for polled in [false, true] {
                    let (tracker, counter) = (TaskTracker::new(), Counter::new());
                    let mut wait = Box::pin(tracker.wait());
                    assert!(!polled || counter.poll(&mut wait).is_pending());
                    tracker.close();
                    tracker.reopen();
                    let later = pin!(tracker.wait());
                    assert_eq!(counter.wakes(), usize::from(polled));
                    assert!(counter.poll(&mut wait).is_ready());
                    assert!(!ready(later), "it was made after that moment");
                }
            }

            #[test]
            fn the_last_exit_wakes_if_it_is_closed() {
                let (tracker, counter) = (TaskTracker::new(), Counter::new());
                let mut tokens = [(); 3].map(|()| tracker.token()).to_vec();
                tracker.close();
                let mut wait = Box::pin(tracker.wait());
                while let Some(token) = tokens.pop() {
                    assert!(counter.poll(&mut wait).is_pending());
                    assert_eq!(counter.wakes(), 0);
                    drop(token);
                }
                assert_eq!(counter.wakes(), 1);
                assert!(counter.poll(&mut wait).is_ready());
            }

            #[test]
            fn what_is_tracked_after_the_last_exit_does_not_take_it_back() {
                let tracker = TaskTracker::new();
                tracker.close();
                let token = tracker.token();
                let wait = pin!(tracker.wait());
                drop(token);
                let _another = tracker.token();
                assert!(ready(wait));
                assert!(!ready(pin!(tracker.wait())));
            }

            #[test]
            fn an_open_one_may_be_empty_without_end() {
                let (tracker, counter) = (TaskTracker::new(), Counter::new());
                let mut wait = Box::pin(tracker.wait());
                for _ in 0..3 {
                    drop(tracker.token());
                    assert!(counter.poll(&mut wait).is_pending());
                }
                assert_eq!(counter.wakes(), 0);
            }

            #[test]
            fn closed_while_something_is_tracked_and_reopened_before_its_exit() {
                let tracker = TaskTracker::new();
                let token = tracker.token();
                let mut wait = pin!(tracker.wait());
                tracker.close();
                tracker.reopen();
                drop(token);
                assert!(!ready(wait.as_mut()), "it was never both");
                tracker.close();
                assert!(ready(wait));
            }

            #[test]
            fn many_waits_all_end() {
                let (tracker, counters) = (TaskTracker::new(), Counter::many(100));
                let mut waits: Vec<_> = counters.iter().map(|_| Box::pin(tracker.wait())).collect();
                for (wait, counter) in waits.iter_mut().zip(&counters) {
                    assert!(counter.poll(wait).is_pending());
                }
                tracker.close();
                for (wait, counter) in waits.iter_mut().zip(&counters) {
                    assert_eq!(counter.wakes(), 1);
                    assert!(counter.poll(wait).is_ready());
                }
            }

            #[test]
            fn a_dropped_wait_is_not_woken() {
                let (tracker, counter) = (TaskTracker::new(), Counter::new());
                let mut wait = Box::pin(tracker.wait());
                assert!(counter.poll(&mut wait).is_pending());
                drop(wait);
                assert_eq!(counter.kept(), 0);
                tracker.close();
                assert_eq!(counter.wakes(), 0);
            }

            #[test]
            fn a_future_counts_until_it_is_dropped_not_until_it_is_ready() {
                let tracker = TaskTracker::new();
                let mut future: Pin<Box<TrackedFuture<_>>> = Box::pin(tracker.track_future(async { 7 }));
                assert_eq!(tracker.len(), 1, "before it is polled");
                tracker.close();
                assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(7));
                assert_eq!(tracker.len(), 1);
                let wait = pin!(tracker.wait());
                drop(future);
                assert!(ready(wait) && tracker.is_empty());
                drop(tracker.track_future(async { 7 }));
                assert!(tracker.is_empty(), "never polled");
            }

            #[test]
            fn what_the_future_has_is_dropped_before_it_ceases_to_count() {
                struct Last<'a>(&'a TaskTracker, &'a Cell<usize>);
                impl Drop for Last<'_> {
                    fn drop(&mut self) {
                        self.1.set(self.0.len());
                    }
                }
                let (tracker, seen) = (TaskTracker::new(), Cell::new(0));
                let last = Last(&tracker, &seen);
                drop(tracker.track_future(async move { drop(last) }));
                assert_eq!((seen.get(), tracker.len()), (1, 0));
            }

            #[test]
            fn a_future_whose_drop_panics_ceases_to_count() {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        resume_unwind(Box::new("drop"));
                    }
                }
                let (tracker, bomb) = (TaskTracker::new(), Bomb);
                let future = tracker.track_future(async move { drop(bomb) });
                tracker.close();
                assert!(catch_unwind(AssertUnwindSafe(|| drop(future))).is_err());
                assert!(ready(pin!(tracker.wait())));
            }

            #[test]
            fn a_future_that_panics_counts_until_it_is_dropped() {
                let tracker = TaskTracker::new();
                let mut future = Box::pin(tracker.track_future(async { resume_unwind(Box::new("poll")) }));
                let poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(|()| ());
                assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
                assert_eq!(tracker.len(), 1);
                drop(future);
                assert!(tracker.is_empty());
            }

            #[test]
            fn what_is_forgotten_counts_for_ever_and_a_forgotten_wait_harms_nobody() {
                let tracker = TaskTracker::new();
                std::mem::forget(tracker.track_future(async {}));
                tracker.close();
                let counter = Counter::new();
                let mut wait = Box::pin(tracker.wait());
                assert!(counter.poll(&mut wait).is_pending());
                std::mem::forget(wait);
                let mut wait = pin!(tracker.wait());
                assert!(!ready(wait.as_mut()));
                assert_eq!(tracker.len(), 1);
            }

            #[test]
            fn they_print_what_they_are() {
                let tracker = TaskTracker::new();
                let token = tracker.token();
                assert!(format!("{tracker:?}").starts_with("TaskTracker { len: 1, is_closed: false"));
                assert!(format!("{token:?}").starts_with("TaskTrackerToken { "));
                assert!(format!("{:?}", tracker.wait()).starts_with("TaskTrackerWaitFuture { "));
                let future = tracker.track_future(std::future::ready(7));
                assert!(format!("{future:?}").starts_with("TrackedFuture { future: Ready(Some(7)), task_tracker: "));
            }
        }
    };
}

stories!(cancel_tree);
stories!(tokio_util);

/// The methods that spawn, on tokio.
#[cfg(feature = "tokio")]
macro_rules! spawning {
    ($name:ident, $library:ident) => {
        mod $name {
            use ::$library::task::TaskTracker;
            use std::rc::Rc;
            use tokio::runtime::{Builder, Handle, Runtime};
            use tokio::sync::oneshot;
            use tokio::task::LocalSet;

            fn runtime() -> Runtime {
                Builder::new_current_thread().build().expect("a runtime")
            }

            #[test]
            fn tasks_are_tracked_until_they_have_ended() {
                let (runtime, tracker) = (runtime(), TaskTracker::new());
                let (send, receive) = oneshot::channel::<u8>();
                let elsewhere = tracker.spawn_on(async { receive.await.unwrap() }, runtime.handle());
                assert_eq!(tracker.len(), 1);
                runtime.block_on(async {
                    let here = tracker.spawn(async { 1 });
                    tracker.close();
                    assert_eq!(tracker.len(), 2);
                    assert_eq!(here.await.unwrap(), 1);
                    send.send(2).unwrap();
                    tracker.wait().await;
                    assert_eq!(elsewhere.await.unwrap(), 2);
                });
            }

            #[test]
            fn aborted_and_panicking_tasks_are_over_too() {
                let (runtime, tracker) = (runtime(), TaskTracker::new());
                runtime.block_on(async {
                    let stuck = tracker.spawn(std::future::pending::<()>());
                    let bad = tracker.spawn(async { std::panic::resume_unwind(Box::new("task")) });
                    tracker.close();
                    stuck.abort();
                    tracker.wait().await;
                    assert!(stuck.await.unwrap_err().is_cancelled());
                    assert!(tokio::task::JoinHandle::<()>::await_panic(bad).await);
                });
            }

            trait AwaitPanic {
                fn await_panic(self) -> impl Future<Output = bool>;
            }
            impl AwaitPanic for tokio::task::JoinHandle<()> {
                async fn await_panic(self) -> bool {
                    self.await.unwrap_err().is_panic()
                }
            }

            #[test]
            fn local_tasks_are_tracked() {
                let (runtime, tracker, set) = (runtime(), TaskTracker::new(), LocalSet::new());
                let shared = Rc::new(3);
                let first = tracker.spawn_local_on(async move { *shared }, &set);
                set.block_on(&runtime, async {
                    let shared = Rc::new(4);
                    let second = tracker.spawn_local(async move { *shared });
                    assert_eq!(tracker.len(), 2);
                    tracker.close();
                    tracker.wait().await;
                    assert_eq!((first.await.unwrap(), second.await.unwrap()), (3, 4));
                });
            }

            #[test]
            fn blocking_calls_are_tracked_until_they_have_returned_or_panicked() {
                let (runtime, tracker) = (runtime(), TaskTracker::new());
                runtime.block_on(async {
                    let (send, receive) = std::sync::mpsc::channel::<u8>();
                    let call = tracker.spawn_blocking(move || receive.recv().unwrap());
                    let bad =
                        tracker.spawn_blocking_on(|| std::panic::resume_unwind(Box::new("call")), &Handle::current());
                    tracker.close();
                    assert!(!tracker.is_empty());
                    send.send(5).unwrap();
                    tracker.wait().await;
                    assert_eq!(call.await.unwrap(), 5);
                    assert!(tokio::task::JoinHandle::<()>::await_panic(bad).await);
                });
            }

            #[test]
            fn what_a_runtime_drops_is_over() {
                let (runtime, tracker) = (runtime(), TaskTracker::new());
                drop(tracker.spawn_on(std::future::pending::<()>(), runtime.handle()));
                assert_eq!(tracker.len(), 1);
                drop(runtime);
                assert!(tracker.is_empty());
            }
        }
    };
}

#[cfg(feature = "tokio")]
spawning!(ours, cancel_tree);
#[cfg(feature = "tokio")]
spawning!(theirs, tokio_util);
