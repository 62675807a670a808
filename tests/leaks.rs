//! C8, C20, C22: what was made and dropped a million times under something that lives leaves nothing behind.
//!
//! Of timeouts, the timer's thread gives back what has been taken out, a few milliseconds later; so their tests wait for it,
//! as long as it takes.
#![cfg(feature = "std")]

mod support;

use cancel_tree::time::{Alarm, ManualTimer, Timer};
use cancel_tree::{CancellationToken, Registration, StaticCause, Unregister};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::nodes::{self, live};
use support::{Random, balanced, measure, wait_until};

/// Set when it is compiled, `CANCEL_TREE_SMALL_SHAPES` makes it ten thousand, for sanitizers.
const MILLION: usize = match (cfg!(miri), option_env!("CANCEL_TREE_SMALL_SHAPES")) {
    (true, _) => 300,
    (_, Some(_)) => 10_000,
    _ => 1_000_000,
};
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Why;
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("because")
    }
}
impl std::error::Error for Why {}
static WHY: StaticCause = StaticCause::new(&Why);

/// Has the timer's thread started, then runs `f`, alone, and waits until the thread has given everything back: nodes to the
/// last, and of bytes all but what others may have taken meanwhile, less than a thousandth of what the alarms would be.
fn given_back(f: impl FnOnce()) {
    let _alone = nodes::exclusive();
    let settled = |nodes, bytes| {
        wait_until(|| {
            nodes::empty_graveyard();
            live() == nodes && nodes::all_bytes() <= bytes
        });
    };
    let nodes = live();
    drop(CancellationToken::new().child_with_timeout(HOUR));
    settled(nodes, isize::MAX);
    let bytes = nodes::all_bytes();
    f();
    settled(nodes, bytes + (16 << 10));
}

#[test]
fn timeouts_of_an_hour_that_are_made_and_dropped_leave_nothing() {
    given_back(|| {
        let parent = CancellationToken::new();
        for _ in 0..MILLION {
            drop(parent.child_with_timeout(HOUR));
        }
    });
}

#[test]
fn timeouts_of_an_hour_that_are_made_cancelled_and_dropped_leave_nothing() {
    given_back(|| {
        let parent = CancellationToken::new();
        for _ in 0..MILLION {
            let timeout = parent.child_with_timeout(HOUR);
            timeout.cancel();
            assert!(!timeout.reason().expect("cancelled").is_deadline_exceeded());
        }
    });
}

/// So that the thread has sorted in most of them: they are taken out of its queue, not only out of its inbox.
#[test]
fn timeouts_of_an_hour_that_go_long_after_they_came_leave_nothing() {
    given_back(|| {
        let (parent, mut random) = (CancellationToken::new(), Random(8));
        let mut window: Vec<_> = (0..1000).map(|_| parent.child_with_timeout(HOUR)).collect();
        for _ in 0..MILLION / 10 {
            let place = &mut window[random.below(1000)];
            match random.below(3) {
                0 => place.cancel(),
                _ => *place = parent.child_with_timeout(HOUR + Duration::from_nanos(random.next() >> 20)),
            }
        }
    });
}

/// C20: a live ancestor's cancel takes the timers out, and the alarm of a token that waits for an hour keeps nothing of it.
#[test]
fn timeouts_that_are_cancelled_by_their_parent_leave_nothing() {
    given_back(|| {
        for _ in 0..MILLION / 1000 {
            let parent = CancellationToken::new();
            let children: Vec<_> = (0..100).map(|_| parent.child_with_timeout(HOUR)).collect();
            parent.cancel_with(&WHY);
            assert!(children.iter().all(CancellationToken::is_cancelled));
        }
    });
}

#[test]
fn timers_on_a_manual_clock_leave_nothing_at_once() {
    balanced(|| {
        let timer = ManualTimer::new();
        let parent = CancellationToken::new();
        // The clock keeps some room.
        drop(parent.child_with_timer(&timer, HOUR));
        let (_, account) = measure(|| {
            let before = live();
            for round in 0..MILLION / 4 {
                let child = parent.child_with_timer(&timer, timer.now() + HOUR);
                assert_eq!(timer.pending(), 1);
                match round % 3 {
                    0 => {}
                    1 => child.cancel(),
                    _ => timer.advance(HOUR),
                }
                assert_eq!(child.is_cancelled(), round % 3 != 0);
                drop(child);
                assert_eq!((live(), timer.pending()), (before, 0));
            }
        });
        assert_eq!(account.bytes, 0);
    });
}

/// C8, C18: each in turn, in every way that there is to give one up.
#[test]
fn registrations_that_come_and_go_under_a_live_token_leave_nothing() {
    balanced(|| {
        let token = CancellationToken::new();
        let before = live();
        let (_, account) = measure(|| {
            for round in 0..MILLION {
                let registration = token.on_cancel(|| unreachable!("nobody cancels"));
                if round % 2 == 0 {
                    drop(registration);
                } else {
                    assert_eq!(registration.unregister(), Unregister::Prevented);
                }
                assert_eq!(live(), before);
            }
        });
        assert_eq!(account.bytes, 0);
    });
}

/// C8, C18: a window of them, of which any one goes when a new one comes; what they captured goes with them.
#[test]
fn registrations_that_go_in_another_order_than_they_came_leave_nothing() {
    balanced(|| {
        let (token, captured) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let register = || {
            let captured = captured.clone();
            token.on_cancel(move || {
                captured.fetch_add(1, Relaxed);
            })
        };
        let mut window: Vec<Registration> = (0..64).map(|_| register()).collect();
        let (before, mut random) = (live(), Random(9));
        for _ in 0..MILLION / 4 {
            window[random.below(64)] = register();
            assert_eq!((live(), Arc::strong_count(&captured)), (before, 65));
        }
        token.cancel();
        assert_eq!((captured.load(Relaxed), Arc::strong_count(&captured)), (64, 1));
    });
}

/// C22: the sources that live keep nothing of what was linked to them.
#[test]
fn linked_tokens_that_come_and_go_under_live_sources_leave_nothing() {
    balanced(|| {
        let sources = [CancellationToken::new(), CancellationToken::new(), CancellationToken::new()];
        let before = live();
        let (_, account) = measure(|| {
            for round in 0..MILLION / 10 {
                let linked = CancellationToken::any(&sources[..1 + round % 3]);
                assert_eq!(live() - before, 2 + isize::try_from(round % 3).expect("less than 3"));
                drop(linked);
                assert_eq!(live(), before);
            }
        });
        assert_eq!(account.bytes, 0);
    });
}

/// C22: where one source lives and the others are as short-lived as what is linked to them, cancelled or not.
#[test]
fn linked_tokens_of_one_source_that_stays_and_others_that_go_leave_nothing() {
    balanced(|| {
        let server = CancellationToken::new();
        let before = live();
        for round in 0..MILLION / 10 {
            let client = CancellationToken::new();
            let request = CancellationToken::any([&server, &client]);
            let child = request.child_token();
            if round % 4 < 2 {
                client.cancel_with(&WHY);
                assert!(child.reason().expect("by the client").cause().is_some());
            }
            if round % 2 == 0 {
                drop((client, request, child));
            } else {
                drop((child, request, client));
            }
            assert_eq!(live(), before);
        }
    });
}

/// The causes on the heap, of which each token, callback and waiter below has a share: dropped with the last of them.
#[test]
fn causes_on_the_heap_leave_nothing() {
    #[derive(Debug)]
    struct Counted(Arc<AtomicUsize>);
    impl fmt::Display for Counted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("counted")
        }
    }
    impl std::error::Error for Counted {}
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    balanced(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (_, account) = measure(|| {
            for round in 0..MILLION / 10 {
                let parent = CancellationToken::new();
                let child = parent.child_token();
                assert!(child.cancel_with(Counted(drops.clone())));
                assert!(!child.cancel_with(Counted(drops.clone())));
                assert!(parent.cancel_with(Counted(drops.clone())));
                let reason = child.reason();
                assert_eq!(drops.load(Relaxed), 3 * round + 1, "the one that came too late");
                drop((parent, child));
                assert_eq!(drops.load(Relaxed), 3 * round + 2, "the reason keeps its cause");
                drop(reason);
                assert_eq!(drops.load(Relaxed), 3 * round + 3);
            }
        });
        assert_eq!(account.bytes, 0);
    });
}

/// Whose token is gone while the timer's thread has its alarm: the node's memory goes with the alarm, nothing else stays.
#[test]
fn an_alarm_that_is_kept_keeps_the_memory_of_one_node() {
    struct Kept(std::sync::Mutex<Vec<Alarm>>);
    impl Timer for Kept {
        type Armed = ();
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn arm(&self, _: Duration, alarm: Alarm) {
            self.0.lock().unwrap().push(alarm);
        }
        fn disarm((): &()) {}
    }

    balanced(|| {
        let (kept, parent) = (Kept(Vec::new().into()), CancellationToken::new());
        let before = live();
        for _ in 0..100 {
            let timed = parent.child_with_timer(&kept, HOUR);
            let below = (timed.child_token(), timed.on_cancel(|| {}));
            drop((timed, below));
        }
        assert_eq!(live() - before, 100);
        for alarm in kept.0.into_inner().unwrap() {
            assert!(!alarm.fire(), "its token is gone");
        }
        assert_eq!(live(), before);
    });
}
