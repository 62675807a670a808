//! What the timer in a static does with the allocator: nothing.
#![cfg(feature = "std")]

mod support;

use cancel_tree::time::{Clock, StaticTimer};
use cancel_tree::{CancellationToken, PoolFull, TokenPool};
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
        NOW.store(0, SeqCst);
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

#[test]
fn a_pool_and_a_timer_do_without_the_allocator() {
    static TIMER: StaticTimer<Ticks, 2> = StaticTimer::new();
    static POOL: TokenPool<8> = TokenPool::new();
    balanced(|| {
        let ((), account) = measure(|| {
            for _ in 0..3 {
                let now = NOW.load(SeqCst);
                let root = POOL.try_token().unwrap();
                let [first, second] = [1, 2].map(|after| root.try_child_with_timer(&&TIMER, ms(now + after)).unwrap());
                assert_eq!(root.try_child_with_timer(&&TIMER, ms(now + 3)), Err(PoolFull));
                let below = first.try_child_token().unwrap();
                drop(first);
                NOW.store(now + 1, SeqCst);
                assert_eq!(TIMER.poll(), Some(ms(now + 2)));
                assert!(below.reason().unwrap().is_deadline_exceeded() && !second.is_cancelled());
                // The place of the first, which ended inside of the alarm.
                let third = root.try_child_with_timer(&&TIMER, ms(now + 4)).unwrap();
                root.cancel();
                assert!(second.is_cancelled() && third.is_cancelled());
                drop((second, third, below, root));
                assert_eq!((POOL.in_use(), TIMER.in_use(), TIMER.poll()), (0, 0, None));
            }
        });
        assert_eq!(account, NOTHING);
    });
}
