//! Queries that a token ends.

use crate::log::{Ended, Log, What};
use cancel_tree::task::TaskTracker;
use cancel_tree::task::task_tracker::TaskTrackerToken;
use cancel_tree::{CancellationToken, Cancelled, Registration, Unregister};
use rusqlite::{Connection, ErrorCode};
use smol::channel::{Receiver, Sender, unbounded};
use smol::{future, unblock};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A pool of connections to a database in memory. (To one each, which does for queries that read no table.)
pub(crate) struct Database {
    back: Sender<Connection>,
    idle: Receiver<Connection>,
    /// Those that are lent.
    pub(crate) sessions: TaskTracker,
}

/// A connection that is lent to one request. Dropped, it goes back, wherever it may be by then.
struct Session {
    connection: Option<Connection>,
    back: Sender<Connection>,
    token: CancellationToken,
    log: Log,
    // The last field: with the last session, all of the above has gone.
    _counted: TaskTrackerToken,
}

pub(crate) enum Failure {
    Cancelled(Cancelled),
    Sqlite(rusqlite::Error),
}

impl Database {
    pub(crate) async fn open(connections: usize) -> rusqlite::Result<Self> {
        let (back, idle) = unbounded();
        for _ in 0..connections {
            back.try_send(unblock(Connection::open_in_memory).await?).expect("it has no bounds and is open");
        }
        Ok(Self { back, idle, sessions: TaskTracker::new() })
    }

    /// Connections that nobody uses.
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Has `work` done in the blocking pool, and all its SQL interrupted when the token is cancelled.
    ///
    /// It comes back when the work has ended. If the future is dropped earlier, the work goes on until the token is
    /// cancelled: whoever drops it cancels as well.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        token: &CancellationToken,
        log: &Log,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let idle = token.run_until_cancelled(self.idle.recv()).await;
        let Some(connection) = idle else {
            let reason = token.reason().expect("this is why there is none");
            log.write(What::Queried(Ended::NotBegun { why: explain(&reason) }));
            return Err(Failure::Cancelled(reason));
        };
        let connection = connection.expect("`back` keeps it open");
        let session = Session {
            connection: Some(connection),
            back: self.back.clone(),
            token: token.clone(),
            log: log.clone(),
            _counted: self.sessions.token(),
        };
        unblock(move || session.run(work)).await
    }
}

impl Session {
    fn run<T>(self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Failure> {
        let connection = self.connection.as_ref().expect("only drop takes it");

        // SQLite forgets an interrupt that finds no statement open, such as one just before the first step of a query
        // that was meant. While one is open, it keeps it for all that follow.
        let mut open = connection.prepare("VALUES (1), (2)").map_err(Failure::Sqlite)?;
        let mut rows = open.query([]).map_err(Failure::Sqlite)?;
        rows.next().map_err(Failure::Sqlite)?;
        // Dropped before `rows`: what it may still do, it does while the statement is open.
        let interruption = Interruption::new(connection, &self.token);

        self.log.write(What::Querying);
        let result = work(connection);
        let after = interruption.at.get().map(Instant::elapsed);
        let (result, ended) = match result {
            Ok(result) => (Ok(result), Ended::Finished),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                let reason = self.token.reason().expect("nothing else interrupts");
                let (after, why) = (after.unwrap_or_default(), explain(&reason));
                (Err(Failure::Cancelled(reason)), Ended::Interrupted { after, why })
            }
            Err(error) => {
                let why = error.to_string();
                (Err(Failure::Sqlite(error)), Ended::Failed(why))
            }
        };
        self.log.write(What::Queried(ended));
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let connection = self.connection.take().expect("this is its only drop");
        // Without bounds, so never full; closed with the database.
        let _ = self.back.try_send(connection);
    }
}

/// Interrupts what a connection does when a token is cancelled, and not later than it lives.
struct Interruption {
    registration: Option<Registration>,
    at: Arc<OnceLock<Instant>>,
}

impl Interruption {
    fn new(connection: &Connection, token: &CancellationToken) -> Self {
        let (handle, at) = (connection.get_interrupt_handle(), Arc::new(OnceLock::new()));
        // If the token is cancelled already, it runs here.
        let registration = token.on_cancel({
            let at = at.clone();
            move || {
                let _ = at.set(Instant::now());
                handle.interrupt();
            }
        });
        Self { registration: Some(registration), at }
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        let registration = self.registration.take().expect("this is its only drop");
        let finished = registration.finished();
        // On another thread, just now. Were the connection lent again before it is over, it would hit somebody else's
        // query.
        if registration.unregister() == Unregister::Running {
            future::block_on(finished);
        }
    }
}

/// A reason with what is behind it.
pub(crate) fn explain(reason: &Cancelled) -> String {
    let (mut text, mut source) = (reason.to_string(), reason.source());
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
