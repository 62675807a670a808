//! `is_cancelled`.

use crate::bench::{Bench, Row};
use crate::clock::{calmest, preemptions};
use crate::floors;
use crate::harness::{Plan, Sample, entries, quantile};
use crate::options::threads_in_words;
use crate::parallel::{beside, together};
use crate::tokens::Token;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("is_cancelled");
    bench.plot("is_cancelled_threads", "is_cancelled: all threads on one token", "threads", "ns per call");
    let repeated = Plan::repeated(&bench.options);

    let row = Row::new("is_cancelled/alone", "one thread").floor_target(1.0);
    bench.run(repeated, [row], || entries![alone(), "AtomicBool load" => floors::flag_load()]);

    let window = bench.options.window();
    for threads in bench.options.threads() {
        let row =
            Row::new(format!("is_cancelled/threads/{threads}"), format!("{}, one token", threads_in_words(threads)))
                .on("is_cancelled_threads", threads)
                .floor_target(1.0);
        bench.run(
            Plan::once(&bench.options),
            [row],
            || entries![on_threads(threads, window), "AtomicBool load" => floors::flag_load_on(threads, window)],
        );
    }

    let row = Row::new("is_cancelled/beside-churn/mean", "beside create and drop of children: mean").floor_target(1.0);
    bench.run(repeated, [row], || entries![beside_churn(), "AtomicBool load" => flag_beside_churn()]);

    let rows = [
        Row::new("is_cancelled/beside-churn/p50", "the same, single calls, with the clock: median").floor_target(1.0),
        Row::new("is_cancelled/beside-churn/p99.9", "… 99.9 %").floor_target(1.0),
    ];
    let calls = bench.options.pick(100, 30_000, 100_000);
    bench.run(
        Plan::once(&bench.options),
        rows,
        || entries![single_calls(calls), "clock and AtomicBool" => single_loads(calls)],
    );

    let nodes = bench.options.largest();
    let heavy = Plan::heavy(&bench.options);
    let title = format!("beside a cancel of {nodes} nodes: longest call");
    let row = Row::new("is_cancelled/beside-cancel", title).microseconds().floor_target(1.0);
    bench.run(heavy, [row], || entries![beside_cancel(nodes), "clock and AtomicBool" => load_beside_cancel(nodes)]);
}

fn alone<T: Token>() -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    move |repeat| floors::timed_in_rows(repeat, || _ = black_box(black_box(&token).is_cancelled()))
}

fn on_threads<T: Token>(threads: usize, window: Duration) -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    move |_| [together(threads, window, || token.clone(), |token| _ = black_box(token.is_cancelled()))]
}

fn beside_churn<T: Token>() -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    move |repeat| {
        let poll = || _ = black_box(black_box(&token).is_cancelled());
        beside(|| drop(token.child()), || on_the_wall(repeat, poll))
    }
}

/// As `timed`, and waiting counts.
fn on_the_wall(repeat: u64, mut call: impl FnMut()) -> [Sample; 1] {
    let start = Instant::now();
    for _ in 0..repeat {
        call();
    }
    [Sample::new(start.elapsed(), repeat)]
}

fn flag_beside_churn() -> impl FnMut(u64) -> [Sample; 1] {
    let token = cancel_tree::CancellationToken::new();
    // Behind a pointer, as a token is, and it is read anew each time, too.
    let flag = Arc::new(AtomicBool::new(false));
    move |repeat| {
        let load = || _ = black_box(black_box(&flag).load(Ordering::Acquire));
        beside(|| drop(token.child()), || on_the_wall(repeat, load))
    }
}

/// The median and the 99.9th percentile of so many calls, each between two looks at the clock.
fn percentiles(calls: usize, mut call: impl FnMut()) -> [Sample; 2] {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        call();
        took.push(start.elapsed().as_nanos() as f64);
    }
    [0.5, 0.999].map(|share| Sample::new(Duration::from_nanos(quantile(&took, share) as u64), 1))
}

fn single_calls<T: Token>(calls: usize) -> impl FnMut(u64) -> [Sample; 2] {
    let token = T::new();
    move |_| beside(|| drop(token.child()), || percentiles(calls, || _ = black_box(token.is_cancelled())))
}

fn single_loads(calls: usize) -> impl FnMut(u64) -> [Sample; 2] {
    let token = cancel_tree::CancellationToken::new();
    let flag = AtomicBool::new(false);
    move |_| beside(|| drop(token.child()), || percentiles(calls, || _ = black_box(flag.load(Ordering::Acquire))))
}

/// The longest of the calls of `poll` while another thread cancels a tree.
fn longest<T: Token>(nodes: usize, poll: impl Fn(&T)) -> [Sample; 1] {
    let longest = calmest(3, || {
        let root = T::new();
        let _children: Vec<T> = (0..nodes).map(|_| root.child()).collect();
        let (polling, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                let before = preemptions();
                while !polling.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                root.cancel();
                over.store(true, Ordering::Release);
                preemptions() - before
            });
            // Until the other is up, too.
            std::thread::sleep(Duration::from_micros(200));
            let (before, mut longest) = (preemptions(), Duration::ZERO);
            polling.store(true, Ordering::Release);
            while !over.load(Ordering::Acquire) {
                let start = Instant::now();
                poll(&root);
                longest = longest.max(start.elapsed());
            }
            let disturbed = preemptions() - before;
            (longest, disturbed + canceller.join().expect("it does not panic"))
        })
    });
    [Sample::new(longest, 1)]
}

fn beside_cancel<T: Token>(nodes: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| longest(nodes, |root: &T| _ = black_box(root.is_cancelled()))
}

fn load_beside_cancel(nodes: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let flag = AtomicBool::new(false);
    move |_| longest(nodes, |_: &cancel_tree::CancellationToken| _ = black_box(flag.load(Ordering::Acquire)))
}
