//! How a property test runs.

use super::nodes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::env;
use std::time::{Duration, Instant};

/// Runs `check` on random values, as often or as long as the environment says, and shrinks what fails.
pub(crate) fn explore<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let _alone = nodes::exclusive();
    let seconds = env::var("CANCEL_TREE_TEST_SECONDS").ok().map(|seconds| seconds.parse().expect("whole seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 4 } else { cases };
    }
    loop {
        let outcome = TestRunner::new(config.clone()).run(&strategy, |value| {
            check(value);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        if Instant::now() >= end {
            return;
        }
    }
}
