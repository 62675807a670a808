//! Snapshots of trees of a million, on a stack of 64 KiB: taken, printed, and dropped.
#![cfg(feature = "std")]

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::snapshot::TreeSnapshot;
use std::fmt::{self, Write};
use support::nodes::live;
use support::{Random, balanced, on_a_small_stack};

/// Set when it is compiled, `CANCEL_TREE_SMALL_SHAPES` makes it ten thousand, for sanitizers.
const MILLION: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 300,
    (_, Some(_)) => 10_000,
    _ => 1_000_000,
};

/// Each token below that of this number; a parent comes before its children.
fn grow(parent_of: impl Fn(usize) -> usize) -> Vec<CancellationToken> {
    let mut tokens = Vec::with_capacity(MILLION);
    tokens.push(CancellationToken::new());
    for number in 1..MILLION {
        let parent: &CancellationToken = &tokens[parent_of(number)];
        tokens.push(if number % 10 == 0 { parent.naming("tenth").child_token() } else { parent.child_token() });
    }
    tokens
}

/// How many bytes and lines, and the longest line; none of it kept.
#[derive(Default)]
struct Measured {
    bytes: usize,
    lines: usize,
    line: usize,
    longest: usize,
}

impl Write for Measured {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
            self.longest = self.longest.max(self.line + end - start);
            (self.lines, self.line, start) = (self.lines + 1, 0, end + 1);
        }
        self.line += text.len() - start;
        self.bytes += text.len();
        Ok(())
    }
}

fn printed(what: &impl fmt::Display) -> Measured {
    let mut measured = Measured::default();
    write!(measured, "{what}").expect("there is room");
    measured
}

/// All that are alive are in it, each once, below the right one; it prints, in a size that is linear; and it goes.
fn check(tree: &TreeSnapshot, most_children: usize, deepest: usize) {
    assert!(tree.is_complete());
    assert_eq!(tree.tokens().len(), MILLION);
    assert_eq!(tree.tokens().iter().map(|token| token.handles()).sum::<usize>(), MILLION);
    assert_eq!(tree.tokens().iter().map(|token| token.children()).sum::<usize>(), MILLION - 1);
    assert_eq!(tree.tokens().iter().filter(|token| token.name() == Some("tenth")).count(), (MILLION - 1) / 10);
    assert_eq!(tree.tokens().iter().map(|token| token.children()).max(), Some(most_children));
    assert_eq!(tree.tokens().iter().map(|token| token.depth()).max(), Some(deepest));
    for (place, token) in tree.tokens().iter().enumerate() {
        match token.parent() {
            Some(parent) => {
                assert!(parent < place);
                assert_eq!(tree.tokens()[parent].depth() + 1, token.depth());
            }
            None => assert_eq!(place, 0),
        }
    }
    let text = printed(tree);
    assert_eq!(text.lines, MILLION);
    assert!(text.longest < 100 && text.bytes < 100 * MILLION);
    let dot = printed(&tree.dot());
    // Two for each but the first, and three around.
    assert_eq!(dot.lines, 2 * MILLION + 2);
    assert!(dot.longest < 100);
}

fn take_and_drop(parent_of: impl Fn(usize) -> usize + Send + 'static, most_children: usize, deepest: usize) {
    balanced(|| {
        on_a_small_stack(move || {
            let before = live();
            let mut tokens = grow(parent_of);
            let tree = tokens[0].tree();
            check(&tree, most_children, deepest);
            // A look leaves the tree as it was.
            assert_eq!(live() - before, MILLION as isize);
            drop(tree.clone());
            tokens[0].cancel();
            assert_eq!(tokens[0].tree().tokens().len(), 1);
            assert!(tokens.iter().all(CancellationToken::is_cancelled));
            Random(1).shuffle(&mut tokens);
            drop(tokens);
            assert_eq!(live(), before);
            assert_eq!(tree.tokens().len(), MILLION);
        });
    });
}

#[test]
fn a_chain_of_a_million() {
    take_and_drop(|number| number - 1, 1, MILLION - 1);
}

#[test]
fn a_fan_of_a_million() {
    take_and_drop(|_| 0, MILLION - 1, 1);
}

/// A spine, with a tooth at each of its tokens.
#[test]
fn a_comb_of_a_million() {
    take_and_drop(|number| (number - 1) / 2 * 2, 2, MILLION / 2);
}

/// The spine has no handles any more: it is there all the same, and a look at it does not need them.
#[test]
fn a_comb_without_handles_on_its_spine() {
    balanced(|| {
        on_a_small_stack(|| {
            let root = CancellationToken::named("root");
            let mut spine = root.naming("spine").child_token();
            let mut teeth = Vec::with_capacity(MILLION / 2);
            for _ in 0..MILLION / 2 {
                teeth.push(spine.naming("tooth").child_token());
                spine = spine.naming("spine").child_token();
            }
            drop(spine);
            let tree = root.tree();
            let named = |name| tree.tokens().iter().filter(|token| token.name() == Some(name)).count();
            assert_eq!(named("tooth"), MILLION / 2);
            // The last of the spine has one tooth, which has taken its place.
            assert_eq!(named("spine"), MILLION / 2 - 1);
            assert!(tree.tokens().iter().all(|token| (token.handles() == 0) == (token.name() == Some("spine"))));
            Random(2).shuffle(&mut teeth);
            teeth.truncate(MILLION / 4);
            let tree = root.tree();
            let handles: usize = tree.tokens().iter().map(|token| token.handles()).sum();
            assert_eq!(handles, teeth.len() + 1);
            assert!(tree.tokens().len() <= 2 * teeth.len() + 1, "a fork has two branches");
            root.cancel();
            assert!(teeth.iter().all(CancellationToken::is_cancelled));
        });
    });
}
