//! The living tree in print: one line for each token, whatever the names; and for Graphviz, quoted.
#![cfg(feature = "std")]

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::snapshot::TreeSnapshot;
use cancel_tree::time::ManualTimer;
use std::time::{Duration, Instant};
use support::contexts::{HOUR, Why};
use support::wakers::Counter;
use support::{balanced, settles};

/// Names that mean something to somebody.
const HOSTILE: [&str; 12] = [
    "",
    " ",
    "two\nlines",
    "\r\n\t\0\u{1b}[31m\u{7f}\u{85}",
    "\"",
    "\\",
    "ends with \\",
    "\\\"];\n}\n",
    "\\N \\G \\l \\n",
    "<b>&lt;&amp;</b>",
    "{a|b}: 1 handle",
    "имя 名前 🦀 e\u{301}",
];

/// What a node says, and whether it is dashed.
#[derive(Debug, PartialEq)]
struct DotNode {
    label: String,
    dashed: bool,
}

/// As much of the language as there should be: `digraph NAME { node [shape=box]; (nN [label="..." (, style=dashed)?]; | nN -> nN;)* }`.
/// Nodes in the order of their numbers, and each edge once.
fn parse(dot: &str) -> (Vec<DotNode>, Vec<(usize, usize)>) {
    struct Rest<'a>(&'a str);
    impl<'a> Rest<'a> {
        fn skip_space(&mut self) {
            self.0 = self.0.trim_start_matches([' ', '\n']);
        }
        fn accept(&mut self, what: &str) -> bool {
            self.skip_space();
            self.0.strip_prefix(what).map(|rest| self.0 = rest).is_some()
        }
        fn expect(&mut self, what: &str) {
            assert!(self.accept(what), "{what} expected before {:?}", self.0);
        }
        fn number(&mut self) -> usize {
            self.expect("n");
            let end = self.0.find(|c: char| !c.is_ascii_digit()).expect("something follows");
            let (number, rest) = self.0.split_at(end);
            self.0 = rest;
            number.parse().expect("a number")
        }
        /// What Graphviz would show: the escapes of strings, of labels, and the entities undone.
        fn string(&mut self) -> String {
            self.expect("\"");
            let mut text = String::new();
            let mut chars = self.0.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        self.0 = &self.0[at + 1..];
                        return text;
                    }
                    '\\' => match chars.next().expect("something follows").1 {
                        'n' => text.push('\n'),
                        c @ ('"' | '\\') => text.push(c),
                        c => panic!("\\{c} means something else"),
                    },
                    '&' => {
                        let end = "&amp;".len();
                        assert_eq!(&self.0[at..at + end], "&amp;");
                        chars.nth(end - 2);
                        text.push('&');
                    }
                    c => {
                        assert!(!c.is_control(), "{c:?} in a string");
                        text.push(c);
                    }
                }
            }
            panic!("the string does not end");
        }
    }
    let mut rest = Rest(dot);
    rest.expect("digraph cancel_tree {");
    rest.expect("node [shape=box];");
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    while !rest.accept("}") {
        let number = rest.number();
        if rest.accept("->") {
            let to = rest.number();
            assert!(number < nodes.len() && to < nodes.len(), "an edge between nodes that have been said");
            edges.push((number, to));
        } else {
            assert_eq!(number, nodes.len());
            rest.expect("[label=");
            let label = rest.string();
            let dashed = rest.accept(", style=dashed");
            rest.expect("]");
            nodes.push(DotNode { label, dashed });
        }
        rest.expect(";");
    }
    assert_eq!(rest.0, "\n");
    (nodes, edges)
}

/// The graph has the tokens as nodes, and the children as edges.
fn check_dot(tree: &TreeSnapshot) -> Vec<DotNode> {
    let (nodes, edges) = parse(&tree.dot().to_string());
    let tokens = tree.tokens();
    assert_eq!(nodes.len(), tokens.len());
    let expected: Vec<_> = tokens.iter().enumerate().filter_map(|(to, token)| Some((token.parent()?, to))).collect();
    assert_eq!(edges, expected);
    for (node, token) in nodes.iter().zip(tokens) {
        assert_eq!(node.dashed, token.is_cancelled());
    }
    nodes
}

/// A line for each, indented by two for each level.
fn check_lines(tree: &TreeSnapshot) {
    let text = tree.to_string();
    assert!(text.ends_with('\n'));
    assert_eq!(text.lines().count(), tree.tokens().len(), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    for (line, token) in text.lines().zip(tree.tokens()) {
        let depth = token.depth();
        let rest = line.strip_prefix(&" ".repeat(2 * depth.min(32))).expect("indented");
        let number = if depth > 32 { format!("[{depth}] ") } else { String::new() };
        let rest = rest.strip_prefix(&number).expect("the depth, where it is not to be seen");
        let name: String = token
            .name()
            .unwrap_or("token")
            .chars()
            .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
            .collect();
        assert!(rest.strip_prefix(&name).expect("the name").starts_with(": "), "{line}");
    }
}

#[test]
fn hostile_names_and_causes_break_neither_lines_nor_quotes() {
    balanced(|| {
        for root in HOSTILE {
            let token = CancellationToken::named(root);
            let children = HOSTILE.map(|name| token.naming(name.to_string()).child_token());
            children.iter().zip(HOSTILE).step_by(2).for_each(|(child, cause)| {
                child.cancel_with(std::io::Error::other(cause));
            });
            let below = children[1].child_token();
            let tree = token.tree();
            check_lines(&tree);
            let nodes = check_dot(&tree);
            // What Graphviz shows: names as they are, but for what cannot be printed.
            let shown = |text: &str| -> String {
                let show = |c: char| match c {
                    '\n' => "\n".to_string(),
                    c if c.is_control() => format!("\\u{{{:x}}}", u32::from(c)),
                    c => c.to_string(),
                };
                text.chars().map(show).collect()
            };
            assert_eq!(nodes[0].label, format!("{}\n1 handle", shown(root)));
            assert_eq!(nodes[3].label, "token\n1 handle");
            for (place, name) in HOSTILE.into_iter().enumerate() {
                let reason = if place % 2 == 0 { format!("cancelled: {}\n", shown(name)) } else { String::new() };
                let node = &nodes[if place < 2 { place + 1 } else { place + 2 }];
                assert_eq!(node.label, format!("{}\n{reason}1 handle", shown(name)));
            }
            drop((children, below));
        }
    });
}

#[test]
fn a_line_says_all_that_is_known() {
    settles(|| {
        let root = CancellationToken::named("server");
        let plain = root.naming("plain").child_token();
        let caused = root.naming("caused").child_token();
        let busy = root.naming("busy").child_token();
        let below = busy.child_token();
        let linked = CancellationToken::any([&busy]);
        let registrations = [busy.on_cancel(|| ()), below.on_cancel(|| ())];
        let counter = Counter::new();
        let mut waits = [busy.cancelled(), busy.cancelled(), below.cancelled()];
        assert!(waits.iter_mut().all(|wait| counter.poll(wait).is_pending()));
        plain.cancel();
        caused.cancel_with(Why(3));
        let expired = root.naming("expired").child_with_timeout_cause(Duration::ZERO, Why(4));
        let tree = root.tree();
        let expected = "\
server: 1 handle
  plain: cancelled, 1 handle
  caused: cancelled: reason 3, 1 handle
  busy: 2 handles, 2 waiters, 1 callback, 1 linked token
    token: 2 handles, 1 waiter, 1 callback
  expired: deadline exceeded: reason 4, 1 handle
";
        assert_eq!(tree.to_string(), expected);
        let nodes = check_dot(&tree);
        assert_eq!(nodes[3].label, "busy\n2 handles\n2 waiters\n1 callback\n1 linked token");
        assert_eq!(nodes[5], DotNode { label: "expired\ndeadline exceeded: reason 4\n1 handle".into(), dashed: true });
        root.cancel();
        assert_eq!(root.tree().to_string(), "server: cancelled, 1 handle\n");
        // An old one still says the same.
        assert_eq!(tree.to_string(), expected);
        drop((waits, registrations, linked, expired));
    });
}

#[test]
fn the_time_that_is_left_is_that_of_the_snapshot() {
    settles(|| {
        let root = CancellationToken::named("root");
        let at = Instant::now() + 2 * HOUR;
        let timed = root.naming("timed").child_with_deadline(at);
        let below = timed.naming("below").child_token();
        let before = at - Instant::now();
        let tree = root.tree();
        let after = at - Instant::now();
        let text = tree.to_string();
        let left = |line: usize, name: &str| -> f64 {
            let rest = text.lines().nth(line).unwrap().trim_start().strip_prefix(name).expect(&text).to_owned();
            rest.strip_suffix("s left, 1 handle").expect(&text).parse().expect("seconds")
        };
        for seconds in [left(1, "timed: "), left(2, "below: ")] {
            // Rounded to a tenth.
            assert!((after.as_secs_f64() - 0.06..=before.as_secs_f64() + 0.06).contains(&seconds), "{text}");
        }
        assert_eq!(text.lines().next(), Some("root: 1 handle"));
        assert_eq!(tree.to_string(), text, "later, too");
        check_dot(&tree);
        timed.cancel();
        assert_eq!(root.tree().to_string(), "root: 1 handle\n  timed: cancelled, 1 handle\n");
        drop(below);
    });
}

/// A clock that stands still has not fired what is over by the system's.
#[test]
fn who_is_late_is_said_to_be() {
    balanced(|| {
        let (root, timer) = (CancellationToken::named("root"), ManualTimer::new());
        drop(root.child_with_deadline(Instant::now()));
        let late = root.naming("late").child_with_timer(&timer, Duration::from_nanos(1));
        assert!(late.deadline().unwrap() < Instant::now());
        let tree = root.tree();
        assert_eq!(tree.to_string(), "root: 1 handle\n  late: its time is over, 1 handle\n");
        assert_eq!(check_dot(&tree)[1].label, "late\nits time is over\n1 handle");
    });
}

/// The indentation ends somewhere: a deep tree in print is not quadratic.
#[test]
fn from_the_33rd_level_on_the_depth_is_a_number() {
    balanced(|| {
        let mut tokens = vec![CancellationToken::named("0")];
        for level in 1..100 {
            tokens.push(tokens[level - 1].naming(level.to_string()).child_token());
        }
        let tree = tokens[0].tree();
        check_lines(&tree);
        check_dot(&tree);
        let (text, indent) = (tree.to_string(), " ".repeat(64));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[32], format!("{indent}32: 1 handle"));
        assert_eq!(lines[33], format!("{indent}[33] 33: 1 handle"));
        assert_eq!(lines[99], format!("{indent}[99] 99: 1 handle"));
    });
}

#[test]
fn an_error_of_the_writer_is_passed_on() {
    balanced(|| {
        use std::fmt::{self, Write};
        struct Full(usize);
        impl Write for Full {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
                Ok(())
            }
        }
        let root = CancellationToken::named("a\nb\"");
        let child = root.child_token();
        child.cancel_with(Why(1));
        let tree = root.tree();
        let (text, dot) = (tree.to_string(), tree.dot().to_string());
        for room in 0..text.len() {
            assert!(write!(Full(room), "{tree}").is_err());
        }
        assert!(write!(Full(text.len()), "{tree}").is_ok());
        for room in 0..dot.len() {
            assert!(write!(Full(room), "{}", tree.dot()).is_err());
        }
        assert!(write!(Full(dot.len()), "{}", tree.dot()).is_ok());
    });
}
