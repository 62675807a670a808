//! Bytes and allocations, counted in a pass of their own.

use crate::bench::Bench;
use crate::counting::counted;
use crate::naive::Naive;
use crate::tokens::{Token, poll_once};
use std::pin::{Pin, pin};

/// One row: bytes and allocations for each token that can do it, in the order of the table's columns.
pub(crate) struct Footprint {
    pub(crate) title: String,
    pub(crate) figures: Vec<(f64, Option<f64>)>,
}

/// So many of each kind, so that a list that grows by doubling shows its average.
const MANY: usize = 10_000;

pub(crate) fn footprints(bench: &Bench) -> Vec<Footprint> {
    if !bench.wants("memory") {
        return Vec::new();
    }
    eprintln!("memory");
    macro_rules! row {
        ($title:expr, $figure:ident) => {
            Footprint {
                title: $title.to_owned(),
                figures: vec![
                    $figure::<cancel_tree::CancellationToken>(),
                    $figure::<tokio_util::sync::CancellationToken>(),
                    $figure::<Naive>(),
                ],
            }
        };
    }
    macro_rules! only_ours {
        ($title:expr, $figure:ident) => {
            Footprint { title: $title.to_owned(), figures: vec![$figure()] }
        };
    }
    vec![
        row!("a handle", handle),
        row!("a token alone", token),
        row!(format!("a child, of {MANY}"), child),
        row!("a node of a chain", link),
        row!("a waiting future itself", inline),
        row!("… and on the heap, the first on its token", first_waiter),
        row!("… the second", second_waiter),
        row!("… the twelfth", twelfth_waiter),
        row!("… the 105th", waiter_105),
        row!("register and drop, over and over, the first", first_again),
        row!("… the second", second_again),
        row!(format!("`cancel` of {MANY} children, per child"), cancel),
        row!("kept by `t = t.child_token()`, per step", rolling),
        only_ours!("a registration of a callback without captures", registration),
        only_ours!("a child with a timeout, on the default timer", timeout),
    ]
}

type Figure = (f64, Option<f64>);

fn each(total: (f64, f64)) -> Figure {
    (total.0 / MANY as f64, Some(total.1 / MANY as f64))
}

fn handle<T: Token>() -> Figure {
    (size_of::<T>() as f64, None)
}

fn inline<T: Token>() -> Figure {
    (size_of::<T::Wait<'_>>() as f64, None)
}

fn token<T: Token>() -> Figure {
    let mut all = Vec::with_capacity(MANY);
    each(counted(|| all.extend((0..MANY).map(|_| T::new()))))
}

fn child<T: Token>() -> Figure {
    let (root, mut all) = (T::new(), Vec::with_capacity(MANY));
    each(counted(|| all.extend((0..MANY).map(|_| root.child()))))
}

fn link<T: Token>() -> Figure {
    let mut all = Vec::with_capacity(MANY + 1);
    all.push(T::new());
    let total = counted(|| {
        for parent in 0..MANY {
            let child = all[parent].child();
            all.push(child);
        }
    });
    // From the leaf: some would recurse.
    while all.pop().is_some() {}
    each(total)
}

type Waits<'a, T> = Pin<Box<[<T as Token>::Wait<'a>]>>;

/// Registers a waiter with each token; what it takes, and the waiters.
fn register<T: Token>(tokens: &[T]) -> ((f64, f64), Waits<'_, T>) {
    let mut waits = Box::into_pin(tokens.iter().map(T::wait).collect::<Box<[_]>>());
    let total = counted(|| {
        for at in 0..tokens.len() {
            // SAFETY: a part of what is pinned, and not moved out of it.
            let wait = unsafe { waits.as_mut().map_unchecked_mut(|waits| &mut waits[at]) };
            assert!(poll_once(wait).is_pending(), "nobody cancels");
        }
    });
    (total, waits)
}

fn first_waiter<T: Token>() -> Figure {
    let tokens: Vec<T> = (0..MANY).map(|_| T::new()).collect();
    each(register(&tokens).0)
}

fn further_waiter<T: Token>(before: usize) -> Figure {
    let tokens: Vec<T> = (0..MANY).map(|_| T::new()).collect();
    let _before: Vec<_> = (0..before).map(|_| register(&tokens)).collect();
    each(register(&tokens).0)
}

fn second_waiter<T: Token>() -> Figure {
    further_waiter::<T>(1)
}

fn twelfth_waiter<T: Token>() -> Figure {
    further_waiter::<T>(11)
}

fn waiter_105<T: Token>() -> Figure {
    further_waiter::<T>(104)
}

fn come_and_go<T: Token>(token: &T) {
    for _ in 0..MANY {
        let mut wait = pin!(token.wait());
        assert!(poll_once(wait.as_mut()).is_pending(), "nobody cancels");
    }
}

fn first_again<T: Token>() -> Figure {
    let token = T::new();
    come_and_go(&token);
    each(counted(|| come_and_go(&token)))
}

fn second_again<T: Token>() -> Figure {
    let token = T::new();
    let mut first = pin!(token.wait());
    assert!(poll_once(first.as_mut()).is_pending(), "nobody cancels");
    come_and_go(&token);
    each(counted(|| come_and_go(&token)))
}

fn cancel<T: Token>() -> Figure {
    let root = T::new();
    let _children: Vec<T> = (0..MANY).map(|_| root.child()).collect();
    each(counted(|| root.cancel()))
}

fn rolling<T: Token>() -> Figure {
    let mut token = T::new();
    let total = counted(|| {
        for _ in 0..MANY {
            token = token.child();
        }
    });
    each(total)
}

fn registration() -> Figure {
    let (token, mut all) = (cancel_tree::CancellationToken::new(), Vec::with_capacity(MANY));
    each(counted(|| all.extend((0..MANY).map(|_| token.on_cancel(|| ())))))
}

/// Far enough away.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

fn timeout() -> Figure {
    let (token, mut all) = (cancel_tree::CancellationToken::new(), Vec::with_capacity(MANY));
    // The timer's own thread, and what that needs.
    drop(token.child_with_timeout(HOUR));
    each(counted(|| all.extend((0..MANY).map(|_| token.child_with_timeout(HOUR)))))
}
