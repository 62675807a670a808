//! Toys on the same façade, most of them broken: what the injector says of each.

use super::injector::{Subject, Tally, complain, demand, explore};
use super::memory;
use crate::primitives::hooked::with_hook;
use crate::primitives::{AtomicU32, Ordering::SeqCst, UnsafeCell};
use core::cell::Cell;
use core::ptr;
use std::boxed::Box;
use std::rc::Rc;
use std::string::String;

/// A token or something like it, what is done to it, and what interrupts that.
struct Toy {
    cancelled: AtomicU32,
    /// A lock, or a mark that somebody is at work.
    busy: AtomicU32,
    /// A waker has been left here.
    waker: AtomicU32,
    cell: UnsafeCell<()>,
    woken: Cell<bool>,
    operate: fn(&Toy),
    interrupt: fn(&Toy),
    settle: fn(&Toy),
}

impl Subject for Toy {
    fn operate(&self) {
        (self.operate)(self);
    }
    fn interrupt(&self, _: usize, _: usize) {
        (self.interrupt)(self);
    }
    fn settle(&self) {
        (self.settle)(self);
    }
}

fn verdict(operate: fn(&Toy), interrupt: fn(&Toy), settle: fn(&Toy)) -> Result<Tally, String> {
    let toy = |_| -> Rc<dyn Subject> {
        let [cancelled, busy, waker] = [const { AtomicU32::new(0) }; 3];
        let (cell, woken) = (UnsafeCell::new(()), Cell::new(false));
        Rc::new(Toy { cancelled, busy, waker, cell, woken, operate, interrupt, settle })
    };
    explore(&["interrupt".into()], &toy).map_err(|failure| failure.report)
}

#[track_caller]
fn fails(because: &str, operate: fn(&Toy), interrupt: fn(&Toy), settle: fn(&Toy)) {
    let report = verdict(operate, interrupt, settle).err().expect("not noticed");
    assert!(report.starts_with(because), "{report}");
}

fn nothing(_: &Toy) {}

#[test]
fn a_sound_toy_is_interrupted_everywhere() {
    let add = |toy: &Toy| {
        toy.busy.fetch_add(1, SeqCst);
        toy.cell.with(|_| ());
        toy.cancelled.fetch_add(1, SeqCst);
    };
    let all_done = |toy: &Toy| demand(toy.cancelled.load(SeqCst) == toy.busy.load(SeqCst), "an addition is lost");
    let tally = verdict(add, add, all_done).expect("sound");
    assert_eq!((tally.atomics, tally.cells, tally.once, tally.twice), (2, 1, 3, 9));
}

#[test]
fn a_lock_gets_stuck() {
    let cancel = |toy: &Toy| {
        while toy.busy.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            core::hint::spin_loop();
        }
        toy.cancelled.store(1, SeqCst);
        toy.busy.store(0, SeqCst);
    };
    fails("stuck", cancel, cancel, nothing);
    fails("stuck", cancel, |toy| while toy.busy.load(SeqCst) == 1 {}, nothing);
}

#[test]
fn a_look_before_the_registration_and_none_after_it_loses_the_wake_up() {
    let cancel = |toy: &Toy| {
        toy.cancelled.store(1, SeqCst);
        if toy.waker.swap(0, SeqCst) == 1 {
            toy.woken.set(true);
        }
    };
    let poll = |toy: &Toy| {
        if toy.cancelled.load(SeqCst) == 1 {
            toy.woken.set(true);
        }
        toy.waker.store(1, SeqCst);
    };
    let poll_and_look = |toy: &Toy| {
        toy.waker.store(1, SeqCst);
        if toy.cancelled.load(SeqCst) == 1 {
            toy.woken.set(true);
        }
    };
    let promise = |toy: &Toy| demand(toy.woken.get() || toy.cancelled.load(SeqCst) == 0, "a wake-up is lost");
    fails("a wake-up is lost", poll, cancel, promise);
    assert!(verdict(poll_and_look, cancel, promise).is_ok());
}

#[test]
fn a_read_and_a_write_instead_of_one_step_lose_an_addition() {
    let add = |toy: &Toy| {
        toy.cancelled.fetch_add(1, SeqCst);
        toy.busy.store(toy.busy.load(SeqCst) + 1, SeqCst);
    };
    let both = |toy: &Toy| demand(toy.cancelled.load(SeqCst) == toy.busy.load(SeqCst), "an addition is lost");
    fails("an addition is lost", add, add, both);
}

#[test]
fn what_is_left_to_the_one_who_is_at_it_is_noticed_two_levels_deep_alone() {
    let cancel = |toy: &Toy| {
        if toy.busy.swap(1, SeqCst) == 0 {
            toy.cancelled.store(1, SeqCst);
            toy.busy.store(0, SeqCst);
        }
        demand(toy.cancelled.load(SeqCst) == 1, "not cancelled when cancel returned");
    };
    let look = |toy: &Toy| {
        toy.cancelled.load(SeqCst);
    };
    let report = verdict(look, cancel, nothing).err().expect("not noticed");
    assert!(report.starts_with("not cancelled when cancel returned"), "{report}");
    assert_eq!(report.matches("interrupt at access").count(), 2, "{report}");
}

#[test]
fn a_cell_that_is_written_to_is_left_alone() {
    let write = |toy: &Toy| toy.cell.with_mut(|_| ());
    let read = |toy: &Toy| toy.cell.with(|_| ());
    fails("an access to a cell was interrupted", write, write, nothing);
    fails("an access to a cell was interrupted", write, read, nothing);
    fails("an access to a cell was interrupted", read, write, nothing);
    assert!(verdict(read, read, nothing).is_ok());
}

#[test]
fn an_interrupt_does_not_allocate() {
    fails("an interrupt has allocated", |toy| toy.busy.store(1, SeqCst), |_| drop(Box::new(0)), nothing);
}

#[test]
fn memory_is_given_back_once() {
    fails("memory is left", |_| core::mem::forget(Box::new(0)), nothing, nothing);
    with_hook(
        |_, _| {},
        || {
            memory::open();
            let block = Box::new(0);
            let address = ptr::from_ref(&*block).addr();
            assert!(!memory::is_freed(address));
            drop(block);
            assert!(memory::is_freed(address) && !memory::is_freed(address + 4));
            assert_eq!((memory::calls(), memory::close()), (2, None));
            assert!(!memory::is_freed(address));
        },
    );
}

#[test]
fn a_panic_is_told() {
    fails("no such thing", |_| panic!("no such thing"), nothing, nothing);
    fails("first", |_| complain(|| "first".into()), nothing, |_| complain(|| "second".into()));
}
