//! The tree in a static pool, without any heap. Exit code 0 if it works.
#![no_std]
#![no_main]

use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{CancellationToken, NotRegistered, PoolFull, StaticCause, TokenPool, Unregister};
use core::cell::UnsafeCell;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::task::{Context, RawWaker, RawWakerVTable, Waker};
use core::time::Duration;

static POOL: TokenPool<16> = TokenPool::new();
static WHY: StaticCause = StaticCause::new(&PoolFull);

static WAKES: AtomicUsize = AtomicUsize::new(0);
static COUNT: RawWakerVTable = RawWakerVTable::new(|_| RAW, |_| wake(), |_| wake(), |_| ());
const RAW: RawWaker = RawWaker::new(core::ptr::null(), &COUNT);

fn wake() {
    WAKES.fetch_add(1, Relaxed);
}

/// A timer that hands its only alarm out.
struct ByHand(UnsafeCell<Option<Alarm>>);

// SAFETY: this program has one thread.
unsafe impl Sync for ByHand {}

impl Timer for ByHand {
    type Armed = ();
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn arm(&self, _: Duration, alarm: Alarm) {
        // SAFETY: as above, and nobody holds a reference to it.
        unsafe { *self.0.get() = Some(alarm) };
    }
    fn disarm((): &()) {}
}

fn tree() -> Result<bool, PoolFull> {
    let root = POOL.try_token()?;
    let mut last = root.clone();
    for _ in 0..100 {
        last = last.try_child_token()?;
    }
    // SAFETY: its functions do nothing with the pointer.
    let waker = unsafe { Waker::from_raw(RAW) };
    let mut cx = Context::from_waker(&waker);
    let (mut first, mut second) = (pin!(last.cancelled()), pin!(last.cancelled()));
    let pending = first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending();
    let first_cause = root.cancel_with(&WHY) && !root.cancel_with(&WHY);
    let why = last.reason().is_some_and(|reason| reason.cause().is_some_and(|cause| cause.is::<PoolFull>()));
    Ok(pending
        && first_cause
        && why
        && WAKES.load(Relaxed) == 2
        && first.poll(&mut cx).is_ready()
        && second.poll(&mut cx).is_ready())
}

fn extras() -> Result<bool, PoolFull> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = |runs: &'static AtomicUsize| {
        runs.fetch_add(1, Relaxed);
    };
    let root = POOL.try_token()?;
    let timer = ByHand(UnsafeCell::new(None));
    let timed = root.try_child_with_timer(&timer, Duration::from_secs(1))?;
    let linked = POOL.try_any([&timed, &POOL.try_token()?])?;
    let (Ok(kept), Ok(detached), Ok(prevented)) =
        (linked.try_on_cancel_fn(run, &RUNS), linked.try_on_cancel_fn(run, &RUNS), linked.try_on_cancel_fn(run, &RUNS))
    else {
        return Ok(false);
    };
    detached.detach();
    let prevented = prevented.unregister() == Unregister::Prevented;
    // SAFETY: as in `ByHand`.
    let fired = unsafe { (*timer.0.get()).take() }.is_some_and(|alarm| alarm.fire());
    let late = linked.reason().is_some_and(|reason| reason.is_deadline_exceeded());
    Ok(prevented
        && fired
        && late
        && RUNS.load(Relaxed) == 2
        && linked.try_on_cancel_fn(run, &RUNS).is_err_and(|why| why == NotRegistered::Cancelled)
        && kept.unregister() == Unregister::Done)
}

fn refuses_when_full() -> bool {
    let tokens: [Result<CancellationToken, PoolFull>; 17] = core::array::from_fn(|_| POOL.try_token());
    tokens.iter().filter(|token| token.is_err()).count() == 1 && tokens[16] == Err(PoolFull)
}

fn check() -> i32 {
    let works = tree() == Ok(true) && extras() == Ok(true) && refuses_when_full();
    let nothing_left = POOL.in_use() == 0;
    i32::from(!works) + 2 * i32::from(!nothing_left)
}

no_std_proof::start!(check());
