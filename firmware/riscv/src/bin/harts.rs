//! Four harts on one tree, all at once: round by round each acts on a root that they share, one of them cancels it
//! somewhere, and then nothing is left in the pool.
#![no_std]
#![no_main]

use cancel_tree::{CancellationToken, TokenPool};
use core::ptr;
use firmware_riscv::storm::{Bells, Hand, STEPS, TIMER, bells, report};
use firmware_riscv::{exit, println};
use portable_atomic::{AtomicPtr, AtomicUsize, Ordering::*};

const HARTS: usize = 4;
const ROUNDS: usize = 2000;

/// Sometimes too small.
static POOL: TokenPool<48> = TokenPool::new();
static BELLS: [Bells; HARTS] = [const { bells() }; HARTS];
/// Of the round; belongs to hart 0.
static ROOT: AtomicPtr<CancellationToken> = AtomicPtr::new(ptr::null_mut());

/// Counts steps, but without a read-modify-write: what is lost, shows how often harts really meet.
static PLAIN: AtomicUsize = AtomicUsize::new(0);

/// Sets or clears the software interrupt of a hart, which ends its `wfi`.
fn nudge(hart: usize, pending: bool) {
    // SAFETY: the words of the CLINT, one for each hart.
    unsafe { (0x200_0000 as *mut u32).add(hart).write_volatile(pending.into()) };
}

/// Returns when all harts have come. They sleep: the emulator may have fewer processors than there are harts.
fn meet(hart: usize) {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    static MEETINGS: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: it does not change before this hart has arrived.
    let meetings = MEETINGS.load(Relaxed);
    // AcqRel, Release, Acquire: what each hart did before the meeting is visible to all after it.
    if ARRIVED.fetch_add(1, AcqRel) % HARTS == HARTS - 1 {
        MEETINGS.store(meetings + 1, Release);
        (0..HARTS).for_each(|other| nudge(other, true));
    }
    loop {
        // First, so that a nudge that comes after the look is still there for `wfi`.
        nudge(hart, false);
        if MEETINGS.load(Acquire) != meetings {
            return;
        }
        // SAFETY: waits for the software interrupt (MSIE), which is not taken: interrupts are off.
        unsafe { core::arch::asm!("csrsi mie, 8", "wfi") };
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(hart: usize) -> ! {
    for round in 0..ROUNDS {
        let shared = (hart == 0).then(|| POOL.try_token().expect("an empty pool has room"));
        if let Some(root) = &shared {
            // Relaxed: the meeting makes it visible, and the token.
            ROOT.store(ptr::from_ref(root).cast_mut(), Relaxed);
        }
        meet(hart);
        // SAFETY: hart 0 keeps it until all have met again.
        let root = unsafe { &*ROOT.load(Relaxed) }.clone();
        let mut hand = Hand::new(&POOL, root, (round * HARTS + hart) as u32, &BELLS[hart]);
        for step in 0..STEPS {
            if hart == round % HARTS && step == round * 7 % STEPS {
                hand.cancel_root();
            }
            hand.act();
            PLAIN.store(PLAIN.load(Relaxed) + 1, Relaxed);
        }
        meet(hart);
        drop(shared);
        hand.end();
        meet(hart);
        if hart == 0 {
            assert_eq!((POOL.in_use(), TIMER.in_use()), (0, 0), "after round {round}");
        }
    }
    if hart == 0 {
        println!("{ROUNDS} rounds of {HARTS} harts: each time all below was cancelled, and nothing left in the pool");
        report();
        let steps = ROUNDS * HARTS * STEPS;
        println!("of {steps} steps, {} lost by a counter that is not atomic", steps - PLAIN.load(Relaxed));
        exit(0);
    }
    loop {
        // SAFETY: sleeps.
        unsafe { core::arch::asm!("wfi") };
    }
}
