//! Runs the scenario on one executor, counts what is left, and says so in a line for the table in the README.

use crate::nodes;
use crate::scenario::{POOL, Place};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// For hangs only: nothing here is decided by a time.
const HANGS: Duration = Duration::from_secs(120);

/// What the table says of an executor: what it is, the crate that it comes from (`-` for none), and its timer.
pub(crate) struct Row {
    pub(crate) executor: &'static str,
    pub(crate) package: &'static str,
    pub(crate) timer: &'static str,
}

impl Row {
    /// Runs `scenario` with nodes on the heap, and in a pool; then none is left.
    pub(crate) fn passes(self, scenario: impl Fn(Place)) {
        let alone = nodes::exclusive();
        for place in [Place::Heap, Place::Pool] {
            let (done, watched) = channel::<()>();
            let executor = self.executor;
            let watchdog = thread::spawn(move || {
                if watched.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
                    eprintln!("{executor}, {place:?}: hangs");
                    std::process::abort();
                }
            });
            let before = nodes::live();
            scenario(place);
            // The last tasks, and the timer, may be a little late in giving back.
            let start = Instant::now();
            loop {
                nodes::empty_graveyard();
                let left = (nodes::live() - before, POOL.in_use());
                if left == (0, 0) {
                    break;
                }
                assert!(start.elapsed() < HANGS / 2, "{executor}, {place:?}: nodes on the heap, in the pool: {left:?}");
                thread::yield_now();
            }
            drop(done);
            watchdog.join().expect("no hang");
        }
        drop(alone);
        self.line("passes");
    }

    /// This machine cannot: said plainly, and the row in the README stays as it is.
    #[allow(dead_code, reason = "most can always be run")]
    pub(crate) fn skip(self, why: &str) {
        self.line(&format!("SKIP: {why}"));
    }

    fn line(&self, result: &str) {
        println!("\nrow|{}|{}|{}|{result}", self.executor, self.package, self.timer);
    }
}
