//! Connections, and how they end.

use crate::answer::Service;
use crate::database::Database;
use crate::log::{Entry, say};
use async_signal::{Signal, Signals};
use cancel_tree::CancellationToken;
use cancel_tree::snapshot::TreeSnapshot;
use cancel_tree::task::TaskTracker;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::channel::Sender;
use smol::net::{TcpListener, TcpStream};
use smol::stream::StreamExt;
use smol::{Timer, future};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

/// As a shell tells it of a process that Ctrl-C has killed.
const INTERRUPTED: i32 = 130;
/// Between two attempts to take a connection, when the system has no room for one.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Settings {
    /// For a request.
    pub(crate) timeout: Duration,
    /// For what runs when the server is told to stop.
    pub(crate) grace: Duration,
    /// For what is cancelled after that, to tell its client.
    pub(crate) farewell: Duration,
}

pub(crate) struct Server {
    settings: Settings,
    service: Service,
    connections: TaskTracker,
}

/// Who has not ended yet.
fn print(tree: &TreeSnapshot) {
    tree.to_string().lines().for_each(|line| say(format_args!("{line}")));
}

/// Why what ran was cancelled: the cause in the reason of each token.
#[derive(Debug)]
pub(crate) struct Shutdown {
    signal: Signal,
}

impl Server {
    pub(crate) fn new(settings: Settings, database: Database, log: Sender<Entry>) -> Self {
        let connections = TaskTracker::new();
        Self { service: Service::new(settings.timeout, database, connections.clone(), log), settings, connections }
    }

    /// Serves until the first signal, and comes back when all has ended that was begun: with what had to be cancelled, if it
    /// did not end by itself in the grace period.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, signals: &mut Signals) -> Option<TreeSnapshot> {
        let root = CancellationToken::named("server");
        let open = root.naming("open").child_token();

        let accept = async { match self.accept(&listener, &root, &open).await {} };
        let shutdown = Shutdown { signal: future::or(accept, signal(signals)).await };
        // From here on, who connects is refused; and a connection ends with the request that it is at.
        drop(listener);
        open.cancel();
        say(format_args!("{shutdown}; connections: {}", self.connections.len()));
        print(&root.tree());

        // The time for what runs. Another signal cuts it short.
        let grace = root.naming("grace").child_with_timeout(self.settings.grace);
        let ended = grace.run_until_cancelled(self.ended());
        let hurry = async {
            signal(signals).await;
            grace.cancel();
            future::pending().await
        };
        if future::or(ended, hurry).await.is_some() {
            return None;
        }
        // Before the cancel: after it, each is on its own.
        let left = root.tree();
        say(format_args!("the grace period is over; connections: {}", self.connections.len()));
        print(&left);
        root.cancel_with(shutdown);
        let give_up = async {
            signal(signals).await;
            exit(INTERRUPTED)
        };
        future::or(self.ended(), give_up).await;
        Some(left)
    }

    /// Whether nothing is left of what was begun.
    pub(crate) fn is_idle(&self) -> bool {
        self.connections.is_empty() && self.service.is_idle()
    }

    /// Waits until there is no connection, nor a query that one has left behind.
    async fn ended(&self) {
        for tracker in [&self.connections, &self.service.database.sessions] {
            tracker.close();
            tracker.wait().await;
        }
    }

    /// Takes connections, each a task and a token.
    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        root: &CancellationToken,
        open: &CancellationToken,
    ) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (server, counted) = (self.clone(), self.connections.token());
                    let (token, open) = (root.naming(format!("connection {peer}")).child_token(), open.clone());
                    let task = async move {
                        // The last to go: all that `converse` holds has gone by then.
                        let _counted = counted;
                        server.converse(stream, token, open).await;
                    };
                    smol::spawn(task).detach();
                }
                // One that has gone already; or too many open files, which passes.
                Err(error) => {
                    say(format_args!("no connection: {error}"));
                    Timer::after(PAUSE).await;
                }
            }
        }
    }

    /// Answers the requests of one connection.
    async fn converse(self: Arc<Self>, stream: TcpStream, token: CancellationToken, open: CancellationToken) {
        let service = service_fn(|request| self.service.answer(request, &token));
        // Without half-close: while a request is being answered, hyper reads on, and takes the end of the stream for
        // the end of the client.
        let mut http = http1::Builder::new();
        let connection =
            http.half_close(false).timer(SmolTimer::new()).serve_connection(FuturesIo::new(stream), service);
        let mut connection = pin!(connection);

        let talk = async {
            if open.run_until_cancelled(connection.as_mut()).await.is_none() {
                connection.as_mut().graceful_shutdown();
                let _ = connection.as_mut().await;
            }
        };
        // A client that does not take its last answer is not waited for.
        let cut = async {
            token.cancelled().await;
            Timer::after(self.settings.farewell).await;
        };
        future::or(talk, cut).await;
        // Whichever way, a request that was not answered is dropped here, with `connection`.
    }
}

async fn signal(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            Some(Ok(signal)) => return signal,
            Some(Err(error)) => say(format_args!("a signal was not heard: {error}")),
            None => return future::pending().await,
        }
    }
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = match self.signal {
            Signal::Int => "SIGINT",
            Signal::Term => "SIGTERM",
            _ => "a signal",
        };
        write!(f, "the server was stopped by {signal}")
    }
}

impl Error for Shutdown {}
