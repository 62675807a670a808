//! What happens to the requests, as it happens: lines for people, and what the self-test goes by.

use hyper::{Method, StatusCode};
use smol::channel::{Receiver, Sender};
use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Entry {
    /// The number of the request.
    pub(crate) request: usize,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    /// The request has come.
    Asked {
        method: Method,
        target: String,
    },
    /// Its query begins.
    Querying,
    /// Its query has ended.
    Queried(Ended),
    Answered(StatusCode),
    /// Its client has gone before it was answered.
    HungUp,
}

/// How a query ended.
#[derive(Clone)]
pub(crate) enum Ended {
    Finished,
    /// Cancelled while it waited for a connection to the database.
    NotBegun {
        why: String,
    },
    /// With SQLite's word for it, this long after its token was cancelled.
    Interrupted {
        after: Duration,
        why: String,
    },
    Failed(String),
}

/// Writes what happens to one request.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) request: usize,
    pub(crate) entries: Sender<Entry>,
}

impl Log {
    pub(crate) fn write(&self, what: What) {
        // Without bounds, so never full; if it is closed, nobody wants to know.
        let _ = self.entries.try_send(Entry { request: self.request, what });
    }
}

/// Prints what happens, until nobody is left to whom it could happen.
pub(crate) async fn print(entries: Receiver<Entry>) {
    while let Ok(Entry { request, what }) = entries.recv().await {
        say(format_args!("#{request} {what}"));
    }
}

/// Prints a line on standard error. If that is closed, there is nobody left to tell.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "http_server: {line}");
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It comes from outside: nothing in it may be more than text to the terminal.
            Self::Asked { method, target } => write!(f, "{method} {}", target.escape_debug()),
            Self::Querying => f.write_str("query begun"),
            Self::Queried(ended) => write!(f, "query {ended}"),
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
            Self::HungUp => f.write_str("the client hung up"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::NotBegun { why } => write!(f, "not begun: {why}"),
            Self::Interrupted { after, why } => write!(f, "interrupted in {after:.1?}: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}
