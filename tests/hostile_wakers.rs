//! Wakers that use the tree while they are cloned, woken or dropped.

mod support;

use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use support::balanced;
use support::wakers::{Counter, Hooks};

/// How many other waiters the token has: where the waker under test is kept depends on that.
const OTHERS: [usize; 4] = [0, 1, 5, 12];

/// The handles and futures that a waker finds when it acts. It takes out what it uses, so that no lock is held then.
#[derive(Default)]
struct Stage {
    root: Mutex<Option<CancellationToken>>,
    /// The child of the root that everybody waits for.
    token: Mutex<Option<CancellationToken>>,
    /// The waiter whose waker acts, where that one can be dropped.
    own: Mutex<Option<WaitForCancellationFutureOwned>>,
    others: Mutex<Vec<(WaitForCancellationFutureOwned, Arc<Counter>)>>,
    counters: Mutex<Vec<Arc<Counter>>>,
}

impl Stage {
    /// The stage, another handle on its root, and a wait that has not been polled.
    fn new(others: usize) -> (Arc<Self>, CancellationToken, WaitForCancellationFutureOwned) {
        let root = CancellationToken::new();
        let token = root.child_token();
        let stage = Self { root: Some(root.clone()).into(), token: Some(token.clone()).into(), ..Self::default() };
        for _ in 0..others {
            stage.wait();
        }
        (Arc::new(stage), root, token.cancelled_owned())
    }
    fn root(&self) -> Option<CancellationToken> {
        self.root.lock().unwrap().clone()
    }
    fn token(&self) -> Option<CancellationToken> {
        self.token.lock().unwrap().clone()
    }
    /// One more waiter.
    fn wait(&self) {
        let Some(token) = self.token() else { return };
        let (mut wait, counter) = (token.cancelled_owned(), Arc::new(Counter::new()));
        let _ = counter.poll(&mut wait);
        self.counters.lock().unwrap().push(Arc::clone(&counter));
        self.others.lock().unwrap().push((wait, counter));
    }
    fn poll_others(&self) {
        let mut others = std::mem::take(&mut *self.others.lock().unwrap());
        for (wait, counter) in &mut others {
            let _ = counter.poll(wait);
        }
        self.others.lock().unwrap().append(&mut others);
    }
    fn drop_waits(&self) {
        let own = self.own.lock().unwrap().take();
        let others = std::mem::take(&mut *self.others.lock().unwrap());
        drop((own, others));
    }
    fn drop_handles(&self) {
        let root = self.root.lock().unwrap().take();
        let token = self.token.lock().unwrap().take();
        drop((root, token));
    }
    fn cancel(&self, token: Option<CancellationToken>) {
        if let Some(token) = token {
            token.cancel();
            assert!(token.is_cancelled());
            assert!(self.token().is_none_or(|token| token.is_cancelled()), "C3");
        }
    }
    fn create(&self) {
        if let Some(token) = self.token() {
            assert_eq!(token.child_token().child_token().is_cancelled(), token.is_cancelled(), "C4");
        }
        drop(self.root().map(|root| (root.child_token(), root.child_token())));
    }

    /// After the root has been cancelled: each waiter has been woken once, or dropped, or was told at once.
    fn end(&self) {
        for (mut wait, counter) in std::mem::take(&mut *self.others.lock().unwrap()) {
            assert_eq!(counter.poll(&mut wait), Poll::Ready(()));
        }
        for counter in &*self.counters.lock().unwrap() {
            assert!(counter.wakes() <= 1);
            assert_eq!(counter.kept(), 0);
        }
        self.drop_waits();
        self.drop_handles();
    }
}

type Action = fn(&Stage);

/// C14: "in any way".
const ACTIONS: [(&str, Action); 9] = [
    ("cancels the root", |stage| stage.cancel(stage.root())),
    ("cancels the token", |stage| stage.cancel(stage.token())),
    ("makes and drops children", Stage::create),
    ("drops the last other handles", Stage::drop_handles),
    ("drops the waiters, its own one too where it can", Stage::drop_waits),
    ("drops all: the last handle of the very token", |stage| {
        stage.drop_handles();
        stage.drop_waits();
    }),
    ("polls the others", Stage::poll_others),
    ("adds a waiter", Stage::wait),
    ("does all of that", |stage| {
        stage.wait();
        stage.create();
        stage.poll_others();
        stage.cancel(stage.token());
        stage.wait();
        stage.cancel(stage.root());
        stage.drop_waits();
        stage.create();
        stage.drop_handles();
    }),
];

/// Runs `scene` for each action and number of other waiters; the hook that it is given does the action.
fn for_each_action(
    scene: impl Fn(Arc<Stage>, CancellationToken, WaitForCancellationFutureOwned, Box<dyn Fn() + Send + Sync>),
) {
    for (name, action) in ACTIONS {
        for others in OTHERS {
            println!("a waker that {name}, beside {others}");
            balanced(|| {
                let (stage, root, wait) = Stage::new(others);
                let actor = Arc::clone(&stage);
                scene(stage, root, wait, Box::new(move || action(&actor)));
            });
        }
    }
}

/// C13, C14.
#[test]
fn a_waker_may_use_the_tree_while_it_is_cloned_for_a_first_poll() {
    for_each_action(|stage, root, mut wait, act| {
        let waker = Hooks::on_clone(act);
        let first = waker.poll(&mut wait);
        root.cancel();
        assert_eq!((waker.wakes(), Arc::strong_count(&waker)), (usize::from(first.is_pending()), 1));
        assert!(waker.poll(&mut wait).is_ready());
        stage.end();
    });
}

/// C12, C13, C14.
#[test]
fn a_waker_may_use_the_tree_while_it_is_cloned_for_a_later_poll() {
    for_each_action(|stage, root, mut wait, act| {
        let (old, new) = (Counter::new(), Hooks::on_clone(act));
        assert!(old.poll(&mut wait).is_pending());
        let second = new.poll(&mut wait);
        root.cancel();
        match second {
            Poll::Pending => assert_eq!((old.wakes(), new.wakes()), (0, 1)),
            Poll::Ready(()) => assert!(old.wakes() + new.wakes() <= 1),
        }
        assert_eq!((old.kept(), Arc::strong_count(&new)), (0, 1));
        stage.end();
    });
}

/// C14, C16: also if it drops the future, and with it the last handle, that it was registered by.
#[test]
fn a_waker_may_use_the_tree_while_it_is_woken() {
    for by_the_root in [true, false] {
        for_each_action(|stage, root, mut wait, act| {
            let waker = Hooks::on_wake(act);
            assert!(waker.poll(&mut wait).is_pending());
            *stage.own.lock().unwrap() = Some(wait);
            let token = stage.token().expect("nobody has acted");
            if by_the_root {
                drop(token);
                root.cancel();
            } else {
                token.cancel();
            }
            assert_eq!((waker.wakes(), waker.drops(), Arc::strong_count(&waker)), (1, 0, 1));
            root.cancel();
            assert_eq!(waker.wakes(), 1);
            stage.end();
        });
    }
}

/// C14.
#[test]
fn a_waker_may_use_the_tree_while_it_is_dropped_with_its_future() {
    for_each_action(|stage, root, mut wait, act| {
        let waker = Hooks::on_drop(act);
        assert!(waker.poll(&mut wait).is_pending());
        drop(wait);
        assert_eq!((waker.wakes(), waker.drops(), Arc::strong_count(&waker)), (0, 1, 1));
        root.cancel();
        stage.end();
    });
}

/// C12, C13, C14: by then the new waker counts.
#[test]
fn a_waker_may_use_the_tree_while_it_is_replaced() {
    for_each_action(|stage, root, mut wait, act| {
        let (old, new) = (Hooks::on_drop(act), Counter::new());
        assert!(old.poll(&mut wait).is_pending());
        let second = new.poll(&mut wait);
        root.cancel();
        assert_eq!((old.wakes(), old.drops(), Arc::strong_count(&old)), (0, 1, 1));
        assert_eq!((new.wakes(), new.kept()), (usize::from(second.is_pending()), 0));
        stage.end();
    });
}

/// C13, C14: a cancel comes between the clone and the registration; so the poll drops the clone.
#[test]
fn a_waker_may_use_the_tree_while_a_poll_that_came_too_late_drops_it() {
    for_each_action(|stage, root, mut wait, act| {
        let canceller = root.clone();
        let waker = Arc::new(Hooks {
            on_clone: Some(Box::new(move || canceller.cancel())),
            on_drop: Some(act),
            ..Hooks::default()
        });
        assert!(waker.poll(&mut wait).is_ready());
        assert_eq!((waker.wakes(), waker.drops(), Arc::strong_count(&waker)), (0, 1, 1));
        stage.end();
    });
}

/// Calls what it holds when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// C14, for the adapters.
#[test]
fn the_inner_future_may_cancel_its_token_and_drop_the_last_handle() {
    balanced(|| {
        let (root, counter) = (CancellationToken::new(), Counter::new());
        let token = root.child_token();
        let mut last = Some(token.clone());
        let on_drop = OnDrop(move || drop(last.take().map(|last| last.child_token())));
        let canceller = token.clone();
        let future = poll_fn(move |_| {
            let _kept = &on_drop;
            canceller.cancel();
            Poll::<()>::Pending
        });
        let mut race = pin!(token.run_until_cancelled_owned(future));
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Ready(None));
        assert_eq!((counter.wakes(), counter.kept()), (0, 0));
        assert_eq!(counter.poll(&mut race.as_mut()), Poll::Ready(None));
        assert!(!root.is_cancelled());
    });
}

/// Of many waiters of many tokens, whichever is woken first drops all the others: they are not woken (C12).
#[test]
fn waiters_dropped_by_the_first_waker_of_a_cancel_are_not_woken() {
    balanced(|| {
        let root = CancellationToken::new();
        let child = root.child_token();
        let waits = Arc::new(Mutex::new(Vec::new()));
        let wakes = Arc::new(AtomicUsize::new(0));
        for token in [&root, &root, &child, &child, &child] {
            let (all, wakes) = (Arc::clone(&waits), Arc::clone(&wakes));
            let waker = Arc::new(OnWake(move || {
                wakes.fetch_add(1, SeqCst);
                let others = std::mem::take(&mut *all.lock().unwrap());
                drop(others);
            }));
            let mut wait = token.clone().cancelled_owned();
            assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker.into())).is_pending());
            waits.lock().unwrap().push(wait);
        }
        root.cancel();
        assert_eq!(wakes.load(SeqCst), 1, "a waiter was woken after its drop");
    });
}

struct OnWake<F>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// C12: whoever is woken first drops the others, wherever their wakers are kept; none of them is woken after that.
#[test]
fn who_is_dropped_by_another_waker_of_the_same_cancel_is_not_woken() {
    #[derive(Default)]
    struct DropsAll {
        waits: Mutex<Vec<WaitForCancellationFutureOwned>>,
        wakes: AtomicUsize,
    }
    impl Wake for DropsAll {
        fn wake(self: Arc<Self>) {
            self.wakes.fetch_add(1, SeqCst);
            let waits = std::mem::take(&mut *self.waits.lock().unwrap());
            drop(waits);
        }
    }
    balanced(|| {
        for waiters in [1, 2, 8, 9, 40, 100, 150] {
            let token = CancellationToken::new();
            let all = Arc::new(DropsAll::default());
            let waker = Arc::clone(&all).into();
            for _ in 0..waiters {
                let mut wait = token.clone().cancelled_owned();
                assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
                all.waits.lock().unwrap().push(wait);
            }
            drop(waker);
            token.cancel();
            assert_eq!(all.wakes.load(SeqCst), 1, "of {waiters}");
            assert_eq!(Arc::strong_count(&all), 1, "a waker is kept though its future is gone");
        }
    });
}

/// C12: some waker, early or late, drops half of the others. Those who are left are woken, and of the others who was before.
#[test]
fn of_a_crowd_those_who_are_left_are_woken() {
    const WAITERS: usize = 150;
    struct Crowd {
        nth: usize,
        waits: Mutex<Vec<Option<WaitForCancellationFutureOwned>>>,
        woken: Mutex<Vec<usize>>,
    }
    struct Member(Arc<Crowd>, usize);
    impl Wake for Member {
        fn wake(self: Arc<Self>) {
            let Member(crowd, number) = &*self;
            let wakes = {
                let mut woken = crowd.woken.lock().unwrap();
                woken.push(*number);
                woken.len()
            };
            if wakes == crowd.nth {
                let even: Vec<_> = crowd.waits.lock().unwrap().iter_mut().step_by(2).map(Option::take).collect();
                drop(even);
            }
        }
    }
    balanced(|| {
        for nth in 1..=WAITERS {
            let token = CancellationToken::new();
            let crowd = Arc::new(Crowd { nth, waits: Mutex::default(), woken: Mutex::default() });
            for number in 0..WAITERS {
                let waker = Arc::new(Member(Arc::clone(&crowd), number)).into();
                let mut wait = token.clone().cancelled_owned();
                assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
                crowd.waits.lock().unwrap().push(Some(wait));
            }
            token.cancel();
            let woken = std::mem::take(&mut *crowd.woken.lock().unwrap());
            crowd.waits.lock().unwrap().clear();
            assert!(woken.iter().skip(nth).all(|number| number % 2 == 1), "one was woken after its drop");
            let mut odd: Vec<_> = woken.iter().filter(|&number| number % 2 == 1).copied().collect();
            odd.sort_unstable();
            assert!(odd.into_iter().eq((1..WAITERS).step_by(2)), "one was not woken, or twice");
            assert_eq!(Arc::strong_count(&crowd), 1, "a waker is kept");
        }
    });
}
