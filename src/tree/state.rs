//! The state word: who still needs the node, and what has become of its place in the parent's list.
//!
//! ```text
//! | handles        | children       | KEEPS | STAYS | EXTENDED | RETRY | PINNED | HANDED | LINKED |
//! | 32 bits (12)   | 25 bits (13)   |   6   |   5   |    4     |   3   |   2    |   1    |   0    |
//! ```
//!
//! (In brackets: on targets without 64-bit atomics.)
//!
//! A *handle* is a token, a registration, a future with a hidden node or in a block, or what a token has of its blocks. A
//! *child claim* belongs to a child that stands in this node's list, or, for a while, to a thread that relocates one, or
//! that cancels an anchored node or runs a callback (`extended`).
//!
//! EXTENDED and STAYS are given at birth and never change. EXTENDED: the node has a tail (`extended`). STAYS: it is never
//! a relay, because of what its tail holds. KEEPS: nor is this one, because of the detached callbacks in its list; sticky.
//!
//! | count | LINKED | HANDED | PINNED | RETRY | meaning |
//! |---|---|---|---|---|---|
//! | > 0 | 1 | 0 | 0 | 0 | alive, in its parent's list |
//! | > 0 | 0 | 0 | 0 | 0 | alive, a root: born so, or its parent's list has been swept |
//! | > 0 | 1 | 0 | 1 | r | one thread has this node's relocation in hand; r: look again before you unpin it |
//! | > 0 | 0 | 0 | 1 | r | the same, and the sweeper came by: the claim on the parent is the pin holder's to give back |
//! | 0 | 1 | 0 | 0 | 0 | dead; the one who took the last claim buries it |
//! | 0 | l | 0 | 1 | r | died under the pin: the holder of the pin buries it |
//! | 0 | 1 | 1 | 0 | 0 | dead, and its dropper has let go of it: the sweeper of the parent frees it |
//! | 0 | 0 | 0 | 0 | 0 | dead and unlinked: who sees this in his own read-modify-write frees it |
//! | > 0 | l | 0 | 1 | 1 | with STAYS: *detached*, a callback without a registration; has no claim on its parent (I15) |
//!
//! No atomics here but the loop that applies a transition; the transitions are pure and have unit tests.

use crate::primitives::{AcqRel, Acquire, AtomicWord, Relaxed, Word, abort};

/// The node stands in its parent's list. Cleared once, by the sweeper of the parent.
const LINKED: Word = 0b0001;
/// The node is dead and nobody but the sweeper of its parent may touch it.
const HANDED: Word = 0b0010;
/// One thread has the relocation of this node in hand (see `collapse`).
const PINNED: Word = 0b0100;
/// The node became a relay again while it was pinned.
const RETRY: Word = 0b1000;
/// The node has a tail.
const EXTENDED: Word = 0b01_0000;
/// The node is no relay, whatever its claims.
const STAYS: Word = 0b10_0000;
/// The node has, or has had, detached callbacks.
const KEEPS: Word = 0b100_0000;
const FLAGS: Word = LINKED | HANDED | PINNED | RETRY | EXTENDED | STAYS | KEEPS;
/// With STAYS, which no relay has, this cannot come about in another way.
const DETACHED: Word = PINNED | RETRY;

const CHILD_SHIFT: u32 = 7;
const HANDLE_SHIFT: u32 = if Word::BITS == 64 { 32 } else { 20 };

/// One child claim.
pub(super) const CHILD: Word = 1 << CHILD_SHIFT;
/// One handle.
pub(super) const HANDLE: Word = 1 << HANDLE_SHIFT;

const CHILDREN: Word = (HANDLE - 1) & !FLAGS;
const HANDLES: Word = !(HANDLE - 1);
// Half of what fits: the other half is room for the threads that are between their addition and their abort.
const MAX_CHILDREN: Word = CHILDREN >> (CHILD_SHIFT + 1);
const MAX_HANDLES: Word = HANDLES >> (HANDLE_SHIFT + 1);
/// How many children a node may have.
pub(super) const MOST_CHILDREN: usize = MAX_CHILDREN as usize;

const _: () = assert!(FLAGS ^ CHILDREN ^ HANDLES == Word::MAX, "the counts and the flags share no bit");

/// A copy of the state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(Word);

/// What the thread that gave back claims has to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Duty {
    /// Nothing: the node lives on, or a pin holder will look after it.
    None,
    /// The node is dead and in no list: free it.
    Free,
    /// The node is dead and still in its parent's list: have it unlinked, then give back its claim on the parent.
    Bury,
    /// The node has become a relay and this thread has pinned it: have it replaced by its only child.
    Relocate,
    /// The node is a root that nobody can cancel any more; this thread has a child claim on it: dissolve its list, then give
    /// the claim back.
    Dissolve,
}

/// What becomes of a node whose parent's list is being dissolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Swept {
    /// It lives on without a parent.
    Alive,
    /// The same, but nobody can cancel it any more: the sweeper has a child claim on it, and dissolves its list in turn.
    Orphan,
    /// Its claim on the parent is that of the holder of the pin.
    Pinned,
    /// It is dead, and its dropper has let go of it.
    Handed,
    /// It is dead, and its dropper is on the way, or has left it on the dead stack.
    Dying,
}

impl State {
    /// A node in no list, with one handle.
    pub(super) const ROOT: State = State(HANDLE);
    /// A node that is about to stand in its parent's list, with one handle.
    pub(super) const CHILD: State = State(HANDLE | LINKED);

    #[inline]
    pub(super) fn extended(self) -> State {
        State(self.0 | EXTENDED)
    }
    #[inline]
    pub(super) fn staying(self) -> State {
        State(self.0 | EXTENDED | STAYS)
    }
    #[inline]
    pub(super) fn is_extended(self) -> bool {
        self.0 & EXTENDED != 0
    }
    /// There is a tail, or there are detached callbacks in the list.
    #[inline]
    pub(super) fn is_laden(self) -> bool {
        self.0 & (EXTENDED | KEEPS) != 0
    }
    #[inline]
    pub(super) fn keeps(self) -> bool {
        self.0 & KEEPS != 0
    }
    #[inline]
    pub(super) fn stays(self) -> bool {
        self.0 & STAYS != 0
    }
    /// Detached, with a child claim that is the caller's for the time being.
    #[inline]
    pub(super) fn detached(self) -> State {
        State((self.0 | DETACHED) + CHILD)
    }
    #[inline]
    pub(super) fn is_linked(self) -> bool {
        self.0 & LINKED != 0
    }
    #[inline]
    pub(super) fn is_handed(self) -> bool {
        self.0 & HANDED != 0
    }
    #[inline]
    pub(super) fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }
    #[inline]
    pub(super) fn has_retry(self) -> bool {
        self.0 & RETRY != 0
    }
    /// Nobody holds a claim, and nobody ever will again.
    #[inline]
    pub(super) fn is_dead(self) -> bool {
        self.0 & !FLAGS == 0
    }
    #[inline]
    pub(super) fn has_handle(self) -> bool {
        self.0 & HANDLES != 0
    }
    /// No handle, exactly one child claim, and nothing of its own that would be missed.
    #[inline]
    pub(super) fn has_one_child_only(self) -> bool {
        self.0 & (!FLAGS | STAYS | KEEPS) == CHILD
    }
    /// A node that only passes on what its ancestors say to its single child.
    #[inline]
    fn is_relay(self) -> bool {
        self.has_one_child_only() && self.is_linked()
    }
    #[cfg(feature = "alloc")]
    pub(super) fn handles(self) -> usize {
        (self.0 >> HANDLE_SHIFT) as usize
    }
    #[inline]
    pub(super) fn has_several_handles(self) -> bool {
        self.0 >> HANDLE_SHIFT > 1
    }
    /// So many handles more, of one that nobody has seen.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn with_handles(self, more: usize) -> State {
        State(self.0 + HANDLE * more as Word)
    }
    #[inline]
    pub(super) fn pinned(self) -> State {
        State(self.0 | PINNED)
    }
    #[inline]
    pub(super) fn unpinned(self) -> State {
        State(self.0 & !(PINNED | RETRY))
    }
    #[inline]
    pub(super) fn handed(self) -> State {
        State(self.0 | HANDED)
    }

    /// Who sees this with no handle on it knows that nothing can cancel the node: it has no ancestor, and carries nothing.
    #[inline]
    fn is_bare_root(self) -> bool {
        self.0 & (LINKED | PINNED | STAYS | KEEPS) == 0
    }
    /// With a child claim that is the caller's.
    #[inline]
    pub(super) fn claimed(self) -> State {
        State(self.0 + CHILD)
    }

    /// The state of a node that the sweeper takes out of its parent's list, and what it is then.
    #[inline]
    fn swept(self) -> (State, Swept) {
        let left = State(self.0 & !LINKED);
        match (self.is_pinned(), self.is_dead()) {
            (true, _) => (left, Swept::Pinned),
            (false, true) if self.is_handed() => (left, Swept::Handed),
            (false, true) => (left, Swept::Dying),
            (false, false) if !self.has_handle() && left.is_bare_root() => (left.claimed(), Swept::Orphan),
            (false, false) => (left, Swept::Alive),
        }
    }

    #[inline]
    fn without_handle(self) -> State {
        State(self.0 - HANDLE)
    }

    /// What is to be done with a detached node on which these claims are left: if there are none, nobody pins it any more.
    #[inline]
    fn left_detached(self) -> (State, Duty) {
        match (self.is_dead(), self.is_linked()) {
            (false, _) => (self, Duty::None),
            (true, true) => (self.unpinned().handed(), Duty::None),
            (true, false) => (self.unpinned(), Duty::Free),
        }
    }

    /// The state after `claims` have been given back, and what that obliges to.
    ///
    /// A relay is pinned in the same step: once our claim is gone nothing else would keep it alive for us. A relay
    /// that is pinned already gets RETRY in the same step, so that its holder cannot miss it (calibration `retry`).
    #[inline]
    fn released(self, claims: Word) -> (State, Duty) {
        debug_assert!(claims & FLAGS == 0 && self.0 >= claims, "more claims given back than were held");
        let left = State(self.0 - claims);
        if left.has_handle() {
            // With a handle, only a detached callback has RETRY. A canceller has run it; so its own handle goes, too.
            if left.0 & RETRY == 0 { (left, Duty::None) } else { left.without_handle().left_detached() }
        } else if left.is_dead() {
            match (left.is_pinned(), left.is_linked()) {
                // A detached one has RETRY, too. The pin of any other is somebody's, who buries it (calibration
                // `a_pin_is_no_detachment`).
                (true, _) if left.stays() && left.has_retry() => left.left_detached(),
                (true, _) => (left, Duty::None),
                (false, true) => (left, Duty::Bury),
                (false, false) => (left, Duty::Free),
            }
        } else if left.is_relay() {
            if left.is_pinned() { (State(left.0 | RETRY), Duty::None) } else { (left.pinned(), Duty::Relocate) }
        } else if self.has_handle() && left.is_bare_root() {
            // In the same step: its children may go at any time, and nothing else keeps it for us.
            (left.claimed(), Duty::Dissolve)
        } else {
            (left, Duty::None)
        }
    }
}

/// The word itself. Every change is a read-modify-write, so that its modification order is one story.
pub(super) struct AtomicState(AtomicWord);

impl AtomicState {
    #[inline]
    pub(super) fn new(state: State) -> Self {
        Self(AtomicWord::new(state.0))
    }

    #[inline]
    pub(super) fn load(&self, order: crate::primitives::Ordering) -> State {
        State(self.0.load(order))
    }

    /// Compare-and-swap; on failure the newest state, read with `failure`.
    #[inline]
    pub(super) fn replace(
        &self,
        from: State,
        to: State,
        success: crate::primitives::Ordering,
        failure: crate::primitives::Ordering,
    ) -> Result<(), State> {
        self.0.compare_exchange(from.0, to.0, success, failure).map(drop).map_err(State)
    }

    /// Adds a handle. The caller holds one.
    #[inline]
    pub(super) fn retain(&self) {
        // Relaxed: as in `Arc`, the caller's own claim keeps the node, and nothing is read on the strength of this.
        if State(self.0.fetch_add(HANDLE, Relaxed)).0 >> HANDLE_SHIFT > MAX_HANDLES {
            abort();
        }
    }

    /// Adds a child claim. The caller holds a claim, or the pin of a child.
    #[inline]
    pub(super) fn add_child(&self) {
        // Relaxed: as `retain`.
        if (self.0.fetch_add(CHILD, Relaxed) & CHILDREN) >> CHILD_SHIFT > MAX_CHILDREN {
            abort();
        }
    }

    /// Takes back a child claim that cannot be the last one: the caller holds a handle.
    #[inline]
    pub(super) fn cancel_child(&self) {
        // Relaxed: the caller's handle, given back later by `release`, carries the order.
        self.0.fetch_sub(CHILD, Relaxed);
    }

    /// Adds a child claim unless the node is dead.
    #[inline]
    pub(super) fn try_add_child(&self) -> bool {
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

    /// Adds a few handles. The caller holds one.
    #[cfg(any(feature = "alloc", test))]
    #[inline]
    pub(super) fn add(&self, handles: usize) {
        // Relaxed: as `retain`.
        if State(self.0.fetch_add(HANDLE * handles as Word, Relaxed)).0 >> HANDLE_SHIFT > MAX_HANDLES {
            abort();
        }
    }

    /// Takes handles back that cannot be the last: the caller holds one.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn give_back(&self, handles: usize) {
        // Relaxed: as `cancel_child`.
        self.0.fetch_sub(HANDLE * handles as Word, Relaxed);
    }

    /// Gives back `claims` and tells what that obliges to.
    #[inline]
    pub(super) fn release(&self, claims: Word) -> Duty {
        self.release_from(self.load(Relaxed), claims)
    }

    /// As [`release`](Self::release); the state was `state` a moment ago.
    #[inline]
    pub(super) fn release_from(&self, mut state: State, claims: Word) -> Duty {
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
    pub(super) fn release_but_the_last(&self, mut state: State) -> Result<(), State> {
        while state.has_several_handles() {
            // Release, Acquire (E7): as `release`.
            match self.replace(state, State(state.0 - HANDLE), AcqRel, Acquire) {
                Ok(()) => return Ok(()),
                Err(newer) => state = newer,
            }
        }
        Err(state)
    }

    /// The short way of `release`, for the only handle on a leaf: if the state is as `seen`, the node is dead, and to be buried if it
    /// is linked, else to be freed. Else nothing is done, and false.
    #[inline]
    pub(super) fn release_leaf(&self, seen: State) -> bool {
        let left = State(seen.0.wrapping_sub(HANDLE));
        // Release, Acquire (E7): as `release`.
        left.0 & !LINKED == 0 && self.replace(seen, left, AcqRel, Relaxed).is_ok()
    }

    /// The short way of `release`, for a child claim: if the state is as `seen`, and there is a handle, nothing follows from it. Else
    /// nothing is done, and false.
    #[inline]
    pub(super) fn release_child_of_held(&self, seen: State) -> bool {
        // Release, Acquire (E7): as `release`.
        seen.has_handle() && self.replace(seen, State(seen.0 - CHILD), AcqRel, Relaxed).is_ok()
    }

    /// The node is no relay from now on. The caller holds a handle.
    #[inline]
    pub(super) fn keep(&self) {
        // Relaxed: published with the caller's handle, when he gives that back.
        self.0.fetch_or(KEEPS, Relaxed);
    }

    /// Gives back the child claim that the caller took when he detached the node; its own handle stays, if it is there.
    #[inline]
    pub(super) fn release_detached(&self) -> Duty {
        let mut state = self.load(Relaxed);
        loop {
            let (to, duty) = State(state.0 - CHILD).left_detached();
            // Release, Acquire (E7): as `release`.
            match self.replace(state, to, AcqRel, Relaxed) {
                Ok(()) => return duty,
                Err(newer) => state = newer,
            }
        }
    }

    /// Gives back child claims of a node that the caller has pinned: what follows from it is the caller's duty.
    #[inline]
    pub(super) fn release_pinned(&self, claims: Word) {
        // Relaxed: the caller keeps the pin, looks at the word again, and publishes by the step that unpins.
        self.0.fetch_sub(claims, Relaxed);
    }

    /// Clears RETRY. The caller holds the pin and is about to look again.
    #[inline]
    pub(super) fn clear_retry(&self) {
        // Relaxed: the caller re-reads the word, and the CAS that unpins carries the order.
        self.0.fetch_and(!RETRY, Relaxed);
    }

    /// The same, if the node is flagged: then it is no orphan, for its own list has been swept, too.
    #[inline]
    pub(super) fn unlink_flagged(&self) -> Swept {
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
    pub(super) fn unlink(&self) -> Swept {
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
    pub(super) fn hand_over(&self) -> State {
        // AcqRel (E10), with `unlink`.
        State(self.0.fetch_or(HANDED, AcqRel))
    }
}

#[cfg(all(test, not(cancel_tree_loom)))]
mod tests;
