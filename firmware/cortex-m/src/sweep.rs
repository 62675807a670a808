//! The same operation again and again, interrupted at its first instruction, its second, and so on to its end.

use crate::inject;

/// Bytes of code that the sets of addresses have room for.
const CODE: usize = 48 * 1024;

/// A set of addresses of instructions.
struct Addresses([u32; CODE / 2 / 32]);

impl Addresses {
    const fn new() -> Self {
        Self([0; CODE / 2 / 32])
    }

    /// True if it was not there.
    fn insert(&mut self, pc: u32) -> bool {
        unsafe extern "C" {
            static __stext: u8;
        }
        let at = (pc as usize - (&raw const __stext) as usize) / 2;
        let (word, bit) = (&mut self.0[at / 32], 1 << (at % 32));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// What has been hit, by the operation at hand and by all.
pub struct Sweeper {
    /// Counts from one run to the next: no more than an instruction takes.
    step: u32,
    counts_per_100: u32,
    /// Of an operation that does nothing: addresses of the harness.
    own: ([u32; 48], usize),
    here: Addresses,
    all: Addresses,
    row: Row,
    total: Row,
}

/// Sums over sweeps.
#[derive(Clone, Copy, Default)]
pub struct Row {
    /// Runs in which the interrupt came before the operation had ended.
    pub runs: u32,
    /// Instructions that the longest of the operations executed, beyond a call that does nothing: from the time that it took.
    pub instructions: u32,
    /// Distinct addresses of instructions that were interrupted, without those of the harness.
    pub addresses: u32,
}

impl Sweeper {
    /// One for the image: for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        const ROW: Row = Row { runs: 0, instructions: 0, addresses: 0 };
        Self {
            step: 1,
            counts_per_100: 100,
            own: ([0; 48], 0),
            here: Addresses::new(),
            all: Addresses::new(),
            row: ROW,
            total: ROW,
        }
    }

    /// Measures how long an instruction takes, and finds out which addresses are the harness's own.
    pub fn calibrate(&mut self) {
        self.counts_per_100 = inject::counts_per_100();
        self.step = (self.counts_per_100 / 100).max(1);
        let mut delay = 1;
        while let Some(pc) = inject::interrupted(delay, &mut || (), |_| ()) {
            if !self.is_own(pc) {
                self.own.0[self.own.1] = pc;
                self.own.1 += 1;
            }
            delay += 1;
        }
    }

    /// Hundredths of counts that an instruction takes, and the counts from one run to the next.
    #[must_use]
    pub fn clock(&self) -> (u32, u32) {
        (self.counts_per_100, self.step)
    }

    fn is_own(&self, pc: u32) -> bool {
        self.own.0[..self.own.1].contains(&pc)
    }

    /// Makes `S` anew for each run, and interrupts `operation` by `handler`, an instruction later each time, until it ends
    /// first. `verify` has each `S` in the end, with the address that was interrupted.
    pub fn sweep<S>(
        &mut self,
        mut prepare: impl FnMut() -> S,
        operation: impl Fn(&mut S),
        handler: fn(u32),
        mut verify: impl FnMut(S, Option<u32>),
    ) {
        let mut delay = 1;
        loop {
            let mut state = prepare();
            let pc = inject::interrupted(delay, &mut || operation(&mut state), handler);
            verify(state, pc);
            let Some(pc) = pc else { break };
            self.row.runs += 1;
            if !self.is_own(pc) {
                self.row.addresses += u32::from(self.here.insert(pc));
                self.total.addresses += u32::from(self.all.insert(pc));
            }
            delay += self.step;
        }
        let none = inject::counts(&mut || ());
        let mut state = prepare();
        let counts = inject::counts(&mut || operation(&mut state));
        verify(state, None);
        self.row.instructions =
            self.row.instructions.max(((counts - none) * 100 + self.counts_per_100 / 2) / self.counts_per_100);
    }

    /// The sums since the last call.
    pub fn row(&mut self) -> Row {
        let row = core::mem::take(&mut self.row);
        self.here.clear();
        self.total.runs += row.runs;
        self.total.instructions += row.instructions;
        row
    }

    /// The sums of all rows.
    #[must_use]
    pub fn total(&self) -> Row {
        self.total
    }
}

impl Default for Sweeper {
    fn default() -> Self {
        Self::new()
    }
}
