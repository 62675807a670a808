//! What the compiler derives for the public types, and what it must not: each negative fact has a positive twin.

use cancel_tree::future::{FutureExt, RunUntilCancelledFuture, RunUntilCancelledFutureOwned};
use cancel_tree::snapshot::{Dot, Listing, TokenSnapshot, TreeSnapshot};
use cancel_tree::{
    CancelKind, CancellationToken, Cancelled, Cause, DropGuard, DropGuardRef, Finished, NamedChild, Registration,
    StaticCause, Unregister, WaitForCancellationFuture, WaitForCancellationFutureOwned,
};
use static_assertions::{assert_impl_all, assert_not_impl_any, assert_obj_safe, assert_type_eq_all};
use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::future::{Future, Pending};
use std::hash::Hash;
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::MutexGuard;

assert_impl_all!(CancellationToken: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Default, Debug, Eq, Hash);
// `Ord` would say something about addresses.
assert_not_impl_any!(CancellationToken: Copy, PartialOrd, Future);

assert_impl_all!(DropGuard: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(DropGuardRef<'static>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
// A clone of a guard would cancel while the other one still guards.
assert_not_impl_any!(DropGuard: Clone, Default);
assert_not_impl_any!(DropGuardRef<'static>: Clone, Copy);

assert_impl_all!(WaitForCancellationFuture<'static>: Future<Output = ()>, Send, Sync, Unpin, Debug);
assert_impl_all!(WaitForCancellationFutureOwned: Future<Output = ()>, Send, Sync, Unpin, Debug);
assert_impl_all!(WaitForCancellationFuture<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(WaitForCancellationFutureOwned: UnwindSafe, RefUnwindSafe);
// A registration has one owner.
assert_not_impl_any!(WaitForCancellationFuture<'static>: Clone);
assert_not_impl_any!(WaitForCancellationFutureOwned: Clone);

type Race<F> = RunUntilCancelledFuture<'static, F>;
type RaceOwned<F> = RunUntilCancelledFutureOwned<F>;

assert_impl_all!(Race<Pending<u8>>: Future<Output = Option<u8>>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(RaceOwned<Pending<u8>>: Future<Output = Option<u8>>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(RaceOwned<Pending<u8>>: Debug);
// The adapters are what the future in them is.
assert_not_impl_any!(Race<Rc<()>>: Send, Sync);
assert_not_impl_any!(RaceOwned<Rc<()>>: Send, Sync);
assert_impl_all!(Race<MutexGuard<'static, ()>>: Sync);
assert_impl_all!(RaceOwned<MutexGuard<'static, ()>>: Sync);
assert_not_impl_any!(Race<MutexGuard<'static, ()>>: Send);
assert_not_impl_any!(RaceOwned<MutexGuard<'static, ()>>: Send);
assert_impl_all!(Race<Cell<()>>: Send);
assert_impl_all!(RaceOwned<Cell<()>>: Send);
assert_not_impl_any!(Race<Cell<()>>: Sync, RefUnwindSafe);
assert_not_impl_any!(RaceOwned<Cell<()>>: Sync, RefUnwindSafe);
assert_not_impl_any!(Race<PhantomPinned>: Unpin);
assert_not_impl_any!(RaceOwned<PhantomPinned>: Unpin);
assert_not_impl_any!(Race<&'static mut ()>: UnwindSafe);
assert_not_impl_any!(RaceOwned<&'static mut ()>: UnwindSafe);

assert_impl_all!(Cancelled: std::error::Error, Send, Sync, Unpin, Clone);
assert_impl_all!(CancelKind: Send, Sync, Copy, Eq, Hash, Debug, Display);
assert_impl_all!(Cause: Send, Sync, Debug, From<std::io::Error>, From<&'static StaticCause>, From<Cancelled>);
// It would be in the way of `From<E: Error>`.
assert_not_impl_any!(Cause: std::error::Error);
assert_impl_all!(StaticCause: Send, Sync, Debug);
assert_impl_all!(Registration: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(Finished: Future<Output = ()>, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(Unregister: Send, Sync, Copy, Eq, Hash, Debug);
// One callback, one owner.
assert_not_impl_any!(Registration: Clone, Default);

assert_impl_all!(NamedChild<'static>: Send, Sync, Unpin, Debug);
// A name is for one child.
assert_not_impl_any!(NamedChild<'static>: Clone);
assert_impl_all!(TreeSnapshot: Send, Sync, Unpin, Clone, Debug, Display);
assert_impl_all!(TokenSnapshot: Send, Sync, Unpin, Clone, Debug);
assert_impl_all!(Dot<'static>: Send, Sync, Copy, Debug, Display);
assert_impl_all!(Listing: Send, Sync, Copy, Eq, Hash, Debug);

#[cfg(feature = "std")]
mod with_std {
    use super::*;
    use cancel_tree::CancelWhen;
    use cancel_tree::context::{Canceller, Context};
    use cancel_tree::time::{Alarm, ManualTimer, ThreadTimer, Timer};

    assert_impl_all!(Alarm: Send, Sync, Debug);
    // It fires once, for one token.
    assert_not_impl_any!(Alarm: Clone);
    assert_impl_all!(ThreadTimer: Timer, Copy, Default);
    assert_impl_all!(ManualTimer: Timer, Clone);
    assert_impl_all!(Context: Send, Sync, Clone, Default, Debug, From<CancellationToken>);
    assert_impl_all!(Canceller: Send, Sync, Clone, Debug);
    // Who is handed a context cannot cancel its caller.
    assert_not_impl_any!(Context: Into<CancellationToken>, AsRef<CancellationToken>, std::ops::Deref);
    assert_impl_all!(CancelWhen: Send, Debug);
    assert_not_impl_any!(CancelWhen: Clone);
}

/// Beside those of tokio-util: whatever they are there, they are here. Its wait is not `Unpin`, ours is.
#[cfg(feature = "task")]
mod trackers {
    use super::*;
    use cancel_tree::task::task_tracker::{TaskTrackerToken, TaskTrackerWaitFuture, TrackedFuture};
    use cancel_tree::task::{Report, Shutdown, Stage, StageReport, TaskTracker};
    use tokio_util::task::task_tracker as theirs;

    macro_rules! both {
        ($ours:ty, $theirs:ty: $($traits:tt)*) => {
            assert_impl_all!($ours: $($traits)*);
            assert_impl_all!($theirs: $($traits)*);
        };
    }
    macro_rules! neither {
        ($ours:ty, $theirs:ty: $($traits:tt)*) => {
            assert_not_impl_any!($ours: $($traits)*);
            assert_not_impl_any!($theirs: $($traits)*);
        };
    }

    both!(TaskTracker, theirs::TaskTracker: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Default, Debug);
    neither!(TaskTracker, theirs::TaskTracker: Copy, PartialEq);
    both!(TaskTrackerToken, theirs::TaskTrackerToken: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Debug);
    neither!(TaskTrackerToken, theirs::TaskTrackerToken: Copy, Default);
    type Wait = TaskTrackerWaitFuture<'static>;
    type TheirWait = theirs::TaskTrackerWaitFuture<'static>;
    both!(Wait, TheirWait: Future<Output = ()>, Send, Sync, Debug);
    assert_impl_all!(Wait: Unpin, UnwindSafe, RefUnwindSafe);
    assert_not_impl_any!(TheirWait: Unpin);
    neither!(Wait, TheirWait: Clone);

    type Tracked<F> = TrackedFuture<F>;
    type TheirTracked<F> = theirs::TrackedFuture<F>;
    both!(Tracked<Pending<u8>>, TheirTracked<Pending<u8>>: Future<Output = u8>, Send, Sync, Unpin, Debug);
    neither!(Tracked<Pending<u8>>, TheirTracked<Pending<u8>>: Clone);
    neither!(Tracked<Rc<()>>, TheirTracked<Rc<()>>: Send, Sync, Future);
    both!(Tracked<MutexGuard<'static, ()>>, TheirTracked<MutexGuard<'static, ()>>: Sync);
    neither!(Tracked<MutexGuard<'static, ()>>, TheirTracked<MutexGuard<'static, ()>>: Send);
    both!(Tracked<Cell<()>>, TheirTracked<Cell<()>>: Send);
    neither!(Tracked<Cell<()>>, TheirTracked<Cell<()>>: Sync);
    neither!(Tracked<PhantomPinned>, TheirTracked<PhantomPinned>: Unpin);

    assert_type_eq_all!(TaskTracker, cancel_tree::task::task_tracker::TaskTracker);
    assert_impl_all!(Stage: Send, Sync, Unpin, Debug);
    assert_impl_all!(Shutdown: Send, Sync, Unpin, Debug, Default);
    assert_impl_all!(Report: Send, Sync, Unpin, Clone, Eq, Debug, std::fmt::Display);
    assert_impl_all!(StageReport: Send, Sync, Unpin, Clone, Eq, Debug, std::fmt::Display);
}

// One name under both paths.
assert_type_eq_all!(CancellationToken, cancel_tree::sync::CancellationToken);
assert_type_eq_all!(DropGuard, cancel_tree::sync::DropGuard);
assert_type_eq_all!(DropGuardRef<'static>, cancel_tree::sync::DropGuardRef<'static>);
assert_type_eq_all!(WaitForCancellationFuture<'static>, cancel_tree::sync::WaitForCancellationFuture<'static>);
assert_type_eq_all!(WaitForCancellationFutureOwned, cancel_tree::sync::WaitForCancellationFutureOwned);

// Also futures behind a pointer have the adapters.
assert_obj_safe!(FutureExt<Output = ()>);
assert_impl_all!(dyn Future<Output = ()>: FutureExt);
assert_impl_all!(Pending<()>: FutureExt);
assert_not_impl_any!((): FutureExt);

/// The facts above hold if this file compiles; what a function returns is said here.
#[test]
fn tokens_and_their_futures_may_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let token = assert_send(CancellationToken::new());
    let run = assert_send(token.run_until_cancelled(async { 1 }));
    drop(run);
    drop(assert_send(token.clone().run_until_cancelled_owned(async { 1 })));
    drop(assert_send(async { 1 }.with_cancellation_token(&token)));
    drop(assert_send(async { 1 }.with_cancellation_token_owned(token.clone())));
    let other = token.clone();
    std::thread::spawn(move || other.cancel()).join().expect("cancel does not panic");
    assert!(token.is_cancelled());
}
