//! Callbacks: what `on_cancel` and its registration promise (C14, C17, C18). Panics are in `callbacks_panicking.rs`, large
//! numbers and races in `callbacks_many.rs`.

mod support;

use cancel_tree::{CancellationToken, Registration, Unregister};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use support::callbacks::{DROPPED, KEPT, RUN, Watch, panic_of, panics};
use support::nodes::live;
use support::wakers::Counter;
use support::{Account, PATIENCE, balanced, measure, settles};

/// C17.
#[test]
fn a_callback_runs_once_on_the_thread_that_cancels_when_all_below_is_marked() {
    settles(|| {
        let root = CancellationToken::new();
        let token = root.child_token();
        let below: Vec<_> = (0..3).map(|_| token.child_token().child_token()).collect();
        let ran = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
        let register = |on: &CancellationToken| {
            let (ran, below) = (ran.clone(), below.clone());
            on.on_cancel(move || {
                assert!(below.iter().all(CancellationToken::is_cancelled));
                ran.lock().unwrap().push(thread::current().id());
            })
        };
        let registrations = [register(&token), register(&token), register(&below[0])];
        assert!(ran.lock().unwrap().is_empty());
        let canceller = thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                root.cancel();
                root.cancel();
                thread::current().id()
            });
            canceller.join().expect("it does not panic")
        });
        token.cancel();
        assert_eq!(*ran.lock().unwrap(), [canceller; 3]);
        assert!(registrations.into_iter().all(|registration| registration.unregister() == Unregister::Done));
        assert_eq!(ran.lock().unwrap().len(), 3);
    });
}

/// C17.
#[test]
fn on_a_cancelled_token_a_callback_runs_at_once_or_comes_back() {
    balanced(|| {
        let token = CancellationToken::new();
        token.cancel();
        for token in [&token, &token.child_token()] {
            let (watch, given_back) = (Watch::new(), Watch::new());
            let registration = token.on_cancel(watch.callback());
            assert_eq!(watch.so_far(), RUN);
            assert_eq!(registration.unregister(), Unregister::Done);
            let f = token.try_on_cancel(given_back.callback()).expect_err("it is cancelled");
            assert_eq!(given_back.so_far(), KEPT);
            f();
            assert_eq!((given_back.so_far(), watch.so_far()), (RUN, RUN));
            token.on_cancel(given_back.callback()).detach();
            assert_eq!(given_back.so_far(), (2, 2));
        }
    });
}

/// C18: every way to the end; the callback is dropped once, and as soon as it can be.
#[test]
fn a_callback_is_dropped_once_whatever_becomes_of_it() {
    balanced(|| {
        let watch = Watch::new();
        let token = CancellationToken::new();
        assert_eq!(token.on_cancel(watch.callback()).unregister(), Unregister::Prevented);
        assert_eq!(watch.so_far(), DROPPED);

        let watch = Watch::new();
        drop(token.on_cancel(watch.callback()));
        assert_eq!(watch.so_far(), DROPPED);

        // The registration is a handle, too: the token lives as long.
        let (parent, watch) = (CancellationToken::new(), Watch::new());
        let registration = parent.child_token().on_cancel(watch.callback());
        assert_eq!(watch.so_far(), KEPT);
        parent.cancel();
        assert_eq!((watch.so_far(), registration.unregister()), (RUN, Unregister::Done));

        // Detached: it goes with the token.
        let watch = Watch::new();
        token.on_cancel(watch.callback()).detach();
        assert_eq!(watch.so_far(), KEPT);
        drop(token);
        assert_eq!(watch.so_far(), DROPPED);

        // It stays while there is anybody below the token, and goes with the last.
        let (token, watch) = (CancellationToken::new(), Watch::new());
        token.on_cancel(watch.callback()).detach();
        let below = (token.child_token(), token.child_token().child_token());
        drop(token);
        drop(below.0);
        assert_eq!(watch.so_far(), KEPT);
        drop(below.1);
        assert_eq!(watch.so_far(), DROPPED);

        // What an ancestor says reaches it though the token has no handle.
        let (root, watch) = (CancellationToken::new(), Watch::new());
        let token = root.child_token();
        token.on_cancel(watch.callback()).detach();
        let below = token.child_token();
        drop(token);
        root.cancel();
        assert_eq!((watch.so_far(), below.is_cancelled()), (RUN, true));

        let (token, watch) = (CancellationToken::new(), Watch::new());
        token.on_cancel(watch.callback()).detach();
        token.cancel();
        drop(token);
        assert_eq!(watch.so_far(), RUN);

        // A callback that does not get to its end.
        let (token, watch) = (CancellationToken::new(), Watch::new());
        let registration = token.on_cancel({
            let f = watch.callback();
            move || {
                f();
                panics("in the callback")();
            }
        });
        assert_eq!(panic_of(|| token.cancel()), Some("in the callback"));
        assert_eq!((watch.so_far(), registration.unregister()), (RUN, Unregister::Done));
    });
}

/// C18: in its own.
#[test]
fn a_callback_that_unregisters_itself_is_told_that_it_is_running() {
    balanced(|| {
        let token = CancellationToken::new();
        let mine = Arc::new(Mutex::new(None::<Registration>));
        let (told, tell) = (Arc::new(Mutex::new(None)), Watch::new());
        *mine.lock().unwrap() = Some(token.on_cancel({
            let (mine, told, f) = (mine.clone(), told.clone(), tell.callback());
            move || {
                let registration = mine.lock().unwrap().take().expect("nobody else takes it");
                *told.lock().unwrap() = Some(registration.unregister());
                f();
            }
        }));
        token.cancel();
        assert_eq!((*told.lock().unwrap(), tell.so_far()), (Some(Unregister::Running), RUN));
    });
}

/// C18: in another's. They are given each other's registration, so that whichever is first prevents the other.
#[test]
fn a_callback_that_unregisters_another_before_its_turn_prevents_it() {
    balanced(|| {
        for apart in [false, true] {
            let root = CancellationToken::new();
            let tokens = [root.clone(), if apart { root.child_token() } else { root.clone() }];
            let slots: [Arc<Mutex<Option<Registration>>>; 2] = Default::default();
            let (watches, told) = ([Watch::new(), Watch::new()], Arc::new(Mutex::new(Vec::new())));
            for me in 0..2 {
                let (other, told, f) = (slots[1 - me].clone(), told.clone(), watches[me].callback());
                *slots[me].lock().unwrap() = Some(tokens[me].on_cancel(move || {
                    let other = other.lock().unwrap().take().expect("the other one has not run");
                    told.lock().unwrap().push(other.unregister());
                    f();
                }));
            }
            root.cancel();
            assert_eq!(*told.lock().unwrap(), [Unregister::Prevented]);
            let mut so_far = watches.map(|watch| watch.so_far());
            so_far.sort_unstable();
            assert_eq!(so_far, [DROPPED, RUN]);
            // The slot of the one that ran still has its registration.
            drop(slots);
        }
    });
}

/// C18: from another thread, which does not wait; `finished` does.
#[test]
fn who_unregisters_a_running_callback_may_wait_for_its_end() {
    settles(|| {
        let (token, watch, counter) = (CancellationToken::new(), Watch::new(), Counter::new());
        let ((entered, has_entered), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        let registration = token.on_cancel({
            let f = watch.callback();
            move || {
                entered.send(()).expect("the test listens");
                may_go.recv_timeout(PATIENCE).expect("the test goes on");
                f();
            }
        });
        let mut finished = registration.finished();
        thread::scope(|scope| {
            scope.spawn(|| token.cancel());
            has_entered.recv_timeout(PATIENCE).expect("the callback is run");
            let mut late = registration.finished();
            assert_eq!(registration.unregister(), Unregister::Running);
            assert!(counter.poll(&mut finished).is_pending() && counter.poll(&mut late).is_pending());
            go.send(()).expect("the callback listens");
            futures_lite::future::block_on(late);
            assert_eq!(watch.so_far(), RUN);
        });
        assert!(counter.wakes() >= 1 && counter.poll(&mut finished).is_ready());
        assert!(counter.poll(&mut finished).is_ready());
    });
}

#[test]
fn finished_is_ready_when_a_callback_has_run_or_never_will() {
    balanced(|| {
        /// How each of them ends; whether that runs the callback.
        type End = (bool, fn(CancellationToken, Registration));
        let ends: [End; 5] = [
            (false, |_token, registration| drop(registration)),
            (false, |_token, registration| assert_eq!(registration.unregister(), Unregister::Prevented)),
            (true, |token, _registration| token.cancel()),
            (true, |token, registration| {
                registration.detach();
                token.cancel();
            }),
            (true, |token, registration| {
                token.cancel();
                registration.detach();
            }),
        ];
        for (number, (runs, end)) in ends.into_iter().enumerate() {
            let (token, watch, counters) = (CancellationToken::new(), Watch::new(), Counter::many(2));
            let registration = token.on_cancel(watch.callback());
            let mut finished = [registration.finished(), registration.finished()];
            let never_polled = registration.finished();
            for (finished, counter) in finished.iter_mut().zip(&counters) {
                assert!(counter.poll(finished).is_pending());
            }
            end(token, registration);
            assert_eq!(watch.so_far(), if runs { RUN } else { DROPPED }, "end {number}");
            for (finished, counter) in finished.iter_mut().zip(&counters) {
                assert_eq!(counter.wakes(), 1, "end {number}");
                assert!(counter.poll(finished).is_ready() && counter.poll(finished).is_ready());
            }
            futures_lite::future::block_on(never_polled);
        }
        let token = CancellationToken::new();
        token.cancel();
        let (registration, counter) = (token.on_cancel(|| {}), Counter::new());
        assert!(counter.poll(&mut registration.finished()).is_ready());
    });
}

/// "Will never run": that is so, too, when it went with its token.
#[test]
fn finished_is_ready_when_a_detached_callback_went_with_its_token() {
    balanced(|| {
        for below in [false, true] {
            let (token, watch, counter) = (CancellationToken::new(), Watch::new(), Counter::new());
            let child = below.then(|| token.child_token());
            let registration = token.on_cancel(watch.callback());
            let mut finished = registration.finished();
            assert!(counter.poll(&mut finished).is_pending());
            registration.detach();
            drop(token);
            assert_eq!((watch.so_far(), counter.wakes()), (if below { KEPT } else { DROPPED }, usize::from(!below)));
            drop(child);
            assert_eq!((watch.so_far(), counter.wakes()), (DROPPED, 1));
            assert!(counter.poll(&mut finished).is_ready());
        }
    });
}

/// C14, C16.
#[test]
fn a_callback_may_do_with_the_tree_what_it_likes() {
    balanced(|| {
        let (root, watch) = (CancellationToken::new(), Watch::new());
        let (token, sibling) = (root.child_token(), root.child_token());
        let inner = Arc::new(Mutex::new(Vec::new()));
        let last = Arc::new(Mutex::new(Some(token.child_token())));
        let unrelated = CancellationToken::new();
        let of_unrelated = unrelated.on_cancel(watch.callback());
        token
            .on_cancel({
                let (root, token, inner, last, watch) =
                    (root.clone(), token.clone(), inner.clone(), last.clone(), watch.clone());
                move || {
                    assert!(token.child_token().is_cancelled() && !root.is_cancelled());
                    inner.lock().unwrap().push(token.on_cancel(watch.callback()));
                    inner.lock().unwrap().push(root.on_cancel(watch.callback()));
                    token.cancel();
                    unrelated.cancel();
                    drop(last.lock().unwrap().take());
                    root.cancel();
                    drop((root, token, unrelated));
                }
            })
            .detach();
        token.cancel();
        assert!(root.is_cancelled() && sibling.is_cancelled());
        assert_eq!((watch.so_far(), of_unrelated.unregister()), ((3, 3), Unregister::Done));
        let inner = std::mem::take(&mut *inner.lock().unwrap());
        assert!(inner.into_iter().all(|registration| registration.unregister() == Unregister::Done));
    });
}

/// C16: the callback drops the last handle of all.
#[test]
fn a_callback_may_drop_the_token_and_its_own_registration() {
    balanced(|| {
        let (parent, watch) = (CancellationToken::new(), Watch::new());
        let kept = Arc::new(Mutex::new(None));
        let token = parent.child_token();
        let registration = token.on_cancel({
            let (kept, f) = (kept.clone(), watch.callback());
            move || {
                drop(kept.lock().unwrap().take().expect("it has been put there"));
                f();
            }
        });
        let finished = registration.finished();
        *kept.lock().unwrap() = Some((token, registration));
        parent.cancel();
        assert_eq!(watch.so_far(), RUN);
        futures_lite::future::block_on(finished);
        drop(parent);
        support::nodes::empty_graveyard();
    });
}

#[test]
fn a_callback_is_one_allocation_and_a_cancel_that_runs_it_none() {
    balanced(|| {
        let token = CancellationToken::new();
        let (registration, account) = measure(|| token.on_cancel(|| {}));
        assert_eq!(account.calls, 1);
        assert_eq!(measure(|| drop(registration)).1, Account { calls: 1, bytes: -account.bytes });
        let (nodes, kept) = (live(), token.on_cancel(|| {}));
        token.on_cancel(|| {}).detach();
        assert_eq!(measure(|| token.cancel()).1.calls, 0);
        assert_eq!(measure(|| token.on_cancel(|| {}).detach()).1.calls, 0);
        assert_eq!(measure(|| drop(kept)).1.calls, 2, "and that of the one that was detached");
        assert_eq!(live(), nodes);
    });
}

#[test]
fn a_registration_and_its_futures_may_go_to_another_thread() {
    fn is<T: Send + Sync + 'static>(_: &T) {}
    balanced(|| {
        let registration = CancellationToken::new().on_cancel(|| {});
        is(&registration);
        is(&registration.finished());
        assert_eq!(thread::spawn(move || registration.unregister()).join().unwrap(), Unregister::Prevented);
    });
}
