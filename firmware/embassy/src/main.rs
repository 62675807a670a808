//! Tasks of embassy under one tree from a static pool: one is stopped by another task, one by a timeout, and two, of which
//! one has a higher priority, by an interrupt. No heap.
#![no_std]
#![no_main]

mod board;

use board::Line;
use cancel_tree::time::{Clock, StaticTimer};
use cancel_tree::{CancellationToken, Cancelled, StaticCause, TokenPool};
use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use cortex_m::peripheral::{NVIC, Peripherals};
use cortex_m_rt::exception;
use cortex_m_semihosting::{debug, hprintln};
use embassy_executor::{InterruptExecutor, Spawner, task};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer, with_deadline};

static POOL: TokenPool<16> = TokenPool::new();

/// The deadlines of tokens, on embassy's clock.
static TIMER: StaticTimer<Uptime, 4> = StaticTimer::new();
static ARMED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

struct Uptime;

impl Clock for Uptime {
    fn now() -> Duration {
        Duration::from_micros(Instant::now().as_micros())
    }

    fn armed(_: Duration) {
        ARMED.signal(());
    }
}

/// Fires the deadlines that are due, and sleeps until the next one, or until one is armed.
#[task]
async fn deadlines() -> ! {
    loop {
        match TIMER.poll() {
            Some(next) => {
                let next = embassy_time::Duration::try_from(next).expect("not so late");
                let _ = with_deadline(Instant::MIN + next, ARMED.wait()).await;
            }
            None => ARMED.wait().await,
        }
    }
}

/// Runs tasks before all those of thread mode.
static URGENT: InterruptExecutor = InterruptExecutor::new();

#[derive(Debug)]
struct BrownOut;

impl fmt::Display for BrownOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("low supply voltage")
    }
}

impl core::error::Error for BrownOut {}

static BROWN_OUT: StaticCause = StaticCause::new(&BrownOut);

/// What needs the supply.
static SUPPLIED: CriticalSectionMutex<Cell<Option<CancellationToken>>> = CriticalSectionMutex::new(Cell::new(None));

#[exception]
unsafe fn DefaultHandler(line: i16) {
    if line == Line::Supply as i16 {
        if let Some(token) = SUPPLIED.lock(Cell::take) {
            token.cancel_with(&BROWN_OUT);
        }
    } else {
        // SAFETY: the other line; it is switched on when the executor is started.
        unsafe { URGENT.on_interrupt() };
    }
}

static STOPPED: Channel<CriticalSectionRawMutex, (&str, u32, Cancelled), 4> = Channel::new();

/// Goes on until its token is cancelled.
#[task(pool_size = 4)]
async fn worker(name: &'static str, token: CancellationToken) {
    let mut steps = 0;
    let work = async {
        loop {
            Timer::after_millis(2).await;
            steps += 1;
        }
    };
    token.run_until_cancelled(work).await;
    let why = token.reason().expect("the work has no end");
    // With the report everything is given back.
    drop(token);
    STOPPED.send((name, steps, why)).await;
}

#[task]
async fn operator(token: CancellationToken) {
    Timer::after_millis(20).await;
    token.cancel();
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let mut core = Peripherals::take().expect("once");
    board::start_ticks(core.SYST);
    // SAFETY: before anything is shared with the handlers. The lower number goes first.
    unsafe {
        core.NVIC.set_priority(Line::Supply, 0x40);
        core.NVIC.set_priority(Line::Urgent, 0x80);
        NVIC::unmask(Line::Supply);
    }
    let urgent = URGENT.start(Line::Urgent);
    spawner.spawn(deadlines().expect("once"));

    let start = |name, token| worker(name, token).expect("no more than four");
    let root = POOL.try_token().expect("room for 16");
    let pump = root.try_child_token().expect("room");
    spawner.spawn(start("pump", pump.clone()));
    spawner.spawn(operator(pump).expect("once"));
    let deadline = Uptime::now() + Duration::from_millis(30);
    spawner.spawn(start("valve", root.try_child_with_timer(&&TIMER, deadline).expect("room")));
    let motor = root.try_child_token().expect("room");
    spawner.spawn(start("motor", motor.clone()));
    urgent.spawn(start("brake", motor.clone()));
    SUPPLIED.lock(|supplied| supplied.set(Some(motor)));
    Timer::after_millis(10).await;
    hprintln!("{} of {} nodes in use", POOL.in_use(), POOL.capacity());
    Timer::after_millis(30).await;
    NVIC::pend(Line::Supply);

    for _ in 0..4 {
        let (name, steps, why) = STOPPED.receive().await;
        match why.cause() {
            Some(cause) => hprintln!("{name} stopped after {steps} steps: {why}, because of {cause}"),
            None => hprintln!("{name} stopped after {steps} steps: {why}"),
        }
        let is_right = match name {
            "pump" => !why.is_deadline_exceeded() && why.cause().is_none(),
            "valve" => why.is_deadline_exceeded(),
            _ => why.cause().is_some_and(|cause| cause.is::<BrownOut>()),
        };
        assert!(is_right);
    }
    assert!(!root.is_cancelled(), "nothing goes up");
    drop(root);
    assert_eq!(POOL.in_use(), 0);
    hprintln!("{} nodes in use", POOL.in_use());
    debug::exit(debug::EXIT_SUCCESS);
}
