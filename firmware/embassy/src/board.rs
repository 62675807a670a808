//! What stands in for a HAL: the time driver of embassy, by SysTick; lines of the interrupt controller; faults.

use core::cell::RefCell;
use core::panic::PanicInfo;
use core::task::Waker;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::{debug, hprintln};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_time_driver::{Driver, time_driver_impl};
use embassy_time_queue_utils::Queue;

struct Ticks(CriticalSectionMutex<RefCell<(u64, Queue)>>);

time_driver_impl!(static TICKS: Ticks = Ticks(CriticalSectionMutex::new(RefCell::new((0, Queue::new())))));

impl Driver for Ticks {
    fn now(&self) -> u64 {
        self.0.lock(|ticks| ticks.borrow().0)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // What is due already is woken by the next tick.
        self.0.lock(|ticks| _ = ticks.borrow_mut().1.schedule_wake(at, waker));
    }
}

#[exception]
fn SysTick() {
    TICKS.0.lock(|ticks| {
        let (now, queue) = &mut *ticks.borrow_mut();
        *now += 1;
        queue.next_expiration(*now);
    });
}

/// Makes time go on, every millisecond if the clock has 12.5 MHz.
pub fn start_ticks(mut systick: SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(12_500 - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}

/// Lines of the interrupt controller; the hardware leaves them alone.
#[derive(Clone, Copy, PartialEq)]
#[repr(u16)]
pub enum Line {
    /// That of the executor with the higher priority.
    Urgent = 6,
    /// The supply voltage is too low.
    Supply = 7,
}

// SAFETY: both numbers are there, and stay the same.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        self as u16
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    panic!("{frame:?}")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{info}");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
