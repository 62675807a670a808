//! The tracker of tasks. Proves, within the bounds: who waits is told of each moment at which the tracker is closed and empty
//! since he came, whatever follows it, and of none before; and sees what came before the exits that led to it.
//!
//! A tracker has one seat here: who finds it taken listens to the event.

mod support;

use cancel_tree::task::TaskTracker;
use loom::cell::UnsafeCell;
use std::sync::Arc;
use std::task::Waker;
use support::{Counter, explore, in_every_order, poll, together};

/// A tracker, and what two pieces of work have to show for it.
#[derive(Default)]
struct World {
    tracker: TaskTracker,
    done: [Done; 2],
}

#[derive(Default)]
struct Done(UnsafeCell<bool>);
// SAFETY: loom checks each access.
unsafe impl Sync for Done {}
// SAFETY: as above.
unsafe impl Send for Done {}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }
    fn do_work(&self, which: usize) {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.done[which].0.with_mut(|done| unsafe { *done = true });
    }
    fn all_is_done(&self) {
        for done in &self.done {
            // SAFETY: loom checks that nobody writes meanwhile.
            assert!(done.0.with(|done| unsafe { *done }), "the end was told before the work was done");
        }
    }
    /// Whether a wait that is polled now is over. Nothing stays behind of it.
    fn is_over(&self) -> bool {
        poll(&mut self.tracker.wait(), Waker::noop()).is_ready()
    }
}

#[test]
fn who_waits_is_told_of_the_end_and_sees_what_came_before_it() {
    explore("wait, exit, exit and close", 5, 50, || {
        let world = World::new();
        let tokens = [world.tracker.token(), world.tracker.token()];
        let mut wait = world.tracker.wait();
        let [one, other] = tokens;
        let [first, second] = [world.clone(), world.clone()];
        together([
            actor!({
                first.do_work(0);
                drop(one);
            }),
            actor!({
                second.do_work(1);
                drop(other);
                second.tracker.close();
            }),
        ]);
        assert!(poll(&mut wait, Waker::noop()).is_ready(), "the end was missed");
        world.all_is_done();
    });
}

#[test]
fn who_begins_to_wait_during_the_last_exit_is_told_of_the_end() {
    in_every_order(2, || explore("wait, exit", 6, 50, || wait_during_the_last_exit(false, 1)));
}

#[test]
fn who_begins_to_wait_without_a_seat_during_the_last_exit_is_told_of_the_end() {
    in_every_order(2, || explore("wait beside one that sits, exit", 6, 100, || wait_during_the_last_exit(true, 1)));
}

#[test]
fn who_changes_its_waker_during_the_last_exit_is_woken_by_the_latest() {
    in_every_order(2, || explore("wait with two wakers, exit", 6, 100, || wait_during_the_last_exit(false, 2)));
}

#[test]
fn who_changes_its_waker_without_a_seat_during_the_last_exit_is_woken_by_the_latest() {
    in_every_order(2, || {
        explore("wait with two wakers beside one that sits, exit", 6, 100, || wait_during_the_last_exit(true, 2))
    });
}

/// One waits, perhaps beside another that has the seat, and is polled with as many wakers, one after the other.
fn wait_during_the_last_exit(beside_another: bool, wakers: usize) {
    let world = World::new();
    let token = world.tracker.token();
    world.tracker.close();
    let mut sits = world.tracker.wait();
    let (other, waker_of_other) = Counter::new();
    assert!(!beside_another || poll(&mut sits, &waker_of_other).is_pending());
    let [works, waits] = [world.clone(), world.clone()];
    together([
        actor!({
            works.do_work(0);
            works.do_work(1);
            drop(token);
        }),
        actor!({
            let mut wait = waits.tracker.wait();
            let counters: Vec<_> = (0..wakers).map(|_| Counter::new()).collect();
            if counters.iter().all(|(_, waker)| poll(&mut wait, waker).is_pending()) {
                // A wake-up that is lost never comes, which loom notices.
                let (latest, waker) = counters.last().unwrap();
                while latest.wakes() == 0 {
                    loom::thread::yield_now();
                }
                assert!(poll(&mut wait, waker).is_ready());
            }
            waits.all_is_done();
        }),
    ]);
    assert_eq!(other.wakes(), usize::from(beside_another), "the wake-up of the other was lost, or given twice");
    assert!(poll(&mut sits, Waker::noop()).is_ready());
}

#[test]
fn who_goes_during_the_last_exit_takes_no_wake_up_from_another() {
    for listens in [false, true] {
        explore("two wait, one goes, exit", 6, 100, move || {
            let world = World::new();
            let token = world.tracker.token();
            world.tracker.close();
            let waits = world.clone();
            together([
                actor!(drop(token)),
                actor!({
                    let (counter, waker) = Counter::new();
                    let (mut goes, mut stays) = (waits.tracker.wait(), waits.tracker.wait());
                    // Who is polled first has the seat.
                    let _ = !listens && poll(&mut goes, Waker::noop()).is_pending();
                    let pending = poll(&mut stays, &waker).is_pending();
                    let _ = listens && poll(&mut goes, Waker::noop()).is_pending();
                    drop(goes);
                    while pending && counter.wakes() == 0 {
                        loom::thread::yield_now();
                    }
                    assert!(poll(&mut stays, &waker).is_ready());
                }),
            ]);
        });
    }
}

#[test]
fn a_round_that_was_ended_is_not_taken_for_the_next() {
    in_every_order(2, || {
        explore("wait, exit, reopen", 4, 10, || {
            let world = World::new();
            let one = world.tracker.token();
            world.tracker.close();
            let (counter, waker) = Counter::new();
            let mut wait = world.tracker.wait();
            assert!(poll(&mut wait, &waker).is_pending());
            let reopens = world.clone();
            together([
                actor!(drop(one)),
                actor!({
                    reopens.tracker.reopen();
                }),
            ]);
            // By now at the latest.
            world.tracker.close();
            assert_eq!(counter.wakes(), 1, "the wake-up was lost");
            assert!(poll(&mut wait, &waker).is_ready());
        });
    });
}

#[test]
fn an_end_is_told_though_the_tracker_is_reopened_at_once() {
    explore("wait, exit, reopen and track", 4, 10, || {
        let world = World::new();
        let one = world.tracker.token();
        world.tracker.close();
        let mut wait = world.tracker.wait();
        let reopens = world.clone();
        together([
            actor!(drop(one)),
            actor!({
                if reopens.tracker.is_empty() {
                    reopens.tracker.reopen();
                    let again = reopens.tracker.token();
                    assert!(!reopens.is_over(), "an end that came before was told");
                    drop(again);
                }
            }),
        ]);
        assert!(poll(&mut wait, Waker::noop()).is_ready(), "the end was missed");
    });
}

#[test]
fn of_two_rounds_each_is_told_to_its_own() {
    explore("close; reopen, wait, exit, close", 4, 500, || {
        let world = World::new();
        let mut first = world.tracker.wait();
        let [closes, goes_on] = [world.clone(), world.clone()];
        together([
            actor!({
                closes.tracker.close();
            }),
            actor!({
                let token = goes_on.tracker.token();
                goes_on.tracker.reopen();
                let mut second = goes_on.tracker.wait();
                assert!(goes_on.tracker.is_closed() || poll(&mut second, Waker::noop()).is_pending());
                drop(token);
                goes_on.tracker.close();
                assert!(
                    poll(&mut second, Waker::noop()).is_ready() || !goes_on.tracker.is_closed(),
                    "the second was missed"
                );
            }),
        ]);
        assert!(poll(&mut first, Waker::noop()).is_ready(), "the first was missed");
        assert!(world.is_over());
    });
}

#[test]
fn an_end_that_another_tells_of_is_told_with_what_came_before_it() {
    explore("close; wait, exit, reopen", 3, 50, || {
        let world = World::new();
        world.do_work(1);
        let _first = world.tracker.wait();
        let [closes, works] = [world.clone(), world.clone()];
        let close = loom::thread::spawn(move || {
            closes.tracker.close();
        });
        while !world.tracker.is_closed() {
            loom::thread::yield_now();
        }
        let token = world.tracker.token();
        let mut second = world.tracker.wait();
        let exit = loom::thread::spawn(move || {
            works.do_work(0);
            drop(token);
            works.tracker.reopen();
        });
        // Perhaps by who has closed it, and is only now come to what has ended.
        if poll(&mut second, Waker::noop()).is_ready() {
            world.all_is_done();
        }
        close.join().unwrap();
        if poll(&mut second, Waker::noop()).is_ready() {
            world.all_is_done();
        }
        exit.join().unwrap();
        assert!(poll(&mut second, Waker::noop()).is_ready(), "the end was missed");
    });
}

#[test]
fn who_reopens_sees_what_came_before_the_close() {
    explore("close, reopen", 3, 5, || {
        let world = World::new();
        let [closes, reopens] = [world.clone(), world.clone()];
        together([
            actor!({
                closes.do_work(0);
                closes.do_work(1);
                closes.tracker.close();
            }),
            actor!({
                if reopens.tracker.reopen() {
                    reopens.all_is_done();
                }
            }),
        ]);
    });
}

#[test]
fn who_is_told_late_of_an_older_round_goes_on_waiting() {
    in_every_order(2, || {
        explore("two wait, close; reopen, wait, exit", 6, 50, || {
            let world = World::new();
            let mut first = world.tracker.wait();
            let (counter, waker) = Counter::new();
            assert!(poll(&mut first, &waker).is_pending());
            let (second_counter, second_waker) = Counter::new();
            let [closes, goes_on] = [world.clone(), world.clone()];
            let waited = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let has_waited = waited.clone();
            together([
                actor!({
                    closes.tracker.close();
                }),
                actor!({
                    if goes_on.tracker.is_closed() {
                        let token = goes_on.tracker.token();
                        goes_on.tracker.reopen();
                        let mut second = goes_on.tracker.wait();
                        for _ in 0..2 {
                            assert!(poll(&mut second, &second_waker).is_pending(), "told of what came before it");
                        }
                        goes_on.tracker.close();
                        drop(token);
                        assert!(poll(&mut second, &second_waker).is_ready(), "the end was missed");
                        has_waited.store(true, std::sync::atomic::Ordering::Relaxed);
                    }
                }),
            ]);
            assert_eq!(counter.wakes(), 1, "the first wake-up was lost, or given twice");
            assert!(poll(&mut first, Waker::noop()).is_ready());
            if waited.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(second_counter.wakes() >= 1, "the second wake-up was lost");
            }
        });
    });
}
