//! Children that come and go, and clones.

use crate::bench::{Bench, Row};
use crate::clock::Stopwatch;
use crate::floors;
use crate::harness::{Plan, Sample, entries};
use crate::options::threads_in_words;
use crate::parallel::together;
use crate::steps;
use crate::tokens::Token;
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

type Ours = cancel_tree::CancellationToken;

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("Children: create and drop");
    bench.plot("siblings_newest", "Create and drop a child beside live siblings", "siblings", "ns per child");
    bench.plot("siblings_oldest", "Create a child, drop the oldest sibling", "siblings", "ns per child");
    bench.plot(
        "children_one_parent",
        "Create and drop children of one parent",
        "threads",
        "ns per child, on each thread",
    );
    bench.plot(
        "children_own_parent",
        "Create and drop, a parent per thread",
        "threads",
        "ns per child, on each thread",
    );
    let repeated = Plan::repeated(&bench.options);

    let row = Row::new("children/alone", "alone").target(0.35).floor_target(3.5);
    bench.run(repeated, [row], || entries![newest(0), "malloc and free" => floors::node_block()]);

    let crowds = bench.options.pick(vec![0, 10], vec![0, 10, 1_000, 100_000], vec![0, 10, 1_000, 100_000]);
    for &siblings in &crowds {
        let row =
            Row::new(format!("children/siblings/{siblings}/newest"), format!("{siblings} siblings, newest dropped"))
                .on("siblings_newest", siblings)
                .floor_target(1.3);
        bench.run(
            repeated,
            [row],
            || entries![newest(siblings), "with none" => newest::<Ours>(0), "malloc and free" => floors::node_block()],
        );
    }
    for &siblings in &crowds {
        let row =
            Row::new(format!("children/siblings/{siblings}/oldest"), format!("{siblings} siblings, oldest dropped"))
                .on("siblings_oldest", siblings);
        bench.run(
            repeated,
            [row],
            || entries![oldest(siblings), "with none" => oldest::<Ours>(0), "malloc and free" => floors::node_block()],
        );
    }

    let (once, window) = (Plan::once(&bench.options), bench.options.window());
    for threads in bench.options.threads() {
        let row =
            Row::new(format!("children/one-parent/{threads}"), format!("{}, one parent", threads_in_words(threads)))
                .on("children_one_parent", threads)
                .target_if(threads == 2, 0.20);
        bench.run(once, [row], || {
            entries![on_threads(threads, window, true), "malloc and free" => floors::node_block_on(threads, window),
                "the steps alone" => steps::come_and_go_on(threads, window)]
        });
    }
    for threads in bench.options.threads() {
        let row =
            Row::new(format!("children/own-parent/{threads}"), format!("{}, a parent each", threads_in_words(threads)))
                .on("children_own_parent", threads)
                .target(0.35);
        bench.run(once, [row], || {
            entries![on_threads(threads, window, false), "malloc and free" => floors::node_block_on(threads, window)]
        });
    }

    let row = Row::new("children/rolling", "`t = t.child_token()`, per step");
    bench.run(repeated, [row], || entries![rolling(), "malloc and free" => floors::node_block()]);

    let row = Row::new("clone", "clone and drop of a token");
    bench.run(repeated, [row], || entries![clone(), "Arc clone" => floors::arc_clone()]);
}

fn newest<T: Token>(siblings: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let parent = T::new();
    let siblings: Vec<T> = (0..siblings).map(|_| parent.child()).collect();
    move |repeat| {
        black_box(&siblings);
        floors::timed(repeat, || drop(black_box(black_box(&parent).child())))
    }
}

fn oldest<T: Token>(siblings: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let parent = T::new();
    let mut living: VecDeque<T> = (0..siblings).map(|_| parent.child()).collect();
    move |repeat| {
        floors::timed(repeat, || {
            living.push_back(black_box(&parent).child());
            drop(black_box(living.pop_front()));
        })
    }
}

fn on_threads<T: Token>(threads: usize, window: Duration, one_parent: bool) -> impl FnMut(u64) -> [Sample; 1] {
    let shared = T::new();
    move |_| {
        let parent = || if one_parent { shared.clone() } else { T::new() };
        [together(threads, window, parent, |parent| drop(black_box(parent.child())))]
    }
}

/// Each token becomes the parent of the next and is dropped. Anew after a while: some keep all of them, and drop them
/// by recursion.
fn rolling<T: Token>() -> impl FnMut(u64) -> [Sample; 1] {
    const STEPS: u64 = 1_000;
    move |repeat| {
        let start = Stopwatch::start();
        let mut left = repeat;
        while left > 0 {
            let mut token = T::new();
            let steps = left.min(STEPS);
            for _ in 0..steps {
                token = black_box(token.child());
            }
            left -= steps;
        }
        [Sample::new(start.elapsed(), repeat)]
    }
}

fn clone<T: Token>() -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    move |repeat| floors::timed(repeat, || drop(black_box(black_box(&token).clone())))
}
