//! The futures, and the nodes that they take.

use super::{Id, Role, Tree};
use std::task::Poll;

#[derive(Clone, Copy)]
pub(super) enum Place {
    Nowhere,
    Slot,
    /// In the first block of the token.
    First,
    /// In a node or a block of which the future has a handle.
    Hidden(Id),
}

/// So many waiters go into the first block of a token, and into each further one.
const FIRST: usize = 10 + 3 * SEGMENT;
const FURTHER: usize = 8 * SEGMENT;
const SEGMENT: usize = if cfg!(target_has_atomic = "64") { 31 } else { 15 };

/// The blocks that a token has a handle on.
#[derive(Default)]
pub(super) struct Blocks {
    /// The first one, and how many wait in it.
    first: Option<(Id, usize)>,
    /// The one for those who come when the first is full. Each who waits in it has a handle, too.
    open: Option<Id>,
}

/// A future that waits for a token, alone or in a race with another future.
pub(crate) struct Wait {
    pub(super) node: Id,
    /// The future holds the handle itself, and drops it when a race is decided.
    owned: bool,
    pub(super) place: Place,
    pub(super) waker: Option<usize>,
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

impl Tree {
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
        let (node, place, cancelled) = (*node, *place, self.nodes[*node].why.is_some());
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
            self.waits[wait].place = if taken { self.further(node) } else { Place::Slot };
        }
        self.waits[wait].waker = Some(waker);
        Poll::Pending
    }

    /// A place for a waiter that finds the token's own slot taken.
    fn further(&mut self, token: Id) -> Place {
        if self.is_in_a_pool {
            return Place::Hidden(self.child(token));
        }
        match &mut self.nodes[token].blocks {
            Blocks { first: None, .. } => {
                let block = self.child(token);
                self.nodes[token].blocks.first = Some((block, 1));
                return Place::First;
            }
            Blocks { first: Some((_, waiting)), .. } if *waiting < FIRST => {
                *waiting += 1;
                return Place::First;
            }
            _ => {}
        }
        let open = self.nodes[token].blocks.open;
        if let Some(open) = open {
            if self.nodes[open].handles <= FURTHER {
                self.retain(open);
                return Place::Hidden(open);
            }
        }
        let block = self.child(token);
        self.retain(block);
        self.nodes[token].blocks.open = Some(block);
        if let Some(full) = open {
            self.nodes[full].handles -= 1;
        }
        Place::Hidden(block)
    }

    /// The end of the blocks of tokens that have no handle any more. (A callback has one on the token for its end.)
    pub(super) fn end_blocks(&mut self) {
        let mut more = true;
        while std::mem::take(&mut more) {
            let live = self.live();
            for node in 0..self.nodes.len() {
                let kept = match self.nodes[node].role {
                    Role::Finished { callback } => self.callbacks[callback].node.is_some_and(|node| live[node]),
                    _ => false,
                };
                if self.nodes[node].handles == 0 && !kept {
                    let Blocks { first, open } = std::mem::take(&mut self.nodes[node].blocks);
                    for block in first.map(|(block, _)| block).into_iter().chain(open) {
                        self.nodes[block].handles -= 1;
                        more = true;
                    }
                }
            }
        }
    }

    fn deregister(&mut self, wait: usize) {
        let Wait { node, place, waker, .. } = &mut self.waits[wait];
        *waker = None;
        match std::mem::replace(place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Slot => self.nodes[*node].slot_taken = false,
            Place::First => self.nodes[*node].blocks.first.iter_mut().for_each(|(_, waiting)| *waiting -= 1),
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
