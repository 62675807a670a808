//! Snapshots as text, and for Graphviz.

use super::{Listing, TokenSnapshot, TreeSnapshot};
use core::error::Error;
use core::fmt::{self, Write};

/// A line is indented by so many levels at most: below, its depth is a number.
const DEEPEST: usize = 32;

/// A line for each token: its name, why it is cancelled, how long it has, and who needs it.
impl fmt::Display for TreeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in self.tokens() {
            write!(f, "{:1$}", "", 2 * token.depth().min(DEEPEST))?;
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
        text.chars().try_for_each(|c| {
            if c.is_control() { write!(self.0, "{}", c.escape_default()) } else { self.0.write_char(c) }
        })
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
        text.chars().try_for_each(|c| match c {
            '\n' => self.0.write_str("\\n"),
            '"' | '\\' => write!(self.0, "\\{c}"),
            // It begins a character's name, `&lt;` for example, in labels.
            '&' => self.0.write_str("&amp;"),
            c if c.is_control() => write!(self.0, "\\\\u{{{:x}}}", u32::from(c)),
            c => self.0.write_char(c),
        })
    }
}
