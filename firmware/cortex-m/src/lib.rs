//! What the images share: output and exit code by semihosting, and interrupts at chosen instructions.
#![no_std]

pub mod inject;
pub mod sweep;

use core::cell::Cell;
// And its critical sections, where the target needs them.
use cortex_m::interrupt::{self, Mutex};
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::debug;
pub use cortex_m_semihosting::hprintln;

/// The name that the emulator has for the processor.
pub const BOARD: &str = if cfg!(target_has_atomic = "ptr") {
    "Cortex-M3, compare-and-swap by ldrex and strex"
} else {
    "Cortex-M0, no compare-and-swap: critical sections"
};

/// Ends the image: exit code 0.
pub fn pass() -> ! {
    hprintln!("PASS");
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("the emulator has ended");
}

/// Ends the image: exit code 1.
pub fn fail() -> ! {
    hprintln!("FAIL");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

static AT_WORK: Mutex<Cell<Option<[&str; 2]>>> = Mutex::new(Cell::new(None));

/// What a fault is to be told with: the operation, and what interrupts it.
pub fn note(operation: &'static str, interrupt: &'static str) {
    interrupt::free(|section| AT_WORK.borrow(section).set(Some([operation, interrupt])));
}

fn tell_note() {
    if let Some([operation, interrupt]) = interrupt::free(|section| AT_WORK.borrow(section).get()) {
        hprintln!("{}, interrupted at {:#x} by: {}", operation, inject::last(), interrupt);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    tell_note();
    hprintln!("{}", info);
    fail()
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    tell_note();
    hprintln!("HardFault {:?}", frame);
    fail()
}
