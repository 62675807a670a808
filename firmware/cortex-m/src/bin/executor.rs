//! Three tasks under one token, on an executor of a few lines; no heap. The SysTick ends one of them, an interrupt all.
#![no_std]
#![no_main]

use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{CancellationToken, NotRegistered, PoolFull, StaticCause, TokenPool, WaitForCancellationFuture};
use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use core::time::Duration;
use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::{SCB, syst::SystClkSource};
use cortex_m_rt::{entry, exception};
use firmware_cortex_m::{BOARD, hprintln, pass};
use portable_atomic::{AtomicU32, Ordering::SeqCst};

static POOL: TokenPool<8> = TokenPool::new();

#[derive(Debug)]
struct Button;

impl fmt::Display for Button {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody pressed the button")
    }
}

impl core::error::Error for Button {}

static BUTTON: StaticCause = StaticCause::new(&Button);

/// For the interrupt.
static ROOT: Mutex<RefCell<Option<CancellationToken>>> = Mutex::new(RefCell::new(None));

/// When somebody presses it.
const PRESSED: u32 = 52;

/// The interrupt.
#[exception]
fn PendSV() {
    let root = interrupt::free(|section| ROOT.borrow(section).borrow().clone());
    let decided = root.expect("set before the interrupt").cancel_with(&BUTTON);
    hprintln!("{:4} ms  interrupt: cancel_with(&BUTTON) -> {}", now(), decided);
}

// The executor.

/// A bit for each task that is to be polled.
static READY: AtomicU32 = AtomicU32::new(0);

/// The waker of a task is its number.
const VTABLE: RawWakerVTable = RawWakerVTable::new(
    |task| RawWaker::new(task, &VTABLE),
    |task| make_ready(task as usize),
    |task| make_ready(task as usize),
    |_| (),
);

fn make_ready(task: usize) {
    READY.fetch_or(1 << task, SeqCst);
}

fn run(tasks: &mut [Pin<&mut dyn Future<Output = ()>>]) {
    let mut alive: u32 = (1 << tasks.len()) - 1;
    READY.store(alive, SeqCst);
    while alive != 0 {
        let ready = READY.swap(0, SeqCst) & alive;
        for (number, task) in tasks.iter_mut().enumerate().filter(|(number, _)| ready >> number & 1 != 0) {
            // SAFETY: the functions of the table take any number.
            let waker = unsafe { Waker::from_raw(RawWaker::new(number as *const (), &VTABLE)) };
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                alive &= !(1 << number);
            }
        }
        // An interrupt that comes after the look ends the sleep at once.
        interrupt::free(|_| {
            if alive != 0 && READY.load(SeqCst) == 0 {
                cortex_m::asm::wfi();
            }
        });
    }
}

// Time.

/// Of the clock that the emulated boards have.
const COUNTS_PER_MILLISECOND: u32 = if cfg!(target_has_atomic = "ptr") { 12_500 } else { 16_000 };

static MILLISECONDS: AtomicU32 = AtomicU32::new(0);
/// A bit for each task that sleeps.
static SLEEPERS: AtomicU32 = AtomicU32::new(0);

fn now() -> u32 {
    MILLISECONDS.load(SeqCst)
}

async fn sleep_until(time: u32) {
    poll_fn(|cx| {
        if now() >= time {
            return Poll::Ready(());
        }
        SLEEPERS.fetch_or(1 << cx.waker().data() as usize, SeqCst);
        Poll::Pending
    })
    .await;
}

/// Alarms at the SysTick: a table.
struct Millis;

struct Entry {
    at: Duration,
    number: u32,
    alarm: Alarm,
}

static ALARMS: Mutex<RefCell<[Option<Entry>; 2]>> = Mutex::new(RefCell::new([None, None]));

/// Takes an entry out of the table.
fn take(which: impl Fn(&Entry) -> bool) -> Option<Entry> {
    interrupt::free(|section| {
        ALARMS.borrow(section).borrow_mut().iter_mut().find_map(|place| place.take_if(|entry| which(entry)))
    })
}

/// The number of an entry.
struct Armed(u32);

impl Timer for Millis {
    type Armed = Armed;

    fn now(&self) -> Duration {
        Duration::from_millis(now().into())
    }

    fn arm(&self, at: Duration, alarm: Alarm) -> Armed {
        self.try_arm(at, alarm).expect("room in the table")
    }

    fn try_arm(&self, at: Duration, alarm: Alarm) -> Result<Armed, Alarm> {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        interrupt::free(|section| {
            let mut alarms = ALARMS.borrow(section).borrow_mut();
            let Some(place) = alarms.iter_mut().find(|place| place.is_none()) else { return Err(alarm) };
            let number = NUMBERS.fetch_add(1, SeqCst);
            *place = Some(Entry { at, number, alarm });
            Ok(Armed(number))
        })
    }

    /// Nothing: the drop of `Armed` is soon enough.
    fn disarm(_: &Armed) {}
}

impl Drop for Armed {
    fn drop(&mut self) {
        // The alarm is dropped with interrupts open.
        take(|entry| entry.number == self.0);
    }
}

#[exception]
fn SysTick() {
    if MILLISECONDS.fetch_add(1, SeqCst) + 1 == PRESSED {
        SCB::set_pendsv();
    }
    READY.fetch_or(SLEEPERS.swap(0, SeqCst), SeqCst);
    while let Some(due) = take(|entry| entry.at <= Millis.now()) {
        // Interrupts of a higher priority are open: this wakes tasks and runs callbacks.
        let decided = due.alarm.fire();
        hprintln!("{:4} ms  SysTick: the alarm cancels: {}", now(), decided);
    }
}

// The tasks.

async fn worker(token: &CancellationToken) {
    let mut steps = 0;
    while token.run_until_cancelled(sleep_until(now() + 10)).await.is_some() {
        steps += 1;
    }
    hprintln!("{:4} ms  worker: stopped after {} steps", now(), steps);
    assert_eq!(steps, 5);
}

async fn lamp(token: &CancellationToken) {
    token.cancelled().await;
    let reason = token.reason().expect("cancelled");
    let cause = reason.cause().expect("the button's");
    hprintln!("{:4} ms  lamp: off: {}: {}", now(), reason, cause);
    assert!(cause.is::<Button>() && !reason.is_deadline_exceeded());
}

async fn measurement(token: &CancellationToken, callbacks: &'static AtomicU32) {
    let child = token.try_child_with_timer(&Millis, Duration::from_millis(25)).expect("room for it");
    let run = |callbacks: &AtomicU32| {
        callbacks.fetch_add(1, SeqCst);
    };
    let registration = child.try_on_cancel_fn(run, callbacks).expect("not cancelled, and room for it");
    hprintln!(
        "{:4} ms  measurement: a child with a deadline at 25 ms, and a callback; nodes: {}",
        now(),
        POOL.in_use()
    );
    child.cancelled().await;
    let reason = child.reason().expect("cancelled");
    hprintln!("{:4} ms  measurement: {}; the callback ran {} time(s)", now(), reason, callbacks.load(SeqCst));
    assert!(reason.is_deadline_exceeded() && !token.is_cancelled());
    assert_eq!(callbacks.load(SeqCst), 1);
    drop((registration, child));
    hprintln!("{:4} ms  measurement: the child is dropped; nodes: {}", now(), POOL.in_use());
    token.cancelled().await;
    hprintln!("{:4} ms  measurement: stopped", now());
}

fn tasks() {
    static CALLBACKS: AtomicU32 = AtomicU32::new(0);
    let root = POOL.try_token().expect("room for it");
    interrupt::free(|section| *ROOT.borrow(section).borrow_mut() = Some(root.clone()));
    let worker = pin!(worker(&root));
    let lamp = pin!(lamp(&root));
    let measurement = pin!(measurement(&root, &CALLBACKS));
    run(&mut [worker, lamp, measurement]);
    hprintln!("{:4} ms  all tasks have ended", now());
    interrupt::free(|section| ROOT.borrow(section).borrow_mut().take());
}

// What a full pool does.

/// Its waker's count.
fn poll(future: Pin<&mut impl Future>, wakes: &'static AtomicU32) -> bool {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(|count| RawWaker::new(count, &VTABLE), wake, wake, |_| ());
    fn wake(count: *const ()) {
        // SAFETY: a static, below.
        unsafe { &*count.cast::<AtomicU32>() }.fetch_add(1, SeqCst);
    }
    // SAFETY: the functions of the table take a static counter.
    let waker = unsafe { Waker::from_raw(RawWaker::new((&raw const *wakes).cast(), &VTABLE)) };
    future.poll(&mut Context::from_waker(&waker)).is_ready()
}

fn full_pool() {
    static WAKES: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    let wakes = || WAKES.each_ref().map(|count| count.load(SeqCst));
    let root = POOL.try_token().expect("an empty pool");
    let children: [_; 7] = core::array::from_fn(|_| root.try_child_token().expect("room for it"));
    assert_eq!(POOL.in_use(), POOL.capacity());
    assert_eq!(root.try_child_token(), Err(PoolFull));
    assert_eq!(POOL.try_token(), Err(PoolFull));
    assert!(matches!(root.try_on_cancel_fn(|()| (), ()), Err(NotRegistered::PoolFull)));
    hprintln!("{} of {} nodes in use: {}", POOL.in_use(), POOL.capacity(), PoolFull);

    let (mut first, mut second) = (pin!(root.cancelled()), pin!(root.cancelled()));
    assert!(!poll(first.as_mut(), &WAKES[0]));
    assert_eq!(wakes(), [0, 0]);
    // No node for the second waiter: it asks to be polled again.
    assert!(!poll(second.as_mut(), &WAKES[1]));
    assert_eq!(wakes(), [0, 1]);
    drop(children);
    assert!(!poll(second.as_mut(), &WAKES[1]));
    assert_eq!((wakes(), POOL.in_use()), ([0, 1], 2));
    root.cancel();
    assert_eq!(wakes(), [1, 2]);
    assert!(poll(first, &WAKES[0]) && poll(second, &WAKES[1]));
    hprintln!("a second waiter was polled again until there was a node; no wake-up was lost");
}

const NODE: usize = size_of::<TokenPool<64>>() / 64;
const _: () = assert!(NODE == 80);

#[entry]
fn main() -> ! {
    let mut peripherals = cortex_m::Peripherals::take().expect("the first call");
    hprintln!("executor on {}", BOARD);
    hprintln!("a node: {} bytes, a pool of 8: {}", NODE, size_of::<TokenPool<8>>());
    hprintln!(
        "a token: {} bytes, a future that waits for it: {}",
        size_of::<CancellationToken>(),
        size_of::<WaitForCancellationFuture<'_>>()
    );
    full_pool();
    assert_eq!(POOL.in_use(), 0);

    peripherals.SYST.set_clock_source(SystClkSource::Core);
    peripherals.SYST.set_reload(COUNTS_PER_MILLISECOND - 1);
    peripherals.SYST.clear_current();
    peripherals.SYST.enable_counter();
    peripherals.SYST.enable_interrupt();
    tasks();
    peripherals.SYST.disable_interrupt();
    hprintln!("nodes: {}", POOL.in_use());
    assert_eq!(POOL.in_use(), 0);
    pass()
}
