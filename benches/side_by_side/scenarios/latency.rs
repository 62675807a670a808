//! How long it takes from a cancel until a sleeping thread goes on.

use crate::bench::{Bench, Row};
use crate::harness::{Entry, Plan, Sample, entries, median};
use crate::tokens::Token;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn rows(bench: &mut Bench) {
    bench.section("Cancel to wake, across threads");
    let wakes = bench.options.pick(1, 50, 200);
    let row = Row::new("latency/parked", "a thread parked in `block_on` goes on").microseconds();
    bench.run(Plan::once(&bench.options), [row], || {
        let mut entries: Vec<Entry<1>> = entries![woken(wakes)];
        entries.push(Entry::floor("thread::unpark", unparked(wakes)));
        entries
    });
}

/// The median of so many wakes.
fn middle(wakes: usize, mut wake: impl FnMut() -> Duration) -> [Sample; 1] {
    let took: Vec<f64> = (0..wakes).map(|_| wake().as_nanos() as f64).collect();
    [Sample::new(Duration::from_nanos(median(&took) as u64), 1)]
}

/// A thread that sleeps on one thing after the other, and says when it woke.
struct Sleeper<T> {
    work: Sender<(T, Arc<AtomicBool>)>,
    woke: Receiver<Instant>,
}

impl<T: Send + 'static> Sleeper<T> {
    fn start(sleep: impl Fn(T, &AtomicBool) + Send + 'static) -> Self {
        let ((work, todo), (tell, woke)) = (channel::<(T, Arc<AtomicBool>)>(), channel());
        thread::spawn(move || {
            for (on, asleep) in todo {
                sleep(on, &asleep);
                if tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        Self { work, woke }
    }

    fn time(&self, on: T, wake: impl FnOnce()) -> Duration {
        let asleep = Arc::new(AtomicBool::new(false));
        self.work.send((on, asleep.clone())).expect("the sleeper lives");
        while !asleep.load(Ordering::Acquire) {
            thread::yield_now();
        }
        // It is about to park: give it the time.
        thread::sleep(Duration::from_micros(50));
        let start = Instant::now();
        wake();
        self.woke.recv().expect("the sleeper lives").saturating_duration_since(start)
    }
}

fn woken<T: Token>(wakes: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let sleeper = Sleeper::start(|token: T, asleep| {
        let mut wait = pin!(token.wait());
        futures_lite::future::block_on(poll_fn(|cx| {
            let state = wait.as_mut().poll(cx);
            if state == Poll::Pending {
                asleep.store(true, Ordering::Release);
            }
            state
        }));
    });
    move |_| {
        middle(wakes, || {
            let token = T::new();
            sleeper.time(token.clone(), || token.cancel())
        })
    }
}

fn unparked(wakes: usize) -> impl FnMut(u64) -> [Sample; 1] {
    let (tell, who) = channel();
    let sleeper = Sleeper::start(move |flag: Arc<AtomicBool>, asleep| {
        let _ = tell.send(thread::current());
        asleep.store(true, Ordering::Release);
        while !flag.load(Ordering::Acquire) {
            thread::park();
        }
    });
    move |_| {
        middle(wakes, || {
            let flag = Arc::new(AtomicBool::new(false));
            sleeper.time(flag.clone(), || {
                flag.store(true, Ordering::Release);
                who.recv().expect("the sleeper said who it is").unpark();
            })
        })
    }
}
