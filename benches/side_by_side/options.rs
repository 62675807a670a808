//! What was asked for on the command line, and what follows from it for the amount of work.

use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One tiny iteration of everything: `cargo test --benches`. Figures mean nothing then.
    Test,
    Quick,
    Full,
}

pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// Only rows whose id contains this.
    pub(crate) filter: Option<String>,
}

pub(crate) enum Request {
    Measure(Options),
    /// Test runners ask for the names of the tests in a binary.
    List,
    /// Internal: do something that may overflow the stack, in a process of its own. The arguments that follow.
    Probe(Vec<String>),
}

impl Options {
    /// `cargo bench` passes `--bench`, `cargo test` does not; unknown words of test runners are let pass.
    pub(crate) fn parse() -> Result<Request, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut bench, mut test, mut quick, mut filter) = (false, false, false, None);
        let (mut list, mut ignored) = (false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => bench = true,
                Long("test") => test = true,
                Long("quick") => quick = true,
                Long("full") => quick = false,
                Long("filter") => filter = Some(parser.value()?.string()?),
                Long("probe") => {
                    let rest = parser.raw_args()?.map(|word| word.string()).collect::<Result<_, _>>()?;
                    return Ok(Request::Probe(rest));
                }
                Long("list") => list = true,
                Long("ignored") => ignored = true,
                Long("format" | "color" | "test-threads") => drop(parser.value()?),
                Long("exact" | "nocapture" | "no-capture" | "quiet" | "include-ignored") => {}
                Value(_) => {}
                other => return Err(other.unexpected()),
            }
        }
        if list {
            if !ignored {
                println!("every_row_once: test");
            }
            return Ok(Request::List);
        }
        let mode = match (bench && !test, quick) {
            (false, _) => Mode::Test,
            (true, true) => Mode::Quick,
            (true, false) => Mode::Full,
        };
        Ok(Request::Measure(Self { mode, filter }))
    }

    pub(crate) fn pick<T>(&self, test: T, quick: T, full: T) -> T {
        match self.mode {
            Mode::Test => test,
            Mode::Quick => quick,
            Mode::Full => full,
        }
    }

    /// How many nodes the biggest trees have, as a power of ten.
    pub(crate) fn largest(&self) -> usize {
        self.pick(100, 100_000, 1_000_000)
    }

    /// 10, 100, … up to the largest.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let largest = self.largest();
        std::iter::successors(Some(10), |size| Some(size * 10)).take_while(move |size| *size <= largest)
    }

    /// 1, 2, 4, … and all cores.
    pub(crate) fn threads(&self) -> Vec<usize> {
        let cores = self.pick(2, cores(), cores());
        let mut counts: Vec<usize> =
            std::iter::successors(Some(1), |count| Some(count * 2)).take_while(|count| *count < cores).collect();
        counts.push(cores);
        counts
    }

    /// How long the threads of one sample work side by side.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_micros(self.pick(50, 2_000, 4_000))
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn threads_in_words(count: usize) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}
