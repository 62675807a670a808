//! An interrupt at a chosen instruction.
//!
//! The SysTick counts down once while an operation runs. With QEMU's `-icount shift=7` an instruction takes as long as one
//! or more counts, always, so that counting from 1, 2, 3, … (or in steps of an instruction) interrupts the operation once
//! at each instruction that it executes.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst, compiler_fence};
use cortex_m::peripheral::SYST;

/// One owner at a time: the thread, until it starts the SysTick; from there to its end, the SysTick's handler.
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: one processor; and see above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    /// The caller is the owner, and has no other reference.
    #[allow(clippy::mut_from_ref, reason = "that is what the contract is about")]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's contract.
        unsafe { &mut *self.0.get() }
    }
}

const ENABLE: u32 = 1;
const INTERRUPT: u32 = 2;
const CORE_CLOCK: u32 = 4;
const FOREVER: u32 = 0x00ff_ffff;
/// Interrupt control and state: takes back a SysTick that waits.
const ICSR: *mut u32 = 0xe000_ed04 as *mut u32;
const PENDSTCLR: u32 = 1 << 25;

static HANDLER: Shared<fn(u32)> = Shared::new(|_| {});
static FIRED: AtomicBool = AtomicBool::new(false);
static PC: AtomicU32 = AtomicU32::new(0);

/// Runs `operation`; after `delay` counts it is interrupted by `handler`, which is told where. Where that was, if it came to that.
// One copy, so that its own addresses can be told from the operation's.
#[inline(never)]
pub fn interrupted(delay: u32, operation: &mut dyn FnMut(), handler: fn(u32)) -> Option<u32> {
    // SAFETY: the SysTick is stopped.
    unsafe { *HANDLER.get() = handler };
    FIRED.store(false, SeqCst);
    start(delay, INTERRUPT);
    operation();
    stop();
    FIRED.load(SeqCst).then(|| PC.load(SeqCst))
}

/// What was interrupted last.
pub fn last() -> u32 {
    PC.load(SeqCst)
}

/// How many counts `operation` takes, and the little around it.
#[inline(never)]
pub fn counts(operation: &mut dyn FnMut()) -> u32 {
    start(FOREVER, 0);
    operation();
    // SAFETY: a register that may be read.
    let now = unsafe { (*SYST::PTR).cvr.read() };
    stop();
    FOREVER - now
}

/// Hundredths of counts per instruction.
pub fn counts_per_100() -> u32 {
    let none = counts(&mut || ());
    let thousand = counts(&mut || {
        // SAFETY: does nothing.
        unsafe { core::arch::asm!(".rept 1000", "nop", ".endr") }
    });
    (thousand - none + 5) / 10
}

#[inline(always)]
fn start(delay: u32, interrupt: u32) {
    compiler_fence(SeqCst);
    // SAFETY: nobody else uses the SysTick.
    unsafe {
        let syst = &*SYST::PTR;
        syst.rvr.write(delay);
        syst.cvr.write(0);
        syst.csr.write(ENABLE | CORE_CLOCK | interrupt);
    }
    compiler_fence(SeqCst);
}

#[inline(always)]
fn stop() {
    compiler_fence(SeqCst);
    // SAFETY: nobody else uses the SysTick.
    unsafe {
        (*SYST::PTR).csr.write(CORE_CLOCK);
        ICSR.write_volatile(PENDSTCLR);
    }
    compiler_fence(SeqCst);
}

/// The handler of the SysTick, for an image that injects.
#[macro_export]
macro_rules! injects {
    () => {
        // What the processor has put on the stack is to be seen: r0-r3, r12, lr, pc, xpsr.
        core::arch::global_asm!(
            ".section .text.SysTick,\"ax\"",
            ".global SysTick",
            ".type SysTick,%function",
            ".thumb_func",
            "SysTick:",
            "mov r0, sp",
            "ldr r1, =injected",
            "bx r1",
            ".ltorg",
        );
    };
}

/// # Safety
/// Only for `injects!`.
#[unsafe(no_mangle)]
unsafe extern "C" fn injected(frame: *const u32) {
    stop();
    // SAFETY: the frame of the exception.
    let pc = unsafe { *frame.add(6) };
    PC.store(pc, SeqCst);
    FIRED.store(true, SeqCst);
    // SAFETY: written before the SysTick was started.
    (unsafe { *HANDLER.get() })(pc);
}
