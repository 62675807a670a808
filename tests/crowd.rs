//! C1, C3, C4, C8 where several threads make and drop children of one token at once, as connections of a server do: then they
//! may stand elsewhere than in the token's own list, of which nobody is to notice anything.
#![cfg(feature = "std")]

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::snapshot::Listing;
use std::sync::Barrier;
use std::thread;
use support::nodes::{self, live};

const THREADS: usize = 4;
/// Enough for threads to meet, more than once, wherever they can.
const TIMES: usize = if cfg!(miri) { 50 } else { 100_000 };

/// Runs `f` with the numbers of some threads, all at once.
fn at_once<R: Send>(f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        let (f, start) = (&f, &start);
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    f(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Makes and drops children of the token on several threads. From each some are left.
fn crowd(token: &CancellationToken, left: usize) -> Vec<CancellationToken> {
    at_once(|_| {
        for _ in 0..TIMES {
            assert!(!token.child_token().is_cancelled());
        }
        (0..left).map(|_| token.child_token()).collect::<Vec<_>>()
    })
    .concat()
}

#[test]
fn a_crowd_that_has_gone_leaves_nothing_behind() {
    let _alone = nodes::exclusive();
    let before = live();
    let token = CancellationToken::new();
    let bytes = nodes::all_bytes();
    drop(crowd(&token, 0));
    assert_eq!(live(), before + 1, "more than the token is left");
    assert!(nodes::all_bytes() < bytes + (16 << 10), "bytes are left");
    let children = crowd(&token, 3);
    assert_eq!(live(), before + 1 + children.len() as isize);
    drop(children);
    assert_eq!(live(), before + 1, "more than the token is left");
    drop(token);
    assert_eq!(live(), before);
}

#[test]
fn a_crowd_hears_of_the_cancel_and_who_comes_later_is_born_cancelled() {
    let _alone = nodes::exclusive();
    let root = CancellationToken::new();
    let token = root.child_token();
    let children = crowd(&token, 100);
    children[0].cancel();
    assert!(!token.is_cancelled() && !children[1].is_cancelled(), "cancelled by a sibling");
    root.cancel();
    assert!(children.iter().all(CancellationToken::is_cancelled), "overlooked");
    assert!(at_once(|_| token.child_token().is_cancelled()).into_iter().all(|born| born), "not born cancelled");
}

#[test]
fn a_crowd_that_comes_during_the_cancel_hears_of_it() {
    let _alone = nodes::exclusive();
    for _ in 0..if cfg!(miri) { 1 } else { 200 } {
        let token = CancellationToken::new();
        crowd_of(&token, 50);
        let made = at_once(|number| {
            let mut made = Vec::new();
            for i in 0..200 {
                if number == 0 && i == 100 {
                    token.cancel();
                    assert!(made.iter().all(CancellationToken::is_cancelled), "overlooked");
                }
                let was = token.is_cancelled();
                made.push(token.child_token());
                assert!(!was || made[i].is_cancelled(), "not born cancelled");
            }
            made
        });
        assert!(made.iter().flatten().all(CancellationToken::is_cancelled), "overlooked");
    }
}

/// A few children on each thread, all dropped.
fn crowd_of(token: &CancellationToken, times: usize) {
    at_once(|_| (0..times).for_each(|_| drop(token.child_token())));
}

#[test]
fn a_crowd_outlives_its_token_and_hears_of_those_above() {
    let _alone = nodes::exclusive();
    let before = live();
    let root = CancellationToken::new();
    let token = root.child_token();
    let children = crowd(&token, 3);
    drop(token);
    assert!(live() <= before + 2 + children.len() as isize, "more than the children, and a fork");
    root.cancel();
    assert!(children.iter().all(CancellationToken::is_cancelled), "cut off");
    drop((root, children));
    drop(CancellationToken::new());
    assert_eq!(live(), before);
}

#[test]
fn all_of_a_crowd_are_seen_where_they_belong() {
    let _alone = nodes::exclusive();
    let root = CancellationToken::named("root");
    let token = root.naming("crowded").child_token();
    let children = crowd(&token, 5);
    let below = children[0].naming("below").child_token();
    let tree = root.tree();
    assert_eq!(tree.tokens().len(), 2 + children.len() + 1);
    assert_eq!(tree.tokens()[1].children(), children.len());
    assert!(tree.tokens().iter().all(|token| token.listing() == Listing::Complete));
    assert!(tree.tokens()[2..].iter().all(|token| token.depth() == 2 || token.name() == Some("below")));
    drop(below);
    token.cancel();
    assert_eq!(token.tree().root().listing(), Listing::Dissolved);
}

/// More than can stand elsewhere; each is a tree of its own.
#[test]
fn many_crowds_at_once_are_each_reached_by_its_own_cancel_alone() {
    let _alone = nodes::exclusive();
    let before = live();
    let tokens: Vec<_> = (0..40).map(|_| CancellationToken::new()).collect();
    let children: Vec<_> = tokens
        .iter()
        .map(|token| {
            crowd_of(token, TIMES / 20);
            at_once(|_| token.child_token())
        })
        .collect();
    for (number, token) in tokens.iter().enumerate() {
        assert!(children[number..].iter().flatten().all(|child| !child.is_cancelled()), "cancelled by another");
        token.cancel();
        assert!(children[number].iter().all(CancellationToken::is_cancelled), "overlooked");
    }
    drop((tokens, children));
    drop(CancellationToken::new());
    assert_eq!(live(), before);
}
