//! What the crate has to do, said as plainly as possible. Nothing is unlinked or collapsed here: nodes stay in a list
//! for ever, and how many of them the crate may keep is a definition, [`Tree::live`].

use std::collections::BTreeSet;

mod pools;
mod waits;
use waits::Blocks;
#[allow(unused_imports, reason = "not every user has races")]
pub(crate) use waits::{Race, Wait};

pub(crate) const WAKERS: usize = 4;
pub(crate) type Id = usize;

/// Why something is cancelled.
#[allow(dead_code, reason = "not every user has all of them")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    Plain,
    Deadline,
    /// A static cause, by its number.
    Static(usize),
    /// A cause on the heap, by its number.
    Heap(usize),
}

/// What a node is. A node of a later kind comes later in the list than what it names.
#[derive(Clone)]
enum Role {
    /// A token, or a hidden child for further waiters.
    Plain,
    /// A token that stays what it is when it has no handle any more: with a timer of its own.
    Timed,
    /// The same, with these links.
    Linked(Vec<Id>),
    /// A hidden child of a source. (This one comes before what it names.)
    Link { target: Id },
    /// A hidden child with a closure.
    Callback { callback: usize, detached: bool },
    /// The token that is cancelled when a callback has finished.
    Finished { callback: usize },
}

struct Node {
    /// It comes earlier in the list.
    parent: Option<Id>,
    role: Role,
    handles: usize,
    why: Option<Why>,
    /// The number of the cancel that reached it; 0 if none has.
    by: usize,
    /// In nanoseconds of the clock.
    deadline: Option<u64>,
    /// Its memory has been given back.
    gone: bool,
    /// A waiter has put its waker into the node itself.
    slot_taken: bool,
    /// Where further waiters put theirs.
    blocks: Blocks,
}

/// What has become of a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Waits,
    /// By the cancel of that number.
    Ran(usize),
    /// It was unregistered, refused, or went with its token.
    Dropped,
}

pub(crate) struct Callback {
    pub(crate) fate: Fate,
    node: Option<Id>,
    finished: Option<Id>,
}

#[derive(Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) callbacks: Vec<Callback>,
    /// Deadlines with the tokens that they are armed for, in the order in which that was done.
    alarms: Vec<(u64, Id)>,
    pub(crate) now: u64,
    /// The causes on the heap that have not been dropped.
    pub(crate) causes: BTreeSet<usize>,
    /// Nodes that cancels have found dead, up to the next drop of a handle.
    buried: usize,
    cancels: usize,
    /// All nodes are in a pool: so there are no blocks.
    is_in_a_pool: bool,
    pub(crate) woken: [usize; WAKERS],
}

impl Tree {
    fn node(&mut self, parent: Option<Id>, role: Role) -> Id {
        let (mut why, mut by, mut deadline) = (None, 0, None);
        if let Some(parent) = parent {
            Node { why, by, deadline, .. } = self.nodes[parent];
        }
        let blocks = Blocks::default();
        self.nodes.push(Node { parent, role, handles: 1, why, by, deadline, gone: false, slot_taken: false, blocks });
        self.nodes.len() - 1
    }
    pub(crate) fn root(&mut self) -> Id {
        self.node(None, Role::Plain)
    }
    pub(crate) fn child(&mut self, parent: Id) -> Id {
        self.node(Some(parent), Role::Plain)
    }
    pub(crate) fn retain(&mut self, node: Id) {
        self.nodes[node].handles += 1;
    }
    pub(crate) fn release(&mut self, node: Id) {
        self.nodes[node].handles -= 1;
        self.settle();
    }
    /// One of each. As [`release`](Self::release) for one after the other, in less time.
    #[allow(dead_code, reason = "for those who make a whole tree at once")]
    pub(crate) fn release_all(&mut self, nodes: impl IntoIterator<Item = Id>) {
        nodes.into_iter().for_each(|node| self.nodes[node].handles -= 1);
        self.settle();
    }
    pub(crate) fn is_cancelled(&self, node: Id) -> bool {
        self.why(node).is_some()
    }
    pub(crate) fn why(&self, node: Id) -> Option<Why> {
        self.nodes[node].why
    }
    /// The number of the cancel that reached it first; 0 if it was linked and born so, or is not cancelled.
    #[allow(dead_code, reason = "for those who look at the order")]
    pub(crate) fn cancelled_by(&self, node: Id) -> usize {
        self.nodes[node].by
    }
    pub(crate) fn deadline(&self, node: Id) -> Option<u64> {
        self.nodes[node].deadline
    }

    /// A child with a timer of its own, on the tree's clock.
    pub(crate) fn timed(&mut self, parent: Id, at: u64) -> Id {
        let expired = at <= self.now;
        let child = self.node(Some(parent), if expired { Role::Plain } else { Role::Timed });
        let deadline = &mut self.nodes[child].deadline;
        *deadline = Some(deadline.map_or(at, |parents| parents.min(at)));
        if expired {
            self.cancel(child, Why::Deadline);
        } else if !self.is_cancelled(child) {
            self.alarms.push((at, child));
        }
        child
    }

    /// How many timers are armed.
    #[allow(dead_code, reason = "for a timer that forgets what has been fired")]
    pub(crate) fn pending(&self) -> usize {
        self.alarms.iter().filter(|(_, node)| !self.nodes[*node].gone && !self.is_cancelled(*node)).count()
    }

    /// Moves the clock: what is due is cancelled in the order of the deadlines, and among equal ones in that of the timers.
    pub(crate) fn advance(&mut self, by: u64) {
        self.now += by;
        let (mut due, rest): (Vec<_>, Vec<_>) = self.alarms.drain(..).partition(|(at, _)| *at <= self.now);
        self.alarms = rest;
        due.sort_by_key(|(at, _)| *at);
        for (_, node) in due {
            if !self.nodes[node].gone && !self.is_cancelled(node) {
                self.cancel(node, Why::Deadline);
                self.settle();
            }
        }
    }

    /// A token with several sources.
    pub(crate) fn any(&mut self, sources: &[Id]) -> Id {
        let why = sources.iter().find_map(|&source| self.why(source));
        let deadline = sources.iter().filter_map(|&source| self.deadline(source)).min();
        let each: BTreeSet<Id> = if why.is_none() { sources.iter().copied().collect() } else { BTreeSet::new() };
        let target = self.nodes.len() + each.len();
        let links = each.into_iter().map(|source| self.node(Some(source), Role::Link { target })).collect();
        let token = self.node(None, Role::Linked(links));
        (self.nodes[token].why, self.nodes[token].deadline) = (why, deadline);
        token
    }

    /// True if there is a registration: the token is not cancelled. Otherwise the callback is run, or handed back.
    pub(crate) fn on_cancel(&mut self, token: Id, hand_back: bool) -> bool {
        let callback = self.callbacks.len();
        let (fate, node) = if !self.is_cancelled(token) {
            self.retain(token);
            (Fate::Waits, Some(self.node(Some(token), Role::Callback { callback, detached: false })))
        } else if hand_back {
            (Fate::Dropped, None)
        } else {
            (Fate::Ran(self.cancels), None)
        };
        self.callbacks.push(Callback { fate, node, finished: None });
        node.is_some()
    }

    /// Unregisters, by a drop or in words. What the callback had become before.
    pub(crate) fn unregister(&mut self, callback: usize) -> Fate {
        let Callback { fate, node, finished } = &mut self.callbacks[callback];
        let (before, node) = (*fate, *node);
        if let (Fate::Waits, finished) = (before, *finished) {
            *fate = Fate::Dropped;
            if let Some(finished) = finished {
                self.cancel(finished, Why::Plain);
            }
        }
        self.give_up(node);
        before
    }

    pub(crate) fn detach(&mut self, callback: usize) {
        let node = self.callbacks[callback].node;
        if let Some(Role::Callback { detached, .. }) = node.map(|node| &mut self.nodes[node].role) {
            *detached = true;
        }
        self.give_up(node);
    }

    /// A registration goes, and with it its handle on its token.
    fn give_up(&mut self, node: Option<Id>) {
        if let Some(node) = node {
            let token = self.nodes[node].parent.expect("a callback is below its token");
            self.nodes[node].handles -= 1;
            self.release(token);
        }
    }

    /// A handle on the token that waits for the end of a callback, unless that has come.
    pub(crate) fn finished(&mut self, callback: usize) -> Option<Id> {
        if self.callbacks[callback].fate != Fate::Waits {
            return None;
        }
        match self.callbacks[callback].finished {
            Some(finished) => self.retain(finished),
            None => self.callbacks[callback].finished = Some(self.node(None, Role::Finished { callback })),
        }
        self.callbacks[callback].finished
    }

    /// Everything below gets the same reason, unless it has one; so does what is linked to it. True if this decided.
    pub(crate) fn cancel(&mut self, node: Id, why: Why) -> bool {
        if self.is_cancelled(node) {
            return false;
        }
        let before = self.live_nodes();
        self.cancels += 1;
        (self.nodes[node].why, self.nodes[node].by) = (Some(why), self.cancels);
        if let Why::Heap(cause) = why {
            self.causes.insert(cause);
        }
        for id in node..self.nodes.len() {
            let above = self.nodes[id].parent.and_then(|parent| self.why(parent));
            let reached = above.or_else(|| match &self.nodes[id].role {
                Role::Linked(links) => links.iter().find_map(|&link| self.why(link)),
                // Whatever it was that the callback ran for.
                Role::Finished { callback } => {
                    matches!(self.callbacks[*callback].fate, Fate::Ran(_)).then_some(Why::Plain)
                }
                _ => None,
            });
            if let (false, Some(why)) = (self.is_cancelled(id), reached) {
                (self.nodes[id].why, self.nodes[id].by) = (Some(why), self.cancels);
            }
            if let (Role::Callback { callback, .. }, true) = (&self.nodes[id].role, self.is_cancelled(id)) {
                let fate = &mut self.callbacks[*callback].fate;
                if *fate == Fate::Waits {
                    *fate = Fate::Ran(self.cancels);
                }
            }
        }
        self.wake();
        self.buried += before - self.live_nodes();
        true
    }

    fn wake(&mut self) {
        for wait in &mut self.waits {
            if self.nodes[wait.node].why.is_some() {
                wait.waker.take().into_iter().for_each(|waker| self.woken[waker] += 1);
            }
        }
    }

    /// A handle has been dropped: what cancels have found dead is given back, and what was left to itself ends with that.
    pub(crate) fn settle(&mut self) {
        self.buried = 0;
        self.end_blocks();
        let live = self.live();
        for (node, live) in self.nodes.iter_mut().zip(&live) {
            node.gone = !live;
        }
        for id in 0..self.nodes.len() {
            let (true, Role::Callback { callback, .. }) = (self.nodes[id].gone, &self.nodes[id].role) else { continue };
            let Callback { fate, finished, .. } = &mut self.callbacks[*callback];
            if *fate == Fate::Waits {
                *fate = Fate::Dropped;
                if let Some(finished) = *finished {
                    self.cancel(finished, Why::Plain);
                }
            }
        }
        self.buried = 0;
        self.causes.retain(|&cause| self.nodes.iter().any(|node| !node.gone && node.why == Some(Why::Heap(cause))));
    }

    pub(crate) fn live_nodes(&self) -> usize {
        self.buried + self.live().into_iter().filter(|live| *live).count()
    }

    /// A node has to be there for its handles. Without a handle it is there if it passes on to several branches what it may hear
    /// from above; if it carries something, as long as there is a branch. A cancelled node passes nothing on any more.
    /// A callback that is left to itself is no branch: it is there as long as its token is. A link is there for its target.
    fn live(&self) -> Vec<bool> {
        let mut branches = vec![0; self.nodes.len()];
        let mut carries = vec![false; self.nodes.len()];
        let mut live = vec![false; self.nodes.len()];
        let waits = |callback: usize| self.callbacks[callback].fate == Fate::Waits;
        for node in &self.nodes {
            if let (Role::Callback { callback, detached: true }, Some(parent)) = (&node.role, node.parent) {
                carries[parent] |= waits(*callback);
            }
        }
        let stays: Vec<_> = (0..self.nodes.len())
            .map(|id| carries[id] || matches!(self.nodes[id].role, Role::Timed | Role::Linked(_)))
            .collect();
        // Whether anything above could still be cancelled. (Parents come before their children.)
        let mut hears = vec![false; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            hears[id] = node.parent.is_some_and(|above| self.nodes[above].handles > 0 || stays[above] || hears[above]);
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            let needed = match node.role {
                Role::Link { target } => live[target],
                _ => node.handles > 0,
            };
            let passes_on = if node.why.is_some() { 0 } else { branches[id] };
            live[id] = needed || (passes_on > 0 && stays[id]) || (passes_on > 1 && hears[id]);
            if let Some(parent) = node.parent {
                branches[parent] += usize::from(needed || passes_on > 0);
            }
        }
        for (id, node) in self.nodes.iter().enumerate() {
            live[id] |= match (&node.role, node.parent) {
                (Role::Callback { callback, detached: true }, Some(parent)) => waits(*callback) && live[parent],
                (Role::Finished { callback }, _) => self.callbacks[*callback].node.is_some_and(|node| live[node]),
                _ => false,
            };
        }
        live
    }
}
