//! The rest of the scenario: small scenes.

use super::tools::{Arrivals, Count, poll_with, promise};
use super::{Executor, HUNG_UP, Local, Place, cause_of, start, until};
use cancel_tree::{CancelKind, Unregister};
use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn a_timeout_fires_though_nobody_polls<E: Executor>(executor: &E, place: Place) {
    let parent = place.root();
    let request = executor.child_with_timeout(&parent, SOON);
    let query = place.child(&request);
    let (promise, called) = promise();
    let registration = query.on_cancel(move || promise.keep(()));
    // Not even the test's own task asks.
    called.await;
    registration.finished().await;
    for token in [&request, &query] {
        assert!(token.reason().expect("the timeout has passed").is_deadline_exceeded());
    }
    assert!(!parent.is_cancelled());
}

pub(super) async fn what_comes_first_decides<E: Executor>(executor: &E, place: Place) {
    let parent = place.root();
    // The timeout, before work that would never end, and before a loop.
    let work = executor.child_with_timeout(&parent, SOON);
    let polls = executor.child_with_timeout(&parent, SOON);
    let worked = start(executor, async move {
        assert_eq!(work.run_until_cancelled(pending::<()>()).await, None);
        work.reason().expect("cancelled").kind()
    });
    let polled = start(executor, async move {
        loop {
            if let Err(why) = polls.check() {
                return why.kind();
            }
            E::give_way().await;
        }
    });
    assert_eq!((worked.await, polled.await), (CancelKind::DeadlineExceeded, CancelKind::DeadlineExceeded));

    // The work, before anything.
    let work = executor.child_with_timeout(&parent, HOUR);
    let worked = start(executor, async move {
        let answer = work.run_until_cancelled(async {
            for _ in 0..3 {
                E::give_way().await;
            }
            42
        });
        (answer.await, work.is_cancelled())
    });
    assert_eq!(worked.await, (Some(42), false));

    // The parent, before the timeout.
    let (work, begun) = (executor.child_with_timeout(&parent, HOUR), Arrivals::of(1));
    let arrivals = begun.clone();
    let worked = start(executor, async move {
        arrivals.begin(work.cancelled()).await;
        (work.reason().expect("cancelled").kind(), cause_of(&work))
    });
    begun.all().await;
    parent.cancel_with(&HUNG_UP);
    assert_eq!(worked.await, (CancelKind::Cancelled, Some("the client hung up".into())));
}

pub(super) async fn linked_tokens<E: Executor>(executor: &E, place: Place) {
    let (server, client) = (place.root(), place.root());
    let request = place.any(&[&server, &client]);
    let begun = Arrivals::of(2);
    let told = [place.child(&request), request.clone()].map(|token| {
        let arrivals = begun.clone();
        start(executor, async move {
            arrivals.begin(token.cancelled()).await;
            cause_of(&token)
        })
    });
    begun.all().await;
    let by = client.clone();
    start(executor, async move {
        by.cancel_with(&HUNG_UP);
    })
    .await;
    assert!(request.is_cancelled(), "the first cancel of a source has come through when it returns");
    for told in told {
        assert_eq!(told.await.as_deref(), Some("the client hung up"));
    }
    assert!(!server.is_cancelled(), "sources are not linked to each other");
    assert!(place.any(&[&server, &client]).is_cancelled(), "born so");
}

pub(super) async fn futures_that_are_dropped_midway<E: Executor>(executor: &E, place: Place) {
    // One that was polled and dropped is not woken.
    let token = place.root();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut stays = token.cancelled();
    assert!(poll_with(&mut stays, &waker).is_pending());
    let mut goes = token.cancelled();
    assert!(poll_with(&mut goes, &waker).is_pending());
    drop(goes);
    token.cancel();
    assert_eq!(count.wakes(), 1, "the one that stays");
    assert_eq!(poll_with(&mut stays, &waker), Poll::Ready(()));

    // A wait within work that is given up, in tasks: it is dropped by the executor's thread.
    let (outer, inner, begun) = (place.root(), place.root(), Arrivals::of(8));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (outer, inner, arrivals) = (place.child(&outer), inner.clone(), begun.clone());
            start(executor, async move { outer.run_until_cancelled(arrivals.begin(inner.cancelled_owned())).await })
        })
        .collect();
    begun.all().await;
    let by = outer.clone();
    executor.elsewhere(move || by.cancel());
    for task in tasks {
        assert_eq!(task.await, None);
    }
    assert!(outer.is_cancelled() && !inner.is_cancelled());
    // What they left in the other token does not stand in anybody's way.
    let (arrivals, waits) = (Arrivals::of(1), inner.clone());
    let begun = arrivals.clone();
    let task = start(executor, async move { begun.begin(waits.cancelled()).await });
    arrivals.all().await;
    inner.cancel();
    task.await;
}

pub(super) async fn a_crowd_on_one_token<E: Executor>(executor: &E, place: Place) {
    const CROWD: usize = 40;
    let (token, leave) = (place.root(), place.root());
    let begun = Arrivals::of(CROWD);
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            let (token, leave, arrivals) = (token.clone(), leave.clone(), begun.clone());
            start(executor, async move {
                let wait = arrivals.begin(async {
                    token.cancelled().await;
                    number
                });
                // Half of them leave before.
                if number % 2 == 0 { leave.run_until_cancelled(wait).await } else { Some(wait.await) }
            })
        })
        .collect();
    begun.all().await;
    leave.cancel();
    let (left, stayed): (Vec<_>, Vec<_>) = crowd.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
    for (_, task) in left {
        assert_eq!(task.await, None);
    }
    assert!(stayed.iter().all(|(_, task)| task.is_open()));
    let by = token.clone();
    executor.elsewhere(move || by.cancel());
    for (number, task) in stayed {
        assert_eq!(task.await, Some(number));
    }
}

pub(super) async fn guards_and_callbacks<E: Executor>(executor: &E, place: Place) {
    // A task's end is that of all it has begun.
    let connection = place.root();
    let (request, of_request) = (place.child(&connection), place.child(&connection));
    let begun = Arrivals::of(1);
    let (arrivals, below) = (begun.clone(), place.child(&request));
    let child = start(executor, async move { arrivals.begin(below.cancelled()).await });
    begun.all().await;
    executor.spawn(async move {
        let _guard = request.drop_guard();
        E::give_way().await;
    });
    child.await;
    assert!(!connection.is_cancelled() && !of_request.is_cancelled());

    // A callback that is taken back never runs, and goes at once, with all that it holds.
    let held = Arc::new(AtomicUsize::new(0));
    let hold = held.clone();
    let registration = connection.on_cancel(move || {
        hold.fetch_add(1, SeqCst);
    });
    assert_eq!(registration.unregister(), Unregister::Prevented);
    assert_eq!(Arc::strong_count(&held), 1);

    // One that stays runs once, of however many cancels, and before the cancel that decided returns.
    let count = held.clone();
    let registration = connection.on_cancel(move || {
        count.fetch_add(1, SeqCst);
    });
    let others: Vec<_> = (0..4)
        .map(|_| {
            let token = connection.clone();
            start(executor, async move { token.cancel_with(&HUNG_UP) })
        })
        .collect();
    let mut decided = 0;
    for other in others {
        decided += usize::from(other.await);
    }
    registration.finished().await;
    assert_eq!((decided, held.load(SeqCst)), (1, 1));
    assert_eq!(registration.unregister(), Unregister::Done);
}

/// Cancelled from the thread that runs them: not before the task that cancels gives way is another polled.
pub(super) async fn tasks_that_share_an_rc<E: Local>(executor: &E, place: Place) {
    let (parent, log) = (place.root(), Rc::new(RefCell::new(Vec::new())));
    for number in 0..6 {
        let (token, log) = (place.child(&parent), log.clone());
        executor.spawn_local(async move {
            log.borrow_mut().push(format!("begins {number}"));
            match number % 3 {
                0 => token.cancelled().await,
                1 => assert_eq!(token.run_until_cancelled(pending::<()>()).await, None),
                _ => {
                    while token.check().is_ok() {
                        E::give_way().await;
                    }
                }
            }
            log.borrow_mut().push(format!("ends {number}"));
        });
    }
    let shared = log.clone();
    until::<E>(move || shared.borrow().len() == 6).await;
    for _ in 0..3 {
        E::give_way().await;
    }
    let (token, entries) = (parent.clone(), log.clone());
    executor.spawn_local(async move {
        entries.borrow_mut().push("cancels".into());
        token.cancel();
        entries.borrow_mut().push("has cancelled".into());
    });
    let shared = log.clone();
    until::<E>(move || shared.borrow().len() == 14).await;
    {
        let log = log.borrow();
        let (begin, rest) = log.split_at(6);
        assert!(begin.iter().all(|entry| entry.starts_with("begins")));
        assert_eq!(rest[..2], ["cancels", "has cancelled"]);
        assert!(rest[2..].iter().all(|entry| entry.starts_with("ends")));
    }
    // The tasks are gone, with what they shared.
    until::<E>(move || Rc::strong_count(&log) == 1).await;
}
