//! Whole trees: one parent with many children, and chains.

use crate::bench::{Bench, Row};
use crate::clock::Stopwatch;
use crate::floors::{self, batches};
use crate::harness::{Entry, Plan, Sample, entries};
use crate::naive::Naive;
use crate::steps;
use crate::tokens::Token;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

type Ours = cancel_tree::CancellationToken;
type Tokio = tokio_util::sync::CancellationToken;

/// Small trees are measured by the dozen: so many nodes together, at the least, in a sample.
const NODES: usize = 40_000;

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("Trees, per node");
    bench.plot("cancel_width", "Cancel a parent of many children", "children", "ns per child");
    bench.plot("cancel_depth", "Cancel a chain", "nodes", "ns per node");
    bench.plot("drop_cancelled_width", "Drop a parent of many, cancelled", "children", "ns per child");
    bench.plot("drop_cancelled_depth", "Drop a cancelled chain, root first", "nodes", "ns per node");
    bench.plot("drop_width", "Drop a parent of many, oldest child first", "children", "ns per child");
    bench.plot("drop_depth", "Drop a chain, root first", "nodes", "ns per node");
    bench.plot("drop_depth_reversed", "Drop a chain, leaf first", "nodes", "ns per node");
    for size in bench.options.sizes() {
        cancel_width(bench, size);
    }
    for size in bench.options.sizes() {
        drop_width(bench, size);
    }
    for size in bench.options.sizes() {
        cancel_depth(bench, size);
    }
    for size in bench.options.sizes() {
        drop_depth(bench, size, Shape::Chain);
    }
    for size in bench.options.sizes() {
        drop_depth(bench, size, Shape::Reversed);
    }
    let row = Row::new("cancel/again", "a repeated cancel, per call").at_most(2.0);
    bench.run(Plan::repeated(&bench.options), [row], || entries![again(), "AtomicBool load" => floors::flag_load()]);
}

fn cancel_width(bench: &mut Bench, size: usize) {
    let (plan, trees) = amount(bench, size);
    let rows = [
        Row::new(format!("cancel/width/{size}"), format!("cancel, {size} children"))
            .on("cancel_width", size)
            .target_if(size >= 100_000, 0.25),
        Row::new(format!("drop-cancelled/width/{size}"), "… and drop").on("drop_cancelled_width", size),
    ];
    bench.run(plan, rows, || {
        entries![cancelled(Shape::Wide, size, trees), "flags in a list, free" => floors::flag_list(size, trees),
            "the steps alone" => steps::cancel_and_drop(size, trees)]
    });
}

fn drop_width(bench: &mut Bench, size: usize) {
    let (plan, trees) = amount(bench, size);
    let row = Row::new(format!("drop/width/{size}"), format!("drop uncancelled, {size} children"))
        .on("drop_width", size)
        .target_if(size >= 1_000_000, 0.40);
    bench.run(plan, [row], || {
        entries![dropped(Shape::Wide, size, trees), "free" => only_free(size, trees),
            "the steps alone" => steps::drop_uncancelled(size, trees)]
    });
}

fn cancel_depth(bench: &mut Bench, size: usize) {
    let (plan, trees) = amount(bench, size);
    let rows = [
        Row::new(format!("cancel/depth/{size}"), format!("cancel, a chain of {size}"))
            .on("cancel_depth", size)
            .target_if(size >= 1_000_000, 0.5),
        Row::new(format!("drop-cancelled/depth/{size}"), "… and drop, root first")
            .on("drop_cancelled_depth", size)
            .target_if(size >= 1_000_000, 0.5),
    ];
    bench.run(plan, rows, || {
        vec![
            unless_it_overflows::<Ours, 2, _>(CANCEL, size, cancelled::<Ours>(Shape::Chain, size, trees)),
            unless_it_overflows::<Tokio, 2, _>(CANCEL, size, cancelled::<Tokio>(Shape::Chain, size, trees)),
            unless_it_overflows::<Naive, 2, _>(CANCEL, size, cancelled::<Naive>(Shape::Chain, size, trees)),
            Entry::floor("flags in a list, free", floors::flag_list(size, trees)),
        ]
    });
}

fn drop_depth(bench: &mut Bench, size: usize, shape: Shape) {
    let (plan, trees) = amount(bench, size);
    let (id, plot, order, probe) = match shape {
        Shape::Reversed => ("drop/depth-reversed", "drop_depth_reversed", "leaf first", REVERSED),
        _ => ("drop/depth", "drop_depth", "root first", DROP),
    };
    let row = Row::new(format!("{id}/{size}"), format!("drop uncancelled, a chain of {size}, {order}"))
        .on(plot, size)
        .target_if(size >= 1_000_000, 0.5);
    bench.run(plan, [row], || {
        vec![
            unless_it_overflows::<Ours, 1, _>(probe, size, dropped::<Ours>(shape, size, trees)),
            unless_it_overflows::<Tokio, 1, _>(probe, size, dropped::<Tokio>(shape, size, trees)),
            unless_it_overflows::<Naive, 1, _>(probe, size, dropped::<Naive>(shape, size, trees)),
            Entry::floor("free", only_free(size, trees)),
        ]
    });
}

/// How often to measure trees of that size, and how many of them at a time.
fn amount(bench: &Bench, size: usize) -> (Plan, usize) {
    let plan = if size >= 100_000 { Plan::heavy(&bench.options) } else { Plan::once(&bench.options) };
    (plan, (bench.options.pick(1, NODES, NODES) / size).max(1))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Wide,
    Chain,
    /// A chain whose handles are dropped from its end.
    Reversed,
}

/// All handles of a tree, dropped in the order in which they stand here; the root is the first, or in a reversed chain
/// the last.
struct Tree<T>(Vec<T>);

fn build<T: Token>(shape: Shape, size: usize) -> Tree<T> {
    let mut all = Vec::with_capacity(size + 1);
    all.push(T::new());
    for parent in 0..size {
        let child = all[if shape == Shape::Wide { 0 } else { parent }].child();
        all.push(child);
    }
    if shape == Shape::Reversed {
        all.reverse();
    }
    Tree(all)
}

fn cancelled<T: Token>(shape: Shape, size: usize, trees: usize) -> impl FnMut(u64) -> [Sample; 2] {
    move |_| {
        let (mut cancel, mut end) = (Duration::ZERO, Duration::ZERO);
        for batch in batches(size, trees) {
            let mut forest: Vec<Tree<T>> = (0..batch).map(|_| build(shape, size)).collect();
            let watch = Stopwatch::start();
            forest.iter().for_each(|tree| tree.0[0].cancel());
            cancel += watch.elapsed();
            end += fell(&mut forest);
        }
        let units = (size * trees) as u64;
        [Sample::new(cancel, units), Sample::new(end, units)]
    }
}

fn dropped<T: Token>(shape: Shape, size: usize, trees: usize) -> impl FnMut(u64) -> [Sample; 1] {
    move |_| {
        let mut end = Duration::ZERO;
        for batch in batches(size, trees) {
            let mut forest: Vec<Tree<T>> = (0..batch).map(|_| build(shape, size)).collect();
            end += fell(&mut forest);
        }
        [Sample::new(end, (size * trees) as u64)]
    }
}

/// Drops all handles, and takes the time. What held them is no token's: if it is large, its end is an occasion for the allocator
/// to tidy up (glibc: `malloc_consolidate`, and pages given back), which takes longer than all of the drops.
fn fell<T>(forest: &mut Vec<Tree<T>>) -> Duration {
    let watch = Stopwatch::start();
    black_box(forest).iter_mut().for_each(|tree| tree.0.drain(..).for_each(drop));
    watch.elapsed()
}

fn only_free(size: usize, trees: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let mut list = floors::flag_list(size, trees);
    move |repeat| {
        let [_, free] = list(repeat);
        [free]
    }
}

fn again<T: Token>() -> impl FnMut(u64) -> [Sample; 1] {
    let token = T::new();
    let _child = token.child();
    token.cancel();
    move |repeat| floors::timed_in_rows(repeat, || black_box(&token).cancel())
}

const CANCEL: &str = "cancel";
const DROP: &str = "drop";
const REVERSED: &str = "reversed";

/// Some recurse, in `cancel` or in the last drop. Whether a stack of the usual 8 MiB bears it is tried in a process of
/// its own.
fn unless_it_overflows<T: Token, const M: usize, F>(what: &str, size: usize, run: F) -> Entry<M>
where
    F: FnMut(u64) -> [Sample; M] + 'static,
{
    if size >= 10_000 && !survives(what, T::NAME, size) { Entry::overflows::<T>() } else { Entry::token::<T>(run) }
}

fn survives(what: &str, name: &str, size: usize) -> bool {
    let Ok(program) = std::env::current_exe() else { return false };
    let words = ["--probe", what, name, &size.to_string()];
    Command::new(program).args(words).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// In the process of its own.
pub(crate) fn probe(words: &[String]) {
    let [what, name, size] = words else { panic!("--probe WHAT NAME SIZE") };
    let size = size.parse().expect("a size is a number");
    match name.as_str() {
        Ours::NAME => bear::<Ours>(what, size),
        Tokio::NAME => bear::<Tokio>(what, size),
        Naive::NAME => bear::<Naive>(what, size),
        _ => panic!("no token of that name"),
    }
}

fn bear<T: Token>(what: &str, size: usize) {
    let tree: Tree<T> = build(if what == REVERSED { Shape::Reversed } else { Shape::Chain }, size);
    if what == CANCEL {
        tree.0[0].cancel();
    }
}
