//! Watching over memory in models.

use super::super::{Node, at};
use super::heap;
use super::home::Origin;
use alloc::boxed::Box;
use core::any::Any;
use std::alloc::Layout;
use std::cell::RefCell;
use std::vec::Vec;

// A model's threads are coroutines of one real thread, so this is one list for all of them. Freed nodes stay in
// it until the execution is over: a late access meets the node's `Life`, not reused memory.
std::thread_local! {
    static NODES: RefCell<(usize, Vec<(*mut Node, Layout)>)> = const { RefCell::new((0, Vec::new())) };
    static POOLS: RefCell<Vec<*mut dyn Any>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn born(node: *mut Node, layout: Layout) {
    NODES.with_borrow_mut(|(live, all)| {
        *live += 1;
        all.push((node, layout));
    });
}

/// Whether the memory is to be given back now.
///
/// # Safety
/// The caller's node, for the last time.
pub(super) unsafe fn freed(node: *mut Node, origin: Origin) -> bool {
    // SAFETY: nodes are kept until `settle`; those of pools, until they are given back.
    unsafe { at(node).life.end() };
    // A place in a pool is used again, and models look at how.
    if origin.is_pool() {
        return true;
    }
    NODES.with_borrow_mut(|(live, all)| {
        *live -= 1;
        // For AddressSanitizer, which watches over the memory itself.
        let now = std::env::var_os("CANCEL_TREE_LOOM_FREE").is_some();
        if now {
            all.retain(|(kept, _)| *kept != node);
        }
        now
    })
}

/// How many nodes are live on the heap now.
pub fn live_nodes() -> usize {
    NODES.with_borrow(|(live, _)| *live)
}

/// A pool for one execution.
pub fn keep_pool<T: 'static>(pool: T) -> &'static T {
    let pool = Box::into_raw(Box::new(pool));
    POOLS.with_borrow_mut(|pools| pools.push(pool));
    // SAFETY: it stays until `settle`, where nobody uses it any more.
    unsafe { &*pool }
}

/// Gives the memory of the last execution back; to be called where no node is in use.
pub fn settle() {
    // Loom's objects in them belong to an execution that is over, and have no drop of their own to run.
    let nodes = NODES.with_borrow_mut(|nodes| core::mem::take(&mut nodes.1));
    for (node, layout) in nodes {
        // SAFETY: from the heap, once.
        unsafe { heap::free(node, layout) };
    }
    for pool in POOLS.take() {
        // SAFETY: from `keep_pool`, once.
        drop(unsafe { Box::from_raw(pool) });
    }
}
