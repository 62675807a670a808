//! The adapter: what a token must be able to do to take part.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) trait Token: Clone + Send + Sync + Sized + 'static {
    const NAME: &'static str;
    type Wait<'a>: Future<Output = ()> + Send;

    fn new() -> Self;
    fn child(&self) -> Self;
    fn cancel(&self);
    fn is_cancelled(&self) -> bool;
    fn wait(&self) -> Self::Wait<'_>;
}

/// Ours has the names of tokio-util's, so one adapter fits both.
macro_rules! drop_in {
    ($library:ident, $name:literal) => {
        impl Token for $library::sync::CancellationToken {
            const NAME: &'static str = $name;
            type Wait<'a> = $library::sync::WaitForCancellationFuture<'a>;

            #[inline]
            fn new() -> Self {
                Self::new()
            }
            #[inline]
            fn child(&self) -> Self {
                self.child_token()
            }
            #[inline]
            fn cancel(&self) {
                self.cancel();
            }
            #[inline]
            fn is_cancelled(&self) -> bool {
                self.is_cancelled()
            }
            #[inline]
            fn wait(&self) -> Self::Wait<'_> {
                self.cancelled()
            }
        }
    };
}
drop_in!(cancel_tree, "cancel-tree");
drop_in!(tokio_util, "tokio-util");

/// The name by which ratios are taken.
pub(crate) const REFERENCE: &str = "tokio-util";
/// The name by which targets are judged.
pub(crate) const OURS: &str = "cancel-tree";
pub(crate) const NAMES: [&str; 3] = [OURS, REFERENCE, crate::naive::Naive::NAME];

/// A wait that has been polled once, and stays where it is.
pub(crate) type Waiting<'a, T> = Pin<Box<<T as Token>::Wait<'a>>>;

/// Polled with a waker that does nothing, so that what is measured is the token.
pub(crate) fn poll_once(wait: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    wait.poll(&mut Context::from_waker(std::hint::black_box(Waker::noop())))
}

pub(crate) fn waiting<T: Token>(token: &T) -> Waiting<'_, T> {
    let mut wait = Box::pin(token.wait());
    assert!(poll_once(wait.as_mut()).is_pending(), "the token is not cancelled");
    wait
}

/// That the adapter adapts: a figure of something that does not work would look splendid.
pub(crate) fn check<T: Token>() {
    let root = T::new();
    let middle = root.child();
    let leaf = middle.child();
    let sibling = root.child();
    drop(middle);
    let mut wait = waiting(&leaf);
    let mut second = waiting(&leaf);
    let before = sibling.clone();
    before.cancel();
    assert!(sibling.is_cancelled() && !root.is_cancelled() && !leaf.is_cancelled(), "{}: a sibling's cancel", T::NAME);
    root.cancel();
    assert!(root.is_cancelled() && leaf.is_cancelled(), "{}: cancel goes down", T::NAME);
    assert!(poll_once(wait.as_mut()).is_ready() && poll_once(second.as_mut()).is_ready(), "{}: waiters", T::NAME);
    assert!(root.child().is_cancelled(), "{}: born cancelled", T::NAME);
}
