//! What a pool has to have room for.
#![allow(dead_code, reason = "for those who have pools")]

use super::waits::Place;
use super::{Fate, Id, Role, Tree};

impl Tree {
    /// One whose nodes are all in a pool.
    pub(crate) fn in_a_pool() -> Self {
        Self { is_in_a_pool: true, ..Self::default() }
    }

    /// The nodes that have to be there.
    pub(crate) fn needed(&self) -> usize {
        self.live().into_iter().filter(|live| *live).count()
    }

    pub(crate) fn lives(&self, node: Id) -> bool {
        self.live()[node]
    }

    /// How many nodes there may be besides, until a handle is dropped: a cancel has found one dead that carries something which does
    /// not end there, and which may keep others.
    pub(crate) fn may_be_left(&self) -> usize {
        let live = self.live();
        let mut keeps = vec![false; self.nodes.len()];
        for node in &self.nodes {
            if let (Role::Callback { detached: true, .. }, Some(parent)) = (&node.role, node.parent) {
                keeps[parent] = true;
            }
        }
        let dead = || (0..live.len()).filter(|&id| !live[id] && !self.nodes[id].gone);
        let carries = |id: Id| match self.nodes[id].role {
            Role::Plain => keeps[id],
            Role::Callback { callback, .. } => self.callbacks[callback].finished.is_some(),
            Role::Finished { .. } | Role::Timed | Role::Linked(_) | Role::Link { .. } => true,
        };
        if dead().any(carries) { dead().count() } else { 0 }
    }

    /// Whether a poll of this future takes a node.
    pub(crate) fn poll_takes_a_node(&self, wait: usize) -> bool {
        let wait = &self.waits[wait];
        let node = &self.nodes[wait.node];
        node.why.is_none() && node.slot_taken && matches!(wait.place, Place::Nowhere)
    }

    /// Whether to wait for the end of this callback takes a node.
    pub(crate) fn finished_takes_a_node(&self, callback: usize) -> bool {
        self.callbacks[callback].fate == Fate::Waits && self.callbacks[callback].finished.is_none()
    }

    /// How many nodes are taken to link these tokens.
    pub(crate) fn any_takes(&self, sources: &[Id]) -> usize {
        let until = sources.iter().position(|&source| self.is_cancelled(source)).unwrap_or(sources.len());
        let mut each = sources[..until].to_vec();
        each.sort_unstable();
        each.dedup();
        1 + each.len()
    }
}
