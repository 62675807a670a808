//! The state word: who still needs the node, and what has become of its place in the parent's list.
//!
//! ```text
//! | handles        | children       | KEEPS | STAYS | EXTENDED | RETRY | PINNED | HANDED | LINKED |
//! | 32 bits (12)   | 25 bits (13)   |   6   |   5   |    4     |   3   |   2    |   1    |   0    |
//! ```
//!
//! (In brackets: on targets without 64-bit atomics.)
//!
//! A *handle* is a token, a registration, a future with a hidden node or in a block, or what a token has of its further blocks; or what
//! somebody takes for a while to look into a token's first block, or to wake who is in it (`try_retain`). A *child claim* belongs to a
//! child that stands in this node's list, or, for a while, to a thread that relocates one, or that cancels an anchored node or runs a
//! callback (`extended`).
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
//! | > 0 | l | 1 | p | r | *last*: its last handle is about to go, and none is added any more (I18) |
//! | > 0 | l | 0 | 1 | 1 | with STAYS: *detached*, a callback without a registration; has no claim on its parent (I15) |
//!
//! No atomics here: the transitions are pure, and have unit tests. What applies them is in `word`.

use crate::primitives::Word;

#[cfg(all(test, not(cancel_tree_loom)))]
mod tests;
mod word;

pub(super) use word::AtomicState;

/// The node stands in its parent's list. Cleared once, by the sweeper of the parent.
const LINKED: Word = 0b0001;
/// The node is dead and nobody but the sweeper of its parent may touch it. With a handle: that is the last one, and about to go.
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
/// One handle, of which the node has been told that it is the last one.
#[cfg(feature = "alloc")]
pub(super) const LAST_HANDLE: Word = HANDLE | HANDED;

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
    /// No flag is set.
    #[inline]
    pub(super) fn is_unflagged(self) -> bool {
        self.0 & FLAGS == 0
    }
    /// No flag is set, and there are no other claims than these.
    #[inline]
    pub(super) fn is_only(self, claims: Word) -> bool {
        self.0 == claims
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

    /// Without the child claim that the caller took when he detached the node.
    #[inline]
    fn looked_at(self) -> (State, Duty) {
        State(self.0 - CHILD).left_detached()
    }

    /// The state after `claims` have been given back, and what that obliges to.
    ///
    /// A relay is pinned in the same step: once our claim is gone nothing else would keep it alive for us. A relay
    /// that is pinned already gets RETRY in the same step, so that its holder cannot miss it (calibration `retry`).
    #[inline]
    fn released(self, claims: Word) -> (State, Duty) {
        debug_assert!(
            (claims & FLAGS) & !(self.0 & HANDED) == 0 && self.0 >= claims,
            "more claims given back than were held"
        );
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
