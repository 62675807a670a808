//! What the timer in a static does with the allocator: nothing.
#![cfg(feature = "std")]

mod support;

use cancel_tree::CancellationToken;
use cancel_tree::time::{Clock, StaticTimer};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use support::{Account, balanced, measure};

const NOTHING: Account = Account { calls: 0, bytes: 0 };

static NOW: AtomicU64 = AtomicU64::new(0);

struct Ticks;
impl Clock for Ticks {
    fn now() -> Duration {
        ms(NOW.load(SeqCst))
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn arming_polling_and_dropping_do_without_the_allocator() {
    static TIMER: StaticTimer<Ticks, 2> = StaticTimer::new();
    balanced(|| {
        let parent = CancellationToken::new();
        let (first, node) = measure(|| parent.child_with_timer(&&TIMER, ms(10)));
        assert_eq!(node.calls, 1, "the token's node");
        let given_back = Account { bytes: -node.bytes, ..node };
        let (second, again) = measure(|| parent.child_with_timer(&&TIMER, ms(20)));
        assert_eq!((again, TIMER.in_use()), (node, 2));
        assert_eq!(measure(|| TIMER.poll()), (Some(ms(10)), NOTHING));
        NOW.store(10, SeqCst);
        assert_eq!(measure(|| TIMER.poll()), (Some(ms(20)), NOTHING));
        assert!(first.is_cancelled());
        assert_eq!(measure(|| drop(first)).1, given_back);
        assert_eq!(measure(|| second.cancel()).1, NOTHING);
        assert_eq!(measure(|| drop(second)).1, given_back);
        assert_eq!(TIMER.in_use(), 0);
    });
}
