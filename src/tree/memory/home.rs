//! Where nodes live. What comes of a node, its hidden children among it, lives where the node does, unless the caller says "on the
//! heap".

use super::super::Node;
use super::super::deadline::Deadline;
use super::super::extended::{Extended, Payload, Table};
use super::pool::{self, Pool, Room};
use crate::PoolFull;

/// Where a new node is to live.
pub(crate) trait Home: Copy {
    /// That there is no room. `Infallible` for the heap, where the process ends instead, as it does for `Box`.
    type Full;
    /// Whether more may be taken from the heap, too, for other things than nodes.
    #[cfg(feature = "alloc")]
    const IS_HEAP: bool;
    /// Memory for one node with a tail.
    fn room<P: Payload>(self) -> Result<Vacant<P>, Self::Full>;
}

/// Memory for a node that is not in it yet.
pub(crate) struct Vacant<P> {
    pub(super) memory: *mut Extended<P>,
    pub(super) table: &'static Table,
}

impl<P: Payload> Vacant<P> {
    /// Moves a new node there.
    pub(in super::super) fn fill(self, node: Node, deadline: Deadline, payload: P) -> *mut Node {
        // SAFETY: fresh memory of at least that size and alignment, and nobody else's.
        unsafe { self.memory.write(Extended::new(self.table, node, deadline, payload)) };
        self.memory.cast()
    }
}

/// What has to be known of a node's memory when it is freed.
#[derive(Clone, Copy)]
pub(in super::super) enum Origin {
    #[cfg(feature = "alloc")]
    Heap(core::alloc::Layout),
    Pool,
}

impl Origin {
    pub(in super::super) fn is_pool(self) -> bool {
        matches!(self, Origin::Pool)
    }
}

/// The heap, or one of the pools.
#[derive(Clone, Copy)]
pub(crate) enum AnyHome {
    #[cfg(feature = "alloc")]
    Heap,
    Pool(Pool),
}

/// Where a node lives.
///
/// # Safety
/// The caller keeps the node.
pub(in super::super) unsafe fn home_of(node: *mut Node) -> AnyHome {
    // SAFETY: the caller's contract.
    unsafe {
        #[cfg(feature = "alloc")]
        if !super::is_pooled(node) {
            return AnyHome::Heap;
        }
        AnyHome::Pool(pool::of(node))
    }
}

impl Home for AnyHome {
    type Full = PoolFull;
    #[cfg(feature = "alloc")]
    const IS_HEAP: bool = false;

    fn room<P: Payload>(self) -> Result<Vacant<P>, PoolFull> {
        match self {
            #[cfg(feature = "alloc")]
            AnyHome::Heap => {
                let Ok(room) = super::Heap.room();
                Ok(room)
            }
            AnyHome::Pool(pool) => pool.room(),
        }
    }
}

impl Home for Pool {
    type Full = PoolFull;
    #[cfg(feature = "alloc")]
    const IS_HEAP: bool = false;

    fn room<P: Payload>(self) -> Result<Vacant<P>, PoolFull> {
        const {
            assert!(
                size_of::<Extended<P>>() <= size_of::<Extended<Room>>()
                    && align_of::<Extended<P>>() <= align_of::<Extended<Room>>(),
                "more than a node of a pool carries: a context of one word, an `Option` of what a timer arms of two"
            );
        }
        struct Of<P>(P);
        impl<P: Payload> Of<P> {
            const TABLE: &'static Table = &Table::of::<P>(Origin::Pool);
        }
        let taken = self.take().or_else(|| {
            // What is missing may be what cancels have left.
            self.graveyard().empty();
            self.take()
        });
        taken.map(|memory| Vacant { memory: memory.cast(), table: Of::<P>::TABLE }).ok_or(PoolFull)
    }
}
