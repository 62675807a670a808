//! A look at a subtree, while everything else goes on in it.
//!
//! Whoever looks at a list is its *pruner* meanwhile, and takes nothing out of it. So nothing that stands in it can leave it,
//! and what ends leaves its node on the dead stack and goes; nobody waits. He keeps all lists on his path in this way, from
//! the outermost inwards, and gives them back the other way round, as a pruner does: with the work that has come in.
//!
//! Other than a dropper who prunes, he has no claim on the owners of the lists, but on the outermost. The others are kept by
//! that they stand in lists that he is inside of: should one die, its node waits on the dead stack of the next outer list,
//! or, if that has been cancelled, for the sweep, which waits for its pruner (E9). Nor is one replaced by its child: that takes
//! the pruner of the outer list. Only for a look into a token's first block, which is in no list, he takes a handle for a moment (I18); so
//! the end of that token's handles may fall to him.
//!
//! A list that another pruner is in, or that is being cancelled, is not looked into. That of a cancelled node does not exist
//! any more.

#[cfg(feature = "std")]
use super::branch::is_branch;
use super::deadline::Deadline;
use super::extended::{Role, deadline, name, role};
use super::memory::Bin;
use super::prune::{Relays, prune};
use super::reason::Reason;
use super::release::{release, release_handle_into};
use super::state::CHILD;
use super::{Node, at, block, next_of, slot};
use crate::name::Name;
use crate::primitives::{Acquire, Relaxed};
use alloc::vec::Vec;
use core::ptr;

/// What could be seen of the children.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// All that there were.
    Seen,
    /// Somebody was at work on the list.
    Busy,
    /// The token was cancelled: its children are on their own.
    Dissolved,
}

/// What was seen of a token.
#[derive(Clone)]
pub(crate) struct Seen {
    /// The place of its parent among what was seen; its own, if it is the first.
    pub(crate) parent: usize,
    pub(crate) name: Option<Name>,
    pub(crate) reason: Option<Reason>,
    #[cfg_attr(
        any(not(feature = "std"), cancel_tree_loom),
        allow(dead_code, reason = "there is no `Instant` to tell")
    )]
    pub(crate) deadline: Deadline,
    pub(crate) handles: usize,
    pub(crate) waiters: usize,
    pub(crate) callbacks: usize,
    pub(crate) links: usize,
    pub(crate) listing: Listing,
}

impl Seen {
    /// # Safety
    /// The caller keeps the node, which is a token.
    unsafe fn token(node: *mut Node, parent: usize, bin: &mut Bin) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            Self {
                parent,
                name: name(node).cloned(),
                reason: at(node).reason.get(),
                deadline: deadline(node),
                // Relaxed: a number.
                handles: at(node).state.load(Relaxed).handles(),
                waiters: usize::from(slot::is_set(node)) + in_first_block(node, bin),
                callbacks: 0,
                links: 0,
                listing: Listing::Seen,
            }
        }
    }

    /// Counts `node`, if it is not a token but something of this one's.
    ///
    /// # Safety
    /// The caller keeps the node, which is a child of this one.
    unsafe fn is_with(&mut self, node: *mut Node) -> bool {
        // SAFETY: the caller's contract. Relaxed: EXTENDED is there from birth.
        unsafe {
            if !at(node).state.load(Relaxed).is_extended() {
                return false;
            }
            match role(node) {
                Role::Token | Role::Timed | Role::Linked => return false,
                #[cfg(feature = "std")]
                Role::Branch => return false,
                Role::Waiter => self.waiters += usize::from(slot::is_set(node)),
                // Its first block is in no list.
                Role::Further => self.waiters += block::waiters(node),
                Role::First => {}
                Role::Callback => self.callbacks += usize::from(slot::is_set(node)),
                Role::Link => self.links += 1,
            }
            true
        }
    }
}

/// How many wait for the token in its first block, which is in no list.
///
/// # Safety
/// The caller keeps the node, which is a token.
unsafe fn in_first_block(token: *mut Node, bin: &mut Bin) -> usize {
    // SAFETY: the caller's contract. The block goes with the last handle: so it takes one to look at it (calibration
    // `who_looks_keeps_a_first_block`).
    unsafe {
        let block = at(token).annex.load(Acquire).block_of(token); // Acquire (E17): the block.
        if block.is_null() || !at(token).state.try_retain() {
            return 0;
        }
        let waiters = block::waiters(block);
        release_handle_into(token, bin);
        waiters
    }
}

/// Looks at `root` and all that is below it: parents before their children, the youngest of these first.
///
/// Lock-free: a step is repeated only if a child was pushed, or a waiter came, or, on the way out, as `prune` does. Allocates.
/// What the caller finds to be free meanwhile is freed when he is outside of all lists.
///
/// # Safety
/// The caller holds a handle on `root`.
pub(super) unsafe fn look(root: *mut Node) -> Vec<Seen> {
    let mut path = Path { lists: Vec::new(), bin: Bin::immediate() };
    let mut seen = Vec::new();
    // SAFETY: the handle; and what stands in the lists that we are inside of is kept.
    unsafe {
        seen.push(Seen::token(root, 0, &mut path.bin));
        seen[0].listing = path.enter(root, 0);
        while let Some(list) = path.lists.last_mut() {
            let (node, owner) = (list.next, list.place);
            if node.is_null() {
                path.leave();
                continue;
            }
            list.next = next_of(node);
            // Relaxed: the dead are not worth a look; who dies now is kept for us all the same.
            if at(node).state.load(Relaxed).is_dead() || seen[owner].is_with(node) {
                continue;
            }
            #[cfg(feature = "std")]
            if is_branch(node) {
                // What stands there are the owner's children (calibration `who_looks_sees_through_branches`).
                let listing = path.enter(node, owner);
                if listing != Listing::Seen {
                    seen[owner].listing = listing;
                }
                continue;
            }
            let place = seen.len();
            seen.push(Seen::token(node, owner, &mut path.bin));
            seen[place].listing = path.enter(node, place);
        }
    }
    seen
}

/// The lists that we are inside of.
struct Path {
    lists: Vec<List>,
    /// Emptied when all lists have been left: what is in it may be foreign.
    bin: Bin,
}

struct List {
    owner: *mut Node,
    /// Where the owner is among what has been seen.
    place: usize,
    /// What is to be looked at next.
    next: *mut Node,
}

impl Path {
    /// Goes into the list of `owner`, if there is one and nobody is in the way.
    ///
    /// # Safety
    /// The caller keeps the owner until he has left its list: by a handle, or by being inside the list that it stands in.
    unsafe fn enter(&mut self, owner: *mut Node, place: usize) -> Listing {
        // Before the step: whoever is inside a list is on the path, also if there is no memory.
        self.lists.reserve(1);
        // SAFETY: the caller's contract.
        unsafe {
            let mut head = at(owner).head.load(Relaxed); // Relaxed: only compared; the step that follows carries the order.
            loop {
                if head.is_cancelled() {
                    return if head.is_done() { Listing::Dissolved } else { Listing::Busy };
                }
                if head.is_empty() {
                    return Listing::Seen;
                }
                // One pruner at a time (calibration `who_looks_is_alone`); and what has been replaced has no list.
                if head.is_pruning() || head.is_forwarded() {
                    return Listing::Busy;
                }
                // Acquire (E1, E2): the children; what the previous pruners wrote to the list.
                match at(owner).head.replace(head, head.with(super::head::PRUNING), Acquire, Relaxed) {
                    Ok(()) => break,
                    Err(newer) => head = newer,
                }
            }
            self.lists.push(List { owner, place, next: head.first() });
        }
        Listing::Seen
    }

    /// Goes out of the innermost list, as its pruner: does what has been left to him, and sweeps it if that has fallen to him
    /// (calibrations `who_looks_leaves_as_a_pruner`, `who_looks_leaves_the_inner_list_first`).
    fn leave(&mut self) {
        if let Some(List { owner, .. }) = self.lists.pop() {
            // SAFETY: we hold its PRUNING. The owner is kept as in `enter`; the claims that we give back are there until we do.
            unsafe {
                let claims = prune(owner, ptr::null_mut(), Relays::Collapse, &mut self.bin);
                // (Calibration `who_looks_gives_claims_back`.)
                release(owner, claims * CHILD, &mut self.bin);
            }
        }
    }
}

/// Also if there was no memory for what has been seen.
impl Drop for Path {
    fn drop(&mut self) {
        while !self.lists.is_empty() {
            self.leave();
        }
    }
}
