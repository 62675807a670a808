//! What `instructions.sh` counts: valgrind runs one row in a process of its own, and counts what happens inside the
//! functions named `measured_…`.
//!
//! `instructions LIBRARY ROW` runs one; without words, as under `cargo test --benches`, each runs once; `--names` lists.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

/// How many calls, or nodes, a figure is the average of; `instructions.sh` divides by it.
const MANY: usize = 1_000;

type Rows = [(&'static str, fn()); 20];

fn main() {
    // Cargo and test runners pass options, which are none of ours.
    let (options, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let asked = |option: &str| options.iter().any(|given| given == option);
    let all = [("cancel-tree", ours::ROWS), ("tokio-util", theirs::ROWS)];
    if asked("--names") {
        ours::ROWS.iter().for_each(|(name, _)| println!("{name}"));
    } else if asked("--list") {
        // No test by the lights of a test runner.
    } else if let [library, row] = words.as_slice() {
        let (_, rows) = all.iter().find(|(name, _)| name == library).expect("cancel-tree or tokio-util");
        let (_, run) = rows.iter().find(|(name, _)| name == row).expect("a row that --names lists");
        run();
    } else {
        all.iter().flat_map(|(_, rows)| rows).for_each(|(_, run)| run());
    }
}

fn poll(wait: Pin<&mut impl Future<Output = ()>>) {
    let mut cx = Context::from_waker(black_box(Waker::noop()));
    assert!(wait.poll(&mut cx).is_pending(), "nobody cancels");
}

/// The same for two crates whose tokens have the same names. The functions have to be named apart.
macro_rules! rows {
    (
        $module:ident, $library:ident, $is_cancelled:ident, $create_drop:ident, $create_drop_oldest:ident, $rolling:ident,
        $clone_drop:ident, $cancel:ident, $drop:ident, $waiter:ident, $tracker_round:ident $(,)?
    ) => {
        mod $module {
            use super::{Context, Future, MANY, Pin, Rows, Waker, black_box, pin, poll};
            use std::collections::VecDeque;
            use $library::sync::{CancellationToken, WaitForCancellationFuture};
            use $library::task::TaskTracker;

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $is_cancelled(token: &CancellationToken) -> bool {
                token.is_cancelled()
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $create_drop(parent: &CancellationToken) {
                drop(parent.child_token());
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $create_drop_oldest(parent: &CancellationToken, children: &mut VecDeque<CancellationToken>) {
                children.push_back(parent.child_token());
                drop(children.pop_front());
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $rolling(token: &mut CancellationToken) {
                *token = token.child_token();
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $clone_drop(token: &CancellationToken) {
                drop(black_box(token.clone()));
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $cancel(root: &CancellationToken) {
                root.cancel();
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $drop(tree: Vec<CancellationToken>) {
                drop(tree);
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $waiter(token: &CancellationToken) {
                poll(pin!(token.cancelled()));
            }

            #[inline(never)]
            #[unsafe(no_mangle)]
            fn $tracker_round(tracker: &TaskTracker) {
                let token = tracker.token();
                let mut wait = pin!(tracker.wait());
                poll(wait.as_mut());
                tracker.close();
                drop(token);
                assert!(wait.poll(&mut Context::from_waker(Waker::noop())).is_ready(), "all is over");
                tracker.reopen();
            }

            /// All handles, the root's first.
            fn wide() -> Vec<CancellationToken> {
                let root = CancellationToken::new();
                let children: Vec<_> = (0..MANY).map(|_| root.child_token()).collect();
                std::iter::once(root).chain(children).collect()
            }

            fn chain() -> Vec<CancellationToken> {
                let mut all = vec![CancellationToken::new()];
                for parent in 0..MANY {
                    all.push(all[parent].child_token());
                }
                all
            }

            fn oldest_of(siblings: usize) {
                let parent = CancellationToken::new();
                let mut children: VecDeque<_> = (0..siblings).map(|_| parent.child_token()).collect();
                drop(parent.child_token());
                (0..MANY).for_each(|_| $create_drop_oldest(black_box(&parent), &mut children));
            }

            fn waiting(token: &CancellationToken) -> Pin<Box<WaitForCancellationFuture<'_>>> {
                let mut wait = Box::pin(token.cancelled());
                poll(wait.as_mut());
                wait
            }

            /// What is counted is warm: the allocator has what it needs at hand.
            fn often(mut warm_up: impl FnMut(), mut measured: impl FnMut()) {
                (0..10).for_each(|_| warm_up());
                (0..MANY).for_each(|_| measured());
            }

            pub(super) const ROWS: Rows = [
                ("is_cancelled", || {
                    let token = CancellationToken::new();
                    (0..MANY).for_each(|_| assert!(!$is_cancelled(black_box(&token))));
                }),
                ("create_drop", || {
                    let parent = CancellationToken::new();
                    often(|| drop(parent.child_token()), || $create_drop(black_box(&parent)));
                }),
                ("create_drop_newest", || {
                    let parent = CancellationToken::new();
                    let _siblings: Vec<_> = (0..10).map(|_| parent.child_token()).collect();
                    often(|| drop(parent.child_token()), || $create_drop(black_box(&parent)));
                }),
                ("create_drop_oldest", || oldest_of(10)),
                ("create_drop_oldest_of_many", || oldest_of(MANY)),
                ("rolling", || {
                    let mut token = CancellationToken::new();
                    (0..10).for_each(|_| token = token.child_token());
                    (0..MANY).for_each(|_| $rolling(black_box(&mut token)));
                }),
                ("clone_drop", || {
                    let token = CancellationToken::new();
                    (0..MANY).for_each(|_| $clone_drop(black_box(&token)));
                }),
                ("cancel", || $cancel(black_box(&wide()[0]))),
                ("cancel_chain", || $cancel(black_box(&chain()[0]))),
                ("cancel_again", || {
                    let token = CancellationToken::new();
                    let _child = token.child_token();
                    often(|| token.cancel(), || $cancel(black_box(&token)));
                }),
                ("drop_cancelled", || {
                    let tree = wide();
                    tree[0].cancel();
                    $drop(black_box(tree));
                }),
                ("drop_uncancelled", || $drop(black_box(wide()))),
                ("drop_chain", || $drop(black_box(chain()))),
                ("waiter_first", || {
                    let token = CancellationToken::new();
                    often(|| drop(waiting(&token)), || $waiter(black_box(&token)));
                }),
                ("waiter_second", || {
                    let token = CancellationToken::new();
                    let _first = waiting(&token);
                    often(|| drop(waiting(&token)), || $waiter(black_box(&token)));
                }),
                ("wake_one_token", || {
                    let token = CancellationToken::new();
                    let _waits: Vec<_> = (0..MANY).map(|_| waiting(&token)).collect();
                    $cancel(black_box(&token));
                }),
                ("wake_two", || {
                    let tokens: Vec<_> = (0..MANY / 2).map(|_| CancellationToken::new()).collect();
                    let _waits: Vec<_> = tokens.iter().chain(&tokens).map(waiting).collect();
                    tokens.iter().for_each(|token| $cancel(black_box(token)));
                }),
                ("wake_children", || {
                    let tree = wide();
                    let _waits: Vec<_> = tree[1..].iter().map(waiting).collect();
                    $cancel(black_box(&tree[0]));
                }),
                ("wake_two_of_children", || {
                    let root = CancellationToken::new();
                    let children: Vec<_> = (0..MANY / 2).map(|_| root.child_token()).collect();
                    let _waits: Vec<_> = children.iter().chain(&children).map(waiting).collect();
                    $cancel(black_box(&root));
                }),
                ("tracker_round", || {
                    let tracker = TaskTracker::new();
                    often(|| $tracker_round(&tracker), || $tracker_round(black_box(&tracker)));
                }),
            ];
        }
    };
}

rows!(
    ours,
    cancel_tree,
    measured_cancel_tree_is_cancelled,
    measured_cancel_tree_create_drop,
    measured_cancel_tree_create_drop_oldest,
    measured_cancel_tree_rolling,
    measured_cancel_tree_clone_drop,
    measured_cancel_tree_cancel,
    measured_cancel_tree_drop,
    measured_cancel_tree_waiter,
    measured_cancel_tree_tracker_round,
);

rows!(
    theirs,
    tokio_util,
    measured_tokio_util_is_cancelled,
    measured_tokio_util_create_drop,
    measured_tokio_util_create_drop_oldest,
    measured_tokio_util_rolling,
    measured_tokio_util_clone_drop,
    measured_tokio_util_cancel,
    measured_tokio_util_drop,
    measured_tokio_util_waiter,
    measured_tokio_util_tracker_round,
);
