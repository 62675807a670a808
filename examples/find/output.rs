//! What goes to the terminal: nothing that comes from a file or a file's name may be more than text there.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

/// The most bytes of a line that are shown.
const SHOWN: usize = 240;
/// How many of them stand before the match.
const BEFORE: usize = 80;

/// Prints a line on standard error. If that is closed, there is nobody left to tell.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "find: {line}");
}

/// A name for the terminal.
pub(crate) fn escaped(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    escape(name.as_encoded_bytes(), &mut text);
    text
}

/// A matching line for the terminal, cut around its match if it is long.
pub(crate) fn excerpt(line: &[u8], at: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut begin = if line.len() > SHOWN { at.saturating_sub(BEFORE).min(line.len() - SHOWN) } else { 0 };
    let mut end = line.len().min(begin + SHOWN);
    // No cut within a character.
    let is_within = |position: usize| line.get(position).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    for _ in 0..3 {
        begin -= usize::from(begin > 0 && is_within(begin));
        end -= usize::from(end > begin && is_within(end));
    }

    let mut text = String::with_capacity(SHOWN);
    if begin > 0 {
        text.push('…');
    }
    escape(&line[begin..end], &mut text);
    if end < line.len() {
        text.push('…');
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\t' => text.push('\t'),
                // Terminal commands, and marks that turn the direction of writing.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    text.extend(character.escape_unicode());
                }
                _ if character.is_control() => text.extend(character.escape_default()),
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}
