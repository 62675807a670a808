//! The loop that applies a transition, and the orderings of each step.

use super::{
    CHILD, CHILD_SHIFT, CHILDREN, Duty, HANDED, HANDLE, HANDLE_SHIFT, KEEPS, LINKED, MAX_CHILDREN, MAX_HANDLES, RETRY,
};
use super::{State, Swept};
#[cfg(feature = "alloc")]
use crate::primitives::Release;
use crate::primitives::{AcqRel, Acquire, AtomicWord, Ordering, Relaxed, Word, abort};

/// The word itself. Every change is a read-modify-write, so that its modification order is one story.
pub(in super::super) struct AtomicState(AtomicWord);

impl AtomicState {
    #[inline]
    pub(in super::super) fn new(state: State) -> Self {
        Self(AtomicWord::new(state.0))
    }

    #[inline]
    pub(in super::super) fn load(&self, order: Ordering) -> State {
        State(self.0.load(order))
    }

    /// Compare-and-swap; on failure the newest state, read with `failure`.
    #[inline]
    pub(in super::super) fn replace(
        &self,
        from: State,
        to: State,
        success: Ordering,
        failure: Ordering,
    ) -> Result<(), State> {
        self.0.compare_exchange(from.0, to.0, success, failure).map(drop).map_err(State)
    }

    /// Adds a handle. The caller holds one.
    #[inline]
    pub(in super::super) fn retain(&self) {
        // Relaxed: as in `Arc`, the caller's own claim keeps the node, and nothing is read on the strength of this.
        if State(self.0.fetch_add(HANDLE, Relaxed)).0 >> HANDLE_SHIFT > MAX_HANDLES {
            abort();
        }
    }

    /// Adds a child claim. The caller holds a claim, or the pin of a child.
    #[inline]
    pub(in super::super) fn add_child(&self) {
        // Relaxed: as `retain`.
        if (self.0.fetch_add(CHILD, Relaxed) & CHILDREN) >> CHILD_SHIFT > MAX_CHILDREN {
            abort();
        }
    }

    /// Takes back a child claim that cannot be the last one: the caller holds a handle.
    #[inline]
    pub(in super::super) fn cancel_child(&self) {
        // Relaxed: the caller's handle, given back later by `release`, carries the order.
        self.0.fetch_sub(CHILD, Relaxed);
    }

    /// Adds a child claim unless the node is dead.
    #[inline]
    pub(in super::super) fn try_add_child(&self) -> bool {
        let mut state = self.load(Relaxed);
        while !state.is_dead() {
            if (state.0 & CHILDREN) >> CHILD_SHIFT > MAX_CHILDREN {
                abort();
            }
            // Relaxed: as `retain`; what keeps the node's memory is said by the caller.
            match self.replace(state, State(state.0 + CHILD), Relaxed, Relaxed) {
                Ok(()) => return true,
                Err(newer) => state = newer,
            }
        }
        false
    }

    /// Adds a handle, if the node has one that is not about to be given back as the last.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(in super::super) fn try_retain(&self) -> bool {
        let mut state = self.load(Relaxed);
        // (Calibration `no_handle_comes_after_the_last`.)
        while state.has_handle() && !state.is_handed() {
            if state.0 >> HANDLE_SHIFT > MAX_HANDLES {
                abort();
            }
            // Relaxed: as `try_add_child`.
            match self.replace(state, State(state.0 + HANDLE), Relaxed, Relaxed) {
                Ok(()) => return true,
                Err(newer) => state = newer,
            }
        }
        false
    }

    /// Gives a handle back, unless it is the last one: then nothing is given back, but from now on it is a
    /// [`LAST_HANDLE`](super::LAST_HANDLE), after which none comes by `try_retain`; and true.
    #[cfg(feature = "alloc")]
    pub(in super::super) fn release_or_announce_the_last(&self) -> bool {
        let mut state = self.load(Relaxed);
        loop {
            let several = state.has_several_handles();
            let to = if several { State(state.0 - HANDLE) } else { state.handed() };
            // Release (E7): as `release`, if it is given back. Else it will be later, and what others did is acquired by that, before anything
            // is freed.
            match self.replace(state, to, Release, Relaxed) {
                Ok(()) => return !several,
                Err(newer) => state = newer,
            }
        }
    }

    /// Adds a few handles. The caller holds one.
    #[cfg(any(feature = "alloc", test))]
    #[inline]
    pub(in super::super) fn add(&self, handles: usize) {
        // Relaxed: as `retain`.
        if State(self.0.fetch_add(HANDLE * handles as Word, Relaxed)).0 >> HANDLE_SHIFT > MAX_HANDLES {
            abort();
        }
    }

    /// Takes handles back that cannot be the last: the caller holds one.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(in super::super) fn give_back(&self, handles: usize) {
        // Relaxed: as `cancel_child`.
        self.0.fetch_sub(HANDLE * handles as Word, Relaxed);
    }

    /// Gives back `claims` and tells what that obliges to.
    #[inline]
    pub(in super::super) fn release(&self, claims: Word) -> Duty {
        self.release_from(self.load(Relaxed), claims)
    }

    /// As [`release`](Self::release); the state was `state` a moment ago.
    #[inline]
    pub(in super::super) fn release_from(&self, mut state: State, claims: Word) -> Duty {
        loop {
            let (to, duty) = state.released(claims);
            // Release (E7): what I did with the node comes before its free. Acquire (E7): if I am the one who frees
            // or buries it, what everybody else did comes before that; and `parent` is the last one stored (I11).
            match self.replace(state, to, AcqRel, Relaxed) {
                Ok(()) => return duty,
                Err(newer) => state = newer,
            }
        }
    }

    /// Gives back a handle on a node that is no callback, unless it is the last one: then nothing is done, and the state is told. If it is not,
    /// nothing follows from it. The state is as was just seen, with Acquire (E7): if the handle is the last one, what was done by
    /// those who had the others, who cannot come again.
    #[inline]
    pub(in super::super) fn release_but_the_last(&self, mut state: State) -> Result<(), State> {
        while state.has_several_handles() {
            // Release, Acquire (E7): as `release`.
            match self.replace(state, State(state.0 - HANDLE), AcqRel, Acquire) {
                Ok(()) => return Ok(()),
                Err(newer) => state = newer,
            }
        }
        Err(state)
    }

    /// The short way of `release`, for the only claim on a leaf that stands in a list: it is dead then, and to be buried. If the state is another
    /// by now, nothing is done, and false.
    #[inline]
    pub(in super::super) fn release_leaf(&self) -> bool {
        // Release, Acquire (E7): as `release`.
        self.replace(State::CHILD, State(LINKED), AcqRel, Relaxed).is_ok()
    }

    /// The short way of `release`, for a child claim: if the state is as `seen`, and there is a handle, nothing follows from it. Else
    /// nothing is done, and false.
    #[inline]
    pub(in super::super) fn release_child_of_held(&self, seen: State) -> bool {
        // Release, Acquire (E7): as `release`.
        seen.has_handle() && self.replace(seen, State(seen.0 - CHILD), AcqRel, Relaxed).is_ok()
    }

    /// The node is no relay from now on. The caller holds a handle.
    #[inline]
    pub(in super::super) fn keep(&self) {
        // Relaxed: published with the caller's handle, when he gives that back.
        self.0.fetch_or(KEEPS, Relaxed);
    }

    /// Gives back the child claim that the caller took when he detached the node; its own handle stays, if it is there.
    #[inline]
    pub(in super::super) fn release_detached(&self) -> Duty {
        let mut state = self.load(Relaxed);
        loop {
            let (to, duty) = state.looked_at();
            // Release, Acquire (E7): as `release`.
            match self.replace(state, to, AcqRel, Relaxed) {
                Ok(()) => return duty,
                Err(newer) => state = newer,
            }
        }
    }

    /// Gives back child claims of a node that the caller has pinned: what follows from it is the caller's duty.
    #[inline]
    pub(in super::super) fn release_pinned(&self, claims: Word) {
        // Relaxed: the caller keeps the pin, looks at the word again, and publishes by the step that unpins.
        self.0.fetch_sub(claims, Relaxed);
    }

    /// Clears RETRY. The caller holds the pin and is about to look again.
    #[inline]
    pub(in super::super) fn clear_retry(&self) {
        // Relaxed: the caller re-reads the word, and the CAS that unpins carries the order.
        self.0.fetch_and(!RETRY, Relaxed);
    }

    /// The same, if the node is flagged: then it is no orphan, for its own list has been swept, too.
    #[inline]
    pub(in super::super) fn unlink_flagged(&self) -> Swept {
        // AcqRel (E10): as `unlink`. A subtraction, which needs no loop: the bit is there, for it is cleared once.
        let state = State(self.0.fetch_sub(LINKED, AcqRel));
        debug_assert!(state.is_linked(), "swept twice");
        if state.has_handle() && !state.is_pinned() {
            return Swept::Alive;
        }
        match state.swept().1 {
            Swept::Orphan => Swept::Alive,
            swept => swept,
        }
    }

    /// Sweeper: takes the node out of its parent's list for good.
    pub(in super::super) fn unlink(&self) -> Swept {
        let mut state = self.load(Relaxed);
        loop {
            let (to, swept) = state.swept();
            // AcqRel (E10), with `hand_over`: whoever comes second sees what the first did with the node, and frees it.
            match self.replace(state, to, AcqRel, Relaxed) {
                Ok(()) => return swept,
                Err(newer) => state = newer,
            }
        }
    }

    /// Dropper of a dead node: lets go of it. Returns the state before.
    #[inline]
    pub(in super::super) fn hand_over(&self) -> State {
        // AcqRel (E10), with `unlink`.
        State(self.0.fetch_or(HANDED, AcqRel))
    }
}
