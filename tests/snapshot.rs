//! The living tree: which tokens a snapshot tells of, in which order, and by which names. What it counts: `snapshot_counts.rs`; how
//! it prints: `snapshot_text.rs`.
#![cfg(feature = "std")]

mod support;

use cancel_tree::snapshot::{Listing, TokenSnapshot, TreeSnapshot};
use cancel_tree::time::{Alarm, ManualTimer, Timer};
use cancel_tree::{CancelKind, CancellationToken};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};
use support::contexts::{HOUR, Why, why};
use support::nodes::live;
use support::{balanced, measure, on_a_small_stack, settles};

const MANY: usize = if cfg!(miri) { 300 } else { 1_000_000 };

/// Name, depth, and the name of the parent, of each.
fn shape(tree: &TreeSnapshot) -> Vec<(&str, usize, &str)> {
    let tokens = tree.tokens();
    let name = |token: &TokenSnapshot| -> usize { tokens.iter().position(|other| std::ptr::eq(other, token)).unwrap() };
    tokens
        .iter()
        .map(|token| {
            let parent = token.parent().map_or("", |parent| {
                assert!(parent < name(token), "a parent comes before its children");
                assert_eq!(tokens[parent].depth() + 1, token.depth());
                tokens[parent].name().unwrap_or("?")
            });
            (token.name().unwrap_or("?"), token.depth(), parent)
        })
        .collect()
}

fn names(tree: &TreeSnapshot) -> Vec<&str> {
    tree.tokens().iter().map(|token| token.name().unwrap_or("?")).collect()
}

#[test]
fn each_token_comes_before_its_children_and_of_these_the_eldest_first() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let a = root.naming("a").child_token();
        let b = root.naming("b").child_token();
        let c = root.child_token();
        let b1 = b.naming("b1").child_token();
        let a1 = a.naming("a1").child_token();
        let a2 = a.naming("a2").child_token();
        let a11 = a1.naming("a11").child_token();
        let tree = root.tree();
        assert_eq!(
            shape(&tree),
            [
                ("root", 0, ""),
                ("a", 1, "root"),
                ("a1", 2, "a"),
                ("a11", 3, "a1"),
                ("a2", 2, "a"),
                ("b", 1, "root"),
                ("b1", 2, "b"),
                ("?", 1, "root"),
            ]
        );
        let children: Vec<_> = tree.tokens().iter().map(TokenSnapshot::children).collect();
        assert_eq!(children, [3, 2, 1, 0, 0, 1, 0, 0]);
        assert!(tree.tokens().iter().all(|token| token.listing() == Listing::Complete && !token.is_cancelled()));
        assert!(tree.is_complete());
        assert_eq!((tree.root().name(), tree.root().parent()), (Some("root"), None));
        // From further below, it is that token's tree alone.
        assert_eq!(shape(&a.tree())[..2], [("a", 0, ""), ("a1", 1, "a")]);
        assert_eq!(names(&a.tree()), ["a", "a1", "a11", "a2"]);
        assert_eq!(names(&a11.tree()), ["a11"]);
        drop((a1, a2, b1, c));
    });
}

#[test]
fn what_has_been_dropped_is_not_in_it() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let children: Vec<_> = (0..6).map(|n| root.naming(format!("child {n}")).child_token()).collect();
        let mut left: Vec<_> = children.into_iter().map(Some).collect();
        for gone in [2, 5, 0] {
            left[gone] = None;
        }
        assert_eq!(names(&root.tree()), ["root", "child 1", "child 3", "child 4"]);
        left.push(Some(root.naming("late").child_token()));
        assert_eq!(names(&root.tree()), ["root", "child 1", "child 3", "child 4", "late"]);
        left.clear();
        assert_eq!(names(&root.tree()), ["root"]);
    });
}

/// A snapshot is not the tree: it keeps no token, and what it tells stays.
#[test]
fn a_snapshot_keeps_no_token_and_does_not_change() {
    balanced(|| {
        let before = live();
        let root = CancellationToken::named("root".to_string());
        let child = root.naming("child".to_string()).child_token();
        child.cancel_with(Why(7));
        let tree = root.tree();
        assert_eq!(live() - before, 2);
        root.cancel();
        drop((root, child));
        assert_eq!(live(), before);
        assert_eq!(names(&tree.clone()), ["root", "child"]);
        assert!(!tree.root().is_cancelled());
        assert_eq!(why(tree.tokens()[1].reason().unwrap()), Some(7));
    });
}

#[test]
fn the_memory_of_a_snapshot_goes_with_it() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let children: Vec<_> = (0..100).map(|n| root.naming(format!("child {n}")).child_token()).collect();
        // Once, for what the tree itself may get or give back.
        drop(root.tree());
        let ((), account) = measure(|| {
            let tree = root.tree();
            assert_eq!(tree.clone().tokens().len(), 101);
            assert!(tree.to_string().len() < tree.dot().to_string().len());
        });
        assert_eq!(account.bytes, 0);
        drop(children);
    });
}

#[test]
fn names_are_what_was_said() {
    balanced(|| {
        for name in ["", "a", "two\nlines", "\0\t\"quoted\" \\ {}<>&", "имя 名前 🦀"] {
            for token in [CancellationToken::named(name), CancellationToken::named(name.to_string())] {
                assert_eq!(token.name(), Some(name));
                assert_eq!(token.clone().name(), Some(name));
                let child = token.naming(name.to_string()).child_token();
                assert_eq!((child.name(), child.child_token().name()), (Some(name), None));
                assert_eq!(names(&token.tree()), [name, name]);
                token.cancel();
                assert_eq!((token.name(), child.name()), (Some(name), Some(name)));
            }
        }
        assert_eq!(CancellationToken::new().name(), None);
        assert_eq!(CancellationToken::new().tree().root().name(), None);
    });
}

/// A `String` is moved in, and given back with the token, whoever is the last to hold it.
#[test]
fn a_name_is_given_back_with_its_token() {
    balanced(|| {
        let long = || "x".repeat(10_000);
        let ((), account) = measure(|| {
            let root = CancellationToken::named(long());
            let born = root.naming(long()).child_token();
            let relay = born.naming(long()).child_token();
            let below = relay.naming(long()).child_token();
            drop(relay);
            root.cancel();
            let late = root.naming(long()).child_token();
            assert!(late.is_cancelled());
            // Never called: nothing is made.
            drop(root.naming(long()));
            drop((born, root, below, late));
            drop(CancellationToken::new());
        });
        assert_eq!(account.bytes, 0);
    });
}

#[test]
fn a_named_token_shows_its_name_in_debug() {
    balanced(|| {
        let token = CancellationToken::named("a \"b\"");
        assert_eq!(format!("{token:?}"), r#"CancellationToken { name: "a \"b\"", is_cancelled: false }"#);
        token.cancel();
        assert_eq!(format!("{token:?}"), r#"CancellationToken { name: "a \"b\"", is_cancelled: true }"#);
        assert_eq!(format!("{:?}", CancellationToken::new()), "CancellationToken { is_cancelled: false }");
        let child = format!("{:?}", token.naming("c"));
        assert!(child.starts_with(r#"NamedChild { name: "c", parent: CancellationToken { name: "a"#), "{child}");
        let tree = format!("{:?}", token.tree());
        assert!(tree.contains("TokenSnapshot") && tree.contains(r#"Some("a \"b\"")"#), "{tree}");
    });
}

#[test]
fn names_are_no_part_of_what_a_token_is() {
    balanced(|| {
        let (a, b) = (CancellationToken::named("same"), CancellationToken::named("same"));
        assert_ne!(a, b);
        assert_eq!(a, a.clone());
    });
}

/// C8: the relays collapse, names or not, and give their names back.
#[test]
fn a_named_token_that_is_replaced_by_its_child_over_and_over_takes_no_more_memory() {
    balanced(|| {
        on_a_small_stack(|| {
            let root = CancellationToken::named("root");
            let before = live();
            let mut token = root.naming("first").child_token();
            for level in 0..MANY {
                token = if level % 2 == 0 {
                    token.naming("x").child_token()
                } else {
                    token.naming(format!("level {level}")).child_token()
                };
                assert_eq!(live() - before, 1);
            }
            let last = token.name().unwrap().to_owned();
            assert_eq!(shape(&root.tree()), [("root", 0, ""), (last.as_str(), 1, "root")]);
            root.cancel();
            assert!(token.is_cancelled());
        });
    });
}

#[test]
fn a_token_that_only_passes_on_stands_there_without_a_handle() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let fork = root.naming("fork").child_token();
        let [left, right] = ["left", "right"].map(|name| fork.naming(name).child_token());
        drop(fork);
        let tree = root.tree();
        assert_eq!(shape(&tree)[1..], [("fork", 1, "root"), ("left", 2, "fork"), ("right", 2, "fork")]);
        assert_eq!(tree.tokens().iter().map(TokenSnapshot::handles).collect::<Vec<_>>(), [1, 0, 1, 1]);
        assert!(tree.to_string().contains("\n  fork: no handle\n"), "{tree}");
        // Down to one branch, it goes; the other takes its place.
        drop(left);
        assert_eq!(shape(&root.tree())[1..], [("right", 1, "root")]);
        drop(right);
        assert_eq!(names(&root.tree()), ["root"]);
    });
}

#[test]
fn reasons_are_told_with_their_causes() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let plain = root.naming("plain").child_token();
        let caused = root.naming("caused").child_token();
        let below = caused.naming("below").child_token();
        let alive = root.naming("alive").child_token();
        plain.cancel();
        caused.cancel_with(Why(3));
        let tree = root.tree();
        // A cancelled child stands in its parent's list, until it is dropped; its own is dissolved.
        assert_eq!(shape(&tree)[1..], [("plain", 1, "root"), ("caused", 1, "root"), ("alive", 1, "root")]);
        let [root_seen, plain_seen, caused_seen, alive_seen] = tree.tokens() else { panic!() };
        assert_eq!(
            (plain_seen.reason().unwrap().kind(), why(plain_seen.reason().unwrap())),
            (CancelKind::Cancelled, None)
        );
        assert_eq!(why(caused_seen.reason().unwrap()), Some(3));
        assert!(plain_seen.is_cancelled() && caused_seen.is_cancelled());
        assert!(!root_seen.is_cancelled() && alive_seen.reason().is_none());
        assert_eq!([root_seen, plain_seen, alive_seen].map(TokenSnapshot::listing), {
            [Listing::Complete, Listing::Dissolved, Listing::Complete]
        });
        assert!(tree.is_complete(), "dissolved is not busy");
        assert_eq!(why(below.tree().root().reason().unwrap()), Some(3));
        root.cancel();
        let tree = root.tree();
        assert_eq!((names(&tree), tree.root().listing()), (vec!["root"], Listing::Dissolved));
        drop(alive);
    });
}

#[test]
fn a_named_child_of_a_cancelled_token_is_born_cancelled_and_named() {
    balanced(|| {
        let (root, timer) = (CancellationToken::named("root"), ManualTimer::new());
        root.cancel_with(Why(9));
        for child in [
            root.naming("x").child_token(),
            root.naming("x".to_string()).child_token(),
            root.naming("x").child_with_timer(&timer, HOUR),
            root.naming("x").child_with_timer_cause(&timer, HOUR, Why(1)),
            root.naming("x").child_with_timeout(HOUR),
            root.naming("x").child_with_timeout_cause(HOUR, Why(1)),
            root.naming("x").child_with_deadline(Instant::now() + HOUR),
            root.naming("x").child_with_deadline_cause(Instant::now() + HOUR, Why(1)),
        ] {
            assert_eq!(child.name(), Some("x"));
            assert_eq!(why(&child.reason().unwrap()), Some(9));
            assert_eq!(shape(&child.tree()), [("x", 0, "")]);
        }
        assert_eq!(timer.pending(), 0);
    });
}

#[test]
fn named_children_have_deadlines_as_others_do() {
    balanced(|| {
        let (root, timer) = (CancellationToken::named("root"), ManualTimer::new());
        let timed = root.naming("timed".to_string()).child_with_timer(&timer, HOUR);
        let caused = root.naming("caused").child_with_timer_cause(&timer, 2 * HOUR, Why(5));
        let below = timed.naming("below").child_token();
        let plain = timed.child_token();
        assert_eq!(timer.pending(), 2);
        let tree = root.tree();
        assert_eq!(shape(&tree)[1..4], [("timed", 1, "root"), ("below", 2, "timed"), ("?", 2, "timed")]);
        assert_eq!(timed.name(), Some("timed"));
        assert_eq!((below.name(), plain.name(), below.deadline()), (Some("below"), None, plain.deadline()));
        timer.advance(HOUR);
        assert!(timed.is_cancelled() && below.is_cancelled() && plain.is_cancelled() && !caused.is_cancelled());
        let tree = root.tree();
        assert_eq!(names(&tree), ["root", "timed", "caused"]);
        assert_eq!(tree.tokens()[1].reason().unwrap().kind(), CancelKind::DeadlineExceeded);
        timer.advance(HOUR);
        let tree = root.tree();
        let reason = tree.tokens()[2].reason().unwrap();
        assert_eq!((reason.kind(), why(reason)), (CancelKind::DeadlineExceeded, Some(5)));
        // Its time is over before it begins.
        let expired = root.naming("expired").child_with_timer_cause(&timer, HOUR, Why(6));
        assert_eq!((expired.name(), why(&expired.reason().unwrap())), (Some("expired"), Some(6)));
        assert_eq!(names(&root.tree()), ["root", "timed", "caused", "expired"]);
        drop(timed);
        drop(expired);
        assert_eq!(names(&root.tree()), ["root", "caused"]);
    });
}

#[test]
fn deadlines_on_the_default_timer_are_told() {
    settles(|| {
        let root = CancellationToken::named("root");
        let at = Instant::now() + 3 * HOUR;
        let timeout = root.naming("timeout").child_with_timeout(2 * HOUR);
        let deadline = root.naming("deadline").child_with_deadline(at);
        let caused = [
            root.naming("caused").child_with_timeout_cause(HOUR, Why(1)),
            root.naming("caused").child_with_deadline_cause(at, Why(1)),
        ];
        let below = timeout.naming("below").child_with_timeout(Duration::MAX);
        let tree = root.tree();
        let [root_seen, timeout_seen, below_seen, deadline_seen, ..] = tree.tokens() else { panic!() };
        assert_eq!(names(&tree), ["root", "timeout", "below", "deadline", "caused", "caused"]);
        assert_eq!(root_seen.deadline(), None);
        assert_eq!(timeout_seen.deadline(), timeout.deadline());
        assert_eq!(below_seen.deadline(), timeout.deadline());
        assert_eq!(deadline_seen.deadline(), Some(at));
        // One that is expired is not given to the timer.
        let expired = root.naming("expired").child_with_timeout_cause(Duration::ZERO, Why(2));
        assert_eq!((expired.name(), why(&expired.reason().unwrap())), (Some("expired"), Some(2)));
        drop((below, deadline, caused));
    });
}

/// The last thing that it needs is a timer that does not panic: the token goes, and its name and cause with it.
#[test]
fn a_timer_that_panics_leaves_no_name_behind() {
    struct Broken;
    impl Timer for Broken {
        type Armed = ();
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn arm(&self, _: Duration, _: Alarm) {
            resume_unwind(Box::new("broken"));
        }
        fn disarm((): &()) {}
    }
    balanced(|| {
        let root = CancellationToken::named("root");
        let attempt = || {
            let name = "x".repeat(10_000);
            let child = AssertUnwindSafe(|| root.naming(name).child_with_timer_cause(&Broken, HOUR, Why(1)));
            assert!(catch_unwind(child).is_err());
        };
        attempt();
        let ((), account) = measure(attempt);
        assert_eq!(account.bytes, 0);
        assert_eq!(names(&root.tree()), ["root"]);
    });
}
