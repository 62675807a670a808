//! Snapshots as text, and for Graphviz.

use super::{Listing, TokenSnapshot, TreeSnapshot};
use core::error::Error;
use core::fmt::{self, Write};

/// A line is indented by so many levels at most: below, its depth is a number.
const DEEPEST: usize = 32;
/// In one piece: the formatter's own padding is written space by space.
const INDENTATION: &str = match core::str::from_utf8(&[b' '; 2 * DEEPEST]) {
    Ok(spaces) => spaces,
    Err(_) => unreachable!(),
};

/// A line for each token: its name, why it is cancelled, how long it has, and who needs it.
impl fmt::Display for TreeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in self.tokens() {
            f.write_str(&INDENTATION[..2 * token.depth().min(DEEPEST)])?;
            if token.depth() > DEEPEST {
                write!(f, "[{}] ", token.depth())?;
            }
            let mut line = OnOneLine(f);
            line.write_str(name(token))?;
            self.tell(token, ": ", ", ", &mut line)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

fn name(token: &TokenSnapshot) -> &str {
    token.name().unwrap_or("token")
}

impl TreeSnapshot {
    /// What there is to be said of a token, one thing after the other.
    fn tell(&self, token: &TokenSnapshot, first: &str, next: &str, out: &mut impl Write) -> fmt::Result {
        let mut between = Some(first);
        let mut and = |out: &mut dyn Write| out.write_str(between.take().unwrap_or(next));
        if let Some(reason) = token.reason() {
            and(out)?;
            write!(out, "{reason}")?;
            if let Some(cause) = reason.source() {
                write!(out, ": {cause}")?;
            }
        }
        #[cfg(all(feature = "std", not(cancel_tree_loom)))]
        if let Some(deadline) = token.deadline().filter(|_| !token.is_cancelled()) {
            and(out)?;
            match deadline.checked_duration_since(self.taken) {
                Some(left) => write!(out, "{left:.1?} left")?,
                None => out.write_str("its time is over")?,
            }
        }
        let counts = [
            (token.handles(), "handle"),
            (token.waiters(), "waiter"),
            (token.callbacks(), "callback"),
            (token.links(), "linked token"),
        ];
        for (count, what) in counts {
            if count > 0 {
                and(out)?;
                write!(out, "{count} {what}{}", if count == 1 { "" } else { "s" })?;
            }
        }
        if token.handles() == 0 {
            and(out)?;
            out.write_str("no handle")?;
        }
        if token.listing() == Listing::Busy {
            and(out)?;
            out.write_str("its children are changing")?;
        }
        Ok(())
    }
}

/// Escapes what would break a line: names and causes are anybody's.
struct OnOneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for OnOneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text, char::is_control, |f, c| write!(f, "{}", c.escape_default()))
    }
}

/// A snapshot in the language of Graphviz: [`TreeSnapshot::dot`].
#[derive(Clone, Copy, Debug)]
pub struct Dot<'a>(pub(super) &'a TreeSnapshot);

/// A directed graph from parents to children; what is cancelled is dashed.
impl fmt::Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("digraph cancel_tree {\n  node [shape=box];\n")?;
        for (place, token) in self.0.tokens().iter().enumerate() {
            write!(f, "  n{place} [label=\"")?;
            Quoted(f).write_str(name(token))?;
            // The line breaks of the label are this file's own.
            self.0.tell(token, "\n", "\n", &mut Quoted(f))?;
            f.write_str(if token.is_cancelled() { "\", style=dashed];\n" } else { "\"];\n" })?;
            if let Some(parent) = token.parent() {
                writeln!(f, "  n{parent} -> n{place};")?;
            }
        }
        f.write_str("}\n")
    }
}

/// Escapes what has a meaning between quotes.
struct Quoted<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Quoted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let special = |c: char| c.is_control() || matches!(c, '"' | '\\' | '&');
        write_escaped(self.0, text, special, |f, c| match c {
            '\n' => f.write_str("\\n"),
            '"' | '\\' => write!(f, "\\{c}"),
            // It begins a character's name, `&lt;` for example, in labels.
            '&' => f.write_str("&amp;"),
            c => write!(f, "\\\\u{{{:x}}}", u32::from(c)),
        })
    }
}

/// Writes `text`, and `escape` instead of each special character.
fn write_escaped(
    f: &mut fmt::Formatter<'_>,
    mut text: &str,
    special: impl Fn(char) -> bool,
    escape: impl Fn(&mut fmt::Formatter<'_>, char) -> fmt::Result,
) -> fmt::Result {
    while let Some((at, c)) = text.char_indices().find(|&(_, c)| special(c)) {
        f.write_str(&text[..at])?;
        escape(f, c)?;
        text = &text[at + c.len_utf8()..];
    }
    f.write_str(text)
}
