//! Callbacks: run once or not at all, prevented by one, dropped once.

mod support;

use cancel_tree::{CancellationToken, Registration, Unregister};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use support::{Counter, explore, poll, together};

/// What has become of a callback.
#[derive(Clone, Default)]
struct Fate(Arc<(AtomicUsize, AtomicUsize)>);

impl Fate {
    /// A callback that tells of each run, and of the drop of what it captures.
    fn callback(&self) -> impl FnOnce() + Send + 'static {
        struct Captured(Fate);
        impl Drop for Captured {
            fn drop(&mut self) {
                self.0.0.1.fetch_add(1, Relaxed);
            }
        }
        let captured = Captured(self.clone());
        move || {
            captured.0.0.0.fetch_add(1, Relaxed);
        }
    }
    fn runs(&self) -> usize {
        self.0.0.load(Relaxed)
    }
    fn drops(&self) -> usize {
        self.0.1.load(Relaxed)
    }
}

#[test]
fn a_callback_registered_during_a_cancel_runs_once() {
    explore("register, cancel", 4, 30, || {
        let root = CancellationToken::new();
        let fate = Fate::default();
        let other = root.clone();
        let canceller = loom::thread::spawn(move || other.cancel());
        let registration = root.on_cancel(fate.callback());
        canceller.join().unwrap();
        assert_eq!(fate.runs(), 1, "lost or run twice");
        assert_eq!(registration.unregister(), Unregister::Done);
        assert_eq!(fate.drops(), 1);
    });
}

#[test]
fn a_callback_unregistered_during_a_cancel_is_prevented_or_runs() {
    explore("unregister, cancel", 4, 100, || {
        let root = CancellationToken::new();
        let (fate, effect) = (Fate::default(), Arc::new(loom::sync::atomic::AtomicUsize::new(0)));
        let (callback, inside) = (fate.callback(), effect.clone());
        let registration = root.child_token().on_cancel(move || {
            inside.store(1, Relaxed);
            callback();
        });
        let canceller = loom::thread::spawn(move || root.cancel());
        let answer = registration.unregister();
        if answer == Unregister::Done {
            assert_eq!(effect.load(Relaxed), 1, "done, but what it did is not there");
        }
        if answer == Unregister::Prevented {
            assert_eq!(fate.drops(), 1, "prevented, but not dropped");
        }
        canceller.join().unwrap();
        assert_eq!(fate.runs(), usize::from(answer != Unregister::Prevented), "{answer:?}");
        assert_eq!(fate.drops(), 1);
    });
}

#[test]
fn two_unregister_during_a_cancel() {
    explore("unregister, unregister, cancel", 1, 200, || {
        let root = CancellationToken::new();
        let [fate1, fate2] = [Fate::default(), Fate::default()];
        let [first, second] = [&fate1, &fate2].map(|fate| root.on_cancel(fate.callback()));
        let end = |registration: Registration, fate: &Fate| {
            let fate = fate.clone();
            actor!({
                if registration.unregister() == Unregister::Prevented {
                    assert_eq!((fate.runs(), fate.drops()), (0, 1));
                }
            })
        };
        together([end(first, &fate1), end(second, &fate2), actor!(root.cancel())]);
        assert_eq!((fate1.drops(), fate2.drops()), (1, 1));
    });
}

#[test]
fn a_callback_detached_during_a_cancel_runs_once() {
    explore("detach, cancel", 4, 100, || {
        let root = CancellationToken::new();
        let fate = Fate::default();
        let registration = root.on_cancel(fate.callback());
        let other = root.clone();
        let canceller = loom::thread::spawn(move || other.cancel());
        registration.detach();
        canceller.join().unwrap();
        assert_eq!((fate.runs(), fate.drops()), (1, 1));
    });
}

#[test]
fn a_callback_detached_beside_two_cancels_runs_once() {
    // The first cancel runs it while the second is still inside the list, which therefore is not swept.
    explore("detach, cancel, cancel", 2, 500, || {
        let root = Arc::new(CancellationToken::new());
        let fate = Fate::default();
        let registration = root.on_cancel(fate.callback());
        let (first, second) = (root.clone(), root.clone());
        together([actor!(registration.detach()), actor!(first.cancel()), actor!(second.cancel())]);
        drop(root);
        assert_eq!((fate.runs(), fate.drops()), (1, 1));
    });
}

#[test]
fn a_detached_callback_ends_with_its_token() {
    explore("detach, last token dropped", 4, 5, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let fate = Fate::default();
        let registration = child.on_cancel(fate.callback());
        let dropper = loom::thread::spawn(move || drop(child));
        registration.detach();
        dropper.join().unwrap();
        assert_eq!((fate.runs(), fate.drops()), (0, 1), "not dropped with its token");
    });
}

#[test]
fn a_detached_callback_and_the_last_token_during_a_cancel() {
    explore("detach, token dropped, cancel", 1, 1_000, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let fate = Fate::default();
        let registration = child.on_cancel(fate.callback());
        together([actor!(registration.detach()), actor!(drop(child)), actor!(root.cancel())]);
        assert_eq!(fate.drops(), 1, "left behind, or dropped twice");
        assert!(fate.runs() <= 1);
    });
}

#[test]
fn a_detached_callback_of_a_token_without_handles_is_still_run() {
    explore("token above a child dropped, cancel", 3, 100, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let fate = Fate::default();
        child.on_cancel(fate.callback()).detach();
        let grandchild = child.child_token();
        let other = root.clone();
        together([actor!(drop(child)), actor!(other.cancel())]);
        assert!(grandchild.is_cancelled());
        assert_eq!((fate.runs(), fate.drops()), (1, 1), "a relay was collapsed over its callback");
    });
}

#[test]
fn a_token_with_a_detached_callback_goes_when_its_child_does() {
    explore("child dropped, token dropped", 4, 20, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let fate = Fate::default();
        let grandchild = child.child_token();
        child.on_cancel(fate.callback()).detach();
        together([actor!(drop(child)), actor!(drop(grandchild))]);
        assert_eq!((fate.runs(), fate.drops()), (0, 1));
        assert!(!root.is_cancelled());
    });
}

#[test]
fn the_last_handle_goes_in_the_last_callback() {
    explore("cancel and drop in the callback, drop elsewhere", 1, 50, || {
        let root = CancellationToken::new();
        let child = root.child_token();
        let last = Arc::new(Mutex::new(Some(child.clone())));
        let registration = child.on_cancel(move || drop(last.lock().unwrap().take()));
        together([actor!(drop(registration)), actor!(drop(child)), actor!(root.cancel())]);
    });
}

#[test]
fn a_callback_unregisters_itself_and_another() {
    explore("unregister inside, cancel twice", 2, 50, || {
        let root = CancellationToken::new();
        let registrations = Arc::new(Mutex::new(Vec::<Registration>::new()));
        let fate = Fate::default();
        for _ in 0..2 {
            let (all, callback) = (registrations.clone(), fate.callback());
            let registration = root.on_cancel(move || {
                let all = std::mem::take(&mut *all.lock().unwrap());
                let answers: Vec<_> = all.into_iter().map(Registration::unregister).collect();
                assert!(answers.len() <= 2);
                callback();
            });
            registrations.lock().unwrap().push(registration);
        }
        let other = root.clone();
        together([actor!(root.cancel()), actor!(other.cancel())]);
        // Each of the cancels may have one of them, and then neither prevents the other's.
        assert!((1..=2).contains(&fate.runs()));
        assert_eq!(fate.drops(), 2);
    });
}

#[test]
fn who_waits_for_the_end_of_a_callback_is_woken() {
    explore("finished, cancel", 4, 50, || {
        let root = CancellationToken::new();
        let fate = Fate::default();
        let registration = root.on_cancel(fate.callback());
        let canceller = loom::thread::spawn(move || root.cancel());
        let (counter, waker) = Counter::new();
        let mut finished = registration.finished();
        let pending = poll(&mut finished, &waker).is_pending();
        if !pending {
            assert_eq!(fate.runs(), 1, "ready before the callback had run");
        }
        canceller.join().unwrap();
        assert_eq!(counter.wakes(), usize::from(pending));
        assert!(poll(&mut finished, &waker).is_ready());
    });
}

#[test]
fn who_waits_for_the_end_of_a_callback_is_woken_when_it_is_prevented() {
    explore("finished, unregister, cancel", 2, 100, || {
        let root = CancellationToken::new();
        let fate = Fate::default();
        let registration = root.on_cancel(fate.callback());
        let (counter, waker) = Counter::new();
        let mut finished = registration.finished();
        assert!(poll(&mut finished, &waker).is_pending());
        together([actor!(drop(registration)), actor!(root.cancel())]);
        assert_eq!(counter.wakes(), 1);
        assert!(poll(&mut finished, &waker).is_ready());
        assert_eq!(fate.drops(), 1);
    });
}

#[test]
fn two_who_wait_for_the_end_of_a_callback_are_woken() {
    explore("finished, finished", 4, 20, || {
        let root = CancellationToken::new();
        let fate = Fate::default();
        let registration = Arc::new(root.on_cancel(fate.callback()));
        let wait = |registration: &Arc<Registration>| {
            let registration = registration.clone();
            loom::thread::spawn(move || {
                let (counter, waker) = Counter::new();
                let mut finished = registration.finished();
                assert!(poll(&mut finished, &waker).is_pending());
                (counter, finished)
            })
        };
        let waits = [wait(&registration), wait(&registration)].map(|wait| wait.join().unwrap());
        root.cancel();
        assert_eq!(waits.map(|(counter, _finished)| counter.wakes()), [1, 1]);
    });
}
