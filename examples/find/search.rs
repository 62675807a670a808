//! The search over the tree: a task and a token per directory.

use crate::options::Options;
use crate::output::{escaped, excerpt, say};
use crate::scan::{Found, scan};
use crate::why::{Stopped, Why, limited};
use cancel_tree::{CancellationToken, Registration};
use memchr::memmem::Finder;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use smol::{Task, future::FutureExt, unblock};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, ReadDir};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{io, thread};

/// Entries that are listed at once.
const BATCH: usize = 128;
/// Lines that wait to be printed. When they are more, the search waits for whoever reads them.
const LINES: usize = 256;
/// Directories that the summary names.
const NAMED: usize = 8;

/// What all tasks of a search share.
pub(crate) struct Search {
    pub(crate) options: Options,
    pattern: Finder<'static>,
    /// The token of the whole search, with its deadline; that of the root directory is its child.
    token: CancellationToken,
    /// One permit for each directory that is being listed and read.
    permits: Arc<Semaphore>,
    /// How many files each of them may have open.
    readers: usize,
    lines: Sender<String>,
    pub(crate) counts: Counts,
    cuts: Mutex<Cuts>,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) directories: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) matches: AtomicU64,
}

/// What was left undone.
#[derive(Default)]
pub(crate) struct Cuts {
    /// Directories that took too long, and how long after their deadline the last task below them ended.
    pub(crate) overdue: Vec<(PathBuf, Duration)>,
    pub(crate) overdue_count: u64,
    /// Directories that were begun and not finished, because of what happened to one above or the whole search.
    pub(crate) unfinished: Vec<(PathBuf, Option<Stopped>)>,
    pub(crate) unfinished_count: u64,
    /// Directories that were found and not begun.
    pub(crate) not_begun: u64,
}

struct Directory {
    path: PathBuf,
    token: CancellationToken,
    unfinished: AtomicBool,
}

/// The subdirectories of a directory.
struct Below {
    /// To be begun when there is a permit.
    waiting: Vec<OsString>,
    running: usize,
    ended: Sender<Ended>,
}

/// What the task of a directory sends when nothing is left of it: its permit, or its panic.
type Ended = thread::Result<SemaphoreGuardArc>;

enum Entry {
    Directory(OsString),
    File(PathBuf),
}

impl Search {
    /// A search, and the lines that it is going to find.
    pub(crate) fn new(options: Options) -> (Arc<Self>, Receiver<String>) {
        let cores = thread::available_parallelism().map_or(4, |cores| cores.get());
        let (lines, found) = bounded(LINES);
        let search = Self {
            pattern: Finder::new(&options.pattern).into_owned(),
            token: limited(&CancellationToken::new(), options.timeout, Why::Timeout),
            options,
            permits: Arc::new(Semaphore::new(cores.clamp(4, 32))),
            readers: cores.clamp(2, 8),
            lines,
            counts: Counts::default(),
            cuts: Mutex::default(),
        };
        (Arc::new(search), found)
    }

    /// Cancels the whole search. `true` if this call was the first to do so.
    pub(crate) fn stop(&self, why: Why) -> bool {
        let stopped = Stopped { why, at: Instant::now() };
        let first = self.token.cancel_with(stopped);
        if first {
            say(format_args!("{stopped}: cancel() took {:.1?}", stopped.at.elapsed()));
        }
        first
    }

    /// Why the whole search was cancelled, by `stop` or its deadline.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        Stopped::of(&self.token)
    }

    /// Searches all that is at `path`. When this is ready, nothing runs any more that was begun for it.
    pub(crate) async fn walk(self: &Arc<Self>, path: PathBuf, is_directory: bool) {
        let root = Directory::new(path, &self.token);
        if is_directory {
            let permit = self.permits.acquire_arc().await;
            let (ended, end) = unbounded();
            self.begin(root, permit, ended);
            join(&end).await;
        } else {
            let token = root.token.clone();
            self.read(&Arc::new(root), &token, self.options.path.clone()).await;
        }
        self.lines.close();
    }

    /// Begins the task of a directory.
    fn begin(self: &Arc<Self>, directory: Directory, permit: SemaphoreGuardArc, ended: Sender<Ended>) {
        let search = self.clone();
        let task = async move {
            // `directory` and `search` are dropped before the end is told.
            let end = AssertUnwindSafe(search.directory(directory, permit)).catch_unwind().await;
            drop(search);
            let _ = ended.try_send(end);
        };
        smol::spawn(task).detach();
    }

    /// The task of a directory: it lists it, reads its files, and sees to it that its subdirectories are searched. The
    /// permit goes on to one of these, so that the search goes down before it goes on, and no more is under way at once
    /// than permits times the depth of the tree.
    async fn directory(self: &Arc<Self>, directory: Directory, permit: SemaphoreGuardArc) -> SemaphoreGuardArc {
        let directory = Arc::new(directory);
        let (ended, end) = unbounded();
        let mut below = Below { waiting: Vec::new(), running: 0, ended };

        // A deadline holds for all below its token, as long as that lives. So this one is on a token beside those of the
        // subdirectories, and goes with the own entries. When it passes, the directory is cancelled with all below it.
        let own = limited(&directory.token, self.options.per_dir_timeout, Why::PerDirTimeout);
        let at_once = self.options.per_dir_timeout.map(|_| cancel_with_own(&own, &directory.token));
        self.own_entries(&directory, &own, &mut below).await;
        // Again: the callback may be about to run when it is unregistered.
        let overdue = overdue(&own);
        if let Some(stopped) = overdue {
            directory.token.cancel_with(stopped);
        }
        drop((at_once, own));

        let mut permit = Some(permit);
        loop {
            if directory.token.is_cancelled() && !below.waiting.is_empty() {
                directory.unfinished.store(true, Relaxed);
                self.cuts().not_begun += below.waiting.len() as u64;
                below.waiting.clear();
            }
            while let Some(name) = below.waiting.pop() {
                let Some(permit) = permit.take().or_else(|| self.permits.try_acquire_arc()) else {
                    below.waiting.push(name);
                    break;
                };
                below.begin(self, &directory, &name, permit);
            }
            if below.running == 0 {
                break;
            }
            // Nothing is waiting that could use the permit that is left here, if one is.
            drop(permit.take());
            permit = Some(join(&end).await);
            below.running -= 1;
        }
        self.note(&directory, overdue);
        permit.expect("the last that ended gave it back")
    }

    /// Lists a directory and reads its files, and begins as many of its subdirectories as there are free permits for.
    async fn own_entries(self: &Arc<Self>, directory: &Arc<Directory>, own: &CancellationToken, below: &mut Below) {
        let path = directory.path.clone();
        let mut listing = match unblock(move || fs::read_dir(path)).await {
            Ok(listing) => Some(listing),
            Err(error) => return self.error(&directory.path, &error),
        };
        self.counts.directories.fetch_add(1, Relaxed);

        let mut readers: VecDeque<Task<()>> = VecDeque::with_capacity(self.readers);
        while let Some(open) = listing {
            let (search, of, token) = (self.clone(), directory.clone(), own.clone());
            let (rest, batch) = unblock(move || search.list(open, &of, &token)).await;
            listing = rest;
            for entry in batch {
                match entry {
                    Entry::Directory(name) => match self.permits.try_acquire_arc() {
                        Some(permit) => below.begin(self, directory, &name, permit),
                        None => below.waiting.push(name),
                    },
                    Entry::File(path) => {
                        if readers.len() == self.readers {
                            readers.pop_front().expect("at least one may read").await;
                        }
                        readers.push_back(self.read(directory, own, path));
                    }
                }
            }
        }
        for reader in readers {
            reader.await;
        }
    }

    /// The next entries of a directory, and the listing if there are more. Blocks.
    fn list(
        &self,
        mut listing: ReadDir,
        directory: &Directory,
        token: &CancellationToken,
    ) -> (Option<ReadDir>, Vec<Entry>) {
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            if token.is_cancelled() {
                directory.unfinished.store(true, Relaxed);
                return (None, batch);
            }
            let entry = match listing.next() {
                None => return (None, batch),
                Some(Ok(entry)) => entry,
                Some(Err(error)) => {
                    self.error(&directory.path, &error);
                    continue;
                }
            };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => batch.push(Entry::Directory(entry.file_name())),
                Ok(kind) if kind.is_file() => batch.push(Entry::File(entry.path())),
                // A symbolic link, or a pipe or device, which could make a reader wait for ever.
                Ok(_) => drop(self.counts.skipped.fetch_add(1, Relaxed)),
                Err(error) => self.error(&entry.path(), &error),
            }
        }
        (Some(listing), batch)
    }

    /// Begins to read a file, in the blocking pool.
    fn read(self: &Arc<Self>, directory: &Arc<Directory>, token: &CancellationToken, path: PathBuf) -> Task<()> {
        let (search, directory, token) = (self.clone(), directory.clone(), token.clone());
        unblock(move || search.read_blocking(&directory, &token, &path))
    }

    fn read_blocking(&self, directory: &Directory, token: &CancellationToken, path: &Path) {
        let not_to_the_end = || directory.unfinished.store(true, Relaxed);
        if token.is_cancelled() {
            return not_to_the_end();
        }
        let name = escaped(path.as_os_str());
        let found = |found: Found<'_>| {
            let line = match found {
                Found::Line { number, text, at } => format!("{name}:{number}:{}\n", excerpt(text, at)),
                Found::Binary => format!("{name}: binary file matches\n"),
            };
            // The printer may be waiting for its reader for long. The token ends the wait for the printer.
            match smol::block_on(token.run_until_cancelled(self.lines.send(line))) {
                Some(Ok(())) => ControlFlow::Continue(()),
                _ => {
                    not_to_the_end();
                    ControlFlow::Break(())
                }
            }
        };
        match open(path).and_then(|(file, length)| scan(file, length, &self.pattern, token, found)) {
            Ok(scanned) => {
                self.counts.files.fetch_add(1, Relaxed);
                self.counts.bytes.fetch_add(scanned.bytes, Relaxed);
                if scanned.cancelled {
                    not_to_the_end();
                }
            }
            Err(error) => self.error(path, &error),
        }
    }

    /// Goes on after an error, having told it.
    fn error(&self, path: &Path, error: &io::Error) {
        self.counts.errors.fetch_add(1, Relaxed);
        say(format_args!("{}: {error}", escaped(path.as_os_str())));
    }

    /// Notes what was left undone in a directory whose tasks have ended.
    fn note(&self, directory: &Directory, overdue: Option<Stopped>) {
        let mut cuts = self.cuts();
        if let Some(stopped) = overdue {
            cuts.overdue_count += 1;
            if cuts.overdue.len() < NAMED {
                cuts.overdue.push((directory.path.clone(), stopped.at.elapsed()));
            }
        } else if directory.unfinished.load(Relaxed) {
            cuts.unfinished_count += 1;
            if cuts.unfinished.len() < NAMED {
                let why = Stopped::of(&directory.token);
                cuts.unfinished.push((directory.path.clone(), why));
            }
        }
    }

    pub(crate) fn cuts(&self) -> MutexGuard<'_, Cuts> {
        self.cuts.lock().expect("nothing panics while it is locked")
    }
}

impl Directory {
    fn new(path: PathBuf, parent: &CancellationToken) -> Self {
        Self { path, token: parent.child_token(), unfinished: AtomicBool::new(false) }
    }
}

impl Below {
    fn begin(&mut self, search: &Arc<Search>, parent: &Directory, name: &OsStr, permit: SemaphoreGuardArc) {
        let directory = Directory::new(parent.path.join(name), &parent.token);
        search.begin(directory, permit, self.ended.clone());
        self.running += 1;
    }
}

/// Cancels all of a directory when the time of its own entries is over, for as long as the registration is kept.
pub(crate) fn cancel_with_own(own: &CancellationToken, all: &CancellationToken) -> Registration {
    let (its, all) = (own.clone(), all.clone());
    own.on_cancel(move || {
        if let Some(stopped) = overdue(&its) {
            all.cancel_with(stopped);
        }
    })
}

/// Why a directory is cancelled whose own entries have taken too long. (The deadline of a directory above comes down as a
/// cancel, with the same cause.)
fn overdue(own: &CancellationToken) -> Option<Stopped> {
    let by_deadline = own.reason().is_some_and(|reason| reason.is_deadline_exceeded());
    Stopped::of(own).filter(|stopped| by_deadline && stopped.why == Why::PerDirTimeout)
}

/// Waits until one more task has ended. If that was by a panic, it goes on here.
async fn join(end: &Receiver<Ended>) -> SemaphoreGuardArc {
    let ended = end.recv().await.expect("every task that is begun tells its end");
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Opens a regular file; its length too. If what was listed as one has become a pipe since, opening it does not wait.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("no regular file any more"));
    }
    Ok((file, metadata.len()))
}
