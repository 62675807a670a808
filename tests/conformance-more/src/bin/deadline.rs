//! A deadline as an instant of `std`: without a clock that panics, whatever the timer.

use cancel_tree::CancellationToken;
use cancel_tree::time::ManualTimer;
use std::time::Duration;

fn main() {
    let token = CancellationToken::new();
    assert_eq!(token.deadline(), None);
    let timed = token.child_with_timer(&ManualTimer::new(), Duration::from_secs(1));
    assert!(timed.deadline().is_some());
}
