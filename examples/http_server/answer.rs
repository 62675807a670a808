//! Requests, and what they are answered.

use crate::database::{Database, Failure, explain};
use crate::log::{Entry, Log, What};
use cancel_tree::task::TaskTracker;
use cancel_tree::{CancelKind, CancellationToken};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rusqlite::Connection;
use smol::channel::Sender;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const FAST: &str = "SELECT 'SQLite ' || sqlite_version()";
/// Needs no table, little memory, and as long as one likes.
const SLOW: &str =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT count(*) FROM n";
const ROWS: i64 = 10_000_000;

/// What all connections share.
pub(crate) struct Service {
    timeout: Duration,
    pub(crate) database: Database,
    connections: TaskTracker,
    requests: TaskTracker,
    asked: AtomicUsize,
    log: Sender<Entry>,
}

/// A request that is to be answered. If it is dropped before, its client has hung up.
struct Pending {
    token: CancellationToken,
    log: Log,
    answered: bool,
}

/// Why what a client has left was cancelled.
#[derive(Debug)]
struct HungUp;

type Answer = (StatusCode, String);

impl Service {
    pub(crate) fn new(timeout: Duration, database: Database, connections: TaskTracker, log: Sender<Entry>) -> Self {
        Self { timeout, database, connections, requests: TaskTracker::new(), asked: AtomicUsize::new(0), log }
    }

    /// Answers a request of the connection that the token is of.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &CancellationToken,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let _counted = self.requests.token();
        let log = Log { request: self.asked.fetch_add(1, Relaxed) + 1, entries: self.log.clone() };
        log.write(What::Asked { method: request.method().clone(), target: request.uri().to_string() });
        let name = format!("#{} {} {}", log.request, request.method(), request.uri());
        let mut pending =
            Pending { token: connection.naming(name).child_with_timeout(self.timeout), log, answered: false };

        let (status, mut text) = self.route(&request, &pending).await;
        text.push('\n');
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        }
        pending.log.write(What::Answered(status));
        pending.answered = true;
        Ok(response)
    }

    async fn route(&self, request: &Request<Incoming>, pending: &Pending) -> Answer {
        if request.method() != Method::GET {
            return (StatusCode::METHOD_NOT_ALLOWED, "there is only GET".into());
        }
        // Left unread, it would hide the end of the stream behind it.
        if !request.body().is_end_stream() {
            return (StatusCode::PAYLOAD_TOO_LARGE, "a GET has no body here".into());
        }
        match request.uri().path() {
            "/fast" => self.query(pending, |connection| connection.query_row(FAST, [], |row| row.get(0))).await,
            "/slow" => match rows(request.uri().query().unwrap_or_default()) {
                Some(rows) => self.query(pending, move |connection| count(connection, rows)).await,
                None => (StatusCode::BAD_REQUEST, "rows=N wants a whole number from 1 up".into()),
            },
            "/status" => (StatusCode::OK, self.status()),
            _ => (StatusCode::NOT_FOUND, "there are /fast, /slow?rows=N and /status".into()),
        }
    }

    async fn query(
        &self,
        pending: &Pending,
        work: impl FnOnce(&Connection) -> rusqlite::Result<String> + Send + 'static,
    ) -> Answer {
        match self.database.query(&pending.token, &pending.log, work).await {
            Ok(text) => (StatusCode::OK, text),
            Err(Failure::Cancelled(reason)) => {
                let status = match reason.kind() {
                    CancelKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
                    // By the shutdown: who hangs up hears no answer.
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, explain(&reason))
            }
            Err(Failure::Sqlite(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// Whether no request is being answered, and no database connection is out.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.database.sessions.is_empty()
    }

    fn status(&self) -> String {
        let (connections, requests) = (self.connections.len(), self.requests.len());
        let (sessions, idle, asked) = (self.database.sessions.len(), self.database.idle(), self.asked.load(Relaxed));
        format!(
            "connections: {connections}, with requests: {requests}, so far: {asked}\n\
             connections to the database: {sessions} lent, {idle} idle"
        )
    }
}

/// Counts to `rows`, one by one.
fn count(connection: &Connection, rows: i64) -> rusqlite::Result<String> {
    let counted: i64 = connection.query_row(SLOW, [rows], |row| row.get(0))?;
    Ok(format!("counted {counted} rows"))
}

fn rows(query: &str) -> Option<i64> {
    match query.split('&').find_map(|pair| pair.strip_prefix("rows=")) {
        Some(rows) => rows.parse().ok().filter(|&rows| rows > 0),
        None => Some(ROWS),
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Unless the server itself has dropped it, at the end of a shutdown.
        if !self.answered && self.token.cancel_with(HungUp) {
            self.log.write(What::HungUp);
        }
    }
}

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client hung up")
    }
}

impl Error for HungUp {}
