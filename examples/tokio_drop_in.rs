//! The same program, once with tokio-util's tokens and once with this crate's: only the imports differ.
//!
//! What `backend!` contains is a small backend on tokio, as it may stand in anyone's code. It is written once, compiled
//! with the paths of each of the two crates, and both must report the same.

macro_rules! backend {
    ($module:ident, $tokens:ident) => {
        mod $module {
            // To change over is to change these lines.
            use $tokens::future::FutureExt;
            use $tokens::sync::{CancellationToken, DropGuard};

            use std::time::Duration;
            use tokio::task::JoinHandle;
            use tokio::time::sleep;

            #[derive(Debug, PartialEq)]
            pub(crate) enum Outcome {
                Answered(&'static str),
                GivenUp,
                ShutDown,
            }

            /// What the client holds. Who drops it gives the request up.
            struct Request {
                outcome: JoinHandle<Outcome>,
                given_up: DropGuard,
            }

            /// Begins to work on a request; without a time, it is one that never ends.
            fn begin(server: &CancellationToken, takes: Option<Duration>) -> Request {
                let (server, request) = (server.clone(), server.child_token());
                let given_up = request.clone().drop_guard();
                let outcome = tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        answer = query(takes) => Outcome::Answered(answer),
                        () = request.cancelled() => {
                            if server.is_cancelled() { Outcome::ShutDown } else { Outcome::GivenUp }
                        }
                    }
                });
                Request { outcome, given_up }
            }

            async fn query(takes: Option<Duration>) -> &'static str {
                match takes {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
                "42"
            }

            pub(crate) async fn run() -> Vec<Outcome> {
                let server = CancellationToken::new();
                let housekeeping = tokio::spawn({
                    let stop = server.child_token();
                    async move {
                        // Until it is told to stop, in the middle of a sleep as a rule.
                        while sleep(Duration::from_millis(5)).with_cancellation_token(&stop).await.is_some() {}
                    }
                });

                let answered = begin(&server, Some(Duration::from_millis(20)));
                let given_up = begin(&server, None);
                let shut_down = begin(&server, None);

                let first = answered.outcome.await.unwrap();
                // The answer is there: there is nothing to give up any more.
                let token = answered.given_up.disarm();
                assert!(!token.is_cancelled());

                drop(given_up.given_up);
                let second = given_up.outcome.await.unwrap();
                assert!(!server.is_cancelled(), "a request that is given up concerns no other");

                server.cancel();
                let third = shut_down.outcome.await.unwrap();
                drop(shut_down.given_up);
                housekeeping.await.unwrap();
                assert_eq!(server.run_until_cancelled(query(None)).await, None);
                server.cancelled_owned().await;
                vec![first, second, third]
            }
        }
    };
}

backend!(before, tokio_util);
backend!(after, cancel_tree);

#[tokio::main]
async fn main() {
    let before = before::run().await;
    println!("with tokio-util:  {before:?}");
    let after = after::run().await;
    println!("with cancel-tree: {after:?}");

    use after::Outcome::{Answered, GivenUp, ShutDown};
    assert_eq!(after, [Answered("42"), GivenUp, ShutDown]);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}
