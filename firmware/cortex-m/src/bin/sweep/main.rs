//! Every operation, interrupted at every instruction that it executes by other operations on the same tree.
#![no_std]
#![no_main]

mod hand;
mod scenes;
mod stage;

use cortex_m_rt::entry;
use firmware_cortex_m::inject::Shared;
use firmware_cortex_m::sweep::{Row, Sweeper};
use firmware_cortex_m::{BOARD, hprintln, note, pass};
use hand::{ACTS, interrupt};
use scenes::SCENES;
use stage::Stage;

firmware_cortex_m::injects!();

static SWEEPER: Shared<Sweeper> = Shared::new(Sweeper::new());

#[entry]
fn main() -> ! {
    hprintln!("sweep on {}", BOARD);
    // SAFETY: the one reference.
    let sweeper = unsafe { SWEEPER.get() };
    sweeper.calibrate();
    let (counts, step) = sweeper.clock();
    hprintln!("counts of the SysTick per 100 instructions: {}; from one run to the next: {}", counts, step);
    hprintln!("{:36} {:>6} {:>12} {:>9}", "operation, interrupted", "runs", "instructions", "addresses");
    for scene in &SCENES {
        for (act, name) in ACTS {
            note(scene.name, name);
            sweeper.sweep(
                || Stage::new(act, scene.wait, scene.prepare),
                scene.operation,
                interrupt,
                |stage, pc| stage.verify(pc.is_some()),
            );
            stage::fill();
        }
        let row = sweeper.row();
        print(scene.name, row);
        // In an emulator that takes interrupts only now and then, all would seem well.
        assert!(row.runs > row.instructions * ACTS.len() as u32 / 2, "not interrupted at each instruction");
    }
    print("all", sweeper.total());
    pass()
}

fn print(name: &str, row: Row) {
    hprintln!("{:36} {:6} {:12} {:9}", name, row.runs, row.instructions, row.addresses);
}
