//! Every operation, interrupted once before each of its steps on the word, by every sequence of up to four
//! others. As all happens on one thread, it is known when the tracker has been closed and empty: at the end, just those waits are
//! over that began before such a moment.

use super::{ROUND, Snapshot, State, Word};
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
    begun: Snapshot,
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
        if place != ptr::from_ref(&self.state.word).addr() {
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
                let begun = self.state.look();
                let over = self.masked(|| self.state.look().is_over());
                if begun.is_over() {
                    assert!(over || self.moments.get() != before, "over, and never was");
                } else {
                    // As one that is polled, and has a listener.
                    let told = !self.state.await_end(begun);
                    assert!(!told || self.moments.get() != before, "told of what was before it");
                    self.waiting.borrow_mut().push(Waiting { begun, due: told });
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
        let told = world.state.has_ended(waiting.begun);
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
fn the_number_of_the_round_wraps() {
    let state = State::new();
    let last = Word::MAX / ROUND;
    state.word.store(last * ROUND, Relaxed);
    let begun = state.look();
    state.enter();
    assert!(state.await_end(begun) && !state.has_ended(begun));
    assert!(state.close() && state.look().len() == 1);
    state.leave();
    assert!(state.has_ended(begun) && !state.await_end(begun));
    assert!(state.look().is_over() && state.look().is_closed() && state.look().len() == 0);
    assert!(state.reopen() && !state.look().is_over());
}
