//! Start, output and exit on the machine `virt` of QEMU, and what the images do to their trees there.
#![no_std]

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

pub mod storm;

// Every hart comes here, gets a stack of 1 MiB, and does not come back. What traps, ends the machine.
global_asm!(
    ".section .init, \"ax\"",
    ".globl _start",
    "_start:",
    "la t0, 0f",
    "csrw mtvec, t0",
    "csrr a0, mhartid",
    "slli t0, a0, 20",
    "la sp, _stacks",
    "sub sp, sp, t0",
    "tail main",
    // As `mtvec` wants it.
    ".balign 4",
    "0: tail {trap}",
    trap = sym trap,
);

/// The serial port.
#[derive(Debug)]
pub struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: its transmit register, which is always ready in QEMU.
            unsafe { (0x1000_0000 as *mut u8).write_volatile(byte) };
        }
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::Uart, format_args!("{}\n", format_args!($($arg)*)));
    }};
}

/// Ends the emulator with this exit status.
pub fn exit(status: u16) -> ! {
    let word = if status == 0 { 0x5555 } else { u32::from(status) << 16 | 0x3333 };
    loop {
        // SAFETY: the test device.
        unsafe { (0x10_0000 as *mut u32).write_volatile(word) };
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    exit(1)
}

/// For all that should not happen, as an instruction that the hart does not have: exit status 2.
pub extern "C" fn trap() -> ! {
    let (cause, at, value): (usize, usize, usize);
    // SAFETY: reads what there is to know.
    unsafe { asm!("csrr {}, mcause", "csrr {}, mepc", "csrr {}, mtval", out(reg) cause, out(reg) at, out(reg) value) };
    println!("trap: mcause {cause:#x}, mepc {at:#x}, mtval {value:#x}");
    exit(2)
}
