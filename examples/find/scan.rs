//! The search in one file: chunk by chunk, in bounded memory, whatever the file is.

use cancel_tree::CancellationToken;
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};
use std::io::{self, Read};
use std::ops::ControlFlow;

/// What is read at once: between two looks at the token.
const CHUNK: usize = 64 * 1024;
/// The same for the smallest files.
const SMALL_CHUNK: usize = 4 * 1024;
/// What is kept before a match that begins in one piece of a long line and ends in the next.
const CONTEXT: usize = 128;

pub(crate) enum Found<'a> {
    /// A line with a match, without its newline; of a line longer than a chunk, what there is of it.
    Line { number: u64, text: &'a [u8], at: usize },
    /// A match in a file that is no text. It is the last that is reported of this file.
    Binary,
}

pub(crate) struct Scanned {
    pub(crate) bytes: u64,
    /// Whether the token ended it.
    pub(crate) cancelled: bool,
}

/// Reads a file to its end, unless the token is cancelled or `found` breaks off before that. Its `length` is a hint.
pub(crate) fn scan(
    mut file: impl Read,
    length: u64,
    pattern: &Finder<'_>,
    token: &CancellationToken,
    mut found: impl FnMut(Found<'_>) -> ControlFlow<()>,
) -> io::Result<Scanned> {
    let overlap = pattern.needle().len() - 1 + CONTEXT;
    let chunk = usize::try_from(length).map_or(CHUNK, |length| length.saturating_add(1).clamp(SMALL_CHUNK, CHUNK));
    let mut buffer = vec![0; chunk.max(4 * overlap)];
    let mut filled = 0;
    let mut bytes = 0;
    let mut binary = false;
    let mut lines = Lines { number: 1, told: false };
    loop {
        if token.is_cancelled() {
            return Ok(Scanned { bytes, cancelled: true });
        }
        let read = match file.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        bytes += read as u64;
        binary |= memchr(0, &buffer[filled..filled + read]).is_some();
        filled += read;

        // All whole lines; at the end of the file, or of the buffer, what there is.
        let (end, next) = match memrchr(b'\n', &buffer[..filled]) {
            _ if read == 0 => (filled, filled),
            Some(newline) => (newline + 1, newline + 1),
            None if filled == buffer.len() => (filled, filled - overlap),
            None => continue,
        };
        if lines.search(&buffer[..end], pattern, binary, &mut found).is_break() || read == 0 {
            return Ok(Scanned { bytes, cancelled: false });
        }
        buffer.copy_within(next..filled, 0);
        filled -= next;
    }
}

/// Where the search is, line by line.
struct Lines {
    /// Of the line at the beginning of the buffer.
    number: u64,
    /// Whether a match in an earlier piece of this line has been reported.
    told: bool,
}

impl Lines {
    fn search(
        &mut self,
        text: &[u8],
        pattern: &Finder<'_>,
        binary: bool,
        found: &mut impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut from = 0;
        while let Some(match_at) = pattern.find(&text[from..]).map(|at| from + at) {
            if binary {
                let _ = found(Found::Binary);
                return ControlFlow::Break(());
            }
            let begin = memrchr(b'\n', &text[from..match_at]).map_or(from, |newline| from + newline + 1);
            self.pass(&text[from..begin]);
            let end = memchr(b'\n', &text[match_at..]).map_or(text.len(), |newline| match_at + newline);
            if !self.told {
                found(Found::Line { number: self.number, text: &text[begin..end], at: match_at - begin })?;
                self.told = true;
            }
            from = end;
        }
        self.pass(&text[from..]);
        ControlFlow::Continue(())
    }

    /// Goes on over a text.
    fn pass(&mut self, text: &[u8]) {
        let newlines = memchr_iter(b'\n', text).count() as u64;
        if newlines > 0 {
            self.number += newlines;
            self.told = false;
        }
    }
}
