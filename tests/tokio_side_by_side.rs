//! One source compiled against tokio-util and against this crate: changing the import is enough, and both tell the same
//! story.

use std::future::{self, Future};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// One source, whichever crate it names.
macro_rules! scenario {
    ($library:ident) => {
        mod $library {
            use super::*;
            use ::$library::future::FutureExt;
            use ::$library::sync::{
                CancellationToken, DropGuard, DropGuardRef, WaitForCancellationFuture, WaitForCancellationFutureOwned,
            };

            /// What a user of the crate sees, in order.
            pub(super) fn story() -> Vec<String> {
                let mut seen = Vec::new();
                let mut cx = Context::from_waker(Waker::noop());
                macro_rules! see {
                    ($what:expr) => {
                        seen.push(format!("{}: {:?}", stringify!($what), $what))
                    };
                }

                let server = CancellationToken::new();
                let request = server.child_token();
                see!(&server);
                see!((server == server.clone(), server == request));

                let mut wait: std::pin::Pin<&mut WaitForCancellationFuture<'_>> = pin!(request.cancelled());
                see!(wait.as_mut().poll(&mut cx));
                let owned: WaitForCancellationFutureOwned = request.clone().cancelled_owned();
                let mut owned = pin!(owned);
                see!(owned.as_mut().poll(&mut cx));

                // Looked at when it is made, and not again before the future.
                let mut made_before = pin!(async { 1 }.with_cancellation_token(&request));
                let mut made_before_owned = pin!(async { 2 }.with_cancellation_token_owned(request.clone()));
                // Looked at when it is polled for the first time.
                let mut unpolled = pin!(request.run_until_cancelled(async { 3 }));
                let mut unpolled_owned = pin!(request.clone().run_until_cancelled_owned(async { 4 }));
                // Polled before, it puts the future first.
                let mut polls = 0;
                let mut polled = pin!(request.run_until_cancelled(future::poll_fn(|_| {
                    polls += 1;
                    if polls == 1 { Poll::Pending } else { Poll::Ready(polls) }
                })));
                see!(polled.as_mut().poll(&mut cx));

                let kept: DropGuard = server.child_token().drop_guard();
                let referred: DropGuardRef<'_> = request.drop_guard_ref();
                see!((kept.token().is_cancelled(), referred.token().is_cancelled()));
                see!(referred.disarm().is_cancelled());
                drop(request.clone().drop_guard());
                see!((server.is_cancelled(), request.is_cancelled(), kept.token().is_cancelled()));

                see!(wait.as_mut().poll(&mut cx));
                see!(owned.as_mut().poll(&mut cx));
                see!(made_before.as_mut().poll(&mut cx));
                see!(made_before_owned.as_mut().poll(&mut cx));
                see!(unpolled.as_mut().poll(&mut cx));
                see!(unpolled_owned.as_mut().poll(&mut cx));
                see!(polled.as_mut().poll(&mut cx));
                see!(pin!(async { 5 }.with_cancellation_token(&request)).as_mut().poll(&mut cx));
                see!(pin!(async { 6 }.with_cancellation_token(&server)).as_mut().poll(&mut cx));
                see!((request.child_token(), server.child_token(), CancellationToken::default()));
                see!(kept.disarm().is_cancelled());
                seen
            }

            /// A server of a few tasks on a runtime of several threads.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn tasks_of_a_runtime_stop_when_their_token_is_cancelled() {
                let server = CancellationToken::new();
                let (started, mut count) = tokio::sync::mpsc::channel(1);
                let tasks: Vec<_> = (0..50)
                    .map(|number| {
                        let (token, started) = (server.child_token(), started.clone());
                        tokio::spawn(async move {
                            started.send(()).await.expect("the test listens");
                            match number % 3 {
                                0 => token.cancelled().await,
                                1 => {
                                    assert_eq!(future::pending::<()>().with_cancellation_token(&token).await, None)
                                }
                                _ => tokio::select! {
                                    () = token.cancelled() => {}
                                    () = future::pending() => {}
                                },
                            }
                            token.is_cancelled()
                        })
                    })
                    .collect();
                for _ in 0..tasks.len() {
                    count.recv().await.expect("every task starts");
                }
                server.cancel();
                for task in tasks {
                    assert!(task.await.expect("no task panics"));
                }
            }
        }
    };
}

scenario!(tokio_util);
scenario!(cancel_tree);

#[test]
fn both_crates_tell_the_same_story() {
    let ours = cancel_tree::story();
    assert_eq!(ours.len(), 19);
    assert_eq!(ours, tokio_util::story());
}

/// The points in which an adapter could differ, said outright.
#[test]
fn the_story_says_when_the_token_is_looked_at() {
    let said = |start: &str| {
        let lines: Vec<_> = cancel_tree::story().into_iter().filter(|line| line.starts_with(start)).collect();
        lines.last().expect("it is told").split(": ").last().expect("it is seen").to_owned()
    };
    assert_eq!(said("made_before."), "Ready(Some(1))");
    assert_eq!(said("made_before_owned."), "Ready(Some(2))");
    assert_eq!(said("unpolled."), "Ready(None)");
    assert_eq!(said("unpolled_owned."), "Ready(None)");
    assert_eq!(said("polled."), "Ready(Some(2))");
}
