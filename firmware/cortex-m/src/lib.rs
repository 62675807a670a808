//! What the images share: output and exit code by semihosting, and interrupts at chosen instructions.
#![no_std]

pub mod inject;
pub mod sweep;

// Its critical sections, where the target needs them.
use cortex_m as _;
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

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    fail()
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    hprintln!("HardFault {:?}", frame);
    fail()
}
