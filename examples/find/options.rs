//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Searches a directory tree for a literal text, in parallel.

Usage: find [OPTIONS] PATTERN PATH

  -m, --max-count N             stop after the first N matching lines
      --timeout SECONDS         stop the search after this time
      --per-dir-timeout SECONDS give up a directory, with all below it, whose own entries
                                take longer than this to list and read; the others go on
  -h, --help                    print this

SECONDS may have a fraction. Ctrl-C stops the search; the second one ends the process at once.
Symbolic links below PATH are not followed; only regular files are read.

Exit status: 0 if a line matched, 1 if none did, 2 if the search could not be made,
3 if a node of the token tree was left on the heap.
";

pub(crate) enum Command {
    Search(Options),
    Help,
}

pub(crate) struct Options {
    pub(crate) pattern: Vec<u8>,
    pub(crate) path: PathBuf,
    pub(crate) max_count: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) per_dir_timeout: Option<Duration>,
}

impl Command {
    /// What the program's arguments ask for, or what is wrong with them.
    pub(crate) fn from_args() -> Result<Self, String> {
        let (mut pattern, mut path) = (None, None);
        let (mut max_count, mut timeout, mut per_dir_timeout) = (None, None, None);

        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next().map_err(|error| error.to_string())? {
            match argument {
                Short('m') | Long("max-count") => max_count = Some(count("--max-count", &value(&mut arguments)?)?),
                Long("timeout") => timeout = Some(seconds("--timeout", &value(&mut arguments)?)?),
                Long("per-dir-timeout") => {
                    per_dir_timeout = Some(seconds("--per-dir-timeout", &value(&mut arguments)?)?);
                }
                Short('h') | Long("help") => return Ok(Self::Help),
                Value(text) if pattern.is_none() => pattern = Some(text),
                Value(text) if path.is_none() => path = Some(PathBuf::from(text)),
                unexpected => return Err(unexpected.unexpected().to_string()),
            }
        }

        let pattern = pattern.ok_or("PATTERN and PATH are missing")?.into_encoded_bytes();
        if pattern.is_empty() {
            return Err("the pattern is empty: every line would match".into());
        }
        if pattern.contains(&b'\n') {
            return Err("the pattern contains a newline: the search goes line by line".into());
        }
        let path = path.ok_or("PATH is missing")?;
        Ok(Self::Search(Options { pattern, path, max_count, timeout, per_dir_timeout }))
    }
}

fn value(arguments: &mut lexopt::Parser) -> Result<OsString, String> {
    arguments.value().map_err(|error| error.to_string())
}

fn count(option: &str, text: &OsString) -> Result<u64, String> {
    match text.to_str().and_then(|text| text.parse().ok()) {
        Some(count) if count > 0 => Ok(count),
        _ => Err(format!("{option}: {text:?} is not a whole number from 1 up")),
    }
}

fn seconds(option: &str, text: &OsString) -> Result<Duration, String> {
    let seconds = text.to_str().and_then(|text| text.parse::<f64>().ok()).filter(|seconds| !seconds.is_nan());
    match seconds {
        None => Err(format!("{option}: {text:?} is not a number of seconds")),
        Some(seconds) if seconds < 0.0 => Err(format!("{option}: {text:?} is negative")),
        Some(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{option}: {text:?} is more than can be counted"))
        }
    }
}
