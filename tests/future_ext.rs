//! Futures that say why they were cancelled: who comes first, who is woken, what stays.

mod support;

use cancel_tree::future::{FutureExt, OrCancelledFuture, OrCancelledFutureOwned};
use cancel_tree::{CancelKind, CancellationToken, Cancelled, StaticCause};
use proptest::collection::vec;
use proptest::prelude::*;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::fmt::Debug;
use std::future::{Future, Pending, pending, ready};
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use support::balanced;
use support::wakers::Counter;

#[derive(Debug)]
struct Why;
impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("because")
    }
}
impl std::error::Error for Why {}
static WHY: StaticCause = StaticCause::new(&Why);

/// What a future of the test's is told, and what it tells.
#[derive(Default)]
struct Hand {
    ready: Cell<bool>,
    polls: Cell<usize>,
    dropped: Cell<bool>,
}

struct Held(Rc<Hand>);

impl Future for Held {
    type Output = u8;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        self.0.polls.set(self.0.polls.get() + 1);
        if self.0.ready.get() { Poll::Ready(42) } else { Poll::Pending }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<u8, Cancelled>> + 'a>>;

type Form = for<'a> fn(&'a CancellationToken, Held) -> Boxed<'a>;

/// All the forms there are, and whether the token comes first.
const FORMS: [(bool, Form); 6] = [
    (false, |token, future| Box::pin(token.run_or_cancelled(future))),
    (false, |token, future| Box::pin(future.or_cancelled(token))),
    (false, |token, future| Box::pin(future.or_cancelled_owned(token.clone()))),
    (true, |token, future| Box::pin(token.run_unless_cancelled(future))),
    (true, |token, future| Box::pin(future.unless_cancelled(token))),
    (true, |token, future| Box::pin(future.unless_cancelled_owned(token.clone()))),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll,
    MakeReady,
    Cancel,
}

/// Goes through a schedule, and compares each poll with what it has to say.
fn follow(form: usize, schedule: &[Step]) {
    let (token_first, make) = FORMS[form];
    let (root, hand, counter) = (CancellationToken::new(), Rc::new(Hand::default()), Counter::new());
    let token = root.child_token();
    let mut future = make(&token, Held(hand.clone()));
    assert_eq!(hand.polls.get(), 0, "nothing happens before the first poll");
    let (mut polls, mut first, mut waits, mut wakes) = (0, true, false, 0);
    for step in schedule {
        match step {
            Step::MakeReady => hand.ready.set(true),
            Step::Cancel => {
                root.cancel_with(&WHY);
                wakes += usize::from(std::mem::take(&mut waits));
            }
            Step::Poll => {
                let looked_at = token.is_cancelled() && (first || token_first);
                polls += usize::from(!looked_at);
                first = false;
                let result = counter.poll(&mut future);
                assert_eq!(hand.polls.get(), polls);
                if !looked_at && hand.ready.get() {
                    assert!(matches!(result, Poll::Ready(Ok(42))));
                } else if token.is_cancelled() {
                    let Poll::Ready(Err(why)) = result else { panic!("it is cancelled") };
                    assert!(why.kind() == CancelKind::Cancelled && why.cause().unwrap().is::<Why>());
                } else {
                    assert!(result.is_pending());
                    waits = true;
                    assert_eq!((counter.kept(), hand.dropped.get()), (1, false));
                    continue;
                }
                assert!(hand.dropped.get(), "it is dropped when it is decided");
                assert_eq!(counter.kept(), 0, "so is the registration");
                assert!(catch_unwind(AssertUnwindSafe(|| counter.poll(&mut future))).is_err(), "a poll too many");
                break;
            }
        }
        assert_eq!(counter.wakes(), wakes, "each cancel wakes who waits, and no other");
    }
    drop(future);
    assert!(hand.dropped.get());
    assert_eq!(counter.kept(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 500 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_ends_as_the_reference_does(
        form in 0..FORMS.len(),
        schedule in vec(prop_oneof![4 => Just(Step::Poll), 1 => Just(Step::MakeReady), 1 => Just(Step::Cancel)], 0..12),
    ) {
        balanced(|| follow(form, &schedule));
    }
}

#[test]
fn if_both_are_ready_the_name_says_who_comes_first() {
    balanced(|| {
        for (form, (token_first, _)) in FORMS.into_iter().enumerate() {
            follow(form, &[Step::Poll, Step::MakeReady, Step::Cancel, Step::Poll]);
            // In words, for the two orders.
            let (token, hand, counter) = (CancellationToken::new(), Rc::new(Hand::default()), Counter::new());
            let mut future = FORMS[form].1(&token, Held(hand.clone()));
            assert!(counter.poll(&mut future).is_pending());
            hand.ready.set(true);
            token.cancel();
            let Poll::Ready(result) = counter.poll(&mut future) else { panic!("both are ready") };
            assert_eq!((result.is_err(), hand.polls.get()), (token_first, 2 - usize::from(token_first)));
        }
    });
}

#[test]
fn under_a_cancelled_token_the_future_is_never_polled() {
    balanced(|| {
        for form in 0..FORMS.len() {
            follow(form, &[Step::Cancel, Step::MakeReady, Step::Poll]);
        }
    });
}

/// The reason is that of the first cancel to reach the token.
#[test]
fn the_reason_is_the_tokens_own() {
    balanced(|| {
        let (root, counter) = (CancellationToken::new(), Counter::new());
        let token = root.child_token();
        let mut future = pending::<()>().or_cancelled_owned(token.clone());
        assert!(counter.poll(&mut future).is_pending());
        token.cancel_with(&WHY);
        root.cancel();
        let Poll::Ready(Err(why)) = counter.poll(&mut future) else { panic!("cancelled") };
        assert!(why.cause().unwrap().is::<Why>());
    });
}

/// After the cancel, `follow` sees to it.
#[test]
fn a_poll_after_the_output_panics() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut future = ready(1).or_cancelled(&token);
        assert!(matches!(counter.poll(&mut future), Poll::Ready(Ok(1))));
        let panic = catch_unwind(AssertUnwindSafe(|| counter.poll(&mut future))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "not polled after it was ready");
    });
}

/// The wait and the future's own waker are the same task's: who of them wakes it does not matter.
#[test]
fn a_waker_that_has_changed_is_the_one_that_is_woken() {
    balanced(|| {
        let (token, [old, new]) = (CancellationToken::new(), [Counter::new(), Counter::new()]);
        let mut future = pending::<()>().unless_cancelled(&token);
        assert!(old.poll(&mut future).is_pending());
        assert!(new.poll(&mut future).is_pending());
        token.cancel();
        assert_eq!((old.wakes(), new.wakes()), (0, 1));
        assert!(new.poll(&mut future).is_ready());
    });
}

/// An owned adapter lets go of its token when it is decided, not only when it is dropped.
#[test]
fn an_owned_token_goes_when_it_is_decided() {
    balanced(|| {
        let parent = CancellationToken::new();
        let before = support::nodes::live();
        let mut future = ready(1).or_cancelled_owned(parent.child_token());
        assert_eq!(support::nodes::live(), before + 1);
        assert!(Counter::new().poll(&mut future).is_ready());
        assert_eq!(support::nodes::live(), before);
        drop(future);
    });
}

#[test]
fn a_future_that_panics_is_dropped_with_the_adapter_and_leaves_nothing() {
    struct Panics;
    impl Future for Panics {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("the future's own")
        }
    }
    balanced(|| {
        let token = CancellationToken::new();
        let mut future = Panics.unless_cancelled(&token);
        assert!(catch_unwind(AssertUnwindSafe(|| Counter::new().poll(&mut future))).is_err());
        token.cancel();
        assert!(matches!(Counter::new().poll(&mut future), Poll::Ready(Err(_))));
    });
}

type Borrowed<F> = OrCancelledFuture<'static, F>;
type Owned<F> = OrCancelledFutureOwned<F>;

assert_impl_all!(Borrowed<Pending<u8>>: Future<Output = Result<u8, Cancelled>>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(Owned<Pending<u8>>: Future<Output = Result<u8, Cancelled>>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
// They are what the future in them is.
assert_not_impl_any!(Borrowed<Rc<()>>: Send, Sync);
assert_not_impl_any!(Owned<Rc<()>>: Send, Sync);
assert_not_impl_any!(Borrowed<PhantomPinned>: Unpin);
assert_not_impl_any!(Owned<PhantomPinned>: Unpin);
assert_not_impl_any!(Borrowed<Pending<u8>>: Clone);

#[test]
fn what_they_say_of_themselves() {
    balanced(|| {
        let token = CancellationToken::new();
        assert_eq!(format!("{:?}", ready(1).or_cancelled(&token)), "OrCancelledFuture { .. }");
        assert_eq!(format!("{:?}", ready(1).or_cancelled_owned(token)), "OrCancelledFutureOwned { .. }");
    });
}
