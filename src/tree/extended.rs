//! Extended nodes: a node with a tail, and something of somebody else's in it, in one allocation.
//!
//! | role | what it is | payload | when it is cancelled | when it is gone |
//! |---|---|---|---|---|
//! | `Token` | a token whose parent has a deadline | none | | |
//! | `Timed` | a token with a deadline of its own | the armed timer | disarm | drop |
//! | `Linked` | a token with several sources | the links | | let go of them |
//! | `Link` | a hidden child of a source | a weak claim on the linked token | cancel that, too | drop |
//! | `Callback` | a hidden child of a token | the closure | run | drop it if it was not run |
//! | `Waiter` | a hidden child of a token, for one waker | none | | |
//! | `Further` | a block, a hidden child of a token | wakers (`block`) | wake | |
//! | `First` | a token's first block, in no list | wakers | as its token is | free its other segments |
//! | `Branch` | a hidden child of a token, with children of its own in that one's place (`branch`) | none | | |
//!
//! In a pool every node is an extended one: the tail says where it lives. Behind the payload of a token on the heap there is
//! perhaps its name.
//!
//! All but `Token`, `Waiter` and `Branch` STAY: a relay would be replaced by its child, and what it carries lost. `Timed` and `Linked` are
//! *anchors*: others, the timer and the links, hold weak claims on them, counted in the tail. A weak claim keeps the
//! node's memory and nothing else; to cancel the node its holder takes a child claim, if the node is not dead.

#[cfg(feature = "alloc")]
use super::block;
use super::deadline::Deadline;
use super::memory::{self, Bin, Origin};
use super::state::State;
use super::{Node, at, callback, linked, slot};
#[cfg(feature = "alloc")]
use crate::name::Name;
use crate::primitives::{AcqRel, AtomicUsize, Relaxed, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr;

/// What an extended node is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Token,
    Timed,
    Linked,
    Link,
    Callback,
    /// Of one further waiter, where there is no block.
    Waiter,
    /// The first block of a token's further waiters.
    #[cfg(feature = "alloc")]
    First,
    /// Another one.
    #[cfg(feature = "alloc")]
    Further,
    /// A hidden token that has children in another's place.
    #[cfg(feature = "std")]
    Branch,
}

/// What a tail holds for somebody.
/// (It outlives every borrow, though its type need not say so: a type parameter that none of its values holds may not.)
pub(crate) trait Payload: Send + Sized {
    const ROLE: Role;

    /// The node has been cancelled. Called at most once, in phase two of the cancel.
    ///
    /// # Safety
    /// The payload is the caller's; if this consumes it, it is never dropped.
    unsafe fn cancelled(payload: *mut Self) {
        let _ = payload;
    }
}

/// A node, its tail and its payload, in one piece of memory.
#[repr(C)]
pub(crate) struct Extended<P> {
    node: Node,
    tail: Tail,
    pub(super) payload: UnsafeCell<MaybeUninit<P>>,
}

pub(super) struct Tail {
    table: &'static Table,
    /// Who needs the memory: the tree, and each weak claim.
    pub(super) memory: AtomicUsize,
    /// The effective deadline. Written before anybody else can read it.
    deadline: UnsafeCell<Deadline>,
}

/// What has to be known of a payload where its type is not, and of the node's memory.
pub(crate) struct Table {
    role: Role,
    origin: Origin,
    /// How many bytes behind the node its name is, if it has one.
    #[cfg(feature = "alloc")]
    name: Option<usize>,
    cancelled: unsafe fn(*mut Node),
    discard: unsafe fn(*mut Node),
}

impl Table {
    pub(super) const fn of<P: Payload>(origin: Origin) -> Self {
        Self {
            role: P::ROLE,
            origin,
            #[cfg(feature = "alloc")]
            name: None,
            cancelled: cancelled::<P>,
            discard: discard::<P>,
        }
    }

    /// Of a node that has a name so many bytes behind it.
    #[cfg(feature = "alloc")]
    pub(super) const fn named<P: Payload>(origin: Origin, name: usize) -> Self {
        Self { name: Some(name), ..Self::of::<P>(origin) }
    }
}

/// # Safety
/// As [`Payload::cancelled`]; the node's payload is a `P`.
unsafe fn cancelled<P: Payload>(node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe { P::cancelled(payload::<P>(node).with_mut(|cell| cell.cast::<P>())) }
}

/// # Safety
/// The node's payload is a `P`, the caller's, and not used again.
unsafe fn discard<P: Payload>(node: *mut Node) {
    // SAFETY: the caller's contract.
    unsafe { ptr::drop_in_place(payload::<P>(node).with_mut(|cell| cell.cast::<P>())) }
}

/// The place of the payload.
///
/// # Safety
/// The node's payload is a `P`, and the caller keeps the node.
pub(super) unsafe fn payload<'a, P: Payload>(node: *mut Node) -> &'a UnsafeCell<MaybeUninit<P>> {
    // SAFETY: the caller's contract. A reference to the cell alone: the rest is shared.
    unsafe { &(*node.cast::<Extended<P>>()).payload }
}

impl<P: Payload> Extended<P> {
    /// `node` is a new node that nobody has seen.
    pub(super) fn new(table: &'static Table, node: Node, deadline: Deadline, payload: P) -> Self {
        Self {
            node,
            tail: Tail { table, memory: AtomicUsize::new(1), deadline: UnsafeCell::new(deadline) },
            payload: UnsafeCell::new(MaybeUninit::new(payload)),
        }
    }
}

/// The state that a node of this role is born with.
pub(super) fn birth_state(state: State, role: Role) -> State {
    match role {
        Role::Token | Role::Waiter => state.extended(),
        #[cfg(feature = "std")]
        Role::Branch => state.extended(),
        _ => state.staying(),
    }
}

/// The tail.
///
/// # Safety
/// The node is extended, and the caller keeps it, or its memory.
pub(super) unsafe fn tail<'a>(node: *mut Node) -> &'a Tail {
    // SAFETY: the tail stands at the same place whatever the payload (`repr(C)`, and its alignment is no less than the
    // node's).
    unsafe { &(*node.cast::<Extended<()>>()).tail }
}

const _: () = {
    assert!(core::mem::offset_of!(Extended<()>, tail) == core::mem::offset_of!(Extended<Align16>, tail));
    #[repr(align(16))]
    struct Align16(#[allow(dead_code, reason = "only its alignment counts")] u8);
};

/// # Safety
/// As [`tail`].
pub(super) unsafe fn role(node: *mut Node) -> Role {
    // SAFETY: the caller's contract.
    unsafe { tail(node) }.table.role
}

/// What a node is called.
///
/// # Safety
/// The caller keeps the node, which nobody may be ending.
#[cfg(feature = "alloc")]
pub(super) unsafe fn name<'a>(node: *mut Node) -> Option<&'a Name> {
    // SAFETY: the caller's contract; the name is there from birth, and never changed. Relaxed: EXTENDED is, too.
    unsafe {
        let extended = at(node).state.load(Relaxed).is_extended();
        extended.then(|| place_of_name(node)).flatten().map(|name| &*name)
    }
}

/// # Safety
/// As [`tail`].
#[cfg(feature = "alloc")]
unsafe fn place_of_name(node: *mut Node) -> Option<*mut Name> {
    // SAFETY: the caller's contract, and that of `Table::named`.
    unsafe { tail(node).table.name.map(|offset| node.byte_add(offset).cast()) }
}

/// Where an extended node lives.
///
/// # Safety
/// As [`tail`].
pub(super) unsafe fn origin(node: *mut Node) -> Origin {
    // SAFETY: the caller's contract.
    unsafe { tail(node) }.table.origin
}

/// The effective deadline of any node.
///
/// # Safety
/// The caller keeps the node.
#[inline]
pub(super) unsafe fn deadline(node: *mut Node) -> Deadline {
    // SAFETY: the caller's contract.
    // Relaxed: EXTENDED is there from birth.
    unsafe {
        if at(node).state.load(Relaxed).is_extended() {
            tail(node).deadline.with(|cell| *cell)
        } else {
            Deadline::NEVER
        }
    }
}

/// Gives a node another deadline.
///
/// # Safety
/// The node is extended, the caller holds a handle on it, and nobody else may look at its deadline yet.
pub(super) unsafe fn set_deadline(node: *mut Node, deadline: Deadline) {
    // SAFETY: the caller's contract.
    unsafe { tail(node).deadline.with_mut(|cell| *cell = deadline) };
}

/// Runs what has to be run when the node has been cancelled.
///
/// # Safety
/// The caller keeps the node, has the duty to notify it (I8), and does so once; of a callback he has the closure.
pub(super) unsafe fn notify(node: *mut Node) {
    // SAFETY: the caller's contract; the table is that of the payload.
    unsafe { (tail(node).table.cancelled)(node) }
}

/// Ends what a dead node owns for others; all but its memory.
///
/// # Safety
/// By I2 the node is the caller's alone.
pub(super) unsafe fn dismantle(node: *mut Node, bin: &mut Bin) {
    // SAFETY: the caller's contract.
    unsafe {
        #[cfg(feature = "alloc")]
        if let Some(name) = place_of_name(node) {
            ptr::drop_in_place(name);
        }
        let table = tail(node).table;
        match table.role {
            Role::Token | Role::Waiter => {}
            // Wakers are their futures', or a canceller's.
            #[cfg(feature = "alloc")]
            Role::First => block::end_extras(node),
            #[cfg(feature = "alloc")]
            Role::Further => {}
            #[cfg(feature = "std")]
            Role::Branch => {}
            Role::Timed | Role::Link => (table.discard)(node),
            // Not by their own drops: a linked token may be the last to hold another, and so on.
            Role::Linked => linked::let_go(node, bin),
            Role::Callback => {
                /// Also if the closure's drop panics.
                struct LetGo(*mut Node);
                impl Drop for LetGo {
                    fn drop(&mut self) {
                        // SAFETY: the caller's node.
                        unsafe { callback::let_go(self.0) };
                    }
                }
                let _let_go = LetGo(node);
                // Relaxed: all that was done with the node is visible to who frees it (E7).
                if at(node).slot.load(Relaxed) == slot::SET {
                    (table.discard)(node);
                }
            }
        }
    }
}

/// Whether [`dismantle`] does nothing that could run foreign code or free another node, or heap memory.
///
/// # Safety
/// As [`dismantle`]; the node lives in a pool, and so has no name.
pub(super) unsafe fn is_dismantled_quietly(node: *mut Node) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        match role(node) {
            Role::Token | Role::Waiter => true,
            #[cfg(feature = "alloc")]
            Role::First => false,
            #[cfg(feature = "alloc")]
            Role::Further => true,
            #[cfg(feature = "std")]
            Role::Branch => true,
            // Relaxed: as in `dismantle`. (A closure in a pool is a pointer and a word, without a drop.)
            Role::Callback => callback::is_awaited_by_nobody(node),
            Role::Timed | Role::Linked | Role::Link => false,
        }
    }
}

/// Gives the memory back, if this was the last who needed it.
///
/// # Safety
/// The caller has a count in `memory`, which he gives up.
pub(super) unsafe fn give_memory_back(node: *mut Node) {
    // SAFETY: the count keeps the memory until the step.
    unsafe {
        let origin = origin(node);
        // As in `Arc`: Release, my uses come before the free; Acquire, everybody's do if I am the last.
        if tail(node).memory.fetch_sub(1, AcqRel) == 1 {
            memory::free(node, origin);
        }
    }
}

/// Drops the payload.
///
/// # Safety
/// The payload is the caller's, and not used again.
pub(super) unsafe fn discard_payload(node: *mut Node) {
    // SAFETY: the caller's contract; the table is that of the payload.
    unsafe { (tail(node).table.discard)(node) }
}

/// Nothing: the tail of a token that only has to know its deadline, or has a name.
impl Payload for () {
    const ROLE: Role = Role::Token;
}

/// Nothing: the tail of a node that is there for its waker.
pub(super) struct Waiting;

impl Payload for Waiting {
    const ROLE: Role = Role::Waiter;
}
