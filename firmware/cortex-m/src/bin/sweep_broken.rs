//! Does the sweep catch a fault? Waiter and canceller as in the tree, in short, and with what the tree relies on left out.
//!
//! A poll registers its waker and looks for the cancel in one step (I8 and E14 of `src/tree`); each twin takes that apart
//! at another place. The same sweep goes over the same poll with the same promises: each twin has to break one, and the
//! sound version none.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_cortex_m::inject::Shared;
use firmware_cortex_m::sweep::Sweeper;
use firmware_cortex_m::{BOARD, fail, hprintln, pass};
use portable_atomic::{AtomicU32, Ordering::SeqCst};

firmware_cortex_m::injects!();

const CANCELLED: u32 = 1;
const WAITING: u32 = 2;
const LOCKED: u32 = 4;

/// One waiter and one canceller.
struct Toy {
    state: AtomicU32,
    /// How often the waiter was woken.
    woken: AtomicU32,
    /// A canceller that would have to wait for the thread that it interrupts.
    stuck: AtomicU32,
}

static TOY: Toy = Toy { state: AtomicU32::new(0), woken: AtomicU32::new(0), stuck: AtomicU32::new(0) };

impl Toy {
    fn reset(&self) {
        self.state.store(0, SeqCst);
        self.woken.store(0, SeqCst);
        self.stuck.store(0, SeqCst);
    }

    fn cancel(&self) {
        if self.state.fetch_or(CANCELLED, SeqCst) & WAITING != 0 {
            self.woken.fetch_add(1, SeqCst);
        }
    }

    fn locked(&self, change: impl FnOnce(u32) -> u32) -> Option<u32> {
        if self.state.fetch_or(LOCKED, SeqCst) & LOCKED != 0 {
            return None;
        }
        let old = self.state.load(SeqCst) & !LOCKED;
        self.state.store(change(old), SeqCst);
        Some(old)
    }
}

/// How a twin polls (true: ready), and how it cancels in the interrupt.
struct Twin {
    name: &'static str,
    sound: bool,
    poll: fn(&Toy) -> bool,
    cancel: fn(u32),
}

static TWINS: [Twin; 4] = [
    Twin {
        name: "registers and looks in one step",
        sound: true,
        poll: |toy| toy.state.fetch_or(WAITING, SeqCst) & CANCELLED != 0,
        cancel: |_| TOY.cancel(),
    },
    Twin {
        name: "loads, changes, stores",
        sound: false,
        poll: |toy| {
            let state = toy.state.load(SeqCst);
            toy.state.store(state | WAITING, SeqCst);
            state & CANCELLED != 0
        },
        cancel: |_| TOY.cancel(),
    },
    Twin {
        name: "looks, then registers",
        sound: false,
        poll: |toy| {
            let cancelled = toy.state.load(SeqCst) & CANCELLED != 0;
            if !cancelled {
                toy.state.fetch_or(WAITING, SeqCst);
            }
            cancelled
        },
        cancel: |_| TOY.cancel(),
    },
    Twin {
        name: "under a spin lock",
        sound: false,
        poll: |toy| toy.locked(|state| state | WAITING).is_some_and(|old| old & CANCELLED != 0),
        cancel: |_| match TOY.locked(|state| state | CANCELLED) {
            Some(old) => {
                TOY.woken.fetch_add(u32::from(old & WAITING != 0), SeqCst);
            }
            None => TOY.stuck.store(1, SeqCst),
        },
    },
];

/// What is broken, if anything.
fn verify(ready: bool) -> Option<&'static str> {
    if TOY.stuck.load(SeqCst) != 0 {
        Some("the interrupt waits for ever for what it interrupts")
    } else if TOY.state.load(SeqCst) & CANCELLED == 0 {
        Some("the cancel is lost")
    } else if !ready && TOY.woken.load(SeqCst) != 1 {
        Some("the wake-up is lost")
    } else {
        None
    }
}

static SWEEPER: Shared<Sweeper> = Shared::new(Sweeper::new());

#[entry]
fn main() -> ! {
    hprintln!("sweep_broken on {}", BOARD);
    // SAFETY: the one reference.
    let sweeper = unsafe { SWEEPER.get() };
    sweeper.calibrate();
    let mut as_expected = true;
    for twin in &TWINS {
        let (mut faults, mut what, mut places) = (0, "", [0; 8]);
        sweeper.sweep(
            || {
                TOY.reset();
                false
            },
            |ready| *ready = (twin.poll)(&TOY),
            twin.cancel,
            |ready, pc| {
                if let (Some(pc), Some(fault)) = (pc, verify(ready)) {
                    if !places.contains(&pc) {
                        if let Some(place) = places.get_mut(faults) {
                            *place = pc;
                        }
                        faults += 1;
                    }
                    what = fault;
                }
            },
        );
        let row = sweeper.row();
        hprintln!("{}: {} runs, {} addresses", twin.name, row.runs, row.addresses);
        if faults == 0 {
            hprintln!("    nothing found");
        } else {
            hprintln!("    CAUGHT: {}; interrupted at {:x?}", what, &places[..faults.min(places.len())]);
        }
        as_expected &= twin.sound == (faults == 0) && row.addresses > 0;
    }
    if as_expected { pass() } else { fail() }
}
