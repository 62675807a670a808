//! Contexts, and all the ways to look at one.

use cancel_tree::context::Context;
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancelKind, Cancelled};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{self, Waker};
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, PartialEq)]
pub(crate) struct Why(pub(crate) usize);
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reason {}", self.0)
    }
}
impl Error for Why {}

pub(crate) fn why(cancelled: &Cancelled) -> Option<usize> {
    Some(cancelled.cause()?.downcast_ref::<Why>().expect("the only type of cause here").0)
}

/// All the ways to ask whether it is done, which must not disagree. The kind and the cause, if it is.
pub(crate) fn look(ctx: &Context) -> Option<(CancelKind, Option<usize>)> {
    let done = pin!(ctx.done()).poll(&mut task::Context::from_waker(Waker::noop())).is_ready();
    assert_eq!(ctx.is_done(), done);
    assert_eq!(ctx.check().is_err(), done);
    assert_eq!(ctx.cause().is_some(), done);
    let cancelled = ctx.err()?;
    let cause = ctx.cause().expect("it is done");
    assert!(done && cancelled.to_string() == ctx.check().unwrap_err().to_string());
    match why(&cancelled) {
        Some(number) => assert_eq!(cause.downcast_ref(), Some(&Why(number))),
        None => assert!(cause.is::<Cancelled>() && cause.to_string() == cancelled.to_string()),
    }
    Some((cancelled.kind(), why(&cancelled)))
}

pub(crate) const PLAIN: Option<(CancelKind, Option<usize>)> = Some((CancelKind::Cancelled, None));

pub(crate) fn because(number: usize) -> Option<(CancelKind, Option<usize>)> {
    Some((CancelKind::Cancelled, Some(number)))
}

/// One child of each kind.
pub(crate) fn derive(ctx: &Context, timer: &ManualTimer) -> Vec<Context> {
    vec![
        ctx.with_cancel().0,
        ctx.with_timer(timer, HOUR).0,
        ctx.with_timeout(HOUR).0,
        ctx.with_value(1_u8),
        ctx.clone(),
        ctx.child_token().into(),
        ctx.with_timer_cause(timer, HOUR, Why(404)).0.with_value("deeper").with_cancel().0,
    ]
}
