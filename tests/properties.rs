//! Random sequences of every public operation, on one thread, against the reference in `support/reference.rs`, compared
//! after every step (`support/ops/world.rs`). On several threads: `storms.rs`.
//!
//! - every answer of a poll, of `unregister`, of `cancel_with`, and of Eq, Hash and Debug; the flag, the reason and the
//!   deadline of every live token (C1, C2, C6, C7, C19, C22);
//! - every token flagged before the first waker or callback runs (C5); `cancel()` does not call the allocator (C10);
//! - every waker's number of wakes and of clones: each waiter that is pending is woken exactly once, by the waker of its
//!   latest poll, and keeps that one only; none is woken or kept after it was dropped (C12, C13);
//! - which callbacks have run, and in which order those of different cancels; which closures are there (C17, C18);
//! - which causes are there; which timers are armed (C20);
//! - the polls and drops of a future in a race;
//! - the exact number of live nodes: who has a handle, where branches meet, what carries something, and nothing else (C8);
//! - no node and no byte is left when everything has been dropped.
//!
//! `CANCEL_TREE_TEST_SECONDS` makes each test run for so long, `PROPTEST_CASES` for so many cases.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::fs;
use std::iter::repeat_n;
use std::path::Path;
use support::explore::explore;
use support::nodes;
use support::ops::{self, Op};

mod support {
    pub(crate) mod explore;
    pub(crate) mod nodes;
    pub(crate) mod ops;
    pub(crate) mod reference;
}

/// A first token, and then steps, any number up to `most`; some kinds more often, some never.
fn steps(most: usize, weight: fn(&Op) -> usize) -> impl Strategy<Value = Vec<Op>> {
    let kinds = (0..Op::KINDS).flat_map(|kind| repeat_n(kind, weight(&Op::from_bytes([kind, 0, 0]))));
    let op = (select(kinds.collect::<Vec<_>>()), any::<[u8; 2]>()).prop_map(|(kind, [a, b])| [kind, a, b]);
    vec(op.prop_map(Op::from_bytes), 0..most).prop_map(|ops| [&[Op::New], ops.as_slice()].concat())
}

#[test]
fn any_sequence_of_operations_agrees_with_the_reference() {
    explore(2000, steps(200, |_| 1), |ops| ops::run(&ops));
}

#[test]
fn trees_that_are_made_and_dropped_in_any_order_keep_the_nodes_that_are_needed() {
    let weight = |op: &Op| match op {
        Op::Child { .. } | Op::Drop { .. } | Op::Clone { .. } | Op::New => 1,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn trees_that_are_cancelled_in_parts_keep_the_nodes_that_are_needed() {
    let weight = |op: &Op| match op {
        Op::Child { .. } | Op::Drop { .. } | Op::Clone { .. } | Op::New | Op::Cancel { .. } => 1,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn many_waiters_of_few_tokens_are_woken_as_the_reference_says() {
    let weight = |op: &Op| match op {
        Op::New | Op::Child { .. } | Op::Cancel { .. } => 1,
        Op::Wait { .. } | Op::RunUntilCancelled { .. } | Op::WithToken { .. } => 4,
        Op::Poll { .. } | Op::Finish { .. } | Op::DropWait { .. } => 2,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn callbacks_of_trees_that_come_and_go_run_or_are_dropped_as_the_reference_says() {
    let weight = |op: &Op| match op {
        Op::New | Op::Clone { .. } | Op::Cancel { .. } | Op::CancelWith { .. } | Op::Poll { .. } => 1,
        Op::Child { .. } | Op::Drop { .. } | Op::OnCancel { .. } | Op::Detach { .. } => 2,
        Op::Unregister { .. } | Op::DropRegistration { .. } | Op::Finished { .. } | Op::DropWait { .. } => 1,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn linked_tokens_of_trees_that_come_and_go_are_cancelled_as_the_reference_says() {
    let weight = |op: &Op| match op {
        Op::New | Op::Clone { .. } | Op::Cancel { .. } | Op::CancelWith { .. } => 1,
        Op::OnCancel { .. } | Op::Detach { .. } | Op::DropRegistration { .. } => 1,
        Op::Child { .. } | Op::Any { .. } => 2,
        Op::Drop { .. } => 3,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn deadlines_of_trees_that_come_and_go_pass_as_the_reference_says() {
    let weight = |op: &Op| match op {
        Op::New | Op::Clone { .. } | Op::Cancel { .. } | Op::CancelWith { .. } | Op::Any { .. } => 1,
        Op::Wait { .. } | Op::Poll { .. } | Op::OnCancel { .. } | Op::Detach { .. } => 1,
        Op::Child { .. } | Op::Drop { .. } | Op::Timed { .. } | Op::Advance { .. } => 2,
        _ => 0,
    };
    explore(1000, steps(250, weight), |ops| ops::run(&ops));
}

#[test]
fn every_seed_of_the_fuzz_corpus_agrees_with_the_reference() {
    let _alone = nodes::exclusive();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tree_ops");
    let seeds = fs::read_dir(corpus).expect("the corpus is part of the repository");
    let run = |seed: fs::DirEntry| ops::run(&Op::list(&fs::read(seed.path()).expect("a seed is a file")));
    assert!(seeds.map(|seed| run(seed.expect("a seed"))).count() >= 10);
}
