//! The futures, and the nodes that they take.

use super::{Id, Tree};
use std::task::Poll;

#[derive(Clone, Copy)]
pub(super) enum Place {
    Nowhere,
    Slot,
    Hidden(Id),
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
