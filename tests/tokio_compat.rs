//! What the tests of tokio-util 0.7.20 say of its token and of `FutureExt`, said again of ours under the same paths.

mod support;

use cancel_tree::future::FutureExt;
use cancel_tree::sync::{CancellationToken, WaitForCancellationFuture};
use std::future::{self, Future};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::task::Poll;
use support::wakers::Counter;

/// Polls a pinned future once, in the name of `counter`.
macro_rules! poll {
    ($future:expr, $counter:expr) => {
        $counter.poll(&mut $future.as_mut())
    };
}

mod token {
    use super::*;

    /// C12: the wait that was never polled has registered nothing.
    #[test]
    fn cancelling_wakes_the_one_wait_that_was_polled_and_readies_both() {
        let counter = Counter::new();
        let token = CancellationToken::new();
        let twin = token.clone();
        let (mut polled, mut idle) = (pin!(token.cancelled()), pin!(twin.cancelled()));
        assert_eq!(poll!(polled, counter), Poll::Pending);
        assert_eq!(counter.wakes(), 0);
        twin.cancel();
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll!(polled, counter), Poll::Ready(()));
        assert_eq!(poll!(idle, counter), Poll::Ready(()));
        assert_eq!(counter.wakes(), 1);
    }

    #[test]
    fn owned_waits_behave_as_borrowing_ones_do() {
        let counter = Counter::new();
        let token = CancellationToken::new();
        let (mut polled, mut idle) = (pin!(token.clone().cancelled_owned()), pin!(token.clone().cancelled_owned()));
        assert_eq!(poll!(polled, counter), Poll::Pending);
        assert_eq!(counter.wakes(), 0);
        token.cancel();
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll!(polled, counter), Poll::Ready(()));
        assert_eq!(poll!(idle, counter), Poll::Ready(()));
    }

    #[test]
    fn a_pending_owned_wait_may_be_dropped_where_it_is_pinned() {
        let counter = Counter::new();
        {
            let mut wait = pin!(CancellationToken::new().cancelled_owned());
            assert_eq!(poll!(wait, counter), Poll::Pending);
        }
        assert_eq!((counter.wakes(), counter.kept()), (0, 0));
    }

    #[test]
    fn a_cancel_of_the_parent_wakes_the_waits_for_both() {
        let counter = Counter::new();
        let parent = CancellationToken::new();
        let child = parent.child_token();
        assert!(!child.is_cancelled());
        let (mut below, mut above) = (pin!(child.cancelled()), pin!(parent.cancelled()));
        assert_eq!(poll!(below, counter), Poll::Pending);
        assert_eq!(poll!(above, counter), Poll::Pending);
        parent.cancel();
        assert_eq!(counter.wakes(), 2);
        assert!(parent.is_cancelled() && child.is_cancelled());
        assert_eq!(poll!(below, counter), Poll::Ready(()));
        assert_eq!(poll!(above, counter), Poll::Ready(()));
    }

    /// C7.
    #[test]
    fn a_grandchild_hears_its_root_when_the_token_between_them_has_been_dropped() {
        let counter = Counter::new();
        let root = CancellationToken::new();
        let leaf = root.child_token().child_token();
        assert!(!leaf.is_cancelled());
        let (mut below, mut above) = (pin!(leaf.cancelled()), pin!(root.cancelled()));
        assert_eq!(poll!(below, counter), Poll::Pending);
        assert_eq!(poll!(above, counter), Poll::Pending);
        root.cancel();
        assert_eq!(counter.wakes(), 2);
        assert!(root.is_cancelled() && leaf.is_cancelled());
        assert_eq!(poll!(below, counter), Poll::Ready(()));
        assert_eq!(poll!(above, counter), Poll::Ready(()));
    }

    /// C1: and the parent goes on to have children.
    #[test]
    fn a_cancel_of_a_child_leaves_the_parent_in_use() {
        let counter = Counter::new();
        let parent = CancellationToken::new();
        let first = parent.child_token();
        let (mut below, mut above) = (pin!(first.cancelled()), pin!(parent.cancelled()));
        assert_eq!(poll!(below, counter), Poll::Pending);
        assert_eq!(poll!(above, counter), Poll::Pending);
        first.cancel();
        assert_eq!(counter.wakes(), 1);
        assert!(first.is_cancelled() && !parent.is_cancelled());
        assert_eq!(poll!(below, counter), Poll::Ready(()));
        assert_eq!(poll!(above, counter), Poll::Pending);

        let second = parent.child_token();
        let mut beside = pin!(second.cancelled());
        assert_eq!(poll!(beside, counter), Poll::Pending);
        parent.cancel();
        assert_eq!(counter.wakes(), 3);
        assert!(parent.is_cancelled() && second.is_cancelled());
        assert_eq!(poll!(beside, counter), Poll::Ready(()));
        assert_eq!(poll!(above, counter), Poll::Ready(()));
    }

    /// C4.
    #[test]
    fn a_child_of_a_cancelled_parent_is_ready_at_its_first_poll() {
        for child_goes_first in [true, false] {
            let counter = Counter::new();
            let parent = CancellationToken::new();
            parent.cancel();
            let child = parent.child_token();
            assert!(child.is_cancelled());
            assert_eq!(counter.poll(&mut child.cancelled()), Poll::Ready(()));
            assert_eq!(counter.poll(&mut parent.cancelled()), Poll::Ready(()));
            assert_eq!(counter.wakes(), 0);
            let (first, second) = if child_goes_first { (child, parent) } else { (parent, child) };
            drop(first);
            drop(second);
        }
    }

    /// C7.
    #[test]
    fn children_may_be_dropped_in_either_order_under_a_live_parent() {
        for backwards in [false, true] {
            let parent = CancellationToken::new();
            let mut children: Vec<_> = (0..3).map(|_| parent.child_token()).collect();
            if backwards {
                children.reverse();
            }
            for child in children {
                drop(child);
                assert!(!parent.is_cancelled());
            }
        }
    }

    #[test]
    fn only_the_descendants_of_the_cancelled_token_are_woken() {
        let counter = Counter::new();
        let root = CancellationToken::new();
        let beside = root.child_token();
        let top = root.child_token();
        let (first, second) = (top.child_token(), top.child_token());
        let (left, right) = (first.child_token(), first.child_token());
        let leaf = right.child_token();

        let family = [&root, &beside, &top, &first, &second, &left, &right, &leaf];
        let mut waits = family.map(CancellationToken::cancelled);
        for wait in &mut waits {
            assert_eq!(counter.poll(wait), Poll::Pending);
        }
        top.cancel();
        assert_eq!(counter.wakes(), 6);
        assert_eq!(family.map(CancellationToken::is_cancelled), [false, false, true, true, true, true, true, true]);
        for (wait, token) in waits.iter_mut().zip(family) {
            assert_eq!(counter.poll(wait).is_ready(), token.is_cancelled());
        }
        assert_eq!(counter.wakes(), 6);
    }

    /// C7.
    #[test]
    fn children_outlive_their_parent_uncancelled() {
        let parent = CancellationToken::new();
        let (first, second) = (parent.child_token(), parent.child_token());
        drop(parent);
        assert!(!first.is_cancelled() && !second.is_cancelled());
        drop(second);
        assert!(!first.is_cancelled());
        first.cancel();
    }

    #[test]
    fn tokens_and_waits_go_to_other_threads() {
        fn assert_send_and_sync<T: Send + Sync>() {}
        assert_send_and_sync::<CancellationToken>();
        assert_send_and_sync::<WaitForCancellationFuture<'static>>();
    }

    #[test]
    fn equality_and_hash_go_by_identity() {
        fn hash(token: &CancellationToken) -> u64 {
            let mut hasher = DefaultHasher::new();
            token.hash(&mut hasher);
            hasher.finish()
        }
        let (token, other) = (CancellationToken::new(), CancellationToken::new());
        assert_eq!(token, token.clone());
        assert_ne!(token, token.child_token());
        assert_ne!(token, other);
        assert_eq!(hash(&token), hash(&token.clone()));
        assert_ne!(hash(&token), hash(&other));
    }

    /// C14.
    #[test]
    fn a_waker_may_make_children_of_the_root_while_a_child_is_cancelled() {
        let root = CancellationToken::new();
        let child = root.child_token();
        let born = std::sync::Arc::new(std::sync::Mutex::new(None));
        let waker = support::wakers::Hooks::on_wake({
            let (root, born) = (root.clone(), born.clone());
            move || *born.lock().expect("nobody panics") = Some(root.child_token())
        });
        let mut wait = child.cancelled();
        assert_eq!(waker.poll(&mut wait), Poll::Pending);
        child.cancel();
        let born = born.lock().expect("nobody panics").take().expect("the waker has run");
        assert!(!born.is_cancelled());
        root.cancel();
        assert!(born.is_cancelled());
    }
}

mod run_until_cancelled {
    use super::*;

    /// Polled after a cancel that came before its first poll, it would be a failure.
    fn untouchable() -> impl Future<Output = u32> {
        future::poll_fn(|_| unreachable!("polled under a cancelled token"))
    }

    /// `start` makes the future from the token, so that the same is asserted of both forms.
    fn check<F: Future<Output = Option<u32>>>(start: impl Fn(CancellationToken, Inner) -> F) {
        let counter = Counter::new();

        let token = CancellationToken::new();
        let mut run = pin!(start(token.clone(), Box::pin(future::pending())));
        assert_eq!(poll!(run, counter), Poll::Pending);
        token.cancel();
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll!(run, counter), Poll::Ready(None));

        let (send, receive) = tokio::sync::oneshot::channel();
        let mut run =
            pin!(start(CancellationToken::new(), Box::pin(async move { receive.await.expect("it is sent") })));
        assert_eq!(poll!(run, counter), Poll::Pending);
        send.send(42).expect("the receiver lives");
        assert_eq!(poll!(run, counter), Poll::Ready(Some(42)));

        let token = CancellationToken::new();
        let mut run = pin!(start(token.clone(), Box::pin(untouchable())));
        token.cancel();
        assert_eq!(poll!(run, counter), Poll::Ready(None));
    }

    type Inner = std::pin::Pin<Box<dyn Future<Output = u32>>>;

    #[test]
    fn by_reference_it_ends_with_the_future_or_the_token_whichever_is_first() {
        check(|token, future| async move { token.run_until_cancelled(future).await });
    }

    #[test]
    fn owned_it_ends_with_the_future_or_the_token_whichever_is_first() {
        check(CancellationToken::run_until_cancelled_owned);
    }
}

/// `FutureExt`, each test for the borrowing and the owned form.
macro_rules! future_ext {
    ($module:ident, |$token:ident, $future:ident| $adapt:expr) => {
        mod $module {
            use super::*;

            fn adapt<F: Future>($token: &CancellationToken, $future: F) -> impl Future<Output = Option<F::Output>> {
                $adapt
            }

            #[test]
            fn a_ready_future_gives_its_output() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                assert_eq!(poll!(pin!(adapt(&token, future::ready(42))), counter), Poll::Ready(Some(42)));
                assert_eq!((counter.wakes(), counter.kept()), (0, 0));
            }

            #[test]
            fn a_pending_future_is_pending() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                assert_eq!(poll!(pin!(adapt(&token, future::pending::<()>())), counter), Poll::Pending);
                assert_eq!(counter.wakes(), 0);
            }

            #[test]
            fn a_ready_future_under_a_cancelled_token_gives_none() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                token.cancel();
                assert_eq!(poll!(pin!(adapt(&token, future::ready(42))), counter), Poll::Ready(None));
                assert_eq!(counter.wakes(), 0);
            }

            #[test]
            fn a_pending_future_under_a_cancelled_token_gives_none() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                token.cancel();
                assert_eq!(poll!(pin!(adapt(&token, future::pending::<()>())), counter), Poll::Ready(None));
                assert_eq!(counter.wakes(), 0);
            }

            #[test]
            fn a_cancel_wakes_a_pending_future_once_and_gives_none() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                let mut run = pin!(adapt(&token, future::pending::<()>()));
                assert_eq!(poll!(run, counter), Poll::Pending);
                token.cancel();
                assert_eq!(counter.wakes(), 1);
                assert_eq!(poll!(run, counter), Poll::Ready(None));
            }

            #[test]
            fn after_the_first_poll_the_future_comes_before_the_token() {
                let (token, counter) = (CancellationToken::new(), Counter::new());
                let mut polls = 0;
                let second_time = future::poll_fn(|_| {
                    polls += 1;
                    if polls == 1 { Poll::Pending } else { Poll::Ready(polls) }
                });
                let mut run = pin!(adapt(&token, second_time));
                assert_eq!(poll!(run, counter), Poll::Pending);
                token.cancel();
                assert_eq!(counter.wakes(), 1);
                assert_eq!(poll!(run, counter), Poll::Ready(Some(2)));
            }
        }
    };
}

future_ext!(with_cancellation_token, |token, future| future.with_cancellation_token(token));
future_ext!(with_cancellation_token_owned, |token, future| future.with_cancellation_token_owned(token.clone()));
