//! Events: one for each token that is made, and for each that is cancelled by itself, with the reason.
#![cfg(all(feature = "tracing", feature = "std"))]

use cancel_tree::task::TaskTracker;
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancellationToken, StaticCause};
use std::fmt::{Debug, Write};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes a line for each event of this crate; identities as numbers, in the order in which they come.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    text: String,
    tokens: Vec<String>,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "cancel_tree"
    }
    fn event(&self, event: &Event<'_>) {
        let mut lines = self.0.lock().unwrap();
        let level = if *event.metadata().level() == Level::TRACE { "trace" } else { "debug" };
        lines.text.push_str(level);
        event.record(&mut *lines);
        lines.text.push('\n');
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("there are no spans")
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Lines {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut value = format!("{value:?}");
        if matches!(field.name(), "token" | "parent") {
            let known = self.tokens.iter().position(|token| *token == value);
            let number = known.unwrap_or_else(|| {
                self.tokens.push(value);
                self.tokens.len() - 1
            });
            value = number.to_string();
        }
        write!(self.text, " {}={value}", field.name()).unwrap();
    }
}

fn log(f: impl FnOnce()) -> String {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), f);
    log.0.lock().unwrap().text.clone()
}

#[test]
fn births_and_cancels_are_told_with_names_parents_and_reasons() {
    let told = log(|| {
        let server = CancellationToken::named("server");
        let request = server.naming("request").child_token();
        let query = request.child_token();
        assert!(request.cancel_with(std::io::Error::other("hung up")));
        // Neither what is cancelled by that, nor what is cancelled already.
        query.cancel();
        request.cancel();
        let _drop_guard = server.drop_guard();
    });
    assert_eq!(
        told,
        "trace message=made token=0 name=\"server\"\n\
         trace message=made token=1 parent=0 name=\"request\"\n\
         trace message=made token=2 parent=1\n\
         debug message=cancelled token=1 name=\"request\" reason=Cancelled cause=hung up\n\
         debug message=cancelled token=0 name=\"server\" reason=Cancelled\n"
    );
}

#[test]
fn a_deadline_is_told_by_who_fires_it() {
    let told = log(|| {
        let timer = ManualTimer::new();
        let root = CancellationToken::new();
        let request = root.naming("request").child_with_timer(&timer, Duration::from_secs(1));
        let expired = root.child_with_timer(&timer, Duration::ZERO);
        timer.advance(Duration::from_secs(1));
        assert!(request.is_cancelled() && expired.is_cancelled());
    });
    assert_eq!(
        told,
        "trace message=made token=0\n\
         trace message=made token=1 parent=0 name=\"request\"\n\
         trace message=made token=2 parent=0\n\
         debug message=cancelled token=2 reason=DeadlineExceeded\n\
         debug message=cancelled token=1 name=\"request\" reason=DeadlineExceeded\n"
    );
}

#[test]
fn tokens_in_pools_and_linked_ones_are_told_of_too() {
    static POOL: cancel_tree::TokenPool<4> = cancel_tree::TokenPool::new();
    static BUTTON: StaticCause = StaticCause::new(&std::fmt::Error);
    let told = log(|| {
        let token = POOL.try_token().unwrap();
        let child = token.try_child_token().unwrap();
        child.cancel_with(&BUTTON);
        let _linked = CancellationToken::any([&token]);
        token.cancel();
    });
    assert_eq!(
        told,
        format!(
            "trace message=made token=0\n\
             trace message=made token=1 parent=0\n\
             debug message=cancelled token=1 reason=Cancelled cause={}\n\
             trace message=made token=2\n\
             debug message=cancelled token=0 reason=Cancelled\n",
            std::fmt::Error
        )
    );
}

/// Its tokens are made under a lock, where no subscriber may run.
#[test]
fn what_a_tracker_has_for_its_waits_is_not_told() {
    let told = log(|| {
        let tracker = TaskTracker::new();
        let tracked = tracker.token();
        let mut wait = tracker.wait();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
        tracker.close();
        drop(tracked);
        assert!(Pin::new(&mut wait).poll(&mut cx).is_ready());
    });
    assert_eq!(told, "");
}
