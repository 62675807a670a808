//! Every operation, interrupted once before each of its steps on the word, and before it takes the lock, by every sequence of up to four
//! others. As all happens on one thread, it is known when the tracker has been closed and empty: at the end, just those waits are
//! over that began before such a moment.

use super::State;
use crate::CancellationToken;
use crate::primitives::Relaxed;
use crate::primitives::hooked::{Access, with_hook};
use core::cell::{Cell, RefCell};
use core::ptr;
use std::rc::Rc;
use std::vec::Vec;

#[derive(Clone, Copy, Debug)]
enum Op {
    Close,
    Reopen,
    Enter,
    Leave,
    Wait,
}

const OPS: [Op; 5] = [Op::Close, Op::Reopen, Op::Enter, Op::Leave, Op::Wait];

struct Waiting {
    round: CancellationToken,
    due: bool,
}

struct World {
    state: State,
    entered: Cell<usize>,
    waiting: RefCell<Vec<Waiting>>,
    /// How often it was seen to be closed and empty.
    moments: Cell<usize>,
    /// Until it is to be interrupted.
    steps: Cell<usize>,
    interrupt: Vec<Op>,
    /// No interrupts now.
    masked: Cell<bool>,
}

std::thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

fn hook(access: Access, place: usize) {
    if let (Access::Atomic, Some(world)) = (access, WORLD.with_borrow(Clone::clone)) {
        world.before(place);
    }
}

impl World {
    fn masked<R>(&self, f: impl FnOnce() -> R) -> R {
        let masked = self.masked.replace(true);
        let result = f();
        self.masked.set(masked);
        result
    }

    /// Before each access of the operation that may be interrupted.
    fn before(&self, place: usize) {
        if self.masked.get() {
            return;
        }
        self.observe();
        let places = [ptr::from_ref(&self.state.word).addr(), ptr::from_ref(&self.state.rounds.gate).addr()];
        if !places.contains(&place) || !self.state.rounds.is_free() {
            return;
        }
        let Some(steps) = self.steps.get().checked_sub(1) else { return };
        self.steps.set(steps);
        if steps == 0 {
            self.masked(|| self.interrupt.iter().for_each(|&op| self.act(op)));
        }
    }

    fn observe(&self) {
        if self.masked(|| self.state.look().is_over()) {
            self.moments.set(self.moments.get() + 1);
            self.waiting.borrow_mut().iter_mut().for_each(|waiting| waiting.due = true);
        }
    }

    fn act(&self, op: Op) {
        match op {
            Op::Close => _ = self.state.close(),
            Op::Reopen => _ = self.state.reopen(),
            Op::Enter => {
                self.state.enter();
                self.entered.set(self.entered.get() + 1);
            }
            Op::Leave => {
                if let Some(left) = self.entered.get().checked_sub(1) {
                    self.entered.set(left);
                    self.state.leave();
                }
            }
            Op::Wait => {
                let before = self.moments.get();
                self.observe();
                let round = self.state.wait();
                let over = self.masked(|| self.state.look().is_over());
                match round {
                    None => assert!(over || self.moments.get() != before, "over, and never was"),
                    Some(round) => {
                        assert!(!over, "a round that is over has begun");
                        self.waiting.borrow_mut().push(Waiting { round, due: false });
                    }
                }
            }
        }
        self.observe();
    }
}

/// Whether it came to the interrupt.
fn run(before: &[Op], op: Op, steps: usize, interrupt: &[Op]) -> bool {
    let world = Rc::new(World {
        state: State::new(),
        entered: Cell::new(0),
        waiting: RefCell::default(),
        moments: Cell::new(0),
        steps: Cell::new(steps),
        interrupt: interrupt.to_vec(),
        masked: Cell::new(true),
    });
    before.iter().for_each(|&op| world.act(op));
    WORLD.set(Some(Rc::clone(&world)));
    world.masked.set(false);
    world.act(op);
    world.masked.set(true);
    for waiting in world.waiting.borrow().iter() {
        let told = waiting.round.is_cancelled();
        assert_eq!(told, waiting.due, "{before:?}, then {op:?}, interrupted at {steps} by {interrupt:?}");
    }
    assert_eq!(world.state.look().len(), world.entered.get());
    WORLD.set(None);
    world.steps.get() == 0
}

fn sequences(longest: usize) -> Vec<Vec<Op>> {
    let mut all = std::vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last.iter().flat_map(|ops| OPS.map(|op| [ops.as_slice(), &[op]].concat())).collect();
        all.extend_from_slice(&last);
    }
    all
}

#[test]
fn waits_are_told_of_what_comes_after_them_and_of_nothing_else() {
    use Op::{Close, Enter, Wait};

    let interrupts = sequences(if cfg!(miri) { 1 } else { 4 });
    let mut interrupted = 0;
    for before in [&[][..], &[Wait], &[Enter, Wait], &[Enter, Close, Wait], &[Enter, Enter, Close], &[Close], &[Enter]]
    {
        for op in OPS {
            with_hook(hook, || {
                for interrupt in &interrupts {
                    let mut steps = 1;
                    while run(before, op, steps, interrupt) {
                        steps += 1;
                        interrupted += 1;
                    }
                }
            });
        }
    }
    assert!(interrupted > interrupts.len() * OPS.len());
}

#[test]
fn the_lock_is_for_waits_and_for_the_end_of_a_round_that_has_some() {
    let state = State::new();
    let taken = || state.rounds.gate.load(Relaxed);
    for _ in 0..2 {
        state.enter();
        state.enter();
        assert!(state.close());
        state.leave();
        state.leave();
        assert!(state.wait().is_none() && state.reopen());
        assert_eq!(taken(), 0, "nobody has waited");
    }
    state.enter();
    let round = state.wait().expect("it is not over");
    assert_eq!(taken(), 1);
    state.enter();
    state.leave();
    assert!(state.close() && !state.close() && state.reopen() && state.close());
    assert_eq!(taken(), 1, "nothing has ended");
    state.leave();
    assert!(taken() == 2 && round.is_cancelled());
}
