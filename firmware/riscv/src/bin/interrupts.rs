//! One hart, and a timer interrupt that cancels the tree in the middle of what the hart does, each time a few instructions
//! later. Then nothing is left in the pool. With and without compare-and-swap.
#![no_std]
#![no_main]

use cancel_tree::{CancellationToken, TokenPool};
use core::arch::{asm, global_asm};
use core::cell::RefCell;
use critical_section::{Mutex, RawRestoreState};
use firmware_riscv::storm::{Bells, Hand, TIMER, WHY, bells, report};
use firmware_riscv::{exit, println, trap};
use portable_atomic::{AtomicUsize, Ordering::Relaxed};

/// So many different sequences of steps,
const SEEDS: u32 = 60;
/// of this length,
const LENGTH: usize = 24;
/// each interrupted after 1 tick, 18, 35, … until it is over. (An instruction takes 1.28.)
const STRIDE: usize = 17;

/// Where the code begins; and how many of its instructions there can be at most, of two bytes each.
const START: usize = 0x8000_0000;
const PLACES: usize = 1 << 15;

/// Sometimes too small.
static POOL: TokenPool<12> = TokenPool::new();
static BELLS: Bells = bells();

/// What the interrupt cancels.
static ROOT: Mutex<RefCell<Option<CancellationToken>>> = Mutex::new(RefCell::new(None));
/// Before which instruction it did; or 0.
static CAME_AT: AtomicUsize = AtomicUsize::new(0);

struct InterruptsOff;
critical_section::set_impl!(InterruptsOff);

// SAFETY: one hart; what runs with interrupts off is not interrupted.
unsafe impl critical_section::Impl for InterruptsOff {
    unsafe fn acquire() -> RawRestoreState {
        let mstatus: usize;
        // SAFETY: clears MIE.
        unsafe { asm!("csrrci {}, mstatus, 8", out(reg) mstatus) };
        mstatus & 8 != 0
    }
    unsafe fn release(were_on: RawRestoreState) {
        if were_on {
            // SAFETY: sets MIE.
            unsafe { asm!("csrsi mstatus, 8") };
        }
    }
}

// `interrupt` with its arguments; what a call may change, is kept.
global_asm!(
    ".macro each op",
    "    .set at, 0",
    "    .irp reg, ra, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, a4, a5, a6, a7",
    "    \\op \\reg, at(sp)",
    "    .set at, at + 4",
    "    .endr",
    ".endm",
    ".balign 4",
    ".globl on_interrupt",
    "on_interrupt:",
    "addi sp, sp, -64",
    "each sw",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "call {interrupt}",
    "each lw",
    "addi sp, sp, 64",
    "mret",
    interrupt = sym interrupt,
);

unsafe extern "C" {
    fn on_interrupt();
}

/// The machine timer of hart 0, which counts tenths of a microsecond.
mod timer {
    const MTIMECMP: *mut u32 = 0x200_4000 as *mut u32;
    const MTIME: *const u32 = 0x200_bff8 as *const u32;

    /// The next interrupt comes in so many ticks, or (almost) never.
    pub fn set(ticks: Option<u32>) {
        // SAFETY: the registers of the CLINT. The upper half is 0 or all ones while the lower changes, so nothing comes early.
        unsafe {
            MTIMECMP.add(1).write_volatile(u32::MAX);
            if let Some(ticks) = ticks {
                MTIMECMP.write_volatile(MTIME.read_volatile() + ticks);
                MTIMECMP.add(1).write_volatile(0);
            }
        }
    }
}

/// May do whatever the hart may that it interrupts.
extern "C" fn interrupt(cause: usize, at: usize) {
    const MACHINE_TIMER: usize = 1 << 31 | 7;
    if cause != MACHINE_TIMER {
        trap();
    }
    timer::set(None);
    CAME_AT.store(at, Relaxed);
    TIMER.poll();
    let root = critical_section::with(|cs| ROOT.borrow_ref(cs).clone()).expect("there is one while the timer runs");
    let child = root.try_child_token().ok();
    assert!(child.is_some() || POOL.in_use() == POOL.capacity(), "refused, though there is room");
    root.cancel_with(&WHY);
    assert!(child.is_none_or(|child| child.is_cancelled()), "below a cancelled root, and not cancelled");
}

#[unsafe(no_mangle)]
extern "C" fn main(_: usize) -> ! {
    timer::set(None);
    // SAFETY: `on_interrupt` leaves everything as it was; the timer (MTIE), and then interrupts (MIE), are switched on.
    unsafe { asm!("csrw mtvec, {}", "csrw mie, {}", "csrsi mstatus, 8", in(reg) on_interrupt, in(reg) 1 << 7) };
    let (mut interrupts, mut places) = (0, [false; PLACES]);
    for seed in 0..SEEDS {
        for ticks in (1..).step_by(STRIDE) {
            let root = POOL.try_token().expect("an empty pool has room");
            critical_section::with(|cs| ROOT.replace(cs, Some(root.clone())));
            let mut hand = Hand::new(&POOL, root, seed, &BELLS);
            timer::set(Some(ticks));
            for _ in 0..LENGTH {
                hand.act();
                if CAME_AT.load(Relaxed) != 0 {
                    break;
                }
            }
            timer::set(None);
            let came_at = CAME_AT.swap(0, Relaxed);
            if came_at == 0 {
                hand.cancel_root();
            }
            drop(critical_section::with(|cs| ROOT.take(cs)));
            hand.end();
            assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0), "seed {seed}, {ticks} ticks");
            if came_at == 0 {
                break;
            }
            interrupts += 1;
            places[(came_at - START) / 2] = true;
        }
    }
    let places = places.iter().filter(|&&came| came).count();
    println!(
        "{interrupts} interrupts at {places} instructions: each time all below was cancelled, and nothing left in the pool"
    );
    report();
    exit(0)
}
