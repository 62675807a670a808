//! A small tree of tokens, what is done to it, and what is true of it then.
//!
//! Whoever cancels, the operation or an interrupt, does it here: so it is known what has to be cancelled by now, and what may
//! be. After each cancel, and in the end, every token is looked at.

use super::attached::{Callback, Line, Waiter};
use super::injector::{Subject, demand, unseen};
use super::reasons::{Reasons, Why};
use super::scenes::{Interrupt, Scene};
use super::timers::{Clock, GUARD};
#[cfg(feature = "std")]
use crate::tree::branches_in_use;
use crate::{CancellationToken, TokenPool};
use core::cell::{Cell, RefCell};
use core::mem::take;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::Vec;

/// The one of all worlds.
pub(super) static POOL: TokenPool<12> = TokenPool::new();

/// Where the nodes of a world are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    #[cfg(feature = "alloc")]
    Heap,
    Pool,
}

/// A token, and what is known of it.
pub(super) struct Member {
    pub(super) name: char,
    pub(super) bit: Set,
    /// Its parent, or its sources.
    pub(super) parents: Set,
    /// All that it hears of.
    pub(super) above: Set,
    /// Those of them that are in its tree: what they hear comes here before their cancel returns, be it the first or not.
    pub(super) ancestors: Set,
    pub(super) token: RefCell<Option<CancellationToken>>,
    /// The reasons of the cancels of itself, as they begin.
    pub(super) begun: Cell<Reasons>,
    /// A cancel that has to have reached it has returned.
    pub(super) due: Cell<bool>,
    /// The reason that it was seen to have.
    pub(super) seen: Cell<Reasons>,
}

/// Members, by their bits.
type Set = u32;

pub(super) struct World {
    pub(super) home: Home,
    scene: &'static Scene,
    interrupts: Rc<[Interrupt]>,
    /// Whether everything is cancelled in the end, or only dropped.
    cancelled_in_the_end: bool,
    pub(super) members: RefCell<Vec<Rc<Member>>>,
    /// Of the pool: some, if an earlier run went wrong.
    pub(super) in_use_before: usize,
    /// Further handles.
    pub(super) clones: RefCell<Vec<CancellationToken>>,
    pub(super) waiters: RefCell<Vec<Rc<Waiter>>>,
    pub(super) callbacks: RefCell<Vec<Rc<Callback>>>,
    pub(super) clock: Arc<Clock>,
    /// The token that it has an alarm for.
    pub(super) timed: Cell<Option<char>>,
    /// The reason that the next token to be born has been given already.
    pub(super) early: Cell<Reasons>,
    /// The one that it may have been given.
    pub(super) perhaps: Cell<Reasons>,
    /// Tokens with a deadline on the static timer.
    pub(super) ticking: Cell<Set>,
    pub(super) lines: [Line; 24],
    pub(super) lines_given: Cell<usize>,
    /// The pool has been filled up.
    pub(super) full: Cell<bool>,
    /// Tokens have branches, which stand in the place of forks.
    pub(super) crowded: Cell<bool>,
    #[cfg(feature = "std")]
    branches_before: (usize, usize),
    /// What the cancels that are running have to reach, the outermost first.
    running: Cell<[Set; 4]>,
    /// How many they are.
    cancels: Cell<usize>,
    /// How many of them an interrupt has interrupted that is doing something else: what that runs is none of theirs.
    interrupted: Cell<usize>,
}

impl World {
    pub(super) fn new(
        scene: &'static Scene,
        home: Home,
        interrupts: Rc<[Interrupt]>,
        cancelled_in_the_end: bool,
    ) -> Self {
        Self {
            home,
            scene,
            interrupts,
            cancelled_in_the_end,
            in_use_before: POOL.in_use(),
            members: RefCell::default(),
            clones: RefCell::default(),
            waiters: RefCell::default(),
            callbacks: RefCell::default(),
            clock: Arc::default(),
            timed: Cell::default(),
            early: Cell::default(),
            perhaps: Cell::default(),
            ticking: Cell::default(),
            lines: Default::default(),
            lines_given: Cell::new(0),
            full: Cell::new(false),
            crowded: Cell::new(false),
            #[cfg(feature = "std")]
            branches_before: branches_in_use(),
            running: Cell::new([0; 4]),
            cancels: Cell::new(0),
            interrupted: Cell::new(0),
        }
    }

    /// Makes tokens: a letter for each, with its children behind it in brackets.
    fn plant(&self, tree: &str) {
        let (mut parents, mut latest) = (Vec::new(), None);
        for letter in tree.chars() {
            match (letter, parents.last()) {
                ('(', _) => parents.push(latest.expect("a parent")),
                (')', _) => drop(parents.pop()),
                (name, Some(&parent)) => self.child(parent, name),
                (name, None) => self.root(name),
            }
            latest = Some(letter);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Rc<Member>> {
        (0..).map_while(|place| self.members.borrow().get(place).cloned())
    }

    pub(super) fn member(&self, name: char) -> Rc<Member> {
        let members = self.members.borrow();
        members.iter().find(|member| member.name == name).unwrap_or_else(|| panic!("there is no {name}")).clone()
    }

    /// Calls `f` with a token.
    pub(super) fn with<R>(&self, name: char, f: impl FnOnce(&CancellationToken) -> R) -> R {
        f(self.member(name).token.borrow().as_ref().unwrap_or_else(|| panic!("{name} has been dropped")))
    }

    /// Takes a token's handle, if it is here and nobody uses it.
    pub(super) fn take(&self, name: char) -> Option<CancellationToken> {
        self.member(name).token.try_borrow_mut().ok()?.take()
    }

    pub(super) fn is_here(&self, name: char) -> bool {
        self.member(name).token.borrow().is_some()
    }

    /// A token has been made, with this parent, or linked to these sources.
    pub(super) fn born(&self, name: char, heard: &[char], linked: bool, token: CancellationToken) {
        unseen(|| {
            let (mut parents, mut above, mut ancestors) = (0, 0, 0);
            for member in heard.iter().map(|&name| self.member(name)) {
                parents |= member.bit;
                above |= member.bit | member.above;
                ancestors |= if linked { 0 } else { member.bit | member.ancestors };
            }
            let (bit, token) = (1 << self.members.borrow().len(), RefCell::new(Some(token)));
            let (begun, due, seen) = (Cell::new(self.early.take()), Cell::default(), Cell::default());
            let member = Rc::new(Member { name, bit, parents, above, ancestors, token, begun, due, seen });
            // Reached or born cancelled (C4).
            member.due.set(self.may(&member) != Reasons::NONE);
            member.begun.set(member.begun.get().or(self.perhaps.take()));
            self.look_at(&member);
            self.members.borrow_mut().push(member);
        });
    }

    /// A member, and all below it in its tree.
    fn tree_of(&self, root: &Member) -> Set {
        let mut tree = root.bit;
        for member in self.members.borrow().iter() {
            if member.ancestors & root.bit != 0 {
                tree |= member.bit;
            }
        }
        tree
    }

    /// These members.
    pub(super) fn those(&self, set: Set) -> impl Iterator<Item = Rc<Member>> {
        self.all().filter(move |member| member.bit & set != 0)
    }

    /// Has a member cancelled by `cancel`, which may tell whether it has decided the reason.
    pub(super) fn cancelling(&self, member: &Member, why: Why, cancel: impl FnOnce() -> Option<bool>) {
        let others = self.cancels.get();
        let reached = unseen(|| {
            member.begun.set(member.begun.get().or(why.into()));
            let (mut running, reached) = (self.running.get(), self.tree_of(member));
            running[others] = reached;
            self.running.set(running);
            self.cancels.set(others + 1);
            reached
        });
        let decided = cancel();
        unseen(|| {
            self.cancels.set(others);
            self.those(reached).for_each(|member| member.due.set(true));
            self.look_at_all();
            if let Some(decided) = decided {
                let it_is = member.seen.get() == why.into();
                // Only an alarm may be fired twice.
                let is_right = decided == it_is || member.token.borrow().is_none() || (why == Why::Deadline && it_is);
                demand(is_right, "a cancel was wrong about having decided the reason");
            }
        });
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.cancels.get() > 0
    }

    pub(super) fn cancel_with(&self, name: char, why: Why) {
        self.with(name, |token| {
            self.cancelling(&self.member(name), why, || match (why, why.cause()) {
                (_, Some(cause)) => Some(token.cancel_with(cause)),
                #[cfg(feature = "alloc")]
                (Why::OnTheHeap, None) => Some(token.cancel_with(super::reasons::Text("on the heap"))),
                _ => {
                    token.cancel();
                    None
                }
            });
        });
    }

    pub(super) fn cancel(&self, name: char) {
        self.cancel_with(name, Why::Plain);
    }

    fn cancel_all(&self) {
        for member in self.all() {
            if member.token.borrow().as_ref().is_some_and(|token| !token.is_cancelled()) {
                self.cancel(member.name);
            }
        }
    }

    fn drop_all(&self) {
        drop(take(&mut *self.waiters.borrow_mut()));
        drop(take(&mut *self.callbacks.borrow_mut()));
        let members = take(&mut *self.members.borrow_mut());
        members.iter().for_each(|member| drop(member.token.take()));
        drop(take(&mut *self.clones.borrow_mut()));
        self.drop_alarm();
    }
}

impl Subject for World {
    fn prepare(&self) {
        self.turn_the_clock_back();
        self.plant(self.scene.tree);
        (self.scene.given)(self);
    }

    fn operate(&self) {
        (self.scene.operation)(self);
    }

    fn interrupt(&self, depth: usize, which: usize) {
        match self.interrupts[which] {
            Interrupt::Cancel(name) if self.is_here(name) => {
                self.cancel_with(name, if depth == 1 { Why::Interrupted } else { Why::Plain });
            }
            Interrupt::Cancel(_) => {}
            Interrupt::Fire => self.fire(),
            Interrupt::Do((_, act)) => {
                let before = self.interrupted.replace(self.cancels.get());
                act(self);
                self.interrupted.set(before);
            }
        }
    }

    fn may_allocate(&self, which: usize) -> bool {
        matches!(self.interrupts[which], Interrupt::Do(_))
    }

    fn look(&self) {
        self.look_at_all();
    }

    fn settle(&self) {
        self.look_closely();
        if self.cancelled_in_the_end {
            self.cancel_all();
            self.look_closely();
        }
        self.drop_all();
        self.look_back();
        demand(POOL.in_use() == self.in_use_before, "not all nodes are back in their pool");
        #[cfg(feature = "std")]
        demand(branches_in_use() == self.branches_before, "branches are left");
    }

    /// Two phases: foreign code is run when all that has to be cancelled is.
    fn called(&self, line: usize) {
        unseen(|| {
            let in_a_cancel = self.cancels.get() > self.interrupted.get();
            if in_a_cancel {
                for member in self.those(self.running.get()[self.cancels.get() - 1]) {
                    let cancelled = member.token.borrow().as_ref().is_none_or(CancellationToken::is_cancelled);
                    demand(cancelled, "somebody is woken or run before all are cancelled");
                }
            }
            if line == GUARD {
                demand(!in_a_cancel, "what a timer has armed was dropped in a cancel");
            } else {
                self.lines[line].ring();
            }
        });
    }
}
