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
    /// Before the operation.
    fn prepare(&self) {}
    /// The operation.
    fn operate(&self);
    /// One of the things that an interrupt may do. `depth` is 1, or 2 for the interrupt of an interrupt.
    fn interrupt(&self, depth: usize, which: usize);
    /// Whether that one may allocate and free.
    fn may_allocate(&self, which: usize) -> bool {
        let _ = which;
        false
    }
    /// A look at what holds at any time. It changes nothing, so one run tells for all points: it is called before every access
    /// of the operation and its interrupt, in all runs with one.
    fn look(&self) {}
    /// The promises, when the operation and its interrupts are through. Those that are broken are told by [`complain`].
    fn settle(&self);
    /// Foreign code, a waker or a callback, is run: by [`call`].
    fn called(&self, line: usize) {
        let _ = line;
    }
}

/// A run with so many accesses is stuck.
const ENOUGH: isize = 10_000;
/// So many accesses to cells can be interrupted at a time.
const VISITS: usize = 16;

/// Which access is interrupted, counted from 1, and by what.
#[derive(Clone, Copy, Debug)]
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

/// The run that goes on. There is one at a time in the process.
struct Run {
    subject: RefCell<Option<Rc<dyn Subject>>>,
    plan: [Cell<Option<Interrupt>>; 2],
    /// Whether accesses are counted and interrupted.
    exposed: Cell<bool>,
    /// Whether the subject looks at each of them.
    watched: Cell<bool>,
    /// How many interrupts we are inside of.
    depth: Cell<usize>,
    /// The accesses at each depth.
    accesses: [Cell<usize>; 3],
    /// Those of the operation to cells.
    cells: Cell<usize>,
    /// How many more there may be, exposed or not.
    patience: Cell<isize>,
    reached: [Cell<bool>; 2],
    /// Calls of the allocator by those who may.
    allowed: Cell<usize>,
    /// The accesses to cells that have not ended, and whether each is exclusive.
    visits: [Cell<(usize, bool)>; VISITS],
    visiting: Cell<usize>,
    complaint: RefCell<Option<String>>,
    /// Whether this run is a repetition, to see where it is interrupted.
    tracing: Cell<bool>,
    places: RefCell<[String; 2]>,
}

static RUN: Run = Run {
    subject: RefCell::new(None),
    plan: [const { Cell::new(None) }; 2],
    exposed: Cell::new(false),
    watched: Cell::new(false),
    depth: Cell::new(0),
    accesses: [const { Cell::new(0) }; 3],
    cells: Cell::new(0),
    patience: Cell::new(0),
    reached: [const { Cell::new(false) }; 2],
    allowed: Cell::new(0),
    visits: [const { Cell::new((0, false)) }; VISITS],
    visiting: Cell::new(0),
    complaint: RefCell::new(None),
    tracing: Cell::new(false),
    places: RefCell::new([const { String::new() }; 2]),
};

// SAFETY: the one that there is is used by the thread that has the hook, and all who come before it have left it
// (`with_hook`). No subject is left in it then.
unsafe impl Sync for Run {}

/// A promise is broken. The first complaint of a run counts.
pub(super) fn complain(what: impl FnOnce() -> String) {
    RUN.complaint.borrow_mut().get_or_insert_with(what);
}

/// Complains if it is not so.
pub(super) fn demand(so: bool, what: &'static str) {
    if !so {
        complain(|| what.into());
    }
}

/// What foreign code does when it is run.
pub(super) fn call(line: usize) {
    let subject = RUN.subject.borrow().clone();
    if let Some(subject) = subject {
        subject.called(line);
    }
}

/// Runs `f` without interrupts: for who looks on.
pub(super) fn unseen<R>(f: impl FnOnce() -> R) -> R {
    let exposed = RUN.exposed.replace(false);
    let result = f();
    RUN.exposed.set(exposed);
    result
}

impl Run {
    fn on_access(&self, access: Access, address: usize) {
        match access {
            Access::Left => return self.visiting.set(self.visiting.get() - 1),
            Access::Atomic => {}
            Access::Read | Access::Write => self.enter(address, access == Access::Write),
        }
        self.patience.set(self.patience.get() - 1);
        if self.patience.get() <= 0 {
            self.is_stuck();
        }
        if self.exposed.get() {
            self.expose(access);
        }
        // Now: the interrupt may have freed it.
        if memory::is_freed(address) {
            complain(|| "freed memory was accessed".into());
        }
    }

    fn expose(&self, access: Access) {
        let depth = self.depth.get();
        let accesses = self.accesses[depth].get() + 1;
        self.accesses[depth].set(accesses);
        if depth == 0 && access != Access::Atomic {
            self.cells.set(self.cells.get() + 1);
        }
        if self.watched.get() {
            unseen(|| self.subject().look());
        }
        let due = self.plan.get(depth).and_then(Cell::get).filter(|interrupt| interrupt.at == accesses);
        if let Some(interrupt) = due {
            self.interrupt(depth + 1, interrupt.which);
        }
    }

    #[cold]
    fn is_stuck(&self) {
        // The way out may be stuck, too; and who catches panics may go on for ever.
        if std::thread::panicking() || self.patience.get() < -100 {
            std::eprintln!("stuck for good: {:?}", self.plan);
            std::process::abort();
        }
        panic!("stuck: there have been {ENOUGH} accesses");
    }

    fn enter(&self, address: usize, exclusive: bool) {
        let visiting = self.visiting.get();
        for (other, excludes) in self.visits[..visiting].iter().map(Cell::get) {
            let is_shared = !exclusive && !excludes;
            demand(
                other != address || is_shared,
                "an access to a cell was interrupted by another, and one of them writes",
            );
        }
        self.visits[visiting].set((address, exclusive));
        self.visiting.set(visiting + 1);
    }

    fn interrupt(&self, depth: usize, which: usize) {
        self.reached[depth - 1].set(true);
        if self.tracing.get() {
            self.places.borrow_mut()[depth - 1] = place();
        }
        self.depth.set(depth);
        self.accesses[depth].set(0);
        let subject = self.subject();
        // Those of who interrupts us do not count.
        let calls = || memory::calls() - self.allowed.get();
        let before = calls();
        subject.interrupt(depth, which);
        if subject.may_allocate(which) {
            self.allowed.set(self.allowed.get() + calls() - before);
        }
        demand(calls() == before, "an interrupt has allocated or freed memory");
        self.depth.set(depth - 1);
    }

    fn subject(&self) -> Rc<dyn Subject> {
        self.subject.borrow().clone().expect("what is exposed has a subject")
    }

    fn start(&self, plan: Plan) {
        for (depth, interrupt) in plan.into_iter().enumerate() {
            self.plan[depth].set(interrupt);
            self.reached[depth].set(false);
        }
        self.watched.set(plan[1].is_none());
        self.depth.set(0);
        self.allowed.set(0);
        self.visiting.set(0);
        self.accesses[0].set(0);
        self.cells.set(0);
        self.patience.set(ENOUGH);
        *self.complaint.borrow_mut() = None;
    }
}

/// Makes the subject of a run, for one of two endings.
type Make<'a> = &'a dyn Fn(bool) -> Rc<dyn Subject>;

/// Interrupts the operation at each of its accesses by each of `interrupts`, and these likewise. With one interrupt both endings
/// are tried; with two, they take turns.
pub(super) fn explore(interrupts: &[String], make: Make<'_>) -> Result<Tally, Failure> {
    assert!(!interrupts.is_empty());
    with_hook(|access, address| RUN.on_access(access, address), || Explorer { interrupts, make }.explore())
}

struct Explorer<'a> {
    interrupts: &'a [String],
    make: Make<'a>,
}

impl Explorer<'_> {
    fn explore(&self) -> Result<Tally, Failure> {
        // What other tests have left in the graveyards goes with this one, and is not counted.
        self.run_aside([None, None], false);
        self.judge([None, None], false)?;
        self.judge([None, None], true)?;
        let cells = RUN.cells.get();
        let mut tally = Tally { atomics: RUN.accesses[0].get() - cells, cells, once: 0, twice: 0 };
        for first in self.all() {
            self.judge([Some(first), None], false)?;
            self.judge([Some(first), None], true)?;
            if !RUN.reached[0].get() {
                break;
            }
            tally.once += 1;
            for second in self.all() {
                self.judge([Some(first), Some(second)], (second.at + second.which) % 2 == 0)?;
                if !RUN.reached[1].get() {
                    break;
                }
                tally.twice += 1;
            }
        }
        Ok(tally)
    }

    /// Every interrupt at the first access, then at the second, and so on for ever.
    fn all(&self) -> impl Iterator<Item = Interrupt> {
        let kinds = self.interrupts.len();
        (1..).flat_map(move |at| (0..kinds).map(move |which| Interrupt { at, which }))
    }

    /// One run; if it goes wrong, once more, to see where.
    fn judge(&self, plan: Plan, ending: bool) -> Result<(), Failure> {
        self.run(plan, ending).map_err(|mut failure| {
            RUN.tracing.set(true);
            self.run_aside(plan, ending);
            RUN.tracing.set(false);
            for (interrupt, place) in plan.iter().flatten().zip(RUN.places.take()) {
                failure.report +=
                    &format!("\n  {} at access {}{place}", self.interrupts[interrupt.which], interrupt.at);
            }
            failure
        })
    }

    /// For its side effects. What it leaves may do anything when it is dropped.
    fn run_aside(&self, plan: Plan, ending: bool) {
        let _ = self.run(plan, ending).map_err(|failure| core::mem::forget(failure.wreck));
    }

    fn run(&self, plan: Plan, ending: bool) -> Result<(), Failure> {
        memory::open();
        RUN.start(plan);
        let subject = (self.make)(ending);
        *RUN.subject.borrow_mut() = Some(subject.clone());
        let panic = catch_unwind(AssertUnwindSafe(|| {
            subject.prepare();
            RUN.exposed.set(true);
            subject.operate();
            RUN.exposed.set(false);
            subject.settle();
        }));
        RUN.exposed.set(false);
        *RUN.subject.borrow_mut() = None;
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
        let complaint = RUN.complaint.take();
        complaint.or(fault.map(Into::into)).map_or(Ok(()), |report| Err(Failure { report, wreck }))
    }
}

fn what_it_said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    said.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic").into()
}

/// Where in the core we are, if backtraces are asked for.
fn place() -> String {
    let trace = Backtrace::capture().to_string();
    trace
        .lines()
        .filter_map(|line| line.split_once("/src/tree/"))
        .take(4)
        .map(|(_, place)| format!(" < {place}"))
        .collect()
}
