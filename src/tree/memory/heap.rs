//! Nodes on the heap: one allocation each.

use super::super::Node;
use super::super::extended::{Extended, Payload, Table};
use super::super::head::NODE_ALIGN;
use super::home::{Home, Origin, Vacant};
use crate::name::Name;
use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::cell::Cell;
use core::convert::Infallible;
use core::mem::offset_of;

/// The size of a node, perhaps with its tail, and the alignment of its tags. Not `align(16)` on the type: that would round
/// its size up.
const fn layout_of<T>() -> Layout {
    let align = if align_of::<T>() > NODE_ALIGN { align_of::<T>() } else { NODE_ALIGN };
    match Layout::from_size_align(size_of::<T>(), align) {
        Ok(layout) => layout,
        Err(_) => panic!("a node has a size and an alignment"),
    }
}

/// Of a node without a tail.
pub(super) const PLAIN: Origin = Origin::Heap(layout_of::<Node>());

/// The heap, for sure.
#[derive(Clone, Copy)]
pub(crate) struct Heap;

impl Home for Heap {
    type Full = Infallible;
    const IS_HEAP: bool = true;

    fn room<P: Payload>(self) -> Result<Vacant<P>, Infallible> {
        struct Of<P>(P);
        impl<P: Payload> Of<P> {
            const TABLE: &'static Table = &Table::of::<P>(Origin::Heap(layout_of::<Extended<P>>()));
        }
        Ok(Vacant { memory: take(), table: Of::<P>::TABLE })
    }
}

/// The heap, for one node that is to have this name, which is taken out.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a>(pub(crate) &'a Cell<Name>);

/// A node, and its name behind it.
#[repr(C)]
struct WithName<P> {
    node: Extended<P>,
    name: Name,
}

impl Home for Named<'_> {
    type Full = Infallible;
    const IS_HEAP: bool = true;

    fn room<P: Payload>(self) -> Result<Vacant<P>, Infallible> {
        struct Of<P>(P);
        impl<P: Payload> Of<P> {
            const TABLE: &'static Table =
                &Table::named::<P>(Origin::Heap(layout_of::<WithName<P>>()), offset_of!(WithName<P>, name));
        }
        let memory = take::<WithName<P>>();
        // SAFETY: fresh memory of that size and alignment.
        unsafe { (&raw mut (*memory).name).write(self.0.take()) };
        Ok(Vacant { memory: memory.cast(), table: Of::<P>::TABLE })
    }
}

/// Moves a node without a tail to the heap.
#[inline]
pub(in super::super) fn allocate(node: Node) -> *mut Node {
    let memory = take::<Node>();
    // SAFETY: fresh memory of the node's size and at least its alignment.
    unsafe { memory.write(node) };
    memory
}

#[inline]
fn take<T>() -> *mut T {
    let layout = layout_of::<T>();
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc(layout) }.cast::<T>();
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    #[cfg(cancel_tree_loom)]
    super::model::born(memory.cast(), layout);
    memory
}

/// # Safety
/// The memory came from here, with this layout, and is the caller's.
#[inline]
pub(super) unsafe fn free(node: *mut Node, layout: Layout) {
    // SAFETY: the caller's contract.
    unsafe { dealloc(node.cast(), layout) };
}
