//! Runs an operation again and again, each time interrupted at another place.

use super::memory;
use crate::primitives::hooked::{Access, with_hook};
use core::any::Any;
use core::cell::{Cell, RefCell};
use std::backtrace::Backtrace;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::string::{String, ToString};

/// An operation, and what interrupts it. Made anew for each run; its drop is part of the run, and not interrupted.
pub(super) trait Subject {
    /// The operation.
    fn operate(&self);
    /// One of the things that an interrupt may do. `depth` is 1, or 2 for the interrupt of an interrupt.
    fn interrupt(&self, depth: usize, which: usize);
    /// The promises, when the operation and its interrupts are through. Those that are broken are told by [`complain`].
    fn settle(&self);
    /// Waker, callback or drop that is not ours has been called.
    fn foreign(&self) {}
}

/// An operation that makes more accesses than that has got stuck.
const ENDLESS: usize = 5000;
/// So many accesses to cells can be interrupted at a time.
const VISITS: usize = 16;

/// Which access is interrupted, counted from 1, and by what.
#[derive(Clone, Copy)]
struct Interrupt {
    at: usize,
    which: usize,
}

/// What is to happen in a run: to the operation, and to its interrupt.
type Plan = [Option<Interrupt>; 2];

/// What was done to one operation.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Atomic operations of the operation itself, uninterrupted.
    pub(super) atomics: usize,
    /// Accesses to cells, likewise.
    pub(super) cells: usize,
    /// Runs with one interrupt.
    pub(super) once: usize,
    /// Runs in which the interrupt was interrupted.
    pub(super) twice: usize,
}

/// A run that went wrong.
pub(super) struct Failure {
    /// What went wrong, and when.
    pub(super) report: String,
    /// What is left of it, if it ended by a panic: to drop it may do anything.
    pub(super) wreck: Option<Rc<dyn Subject>>,
}

#[derive(Default)]
struct Run {
    subject: RefCell<Option<Rc<dyn Subject>>>,
    plan: Cell<Plan>,
    /// Whether accesses are counted and interrupted.
    exposed: Cell<bool>,
    /// How many interrupts we are inside of.
    depth: Cell<usize>,
    /// The accesses at each depth.
    accesses: [Cell<usize>; 3],
    atomics: Cell<usize>,
    reached: [Cell<bool>; 2],
    /// The accesses to cells that go on, and whether each is exclusive.
    visits: Cell<[(usize, bool); VISITS]>,
    visiting: Cell<usize>,
    complaint: RefCell<Option<String>>,
    /// A run that is repeated to see where it was interrupted.
    tracing: Cell<bool>,
    places: RefCell<[String; 2]>,
}

std::thread_local! {
    static RUN: Run = Run::default();
}

/// A promise is broken. The first complaint of a run counts.
pub(super) fn complain(what: impl FnOnce() -> String) {
    RUN.with(|run| {
        run.complaint.borrow_mut().get_or_insert_with(what);
    });
}

/// Complains if it is not so.
pub(super) fn demand(so: bool, what: &'static str) {
    if !so {
        complain(|| what.into());
    }
}

/// To be called by all foreign code.
pub(super) fn foreign() {
    let subject = RUN.with(|run| run.subject.borrow().clone());
    if let Some(subject) = subject {
        subject.foreign();
    }
}

/// How many interrupts we are inside of.
pub(super) fn depth() -> usize {
    RUN.with(|run| run.depth.get())
}

/// Runs `f` without interrupts: for what looks on.
pub(super) fn unseen<R>(f: impl FnOnce() -> R) -> R {
    RUN.with(|run| {
        let exposed = run.exposed.replace(false);
        let result = f();
        run.exposed.set(exposed);
        result
    })
}

fn on_access(access: Access, address: usize) {
    RUN.with(|run| run.on_access(access, address));
}

impl Run {
    fn on_access(&self, access: Access, address: usize) {
        match access {
            Access::Left => return self.visiting.set(self.visiting.get() - 1),
            Access::Atomic => {}
            Access::Read | Access::Write => self.enter(address, access == Access::Write),
        }
        if memory::is_freed(address) {
            complain(|| "freed memory was accessed".into());
        }
        let depth = self.depth.get();
        let accesses = self.accesses[depth].get() + 1;
        self.accesses[depth].set(accesses);
        if accesses > ENDLESS {
            stuck();
        }
        if !self.exposed.get() {
            return;
        }
        if depth == 0 && access == Access::Atomic {
            self.atomics.set(self.atomics.get() + 1);
        }
        match self.plan.get().get(depth) {
            Some(Some(interrupt)) if interrupt.at == accesses => self.interrupt(depth + 1, interrupt.which),
            _ => {}
        }
    }

    fn enter(&self, address: usize, exclusive: bool) {
        let (mut visits, visiting) = (self.visits.get(), self.visiting.get());
        if visits[..visiting].iter().any(|&(other, excludes)| other == address && (exclusive || excludes)) {
            complain(|| "a cell was accessed while somebody wrote to it".into());
        }
        visits[visiting] = (address, exclusive);
        self.visits.set(visits);
        self.visiting.set(visiting + 1);
    }

    fn interrupt(&self, depth: usize, which: usize) {
        self.reached[depth - 1].set(true);
        if self.tracing.get() {
            self.places.borrow_mut()[depth - 1] = place();
        }
        self.depth.set(depth);
        self.accesses[depth].set(0);
        let calls = memory::calls();
        let subject = self.subject.borrow().clone();
        subject.expect("what is exposed has a subject").interrupt(depth, which);
        demand(memory::calls() == calls, "an interrupt has allocated or freed memory");
        self.depth.set(depth - 1);
    }

    fn start(&self, plan: Plan) {
        self.plan.set(plan);
        self.depth.set(0);
        self.visiting.set(0);
        self.atomics.set(0);
        self.accesses.iter().for_each(|accesses| accesses.set(0));
        self.reached.iter().for_each(|reached| reached.set(false));
        *self.complaint.borrow_mut() = None;
    }
}

fn stuck() {
    // To unwind may get stuck, too.
    if std::thread::panicking() {
        std::eprintln!("stuck again, on the way out");
        std::process::abort();
    }
    panic!("stuck: more than {ENDLESS} accesses");
}

/// Interrupts the operation at each of its accesses by each of `interrupts`, and these likewise.
pub(super) fn explore(interrupts: &[String], make: &dyn Fn() -> Rc<dyn Subject>) -> Result<Tally, Failure> {
    with_hook(on_access, || {
        // What other tests have left in the graveyard goes with this one.
        drop(make());
        let explorer = Explorer { interrupts, make };
        let mut tally = Tally::default();
        RUN.with(|run| {
            explorer.judge([None, None])?;
            tally.atomics = run.atomics.get();
            tally.cells = run.accesses[0].get() - tally.atomics;
            for first in explorer.all() {
                explorer.judge([Some(first), None])?;
                if !run.reached[0].get() {
                    break;
                }
                tally.once += 1;
                for second in explorer.all() {
                    explorer.judge([Some(first), Some(second)])?;
                    if !run.reached[1].get() {
                        break;
                    }
                    tally.twice += 1;
                }
            }
            Ok(tally)
        })
    })
}

struct Explorer<'a> {
    interrupts: &'a [String],
    make: &'a dyn Fn() -> Rc<dyn Subject>,
}

impl Explorer<'_> {
    /// Every interrupt at the first access, then at the second, and so on for ever.
    fn all(&self) -> impl Iterator<Item = Interrupt> {
        let kinds = self.interrupts.len();
        (1..).flat_map(move |at| (0..kinds).map(move |which| Interrupt { at, which }))
    }

    /// One run; if it goes wrong, once more, to see where.
    fn judge(&self, plan: Plan) -> Result<(), Failure> {
        let Err((what, wreck)) = self.run(plan) else {
            return Ok(());
        };
        RUN.with(|run| run.tracing.set(true));
        let _ = self.run(plan).map_err(|(_, wreck)| core::mem::forget(wreck));
        let mut report = what;
        for (depth, interrupt) in plan.iter().flatten().enumerate() {
            let place = RUN.with(|run| run.places.borrow()[depth].clone());
            report += &format!("\n  {} at access {}{place}", self.interrupts[interrupt.which], interrupt.at);
        }
        RUN.with(|run| run.tracing.set(false));
        Err(Failure { report, wreck })
    }

    fn run(&self, plan: Plan) -> Result<(), (String, Option<Rc<dyn Subject>>)> {
        RUN.with(|run| {
            memory::open();
            run.start(plan);
            let subject = (self.make)();
            *run.subject.borrow_mut() = Some(subject.clone());
            let panic = catch_unwind(AssertUnwindSafe(|| {
                run.accesses[0].set(0);
                run.exposed.set(true);
                subject.operate();
                run.exposed.set(false);
                let accesses = run.accesses[0].get();
                subject.settle();
                run.accesses[0].set(accesses);
            }));
            run.exposed.set(false);
            run.depth.set(0);
            *run.subject.borrow_mut() = None;
            let wreck = match panic {
                Ok(()) => {
                    drop(subject);
                    None
                }
                Err(panic) => {
                    complain(|| what_it_said(&*panic));
                    Some(subject)
                }
            };
            let fault = memory::close();
            let complaint = run.complaint.borrow_mut().take();
            complaint.or(fault.map(Into::into)).map_or(Ok(()), |what| Err((what, wreck)))
        })
    }
}

fn what_it_said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    said.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic").into()
}

/// Where in the core we are, if backtraces are asked for.
fn place() -> String {
    let trace = Backtrace::capture().to_string();
    trace.lines().filter_map(|line| line.split_once("/src/tree/")).take(4).map(|(_, place)| format!(" < {place}")).collect()
}
