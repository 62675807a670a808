//! An HTTP server whose requests end when nobody waits for them any more, down to the database.
//!
//! ```text
//! cargo run --release --example http_server -- --timeout 2
//! cargo run --release --example http_server -- --self-test
//! ```
//!
//! It is hyper on smol, with SQLite in smol's blocking pool. The tokens are a tree:
//!
//! ```text
//! root             cancelled when the grace period is over, with the signal as the cause
//! ├─ open          cancelled by Ctrl-C: a connection ends with the request that it is at
//! ├─ grace         made then, with a deadline; cancelled by a second Ctrl-C
//! └─ connection    one each
//!    └─ request    cancelled by its deadline, or when its client hangs up
//! ```
//!
//! - A query registers a callback with the token of its request, which calls SQLite's own interrupt. Two races are to
//!   be closed, one before the query and one after: see `database.rs`.
//! - What a cancelled request is answered depends on the reason of its token: 504 if it was the deadline, 503 if the
//!   server was stopped. The cause is in the text.
//! - A client that hangs up ends its query at once: hyper reads on while a request is answered, and drops the future of
//!   the request, and with it a guard that cancels its token. The end of what a client sends counts as the end of the
//!   client: TCP does not tell one that has closed from one that has only finished sending (`nc -N`). To serve those as
//!   well, say `half_close(true)`, and leave who has gone to the deadline.
//! - What a client sends after its request, a body or a pipelined request, hides the end of the stream: bodies are
//!   refused, and a client that pipelines is left to the deadline, too.
//! - The tokens have names: when the grace period is over, the tree of those that are left says who has not ended yet.
//! - Nothing is abandoned: connections and queries are counted, and the server ends after the last of them.
//!
//! `--self-test` makes each of this happen, over TCP, and fails if a query was not interrupted, or if a connection, a
//! query or a node of the token tree is left. It waits for events, never for a time: it is as sound on a busy machine.

mod answer;
mod client;
mod database;
mod log;
mod nodes;
mod options;
mod self_test;
mod server;

use async_signal::{Signal, Signals};
use database::Database;
use log::say;
use options::Command;
use server::{Server, Settings};
use smol::channel::unbounded;
use smol::net::TcpListener;
use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: nodes::Counting = nodes::Counting;

const FAILED: u8 = 1;
const NOT_BEGUN: u8 = 2;
/// How long to wait, at most, for what is to happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let command = match Command::from_args() {
        Ok(command) => command,
        Err(message) => {
            say(format_args!("{message} (see --help)"));
            return ExitCode::from(NOT_BEGUN);
        }
    };
    nodes::learn_layout();
    // One for the whole time: when it is dropped, Ctrl-C is heard by nobody.
    let mut signals = match Signals::new([Signal::Int, Signal::Term]) {
        Ok(signals) => signals,
        Err(error) => {
            say(format_args!("Ctrl-C is not heard: {error}"));
            return ExitCode::from(NOT_BEGUN);
        }
    };
    nodes::start();

    let well = match command {
        Command::Help => {
            // Whoever asks for help and closes the pipe has read enough.
            let _ = io::stdout().write_all(options::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Command::SelfTest => smol::block_on(self_test::run(&mut signals)),
        Command::Serve { port, timeout, grace } => match smol::block_on(serve(port, timeout, grace, &mut signals)) {
            Ok(()) => true,
            Err(error) => {
                say(format_args!("port {port}: {error}"));
                return ExitCode::from(NOT_BEGUN);
            }
        },
    };

    // Every token has been dropped. What the timer's thread still has of them, it gives back within milliseconds.
    let (made, peak) = (nodes::made(), nodes::peak());
    let patience = Instant::now() + PATIENCE;
    while nodes::live() != 0 && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let left = nodes::live();
    if left != 0 {
        say(format_args!("{left} of {made} nodes of the token tree are left"));
        return ExitCode::from(FAILED);
    }
    say(format_args!("no node of the token tree is left, of {made} ({peak} at once)"));
    if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Serves until Ctrl-C.
async fn serve(port: u16, timeout: Duration, grace: Duration, signals: &mut Signals) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let database = Database::open(available_parallelism()?.get()).await?;
    let (log, entries) = unbounded();
    let server = Arc::new(Server::new(Settings { timeout, grace, farewell: Duration::from_secs(5) }, database, log));
    say(format_args!("http://{}/slow?rows=1000000000", listener.local_addr()?));

    let printer = smol::spawn(log::print(entries));
    let left = server.serve(listener, signals).await;
    // Ends with the last that could write to the log.
    printer.await;
    say(format_args!(
        "{}",
        if left.is_none() { "all has ended by itself" } else { "what was left has been cancelled" }
    ));
    Ok(())
}
