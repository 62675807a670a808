//! A parallel text search whose token tree mirrors the file tree.
//!
//! ```text
//! cargo run --release --example find -- PATTERN PATH
//! ```
//!
//! Every directory is a task, and its token is a child of its parent directory's token:
//!
//! ```text
//! search             cancelled by the first `--max-count` lines or Ctrl-C, with that as the cause, or by its deadline,
//! │                  `--timeout`
//! └─ directory       the root; cancelled if its own entries took too long
//!    ├─ own entries  their deadline is `--per-dir-timeout`; gone when they have been listed and read
//!    └─ directory    one each, and so on
//! ```
//!
//! So a directory that takes too long ends with all below it, while its siblings go on. Listing and reading run in
//! smol's blocking pool and look at the token once per entry and once per chunk. Nothing is abandoned: a task ends when
//! all that it has begun has ended, so that the time from `cancel()` to the end of the last task can be told. Who has
//! cancelled, and when, nobody has to note: the token's reason tells.
//!
//! At the end, when every token is dropped, no node of the token tree may be left on the heap. The example counts them,
//! with an allocator of its own, and fails if there is one.
//!
//! A read that the operating system never answers (a dead network drive) cannot be cancelled by anyone; the second
//! Ctrl-C ends the process.

mod nodes;
mod options;
mod output;
mod scan;
mod search;
mod why;

use async_signal::{Signal, Signals};
use options::{Command, Options};
use output::{escaped, say, size};
use search::Search;
use smol::channel::{Receiver, TryRecvError};
use smol::stream::StreamExt;
use smol::{future, unblock};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use std::{fs, thread};
use why::Why;

#[global_allocator]
static ALLOCATOR: nodes::Counting = nodes::Counting;

const MATCHED: u8 = 0;
const NOT_MATCHED: u8 = 1;
const FAILED: u8 = 2;
const NODES_LEFT: u8 = 3;
/// As a shell tells it of a process that Ctrl-C has killed.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let options = match Command::from_args() {
        Ok(Command::Search(options)) => options,
        Ok(Command::Help) => {
            // Whoever asks for help and closes the pipe has read enough.
            let _ = io::stdout().write_all(options::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            say(format_args!("{message} (see --help)"));
            return ExitCode::from(FAILED);
        }
    };
    let is_directory = match look_at(&options) {
        Ok(is_directory) => is_directory,
        Err(error) => {
            say(format_args!("{}: {error}", escaped(options.path.as_os_str())));
            return ExitCode::from(FAILED);
        }
    };

    nodes::learn_layouts();
    let status = smol::block_on(run(options, is_directory));

    // Every token has been dropped.
    let (left, made, peak) = (nodes::left(), nodes::made(), nodes::peak());
    if left != 0 {
        say(format_args!("{left} of {made} nodes of the token tree are left"));
        return ExitCode::from(NODES_LEFT);
    }
    say(format_args!("no node of the token tree is left, of {made} ({peak} at once)"));
    ExitCode::from(status)
}

/// Whether the path is a directory that can be listed; or a file, which can be searched as well.
fn look_at(options: &Options) -> io::Result<bool> {
    let metadata = fs::metadata(&options.path)?;
    if metadata.is_dir() {
        fs::read_dir(&options.path)?;
    } else if !metadata.is_file() {
        return Err(io::Error::other("neither a directory nor a regular file"));
    } else {
        fs::File::open(&options.path)?;
    }
    Ok(metadata.is_dir())
}

/// Searches and prints, and says what has been done. The exit status.
async fn run(options: Options, is_directory: bool) -> u8 {
    let path = options.path.clone();
    let (search, lines) = Search::new(options);
    let begun = Instant::now();

    // Not in the blocking pool: with a pool of one thread, nobody else would find one.
    let printer = {
        let search = search.clone();
        thread::spawn(move || print(&search, &lines))
    };
    let interrupts =
        Signals::new([Signal::Int]).map_err(|error| say(format_args!("Ctrl-C is not heard: {error}"))).ok();
    let work = async {
        search.walk(path, is_directory).await;
        let ended = Instant::now();
        unblock(|| printer.join()).await.expect("printing does not panic");
        ended
    };
    let ended = future::or(work, interrupt(&search, interrupts)).await;

    let search = Arc::into_inner(search).expect("the tasks have ended");
    summarize(&search, begun, ended);
    match (search.stopped().map(|stopped| stopped.why), search.counts.matches.into_inner()) {
        (Some(Why::OutputFailed), _) => FAILED,
        (_, 0) => NOT_MATCHED,
        _ => MATCHED,
    }
}

/// Prints the lines as they come. Blocks.
fn print(search: &Search, lines: &Receiver<String>) {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut print = || -> io::Result<()> {
        loop {
            let line = match lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Closed) => return output.flush(),
                Err(TryRecvError::Empty) => {
                    output.flush()?;
                    let Ok(line) = lines.recv_blocking() else { continue };
                    line
                }
            };
            output.write_all(line.as_bytes())?;
            let matches = search.counts.matches.fetch_add(1, Relaxed) + 1;
            if search.options.max_count == Some(matches) {
                search.stop(Why::MaxCount);
                return output.flush();
            }
        }
    };
    match print() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => drop(search.stop(Why::BrokenPipe)),
        Err(error) => {
            say(format_args!("standard output: {error}"));
            search.stop(Why::OutputFailed);
        }
    }
    // Whoever still has a line for this need not wait.
    lines.close();
}

/// Stops the search at the first Ctrl-C, and the process at the next. Never ready.
async fn interrupt<T>(search: &Search, interrupts: Option<Signals>) -> T {
    if let Some(mut interrupts) = interrupts {
        while let Some(Ok(_)) = interrupts.next().await {
            if !search.stop(Why::Interrupt) {
                exit(INTERRUPTED);
            }
        }
    }
    future::pending().await
}

/// Says what was searched, and what was not and why.
fn summarize(search: &Search, begun: Instant, ended: Instant) {
    let counts = &search.counts;
    let [matches, files, directories, bytes, skipped, errors] =
        [&counts.matches, &counts.files, &counts.directories, &counts.bytes, &counts.skipped, &counts.errors]
            .map(|count| count.load(Relaxed));
    let (bytes, took) = (size(bytes), ended - begun);
    say(format_args!("{matches} matches in {files} files ({bytes}) of {directories} directories, in {took:.1?}"));
    if skipped + errors > 0 {
        say(format_args!("{errors} errors, {skipped} skipped that are neither directories nor regular files"));
    }

    if let Some(stopped) = search.stopped() {
        let event = if stopped.why == Why::Timeout { "the deadline" } else { "cancel()" };
        match ended.checked_duration_since(stopped.at) {
            Some(late) => say(format_args!("cancelled by {stopped}: the last task was gone {late:.1?} after {event}")),
            None => say(format_args!("cancelled by {stopped}: the last task was gone before")),
        }
    }
    let cuts = search.cuts();
    for (path, late) in &cuts.overdue {
        let path = escaped(path.as_os_str());
        say(format_args!("cancelled by --per-dir-timeout: {path}: its last task was gone {late:.1?} after that"));
    }
    and_more(cuts.overdue_count, cuts.overdue.len());
    for (path, stopped) in &cuts.unfinished {
        let why = stopped.map_or(String::new(), |stopped| format!(" ({stopped})"));
        say(format_args!("left unfinished: {}{why}", escaped(path.as_os_str())));
    }
    and_more(cuts.unfinished_count, cuts.unfinished.len());
    if cuts.not_begun > 0 {
        say(format_args!("never begun: {} directories that these had named", cuts.not_begun));
    }
}

fn and_more(all: u64, named: usize) {
    if all > named as u64 {
        say(format_args!("… and {} more directories", all - named as u64));
    }
}
