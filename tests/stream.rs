//! Streams that end when a token is cancelled: who comes first, what becomes of the items, who is woken.
#![cfg(feature = "stream")]

mod support;

use cancel_tree::stream::{StreamExt as _, TakeUntilCancelled, TakeUntilCancelledOwned};
use cancel_tree::{CancellationToken, StaticCause};
use futures_core::stream::{FusedStream, Stream};
use futures_lite::stream;
use proptest::collection::vec;
use proptest::prelude::*;
use static_assertions::{assert_impl_all, assert_not_impl_any, assert_obj_safe};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Barrier;
use std::task::{Context, Poll};
use support::balanced;
use support::wakers::Counter;

static WHY: StaticCause = StaticCause::new(&std::fmt::Error);

/// A poll of a stream, as a future that can be polled again.
struct Next<'a, S: ?Sized>(&'a mut S);

impl<S: Stream + Unpin + ?Sized> Future for Next<'_, S> {
    type Output = Option<S::Item>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(cx)
    }
}

fn next<S: Stream + Unpin + ?Sized>(counter: &Counter, stream: &mut S) -> Poll<Option<S::Item>> {
    counter.poll(&mut Next(stream))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Item(u8),
    Pends,
    Ends,
}

/// What a stream of the test's does at its next polls, and what was seen of it.
#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<Does>>,
    polls: Cell<usize>,
    dropped: Cell<bool>,
}

struct Scripted(Rc<Script>);

impl Stream for Scripted {
    type Item = u8;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u8>> {
        self.0.polls.set(self.0.polls.get() + 1);
        match self.0.steps.borrow_mut().pop_front() {
            Some(Does::Item(item)) => Poll::Ready(Some(item)),
            Some(Does::Pends) => Poll::Pending,
            Some(Does::Ends) | None => Poll::Ready(None),
        }
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (1, Some(7))
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}

/// What both adapters offer, under one name.
trait Adapter: FusedStream<Item = u8> + Unpin {
    fn cancelled(&self) -> bool;
    fn why(&self) -> bool;
    fn inner(&mut self) -> bool;
}

macro_rules! adapter {
    ($adapter:ty) => {
        impl Adapter for $adapter {
            fn cancelled(&self) -> bool {
                self.was_cancelled()
            }
            fn why(&self) -> bool {
                self.reason().is_some_and(|why| why.cause().unwrap().is::<std::fmt::Error>())
            }
            fn inner(&mut self) -> bool {
                let inner =
                    [self.get_ref().is_some(), self.get_mut().is_some(), Pin::new(self).get_pin_mut().is_some()];
                assert!(inner.iter().all(|there| *there == inner[0]));
                inner[0]
            }
        }
    };
}

adapter!(TakeUntilCancelled<'_, Scripted>);
adapter!(TakeUntilCancelledOwned<Scripted>);

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll,
    Cancel,
}

/// Goes through a schedule, and compares each poll with what a plain reference says.
fn follow(owned: bool, script: &[Does], schedule: &[Step]) {
    let shared = Rc::new(Script { steps: RefCell::new(script.iter().copied().collect()), ..Script::default() });
    let (root, counter) = (CancellationToken::new(), Counter::new());
    let token = root.child_token();
    let scripted = Scripted(shared.clone());
    let mut taken: Box<dyn Adapter> = match owned {
        true => Box::new(scripted.take_until_cancelled_owned(token.clone())),
        false => Box::new(scripted.take_until_cancelled(&token)),
    };
    // The reference: what is left of the script, whether and how it has ended, whether somebody waits.
    let (mut left, mut ended, mut by_token, mut waits) = (script.iter(), false, false, false);
    let (mut polls, mut wakes) = (0, 0);
    for step in schedule {
        match step {
            Step::Cancel => {
                root.cancel_with(&WHY);
                wakes += usize::from(std::mem::take(&mut waits));
            }
            Step::Poll => {
                let expected = if ended {
                    Poll::Ready(None)
                } else if token.is_cancelled() {
                    (ended, by_token) = (true, true);
                    Poll::Ready(None)
                } else {
                    polls += 1;
                    match left.next() {
                        Some(Does::Item(item)) => Poll::Ready(Some(*item)),
                        Some(Does::Pends) => {
                            waits = true;
                            Poll::Pending
                        }
                        Some(Does::Ends) | None => {
                            ended = true;
                            waits = false;
                            Poll::Ready(None)
                        }
                    }
                };
                assert_eq!(next(&counter, &mut *taken), expected);
            }
        }
        assert_eq!(shared.polls.get(), polls, "it is polled as often as the reference, and never after a cancel");
        assert_eq!(counter.wakes(), wakes, "a cancel wakes who waits");
        assert_eq!(counter.kept(), usize::from(waits), "the registration goes with the end");
        assert_eq!((taken.is_terminated(), shared.dropped.get(), !taken.inner()), (ended, ended, ended));
        assert_eq!(taken.size_hint(), (0, Some(if ended { 0 } else { 7 })));
        assert_eq!((taken.cancelled(), taken.why()), (by_token, by_token));
    }
    drop(taken);
    assert_eq!(counter.kept(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 500 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_gives_what_the_reference_does(
        owned in any::<bool>(),
        script in vec(prop_oneof![4 => any::<u8>().prop_map(Does::Item), 3 => Just(Does::Pends), 1 => Just(Does::Ends)], 0..10),
        schedule in vec(prop_oneof![6 => Just(Step::Poll), 1 => Just(Step::Cancel)], 0..16),
    ) {
        balanced(|| follow(owned, &script, &schedule));
    }
}

/// tokio's issue 7462: what never waits has to stop, too.
#[test]
fn a_stream_that_is_always_ready_ends() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut taken = stream::repeat(1).take_until_cancelled(&token);
        for _ in 0..1000 {
            assert_eq!(next(&counter, &mut taken), Poll::Ready(Some(1)));
        }
        assert_eq!(counter.kept(), 0, "it never waits, and so is never registered");
        token.cancel();
        assert_eq!(next(&counter, &mut taken), Poll::Ready(None));
        assert!(taken.was_cancelled());
    });
}

#[test]
fn an_item_that_is_ready_with_the_cancel_stays_in_the_stream() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut items = stream::iter(0..4);
        let mut taken = (&mut items).take_until_cancelled(&token);
        assert_eq!(next(&counter, &mut taken), Poll::Ready(Some(0)));
        token.cancel();
        assert_eq!(next(&counter, &mut taken), Poll::Ready(None));
        drop(taken);
        assert_eq!(next(&counter, &mut items), Poll::Ready(Some(1)));

        // Or before the adapter has seen the cancel.
        let taken = items.take_until_cancelled_owned(token);
        let mut items = taken.into_inner().expect("it has not ended");
        assert_eq!(next(&counter, &mut items), Poll::Ready(Some(2)));
    });
}

/// One that cancels the token in its poll, and gives an item: it is passed on.
#[test]
fn an_item_of_a_poll_that_has_begun_is_passed_on() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut taken = stream::poll_fn(|_| {
            token.cancel();
            Poll::Ready(Some(1))
        })
        .take_until_cancelled(&token);
        assert_eq!(next(&counter, &mut taken), Poll::Ready(Some(1)));
        assert_eq!(next(&counter, &mut taken), Poll::Ready(None));
        // One that cancels it and waits: it ends at once, though nobody wakes it.
        let token = CancellationToken::new();
        let mut taken = stream::poll_fn(|_| {
            token.cancel();
            Poll::<Option<u8>>::Pending
        })
        .take_until_cancelled(&token);
        assert_eq!(next(&counter, &mut taken), Poll::Ready(None));
        assert_eq!(counter.wakes(), 0);
    });
}

#[test]
fn a_waker_that_has_changed_is_the_one_that_is_woken() {
    balanced(|| {
        let (token, [old, new]) = (CancellationToken::new(), [Counter::new(), Counter::new()]);
        let mut taken = stream::pending::<u8>().take_until_cancelled(&token);
        assert_eq!(next(&old, &mut taken), Poll::Pending);
        assert_eq!(next(&new, &mut taken), Poll::Pending);
        assert_eq!((old.kept(), new.kept()), (0, 1));
        token.cancel();
        assert_eq!((old.wakes(), new.wakes()), (0, 1));
        assert_eq!(next(&new, &mut taken), Poll::Ready(None));
    });
}

/// The cancel comes at any moment of the poll: the stream ends, or the task is woken.
#[test]
fn no_wake_up_is_lost_between_threads() {
    balanced(|| {
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        for _ in 0..rounds {
            let (token, counter, start) = (CancellationToken::new(), Counter::new(), Barrier::new(2));
            let mut taken = stream::pending::<u8>().take_until_cancelled(&token);
            let first = std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    token.cancel();
                });
                start.wait();
                next(&counter, &mut taken)
            });
            match first {
                Poll::Ready(None) => assert_eq!(counter.wakes(), 0),
                Poll::Pending => {
                    assert_eq!(counter.wakes(), 1);
                    assert_eq!(next(&counter, &mut taken), Poll::Ready(None));
                }
                Poll::Ready(Some(_)) => unreachable!(),
            }
        }
    });
}

#[test]
fn an_owned_token_goes_with_the_end() {
    balanced(|| {
        let parent = CancellationToken::new();
        let before = support::nodes::live();
        let mut taken = stream::empty::<u8>().take_until_cancelled_owned(parent.child_token());
        assert_eq!(support::nodes::live(), before + 1);
        assert_eq!(next(&Counter::new(), &mut taken), Poll::Ready(None));
        assert_eq!(support::nodes::live(), before);
        assert!(!taken.was_cancelled() && taken.into_inner().is_none());
    });
}

type Borrowed<S> = TakeUntilCancelled<'static, S>;
type Owned<S> = TakeUntilCancelledOwned<S>;
type Empty = stream::Empty<u8>;

assert_impl_all!(Borrowed<Empty>: Stream<Item = u8>, FusedStream, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(Owned<Empty>: Stream<Item = u8>, FusedStream, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
// They are what the stream in them is.
assert_not_impl_any!(Borrowed<Rc<()>>: Send, Sync);
assert_not_impl_any!(Owned<Rc<()>>: Send, Sync);
assert_not_impl_any!(Borrowed<PhantomPinned>: Unpin);
assert_not_impl_any!(Owned<PhantomPinned>: Unpin);
assert_obj_safe!(cancel_tree::stream::StreamExt<Item = ()>);

#[test]
fn what_they_say_of_themselves() {
    balanced(|| {
        let token = CancellationToken::new();
        let streams = [(); 2].map(|()| stream::empty::<u8>());
        let [first, second] = streams;
        assert_eq!(format!("{:?}", first.take_until_cancelled(&token)), "TakeUntilCancelled { .. }");
        assert_eq!(format!("{:?}", second.take_until_cancelled_owned(token)), "TakeUntilCancelledOwned { .. }");
    });
}
