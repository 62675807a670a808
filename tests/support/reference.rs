//! What the crate has to do, said as plainly as possible. Nothing is unlinked or collapsed here: nodes stay in a list
//! for ever, and how many of them the crate may keep is a definition, [`Tree::live_nodes`].

use std::task::Poll;

pub(crate) const WAKERS: usize = 4;
pub(crate) type Id = usize;

/// A token, or a hidden child for a second waiter. A child comes later in the list than its parent.
struct Node {
    parent: Option<Id>,
    handles: usize,
    cancelled: bool,
    /// A waiter has put its waker into the node itself.
    slot_taken: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Slot,
    Hidden(Id),
}

/// A future that waits for a token, alone or in a race with another future.
pub(crate) struct Wait {
    node: Id,
    /// The future holds the handle itself, and drops it when a race is decided.
    owned: bool,
    place: Place,
    waker: Option<usize>,
    pub(crate) race: Option<Race>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Race {
    /// The token has been looked at, so that the other future now comes first.
    pub(crate) looked: bool,
    pub(crate) decided: bool,
    pub(crate) ready: bool,
    pub(crate) polls: u32,
}

#[derive(Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    pub(crate) waits: Vec<Wait>,
    /// Nodes that cancels have found dead, up to the next drop of a handle.
    buried: usize,
    pub(crate) woken: [usize; WAKERS],
}

impl Tree {
    fn node(&mut self, parent: Option<Id>) -> Id {
        let cancelled = parent.is_some_and(|parent| self.nodes[parent].cancelled);
        self.nodes.push(Node { parent, handles: 1, cancelled, slot_taken: false });
        self.nodes.len() - 1
    }
    pub(crate) fn root(&mut self) -> Id {
        self.node(None)
    }
    pub(crate) fn child(&mut self, parent: Id) -> Id {
        self.node(Some(parent))
    }
    pub(crate) fn retain(&mut self, node: Id) {
        self.nodes[node].handles += 1;
    }
    pub(crate) fn release(&mut self, node: Id) {
        self.nodes[node].handles -= 1;
        self.buried = 0;
    }
    pub(crate) fn is_cancelled(&self, node: Id) -> bool {
        self.nodes[node].cancelled
    }

    pub(crate) fn cancel(&mut self, node: Id) {
        let before = self.live_nodes();
        self.nodes[node].cancelled = true;
        for child in node..self.nodes.len() {
            self.nodes[child].cancelled |= self.nodes[child].parent.is_some_and(|parent| self.nodes[parent].cancelled);
        }
        for wait in &mut self.waits {
            if self.nodes[wait.node].cancelled {
                wait.waker.take().into_iter().for_each(|waker| self.woken[waker] += 1);
            }
        }
        self.buried += before - self.live_nodes();
    }

    /// A node has to be there for its handles. Without a handle it is there if it passes on to several branches, or as
    /// the root of one. A cancelled node passes nothing on any more.
    pub(crate) fn live_nodes(&self) -> usize {
        let mut branches = vec![0; self.nodes.len()];
        let mut live = self.buried;
        for (id, node) in self.nodes.iter().enumerate().rev() {
            let passes_on = if node.cancelled { 0 } else { branches[id] };
            live += usize::from(node.handles > 0 || passes_on > 1 || (passes_on == 1 && node.parent.is_none()));
            if let Some(parent) = node.parent {
                branches[parent] += usize::from(node.handles > 0 || passes_on > 0);
            }
        }
        live
    }

    /// A future with a handle that it owns, or that its maker keeps for it.
    pub(crate) fn wait(&mut self, node: Id, owned: bool, race: Option<Race>) -> usize {
        self.waits.push(Wait { node, owned, place: Place::Nowhere, waker: None, race });
        let wait = self.waits.len() - 1;
        if race.is_some_and(|race| race.looked) && self.is_cancelled(node) {
            self.decide(wait);
        }
        wait
    }

    /// `Some` is what the other future gave: how often it was polled.
    pub(crate) fn poll(&mut self, wait: usize, waker: usize) -> Poll<Option<u32>> {
        let Wait { node, place, race, .. } = &mut self.waits[wait];
        let (node, place, cancelled) = (*node, *place, self.nodes[*node].cancelled);
        if let Some(race) = race {
            if race.decided {
                return Poll::Ready(None);
            }
            if race.looked || !cancelled {
                race.polls += 1;
                if race.ready {
                    let polls = race.polls;
                    self.decide(wait);
                    return Poll::Ready(Some(polls));
                }
            }
            race.looked = true;
        }
        if cancelled {
            if race.is_some() {
                self.decide(wait)
            } else {
                self.deregister(wait)
            }
            return Poll::Ready(None);
        }
        if let Place::Nowhere = place {
            let taken = std::mem::replace(&mut self.nodes[node].slot_taken, true);
            self.waits[wait].place = if taken { Place::Hidden(self.child(node)) } else { Place::Slot };
        }
        self.waits[wait].waker = Some(waker);
        Poll::Pending
    }

    fn deregister(&mut self, wait: usize) {
        let Wait { node, place, waker, .. } = &mut self.waits[wait];
        *waker = None;
        match std::mem::replace(place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Slot => self.nodes[*node].slot_taken = false,
            Place::Hidden(hidden) => self.release(hidden),
        }
    }

    fn decide(&mut self, wait: usize) {
        self.deregister(wait);
        let Wait { node, owned, race, .. } = &mut self.waits[wait];
        race.iter_mut().for_each(|race| race.decided = true);
        if let (true, node) = (*owned, *node) {
            self.release(node);
        }
    }

    /// The future is dropped, and the handle with it unless it has gone already.
    pub(crate) fn drop_wait(&mut self, wait: usize) {
        self.deregister(wait);
        let Wait { node, owned, race, .. } = self.waits[wait];
        if !(owned && race.is_some_and(|race| race.decided)) {
            self.release(node);
        }
    }

    /// How many waiters hold on to a waker.
    pub(crate) fn held(&self, waker: usize) -> usize {
        self.waits.iter().filter(|wait| wait.waker == Some(waker)).count()
    }
}
