//! What reasons, callbacks, links and timers do with the allocator, on the thread that calls them. Tokens and waiters:
//! `allocations.rs`.
#![cfg(feature = "std")]

mod support;

use cancel_tree::time::{Alarm, ManualTimer, Timer};
use cancel_tree::{CancelKind, CancellationToken, Cancelled, Registration, StaticCause, Unregister};
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::wakers::Counter;
use support::{Account, balanced, measure, settles};

const NOTHING: Account = Account { calls: 0, bytes: 0 };
const HOUR: Duration = Duration::from_secs(3600);

/// An error that takes room on the heap.
#[derive(Debug)]
struct Why(#[expect(dead_code, reason = "room")] [u64; 4]);
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("because")
    }
}
impl std::error::Error for Why {}
static WHY: StaticCause = StaticCause::new(&Why([0; 4]));

/// The account of what takes so much, given back.
fn returned(account: Account) -> Account {
    Account { bytes: -account.bytes, ..account }
}

/// Runs `f`, which allocates so often and frees nothing. What it returned, and the account.
fn allocates<R>(calls: usize, f: impl FnOnce() -> R) -> (R, Account) {
    let (result, account) = measure(f);
    assert_eq!(account.calls, calls, "{account:?}");
    assert!(calls == 0 || account.bytes > 0, "{account:?}");
    (result, account)
}

#[test]
fn a_reason_is_one_word_and_so_is_the_answer_of_a_check() {
    assert_eq!(size_of::<Cancelled>(), size_of::<*const ()>());
    assert_eq!(size_of::<Option<Cancelled>>(), size_of::<*const ()>());
    assert_eq!(size_of::<Result<(), Cancelled>>(), size_of::<*const ()>());
}

/// C10.
#[test]
fn a_cancel_with_a_static_cause_does_without_the_allocator() {
    balanced(|| {
        let token = CancellationToken::new();
        let children: Vec<_> = (0..10).map(|_| token.child_token()).collect();
        assert_eq!(measure(|| assert!(token.cancel_with(&WHY))).1, NOTHING);
        assert_eq!(measure(|| assert!(!token.cancel_with(&WHY))).1, NOTHING);
        assert!(children.iter().all(|child| child.reason().is_some_and(|reason| reason.cause().is_some())));
    });
}

#[test]
fn an_error_as_a_cause_is_two_allocations_which_go_with_the_last_who_has_it() {
    balanced(|| {
        let token = CancellationToken::new();
        let child = token.child_token();
        let (_, cause) = allocates(2, || assert!(token.cancel_with(Why([1; 4]))));
        // One that comes too late is given back at once.
        assert_eq!(measure(|| assert!(!token.cancel_with(Why([2; 4])))).1, Account { calls: 4, bytes: 0 });
        // Boxed already.
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(Why([3; 4]));
        let other = CancellationToken::new();
        allocates(1, || other.cancel_with(cancel_tree::Cause::boxed(boxed)));

        let reason = child.reason().expect("cancelled");
        let node = measure(|| drop(token)).1;
        assert_eq!((node.calls, measure(|| drop(child)).1), (1, node), "the nodes alone");
        assert_eq!(measure(|| drop(reason)).1, returned(cause));
    });
}

#[test]
fn looks_at_the_reason_do_without_the_allocator() {
    balanced(|| {
        let root = CancellationToken::new();
        let timer = ManualTimer::new();
        let tokens = [(); 4].map(|()| root.child_token());
        let expired = [root.child_with_timer(&timer, HOUR), root.child_with_timer_cause(&timer, HOUR, Why([5; 4]))];
        let look = |token: &CancellationToken| {
            let (_, account) = measure(|| {
                let (reason, check) = (token.reason(), token.check());
                black_box((token.is_cancelled(), token.deadline(), check.is_ok()));
                if let Some(reason) = reason {
                    black_box((reason.clone().kind(), reason.cause().is_some(), reason.is_deadline_exceeded()));
                }
            });
            assert_eq!(account, NOTHING);
        };
        tokens.iter().chain(&expired).for_each(look);
        tokens[0].cancel();
        tokens[1].cancel_with(&WHY);
        tokens[2].cancel_with(Why([4; 4]));
        timer.advance(HOUR);
        assert!(expired.iter().all(|token| token.reason().is_some_and(|reason| reason.is_deadline_exceeded())));
        for _ in 0..2 {
            tokens.iter().chain(&expired).for_each(look);
            root.cancel_with(Why([6; 4]));
        }
    });
}

#[test]
fn a_callback_is_one_allocation_with_what_it_captures_and_none_if_the_token_is_cancelled() {
    balanced(|| {
        let (token, ran) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (_, small) = allocates(1, || token.on_cancel(|| {}).detach());
        let captured = [0_u64; 8];
        for _ in 0..3 {
            let run = {
                let ran = ran.clone();
                move || {
                    black_box(captured);
                    ran.fetch_add(1, Relaxed);
                }
            };
            let (registration, account) = allocates(1, || token.on_cancel(run));
            assert!(account.bytes >= small.bytes + 64, "{account:?} and {small:?}");
            let (unregistered, account_back) = measure(|| registration.unregister());
            assert_eq!((unregistered, account_back), (Unregister::Prevented, returned(account)));
            let (registration, account) = allocates(1, || token.on_cancel(|| {}));
            assert_eq!(measure(|| drop(registration)).1, returned(account));
        }
        token.cancel();
        let run = ran.clone();
        let (registration, _) = allocates(0, || {
            token.on_cancel(move || {
                run.fetch_add(1, Relaxed);
            })
        });
        assert_eq!(ran.load(Relaxed), 1);
        assert_eq!(measure(|| registration.unregister()), (Unregister::Done, NOTHING));
        let (refused, account) = measure(|| token.try_on_cancel(|| {}));
        assert_eq!((refused.is_err(), account), (true, NOTHING));
    });
}

#[test]
fn the_first_future_of_a_registration_is_one_allocation_and_the_others_are_none() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let registration = token.on_cancel(|| {});
        let (mut finished, _) = allocates(1, || registration.finished());
        allocates(0, || drop([registration.finished(), registration.finished()]));
        allocates(0, || assert!(counter.poll(&mut finished).is_pending()));
        assert_eq!(measure(|| token.cancel()).1, NOTHING);
        allocates(0, || assert!(counter.poll(&mut finished).is_ready()));
        assert_eq!(counter.wakes(), 1);
    });
}

/// C22. (Of more than sixteen sources, a set is kept while they are linked: then only the balance is looked at.)
#[test]
fn a_link_to_n_sources_is_n_and_one_allocations() {
    balanced(|| {
        let sources: Vec<_> = (0..40).map(|_| CancellationToken::new()).collect();
        for n in [0, 1, 2, 3, 16] {
            let (linked, account) = allocates(n + 1, || CancellationToken::any(&sources[..n]));
            assert_eq!(measure(|| drop(linked)).1, returned(account), "{n}");
        }
        let (linked, account) = measure(|| CancellationToken::any(&sources));
        let back = measure(|| drop(linked)).1;
        assert_eq!((back.calls, back.bytes), (41, -account.bytes));
        // Each is one source, however often it stands there.
        let twice = [&sources[0], &sources[1], &sources[0], &sources[1], &sources[0]];
        allocates(3, || CancellationToken::any(twice));
        sources[2].cancel();
        // Cancelled from birth: the links that were made before that was found are given back at once.
        let (linked, account) = measure(|| CancellationToken::any(&sources[..3]));
        assert!(linked.is_cancelled() && account.calls <= 5, "{account:?}");
        assert_eq!(measure(|| drop(linked)).1, Account { calls: 1, bytes: -account.bytes });
    });
}

/// C20. What the thread gives back, it gives back on its side.
#[test]
fn a_timeout_is_two_allocations_and_one_that_has_passed_is_one() {
    settles(|| {
        let parent = CancellationToken::new();
        // Starts the thread.
        drop(parent.child_with_timeout(HOUR));
        for _ in 0..8 {
            let (child, _) = allocates(2, || parent.child_with_timeout(HOUR));
            allocates(1, || child.child_token());
            assert_eq!(measure(|| child.cancel()).1, NOTHING);
        }
        allocates(1, || parent.child_with_timeout(Duration::ZERO));
        allocates(1, || parent.child_with_timeout(Duration::MAX));
        parent.cancel();
        allocates(1, || parent.child_with_timeout(HOUR));
    });
}

/// A tree of all that there is, many times.
struct Everything {
    root: CancellationToken,
    ran: Arc<AtomicUsize>,
    wakes: Counter,
    /// How many callbacks are to run, and wakers to be woken.
    due: usize,
    tokens: Vec<CancellationToken>,
    registrations: Vec<Registration>,
    waits: Vec<Box<dyn Future<Output = ()> + Unpin>>,
}

impl Everything {
    const BRANCHES: usize = 20;

    fn below(root: CancellationToken, timer: &ManualTimer, far: Duration) -> Self {
        let (tokens, registrations, waits) = Default::default();
        let (ran, wakes) = (Arc::default(), Counter::new());
        let mut all = Self { root, ran, wakes, due: 0, tokens, registrations, waits };
        let elsewhere = CancellationToken::new();
        for _ in 0..Self::BRANCHES {
            let timed = all.root.child_with_timer(timer, far);
            let caused = timed.child_with_timer_cause(timer, far, Why([7; 4]));
            let linked = CancellationToken::any([&caused, &elsewhere, &timed]);
            let second = CancellationToken::any([&linked, &all.root.child_token()]);
            for token in [timed, caused, linked, second.child_token(), second] {
                let run = |ran: &Arc<AtomicUsize>| {
                    let ran = ran.clone();
                    move || {
                        ran.fetch_add(1, Relaxed);
                    }
                };
                token.on_cancel(run(&all.ran)).detach();
                let registration = token.on_cancel(run(&all.ran));
                let waits: [Box<dyn Future<Output = ()> + Unpin>; 4] = [
                    Box::new(token.clone().cancelled_owned()),
                    Box::new(token.clone().cancelled_owned()),
                    Box::new(registration.finished()),
                    Box::new(registration.finished()),
                ];
                for mut wait in waits {
                    assert!(all.wakes.poll(&mut wait).is_pending());
                    all.waits.push(wait);
                }
                all.registrations.push(registration);
                all.tokens.push(token);
                all.due += 1;
            }
        }
        all.tokens.push(elsewhere);
        all
    }

    fn check(&self, kind: CancelKind) {
        let (elsewhere, cancelled) = self.tokens.split_last().expect("many");
        assert!(!elsewhere.is_cancelled());
        assert!(cancelled.iter().all(|token| token.reason().is_some_and(|reason| reason.kind() == kind)));
        assert_eq!((self.ran.load(Relaxed), self.wakes.wakes()), (2 * self.due, 4 * self.due));
    }
}

/// C10: with reasons, callbacks, futures of their ends, links and timers below.
#[test]
fn a_cancel_of_a_tree_of_everything_does_without_the_allocator() {
    balanced(|| {
        let timer = ManualTimer::new();
        let cancels: [fn(&CancellationToken); 2] =
            [CancellationToken::cancel, |token| assert!(token.cancel_with(&WHY))];
        for cancel in cancels {
            let all = Everything::below(CancellationToken::new(), &timer, HOUR);
            assert_eq!(timer.pending(), 2 * Everything::BRANCHES);
            assert_eq!(measure(|| cancel(&all.root)).1, NOTHING);
            assert_eq!(measure(|| all.root.cancel()).1, NOTHING, "again");
            all.check(CancelKind::Cancelled);
            assert_eq!(timer.pending(), 0);
        }
        // An error: its two allocations come before the cancel, and nothing else.
        let all = Everything::below(CancellationToken::new(), &timer, HOUR);
        allocates(2, || all.root.cancel_with(Why([8; 4])));
        all.check(CancelKind::Cancelled);
    });
}

/// C10, C20: what fires the alarm may be an interrupt.
#[test]
fn an_alarm_that_fires_over_a_tree_of_everything_does_without_the_allocator() {
    balanced(|| {
        let (timer, gun) = (ManualTimer::new(), Gun::default());
        let above = CancellationToken::new().child_with_timer(&gun, HOUR);
        let all = Everything::below(above, &timer, 2 * HOUR);
        let alarm = gun.0.lock().unwrap().take().expect("armed");
        let (fired, account) = measure(|| alarm.fire());
        assert_eq!((fired, account), (true, NOTHING));
        all.check(CancelKind::DeadlineExceeded);
        assert_eq!((alarm.fire(), timer.pending()), (false, 0));
    });
}

/// Keeps its alarm.
#[derive(Default)]
struct Gun(std::sync::Mutex<Option<Alarm>>);

impl Timer for Gun {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) {
        *self.0.lock().unwrap() = Some(alarm);
    }
    fn disarm((): &()) {}
}

/// C10, C20: with the timer of the thread, too.
#[test]
fn a_cancel_of_many_timeouts_does_without_the_allocator() {
    settles(|| {
        let root = CancellationToken::new();
        let timeouts: Vec<_> = (0..1000).map(|_| root.child_with_timeout(HOUR)).collect();
        assert_eq!(measure(|| root.cancel()).1, NOTHING);
        assert!(timeouts.iter().all(CancellationToken::is_cancelled));
    });
}
