//! The tree: intrusive, reference-counted nodes, and a cancel that walks them without stopping anybody.
//!
//! A node is a token, or a hidden child: one that carries the wakers of further waiters, or a callback, or a link to a
//! token that has several sources, or has children in a crowded token's place (`branch`); or the first block of a token's further waiters,
//! which is nobody's child (`block`). It stands in the list of its parent's children, and has a list of its own. Children are pushed at the front by one compare-and-swap. They are taken out by
//! the *pruner*, whoever happens to be inside; who finds one inside leaves its dead node to him and goes (`prune`). A
//! *cancel* freezes each list by a bit in its head, walks it, and the last walker to leave dissolves it (`cancel`,
//! `sweep`). A node without handles that has one child is replaced by it (`collapse`); the list of one that has no ancestor
//! either is dissolved (`sweep`). What a node carries for somebody,
//! a closure, a timer, links, stands in a tail behind it (`extended`). Memory is taken and given back in one place
//! (`memory`). Who wants to see a tree while all of this goes on is a pruner, too (`look`).
//!
//! # State words
//!
//! | word | what it holds | table of its states |
//! |---|---|---|
//! | `head` | first child; cancelled, pruning, marked, waited | `head` |
//! | `state` | handles, child claims; linked, handed, pinned, retry, last | `state` |
//! | `visit` | walkers inside the list; closed; announced, crowded | `visit`, `announce` |
//! | `slot` | the waker: free, busy, set, fired | `slot` |
//! | `annex` | the first block of further waiters, or that none comes, and the number of the branches: each comes once, and goes with the last handle | `annex` |
//! | the word of a segment of a block | for each of its slots: occupied, set; fired, more | `block` |
//! | the purse of a first block | the open block, and how many of the handles on it that it had are spent | `purse` |
//! | `dead` | stack of nodes that wait for the pruner; `CLOSED` after the sweep | `prune` |
//! | | of a callback: who waits for its end; done | `callback` |
//! | `reason` | what `is_cancelled` reads: alive, then why, for ever; comes before the mark in `head`, unless it is the plain one | `reason` |
//! | `memory` in a tail | the tree and the weak claims | `extended`, `weak` |
//!
//! # Invariants
//!
//! - **I1** A node that lives and is linked owns one child claim on its parent, unless it is detached (I15). A token, a hidden
//!   waiter's future, the future of a waiter in a further block, and a registration own one handle claim each; so does a token
//!   on its branches, and the purse of its first block as many as it says on the open one. An entry in a canceller's list of
//!   wakers owns none (I17); but if it is a node that STAYS, a child claim on it, as does whoever cancels an anchor by a weak
//!   claim; and a handle (RETAINED) on a token that has a first block, if it STAYS, or if nobody is in its own slot.
//! - **I2** A node is freed exactly once: by the pruner of its parent, after leaving the list in which no cancel had
//!   come; by the sweeper of its parent, if its dropper had let go of it; or by whoever takes the last claim, or lets go
//!   of it, or finds that his is the only one, after the sweeper had passed; a first block, by whoever gives up the last handle on its token.
//! - **I3** Nobody touches a node without a claim on it (his own, or that of a child whose duty he has), a handle, a visit
//!   of the list that led him to it, or PRUNING of the list that it stands in.
//! - **I4** The `next` of a node in a list only ever skips nodes that are dead or replaced, and a node that has been taken
//!   out keeps its `next`. So from wherever a walker stands, every living later sibling is still ahead.
//! - **I5** What a pruner takes out of a list is freed only if it leaves the list by a step that finds no cancel. Otherwise
//!   it stays in limbo until the sweep. What earlier pruners took out, a walker cannot reach: it came by a
//!   read-modify-write of the head, which acquired all of their steps.
//! - **I6** Walkers are counted as visitors of each list on their path, who marks its owner from its birth; a list is swept once, when it is closed, no visitor
//!   is left and no pruner is inside. So all that a walker stands on, and came by, is kept.
//! - **I7** If a list is closed, or its owner done and not a root without handles (which nobody looks at, and whose list is
//!   dissolved), then everything below it is marked, and has its reason (is *flagged*). What
//!   is marked and has none yet was marked by the short way: it gets the plain one, by whoever marked it and by everybody who
//!   relies on the mark (`reason`).
//! - **I8** Who changes CANCELLED of a node from 0 to 1 has its waker to wake, what it carries to run, its link to follow, and
//!   those who wait in its first block; nobody else does. What was announced by a step before his he hears of by his.
//! - **I9** While PRUNING is set, only its holder writes `prev`, and the `next` of nodes in the list. Others
//!   change nothing but the head: by a push, a cancel, news, or a first waiter.
//! - **I10** PINNED gives one thread the relocation of a node, and the burial should it die meanwhile. A sweeper that meets
//!   a pin leaves the node and its claim on the parent to the holder.
//! - **I11** `parent` is written only under the pin, before the unpin. Who has a duty for a node reads it after his own
//!   read-modify-write of `state`, and so reads the last one.
//! - **I12** `link` has one use at a time: a canceller's list of wakers (tagged with what `wake` is to do; with a handle, by I17; or, on a node that STAYS and so is
//!   no relay, any claim), or the dead stack, limbo, a bin (all without a handle: dead, or a relay, or a root that was).
//! - **I13** A relay whose collapse is given up, because something stands in the way, is looked at again: by the thread
//!   whose claim stood in the way when it gives that back (or RETRY says that it has), or, if the parent is a relay
//!   too, by whoever collapses that. If a cancel stood in the way, the sweep makes the collapse needless.
//! - **I14** In a list, `prev` of a node is the node before it, or null: not known. From the first one that is known on, all
//!   are. That of the first node is not. It is tagged TOLD if the node is, or was, the `prev` of the next one.
//! - **I15** A *detached* callback has no claim on its parent, and keeps itself by a handle that nobody holds. It stands in the
//!   list until a cancel of the parent, whose marker runs and ends it, or until the parent is freed uncancelled: it is freed
//!   with it then. It keeps its parent from being replaced by a child. Its pin is nobody's, and keeps sweepers off.
//! - **I16** A tail's payload is written before the node is published, or, in a token with a deadline, before WAITED is set; it
//!   is then touched by who has the duty of I8 alone, and in the end by who frees the node.
//!
//! - **I17** A node without STAYS whose slot is FIRED and SET, or FIRED and GONE, is in the list of one canceller, and has a handle:
//!   a future puts its waker into the slot while it has one, or borrows one, and who gives up the last one first takes
//!   out a waker that was forgotten there, or leaves the handle to the canceller, by a step in the slot.
//! - **I18** Who gives up the last handle on a token gives up its blocks before. So no block keeps its token, or makes a relay of it.
//!   Into a first block nobody looks without a handle on the token, his own or one that is left to him (I17); and before it goes, the state says
//!   that the handle is the last one, so that who has none takes none (`try_retain`). A further block lives on
//!   while somebody has a claim on it: a future in it, or a canceller. In its list, it stands like any child.
//! - **I19** A branch has one handle, its token's, who gives it up before his own last one; what else is done with it, its children do. A
//!   token's number is no other's until then, and its directory is empty before the next one has it.
//!
//! # Memory ordering
//!
//! No operation is sequentially consistent and there is no fence: every pair of threads that must not miss each other
//! meets in one word, which both change by read-modify-writes. Every ordering in the code names its edge:
//!
//! | edge | release | acquire | makes visible |
//! |---|---|---|---|
//! | E1 | `push` of a child to `head` | who reads `head` to walk, prune, sweep | the child's fields |
//! | E2 | a pruner's step out of `head` | the next pruner's, or a canceller's, step into it | what it wrote to the list |
//! | E3 | push on the `dead` stack | the pruner's or sweeper's swap | `link`, and the dead node |
//! | E4 | news into `head` | the pruner's step that takes the news | that there is something on the `dead` stack |
//! | E5 | CANCELLED, or before it an announcement, into `head` | who finds it there, or marks | the reason, if it is not the plain one, or ANNOUNCED, CROWDED; what came before the cancel |
//! | E6 | `reason`; also `fire` of a slot, or of a segment, or that no block comes, into `annex` | `is_cancelled`, `child`, a poll, walkers | what came before the cancel; the cause |
//! | E7 | giving back a claim in `state` | giving back the last one, or finding that the own is the only one | all uses of the node, before its free |
//! | E8 | leaving a list in `visit`, then done in `head` | who finds it closed or done; the last to leave | flags below; the walks, before the sweep |
//! | E9 | last pruner's step out, last visitor's done, in `head` | the sweep, by whichever came second | limbo, the list, for the sweep |
//! | E10 | LINKED cleared, HANDED set, in `state` | the other of the two; who would announce a reason | the node, for its free; its reason |
//! | E11 | push on the graveyard | `take` | `link`, and the nodes |
//! | E12 | an heir's new `parent`; its place in `head` or `next` | walkers, pruners | its `next`, its `parent` |
//! | E13 | unpin | giving back a claim, and so having the next duty | `parent`, the use of `link` |
//! | E14 | SET into `slot`, or a block's word; SET out of it | the canceller's step; the next future's | the waker; that the cell has been read |
//! | E15 | `dead` of a callback: a token, DONE | the other of the two; who asks whether it has finished | the token; what it did |
//! | E16 | WAITED into `head` of a token with a deadline | the cancel | what the timer gave |
//! | E17 | a block, or a number, into `annex`; a segment more, and MORE; a branch into a directory; a block, or handles, into the purse | who comes into the block or segment, or marks its token; who asks where a child is to stand; who takes a handle | the block; the segment; the directory; the branch; the handles |
//! | E18 | `leave` and `finish`, in `slot` | the other of the two | all uses of the node, before the free |
//!
//! # Progress
//!
//! | operation | guarantee | retried when |
//! |---|---|---|
//! | `is_cancelled`, clone | wait-free, one atomic operation | |
//! | create | lock-free | another push, pruner's step or first waiter changed the head; opening branches, once for a token: another came to the annex |
//! | drop | lock-free; climbs only over nodes that end | another claim, or a handle for a look, was taken or given back; as a pruner: others' dead nodes came in |
//! | cancel | lock-free; O(1) when done | a push, a pruner's step; children created below the part not yet frozen prolong the walk |
//! | poll, drop of a first waiter | wait-free, but for the first ever on a node | |
//! | poll, drop of further waiters | lock-free; where a block is made or ends, as create and drop | another came or went; took a handle out of the purse, or filled it |
//! | reason | wait-free | |
//! | register, unregister, detach | as create and drop; nobody waits for a callback that runs | |
//! | look at the tree | lock-free | a child was pushed, or a first waiter came; on the way out of a list: as a pruner |
//! | fire an alarm | as cancel | another claim was taken or given back |
//!
//! No operation waits for another thread to be scheduled. What a thread that is stalled in the middle of one *can* do is
//! to hold memory (a pruner: the dead siblings of its list; who looks, of all lists on his path; a canceller: the lists on its path) and the wake-ups that it
//! has claimed. A single drop may walk the children that were pushed since the last one that did (`give_prevs`), once
//! for each; and the last handle of a root all of its children (`dissolve`), and those of descendants without handles.
//!
//! # Ownership
//!
//! | cell | belongs to |
//! |---|---|
//! | `prev` | the holder of PRUNING of the parent |
//! | `link` | by I12 |
//! | `waker`, a cell of a block | to write, who has made the slot BUSY (OCCUPIED); what is in it, by the step in `slot` (the word) |
//! | payload | by I16; a closure: who has set FREE or FIRED over SET |
//!
//! # Differences from the design that this grew from
//!
//! A child of a cancelled token is a node of its own, not another handle of its parent, so that it is not equal to it. The
//! sweep frees nothing in place (`memory`). Who marks a node is its visitor from its birth on (`cancel`). A waker in a node's own slot is claimed
//! when its turn to be woken has come, not in the walk; those of a segment of a block all at once, when its turn has come (`wake`). The reason is set before the mark, unless it is the plain one (`reason`). `leave` and the last pruner change the head by compare-and-swap loops instead
//! of single read-modify-writes, because `AtomicPtr`, which keeps provenance, has no others in this crate's MSRV.

mod ahead;
mod annex;
mod announce;
mod birth;
#[cfg(feature = "alloc")]
mod block;
#[cfg(feature = "std")]
mod branch;
mod callback;
mod cancel;
mod collapse;
mod deadline;
mod extended;
mod foreign;
mod hand_over;
mod handle;
mod head;
mod linked;
mod list;
#[cfg(feature = "alloc")]
mod look;
pub(crate) mod memory;
mod prune;
#[cfg(feature = "alloc")]
mod purse;
mod reason;
mod release;
#[cfg(feature = "alloc")]
mod shared;
mod slot;
mod state;
mod sweep;
mod timed;
mod visit;
mod wait;
mod wake;
mod weak;

pub(crate) use birth::Unborn;
#[cfg(any(all(test, feature = "std"), cancel_tree_loom))]
pub(crate) use branch::in_use as branches_in_use;
pub(crate) use deadline::Deadline;
pub(crate) use foreign::run_all;
pub(crate) use handle::Handle;
pub(crate) use linked::Linking;
#[cfg(feature = "alloc")]
pub(crate) use look::{Listing, Seen};
pub(crate) use memory::{AnyHome, Home, Places, empty_graveyard};
#[cfg(feature = "alloc")]
pub(crate) use memory::{Heap, Named};
pub(crate) use reason::Reason;
pub(crate) use wait::Wait;
pub(crate) use weak::Weak;

use crate::primitives::{AtomicPtr, AtomicU32, Life, UnsafeCell};
use annex::{Annex, AtomicAnnex};
use core::mem::MaybeUninit;
use core::ptr;
use core::task::Waker;
use head::{AtomicHead, CANCELLED, Head, MARKED, WAITED};
use reason::AtomicReason;
use state::{AtomicState, State};

/// Where a waker is kept: written by the future whose it is, or read by others (`slot`).
type WakerCell = UnsafeCell<MaybeUninit<Waker>>;

/// A node: 96 bytes on 64-bit targets, at most 56 on 32-bit ones.
///
/// In this order, whatever the address, a multiple of 16:
///
/// - the words that a node's children write when they come and go, `head`, `state` and `dead`, are at least 64 bytes from `reason`,
///   which pollers read: so they are on different cache lines of that size; and the first two are together on one;
/// - what a node has to do with its siblings is in the first half.
#[repr(C)]
pub(crate) struct Node {
    /// The newest child, and what is going on in the list.
    head: AtomicHead,
    /// The next elder sibling. (Here, where the state would leave a gap.)
    #[cfg(not(target_pointer_width = "64"))]
    next: AtomicPtr<Node>,
    /// Who needs this node.
    state: AtomicState,
    /// The next elder sibling.
    #[cfg(target_pointer_width = "64")]
    next: AtomicPtr<Node>,
    /// Children that wait for the pruner. Tagged LIMBO: those that the last pruner of a cancelled list had unlinked.
    dead: AtomicPtr<Node>,
    /// The next younger one, if known (I14).
    prev: UnsafeCell<*mut Node>,
    /// Whose list the node is in; dangling once it is no longer LINKED.
    parent: AtomicPtr<Node>,
    /// The walkers inside the list; and whether a reason was announced.
    visit: AtomicU32,
    /// What `waker` is.
    slot: AtomicU32,
    /// The next in whatever chain the node is in (I12).
    link: UnsafeCell<*mut Node>,
    /// The first block of a token's further waiters, with a handle on it, and the number of its branches. Of a link: the link before it.
    annex: AtomicAnnex,
    /// The waker of one future.
    waker: WakerCell,
    /// Whether it is cancelled, and why: what `is_cancelled` reads.
    reason: AtomicReason,
    /// Watches the node in models; nothing otherwise.
    life: Life,
}

#[cfg(all(not(cancel_tree_loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Node>() == 96);
#[cfg(all(not(cancel_tree_loom), target_pointer_width = "32"))]
const _: () = assert!(size_of::<Node>() <= 56);

impl Node {
    /// The dead stack of a list that has been swept. No node is there: it is no multiple of the alignment.
    const CLOSED: *mut Node = ptr::without_provenance_mut(1);
    /// On the `dead` stack, over a node: the last pruner has unlinked it.
    const LIMBO: usize = 2;

    fn new(state: State, head: Head, parent: *mut Node) -> Self {
        Self {
            head: AtomicHead::new(head),
            annex: AtomicAnnex::new(Annex::NONE),
            state: AtomicState::new(state),
            dead: AtomicPtr::new(ptr::null_mut()),
            visit: AtomicU32::new(visit::FIRST_VISITOR),
            slot: AtomicU32::new(slot::FREE),
            link: UnsafeCell::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
            prev: UnsafeCell::new(ptr::null_mut()),
            parent: AtomicPtr::new(parent),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            reason: AtomicReason::alive(state.is_extended()),
            life: Life::new(),
        }
    }

    fn root(state: State) -> Self {
        Self::new(state, Head::EMPTY, ptr::null_mut())
    }

    fn child(state: State, parent: *mut Node) -> Self {
        Self::new(state, Head::EMPTY, parent)
    }

    fn waiter(state: State, parent: *mut Node, waker: Waker) -> Self {
        Self { waker: UnsafeCell::new(MaybeUninit::new(waker)), ..Self::hidden(state, parent) }
    }

    /// A child that waits from its birth. Nobody makes a child of it, or asks it whether it has a tail.
    fn hidden(state: State, parent: *mut Node) -> Self {
        Self {
            slot: AtomicU32::new(slot::SET),
            reason: AtomicReason::alive(false),
            ..Self::new(state, Head::EMPTY.with(WAITED), parent)
        }
    }

    fn born_cancelled(state: State, reason: Reason) -> Self {
        // For who frees it (calibration `a_cause_is_noted_at_birth`).
        let cause = if reason.is_counted() { WAITED } else { 0 };
        Self {
            reason: AtomicReason::born(reason),
            ..Self::new(state, Head::EMPTY.with(CANCELLED | MARKED | cause), ptr::null_mut())
        }
    }
}

/// The node, for one access.
///
/// # Safety
/// The node is kept by one of the claims of I3 until the access is over.
#[inline(always)]
unsafe fn at<'a>(node: *mut Node) -> &'a Node {
    // SAFETY: the caller's contract.
    let node = unsafe { &*node };
    node.life.check();
    node
}

/// The next node in the list.
///
/// # Safety
/// As [`at`].
#[inline(always)]
unsafe fn next_of(node: *mut Node) -> *mut Node {
    // SAFETY: the caller's contract.
    // Acquire (E12): an heir's new fields.
    unsafe { at(node).next.load(crate::primitives::Acquire) }
}
