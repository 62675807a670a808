//! Waiters: those that come and go, and those that are woken.

use crate::bench::{Bench, Row};
use crate::clock::Stopwatch;
use crate::floors;
use crate::harness::{Plan, Sample, entries};
use crate::options::threads_in_words;
use crate::parallel::together;
use crate::tokens::{Token, Waiting, poll_once, waiting};
use std::hint::black_box;
use std::pin::pin;
use std::time::Duration;

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("Waiters: register and drop");
    bench.plot("waiter_own_token", "Register and drop a waiter, a token per thread", "threads", "ns per waiter");
    bench.plot("waiter_shared_token", "Register and drop a waiter, all on one token", "threads", "ns per waiter");
    bench.plot("waiter_shared_token_taken", "The same, beside one that stays", "threads", "ns per waiter");
    let repeated = Plan::repeated(&bench.options);

    let row = Row::new("waiter/first", "the first on its token").target(0.40);
    bench.run(
        repeated,
        [row],
        || entries![register(0), "two mutex locks" => floors::two_locks(), "atomic-waker" => floors::waker_slot()],
    );
    for (others, title) in [(1, "the second"), (9, "the tenth")] {
        let row = Row::new(format!("waiter/beside/{others}"), title).target(0.80);
        bench.run(repeated, [row], || entries![register(others), "two mutex locks" => floors::two_locks()]);
    }

    let window = bench.options.window();
    for (plot, id, title, shared, others) in [
        ("waiter_own_token", "own-token", "a token each", false, 0),
        ("waiter_shared_token", "shared-token", "one token", true, 0),
        ("waiter_shared_token_taken", "shared-token-taken", "one token, beside one that stays", true, 1),
    ] {
        for threads in bench.options.threads() {
            let row = Row::new(format!("waiter/{id}/{threads}"), format!("{}, {title}", threads_in_words(threads)))
                .on(plot, threads)
                .target_if(!shared && threads <= 2, 0.40)
                .target_if(others > 0 && threads == 2, 0.50);
            bench.run(Plan::once(&bench.options), [row], || {
                entries![
                    register_on(threads, window, shared, others),
                    "two mutex locks" => floors::two_locks_on(threads, window, shared),
                ]
            });
        }
    }

    bench.section("Waiters: wake, per waiter");
    bench.plot("wake_one_token", "Cancel a token with many waiters", "waiters", "ns per waiter");
    let total = bench.options.pick(10, 20_000, 50_000);
    let quick = vec![1, 2, 12, 100, 10_000];
    for waiters in bench.options.pick(vec![1, 12], quick, vec![1, 2, 3, 10, 12, 43, 100, 105, 10_000]) {
        let tokens = (total / waiters).max(1);
        let row = Row::new(format!("wake/one-token/{waiters}"), format!("{waiters} on one token"))
            .on("wake_one_token", waiters)
            .target(if [100, 10_000].contains(&waiters) { 0.6 } else { 1.0 });
        bench.run(
            Plan::once(&bench.options),
            [row],
            || entries![wake(tokens, waiters), "wakers in a Vec" => floors::waker_list(waiters, tokens)],
        );
    }
    let children = bench.options.pick(10, 10_000, 10_000);
    for (each, name) in [(1, "one"), (2, "two"), (3, "three"), (12, "twelve")] {
        let row = Row::new(format!("wake/children/{each}"), format!("{children} children with {name} each"))
            .target(if each == 1 { 0.6 } else { 1.0 });
        let trees = (total / (children * each)).max(1);
        bench.run(Plan::once(&bench.options), [row], || {
            entries![wake_children(children, each, trees), "wakers in a Vec" => floors::waker_list(children * each, trees)]
        });
    }
}

fn come_and_go<T: Token>(token: &T) {
    let mut wait = pin!(black_box(token).wait());
    assert!(poll_once(wait.as_mut()).is_pending(), "nobody cancels");
}

fn register<T: Token>(others: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    move |repeat| {
        let _others: Vec<Waiting<'_, T>> = (0..others).map(|_| waiting(&token)).collect();
        floors::timed(repeat, || come_and_go(&token))
    }
}

fn register_on<T: Token>(
    threads: usize,
    window: Duration,
    shared: bool,
    others: usize,
) -> impl FnMut(u64) -> [Sample; 1] {
    let one = T::new();
    move |_| {
        let _others: Vec<Waiting<'_, T>> = (0..others).map(|_| waiting(&one)).collect();
        let token = || if shared { one.clone() } else { T::new() };
        [together(threads, window, token, |token| come_and_go(token))]
    }
}

fn wake<T: Token>(tokens: usize, waiters: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let mut elapsed = Duration::ZERO;
        for batch in floors::batches(waiters, tokens) {
            let batch: Vec<T> = (0..batch).map(|_| T::new()).collect();
            let mut waits: Vec<Waiting<'_, T>> =
                batch.iter().flat_map(|token| (0..waiters).map(move |_| waiting(token))).collect();
            let start = Stopwatch::start();
            batch.iter().for_each(T::cancel);
            elapsed += start.elapsed();
            assert!(poll_once(waits[0].as_mut()).is_ready(), "all are woken");
        }
        [Sample::new(elapsed, (tokens * waiters) as u64)]
    }
}

fn wake_children<T: Token>(children: usize, each: usize, trees: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let mut elapsed = Duration::ZERO;
        for _ in 0..trees {
            let root = T::new();
            let family: Vec<T> = (0..children).map(|_| root.child()).collect();
            let mut waits: Vec<Waiting<'_, T>> = (0..each).flat_map(|_| family.iter().map(waiting)).collect();
            let start = Stopwatch::start();
            root.cancel();
            elapsed += start.elapsed();
            assert!(poll_once(waits[0].as_mut()).is_ready(), "all are woken");
        }
        [Sample::new(elapsed, (children * each * trees) as u64)]
    }
}
