//! What Go's package `context` promises, and its tests pin: values, detaching, callbacks, and what it all costs.

mod support;

use cancel_tree::context::Context;
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancellationToken, Unregister};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use support::contexts::{HOUR, PLAIN, Why, because, look, why};
use support::nodes::live;
use support::wakers::Counter;
use support::{PATIENCE, measure, on_a_small_stack, settles};

/// C23.
#[test]
fn without_cancel_keeps_the_values_and_nothing_else() {
    settles(|| {
        let (parent, canceller) = Context::background().with_value(5_u8).with_timeout(HOUR);
        let detached = parent.with_value("inner").without_cancel();
        assert!(parent.deadline().is_some());
        assert_eq!((detached.value::<u8>(), detached.value::<&str>()), (Some(&5), Some(&"inner")));
        let (child, of_child) = detached.with_cancel();
        let counter = Counter::new();
        let mut wait = detached.done();
        assert!(counter.poll(&mut wait).is_pending());
        assert!(canceller.cancel_with(Why(1)));
        assert_eq!((look(&detached), look(&child), detached.deadline(), child.deadline()), (None, None, None, None));
        assert!(counter.poll(&mut wait).is_pending() && counter.wakes() == 0);
        assert!(of_child.cancel_with(Why(2)));
        assert_eq!((look(&child), look(&detached)), (because(2), None));
        // Of a context that is done, too.
        let late = parent.without_cancel();
        assert_eq!((look(&late), late.value::<u8>()), (None, Some(&5)));
        assert_eq!(look(&late.with_cancel().0), None);
    });
}

#[test]
fn a_callback_runs_once_after_the_cancel_or_never_if_it_was_stopped() {
    settles(|| {
        let (ctx, canceller) = Context::background().with_cancel();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = || {
            let runs = runs.clone();
            move || {
                runs.fetch_add(1, Relaxed);
            }
        };
        assert_eq!(ctx.after_func(count()).unregister(), Unregister::Prevented);
        let kept = ctx.with_value(()).after_func(count());
        let below = ctx.with_cancel().0.after_func(count());
        assert_eq!(runs.load(Relaxed), 0);
        canceller.cancel();
        assert_eq!(runs.load(Relaxed), 2);
        assert_eq!((kept.unregister(), below.unregister()), (Unregister::Done, Unregister::Done));
        assert_eq!(ctx.after_func(count()).unregister(), Unregister::Done);
        assert_eq!(runs.load(Relaxed), 3);
        // The background's never runs.
        assert_eq!(Context::background().after_func(count()).unregister(), Unregister::Prevented);
        Context::background().after_func(count()).detach();
        assert_eq!((runs.load(Relaxed), Arc::strong_count(&runs)), (3, 1));
    });
}

/// Only the call that runs a callback is held up by it: not another cancel, not a stop, and not the work that it started.
#[test]
fn nobody_else_waits_for_a_callback() {
    settles(|| {
        let (ctx, canceller) = Context::background().with_cancel();
        let ((entered, has_entered), (open, opened)) = (mpsc::channel(), mpsc::channel::<()>());
        let worked = Arc::new(AtomicBool::new(false));
        let callback = ctx.after_func({
            let worked = worked.clone();
            move || {
                entered.send(()).expect("the test listens");
                let worker = thread::spawn(move || opened.recv_timeout(PATIENCE).expect("the test goes on"));
                worker.join().expect("it was told in time");
                worked.store(true, Relaxed);
            }
        });
        thread::scope(|scope| {
            scope.spawn(|| canceller.cancel());
            has_entered.recv_timeout(PATIENCE).expect("the callback is run");
            canceller.cancel();
            assert_eq!(look(&ctx.with_cancel().0), PLAIN);
            assert_eq!(callback.unregister(), Unregister::Running);
            assert!(!worked.load(Relaxed));
            open.send(()).expect("the worker listens");
        });
        assert!(worked.load(Relaxed));
    });
}

/// C7. In Go, this is what leaks.
#[test]
fn a_canceller_that_is_dropped_cancels_nothing_and_a_guard_does() {
    settles(|| {
        let before = live();
        let (ctx, canceller) = Context::background().with_cancel();
        drop(canceller.clone());
        assert_eq!(look(&ctx), None);
        assert_eq!(canceller.token().is_cancelled(), ctx.is_done());
        drop(canceller.drop_guard());
        assert_eq!(look(&ctx), PLAIN);
        let top = Context::from(CancellationToken::new());
        for _ in 0..10_000 {
            drop(top.with_cancel().0);
        }
        assert_eq!(live() - before, 2);
    });
}

#[test]
fn a_token_from_a_context_follows_it_and_does_not_lead() {
    settles(|| {
        let token = CancellationToken::new();
        let ctx = Context::from(token.clone());
        let child = ctx.child_token();
        child.cancel();
        assert_eq!((child.is_cancelled(), look(&ctx), token.is_cancelled()), (true, None, false));
        let child = ctx.child_token();
        token.cancel_with(Why(1));
        assert_eq!((why(&child.reason().unwrap()), look(&ctx)), (Some(1), because(1)));
        assert!(!Context::background().child_token().is_cancelled());
    });
}

/// C23.
#[test]
fn values_live_beside_the_tree() {
    settles(|| {
        let (ctx, _canceller) = Context::background().with_cancel();
        let nodes = live();
        let (with, account) = measure(|| ctx.with_value(1_u32));
        assert_eq!((live(), account.calls), (nodes, 1));
        let nearer = with.with_value(2_u32).with_value("x");
        assert_eq!((nearer.value(), with.value(), ctx.value::<u32>()), (Some(&2_u32), Some(&1_u32), None));
        assert_eq!((nearer.value::<&str>(), nearer.value::<u64>()), (Some(&"x"), None));
        let counted = Arc::new(());
        let (first, second) = (nearer.with_value(counted.clone()), nearer.with_value(counted.clone()));
        let deeper = first.with_cancel().0;
        drop((first, second));
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(deeper);
        assert_eq!(Arc::strong_count(&counted), 1);
    });
}

/// C9.
#[test]
fn a_million_values_are_dropped_on_a_small_stack_also_by_two_threads_at_once() {
    const VALUES: usize = if cfg!(miri) { 1000 } else { 1_000_000 };
    settles(|| {
        let counted = Arc::new(());
        let mut ctx = Context::background();
        let mut shared = Vec::new();
        for number in 0..VALUES {
            ctx = ctx.with_value(counted.clone());
            if number % 3 == 0 {
                shared.push(ctx.clone());
            }
        }
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                shared.into_iter().for_each(drop);
            });
            start.wait();
            on_a_small_stack(move || drop(ctx));
        });
        assert_eq!(Arc::strong_count(&counted), 1);
    });
}

#[test]
fn contexts_go_to_any_thread() {
    fn is<T: Send + Sync + Clone + 'static>(_: &T) {}
    settles(|| {
        let (ctx, canceller) = Context::background().with_value(1_u8).with_cancel();
        is(&ctx);
        is(&canceller);
        is(&ctx.cause());
        thread::spawn(move || canceller.cancel()).join().expect("it does not panic");
        assert_eq!((look(&ctx), ctx.value::<u8>()), (PLAIN, Some(&1)));
    });
}

/// Go 1.19 allocates twice for a child that is created and cancelled, and four times for a timeout.
#[test]
fn no_operation_allocates_more_than_it_says() {
    settles(|| {
        let timer = ManualTimer::new();
        let (parent, _parent) = Context::background().with_cancel();
        // The timer keeps what it needs to keep several.
        drop([parent.with_timer(&timer, HOUR), parent.with_timer(&timer, HOUR)]);
        let calls = |f: &mut dyn FnMut()| measure(f).1.calls;
        let mut made = None;
        assert_eq!(calls(&mut || made = Some(parent.with_cancel())), 1);
        let (child, canceller) = made.take().expect("just made");
        assert_eq!(calls(&mut || canceller.cancel()), 0);
        assert_eq!(calls(&mut || drop((child.err(), child.check(), child.cause()))), 0);
        assert_eq!(calls(&mut || drop(child.without_cancel())), 0);

        assert!(calls(&mut || made = Some(parent.with_timer(&timer, HOUR))) <= 2);
        drop(parent.with_timeout(HOUR));
        assert!(calls(&mut || drop(parent.with_timeout(HOUR))) <= 4, "twice allocated, and at most that freed");
        let (_timed, canceller) = made.take().expect("just made");
        assert_eq!(calls(&mut || canceller.cancel()), 0);
        let calls_above_nobody = calls(&mut || made = Some(Context::background().with_timer(&timer, HOUR)));
        assert!(calls_above_nobody <= 4, "three allocations; what was above it, and nobody has, is freed");

        assert_eq!(calls(&mut || drop((Context::background(), Context::default()))), 0);
        assert_eq!(calls(&mut || drop((parent.clone(), parent.without_cancel()))), 0);
        let mut valued = None;
        assert_eq!(calls(&mut || valued = Some(parent.with_value([0_u64; 32]))), 1);
        assert_eq!(calls(&mut || assert!(valued.as_ref().is_some_and(|ctx| ctx.value::<u8>().is_none()))), 0);
        let mut stop = None;
        assert_eq!(calls(&mut || stop = Some(parent.after_func(|| {}))), 1);
        assert_eq!(calls(&mut || stop = None), 1);
        assert_eq!(calls(&mut || assert_eq!(look(&parent), None)), 0);
    });
}
