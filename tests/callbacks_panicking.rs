//! Callbacks that panic when they are run or dropped (C15).

mod support;

use cancel_tree::{CancellationToken, Unregister};
use support::balanced;
use support::callbacks::{Watch, panic_of, panics};
use support::wakers::Counter;

/// C15.
#[test]
fn callbacks_that_panic_stop_nobody_and_the_first_panic_reaches_who_cancels() {
    balanced(|| {
        let (root, watch, counter) = (CancellationToken::new(), Watch::new(), Counter::new());
        let child = root.child_token();
        let mut waits = [root.cancelled(), child.cancelled()];
        let mut registrations = Vec::new();
        for token in [&root, &child, &root, &child] {
            registrations.push(token.on_cancel(watch.callback()));
            registrations.push(token.on_cancel(panics("one of them")));
            token.on_cancel(watch.callback()).detach();
            token.on_cancel(panics("one of them")).detach();
        }
        waits.iter_mut().for_each(|wait| assert!(counter.poll(wait).is_pending()));
        assert_eq!(panic_of(|| root.cancel()), Some("one of them"));
        assert_eq!((watch.so_far(), counter.wakes(), child.is_cancelled()), ((8, 8), 2, true));
        assert!(registrations.into_iter().all(|registration| registration.unregister() == Unregister::Done));
        assert_eq!(panic_of(|| root.cancel()), None);
        assert_eq!(panic_of(|| root.on_cancel(panics("at once")).detach()), Some("at once"));
    });
}

/// What it captured panics when it is dropped.
#[test]
fn a_callback_whose_drop_panics_is_gone_all_the_same() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panics("in the drop")();
        }
    }
    let bomb = |bomb: Bomb| move || drop(bomb);
    balanced(|| {
        let (token, watch) = (CancellationToken::new(), Watch::new());
        let registration = token.on_cancel(bomb(Bomb));
        let finished = registration.finished();
        assert_eq!(panic_of(|| assert_eq!(registration.unregister(), Unregister::Done)), Some("in the drop"));
        futures_lite::future::block_on(finished);
        let registration = token.on_cancel(bomb(Bomb));
        assert_eq!(panic_of(|| drop(registration)), Some("in the drop"));
        // Run, dropped with the token, and among others.
        for cancelled in [true, false] {
            let token = token.child_token();
            for _ in 0..2 {
                token.on_cancel(bomb(Bomb)).detach();
                token.on_cancel(watch.callback()).detach();
            }
            if cancelled {
                assert_eq!(panic_of(|| token.cancel()), Some("in the drop"));
                assert_eq!(watch.so_far(), (2, 2));
            } else {
                assert_eq!(panic_of(|| drop(token)), Some("in the drop"));
                assert_eq!(watch.so_far(), (2, 4));
            }
        }
        token.cancel();
    });
}
