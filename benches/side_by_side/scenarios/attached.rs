//! What only cancel-tree has: callbacks and deadlines.

use crate::bench::{Bench, Row};
use crate::floors;
use crate::harness::{Entry, Plan, Sample};
use cancel_tree::CancellationToken;
use std::hint::black_box;
use std::time::Duration;

/// Far enough away.
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("Callbacks and deadlines, which the others do not have");
    let plan = Plan::repeated(&bench.options);
    let floor = || Entry::floor("malloc and free", floors::node_block());
    let row = Row::new("attached/callback", "a callback: register and unregister");
    bench.run(plan, [row], || vec![Entry::token::<CancellationToken>(callback()), floor()]);
    let row = Row::new("attached/timeout", "a child with a timeout: create and drop");
    bench.run(plan, [row], || vec![Entry::token::<CancellationToken>(timeout()), floor()]);
    let row = Row::new("attached/any", "a token of two sources: create and drop");
    bench.run(plan, [row], || vec![Entry::token::<CancellationToken>(any()), floor()]);
}

fn callback() -> impl FnMut(u64) -> [Sample; 1] {
    let token = CancellationToken::new();
    move |repeat| floors::timed(repeat, || drop(black_box(black_box(&token).on_cancel(|| ()))))
}

fn timeout() -> impl FnMut(u64) -> [Sample; 1] {
    let token = CancellationToken::new();
    move |repeat| floors::timed(repeat, || drop(black_box(black_box(&token).child_with_timeout(HOUR))))
}

fn any() -> impl FnMut(u64) -> [Sample; 1] {
    let sources = [CancellationToken::new(), CancellationToken::new()];
    move |repeat| floors::timed(repeat, || drop(black_box(CancellationToken::any(black_box(&sources)))))
}
