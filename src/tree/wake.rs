//! Phase two of a cancel: what the walk has found to be waited for, and the wakers and callbacks that are to be run.

use super::ahead::prefetch;
#[cfg(feature = "alloc")]
use super::block::{self, Fired};
use super::cancel::walk;
use super::extended::{Role, notify, role};
use super::foreign::run_all;
use super::memory::Bin;
use super::reason::Reason;
use super::release::{release, release_handle_into};
use super::state::CHILD;
use super::{Node, at, callback, linked, slot};
use crate::primitives::Relaxed;
use crate::reason::CancelKind;
use core::ptr;
use core::task::Waker;

/// The nodes that one cancel has to notify, chained through `link`. On each that STAYS the lists hold a child claim, for it may live
/// without a handle. Others are kept by the future that waits for them: its handle, or who gives up the last one leaves that to
/// us (`slot::leave`).
pub(super) struct Waited {
    first: *mut Node,
    /// Links to tokens that have several sources: they are followed before anything is run.
    links: *mut Node,
    /// An extended node that is being run, or is to be run next.
    current: *mut Node,
    /// The current node is to be run next.
    pending: bool,
    /// A block, with a claim on it unless it is that of `held`, as long as there is something in `fired`.
    #[cfg(feature = "alloc")]
    block: *mut Node,
    /// What of the block is still to be woken.
    #[cfg(feature = "alloc")]
    fired: Fired,
    /// A node whose slot comes after its block, and is in no list. The canceller keeps it, and by that the block, of which the lists
    /// have no claim then (calibration `what_is_held_is_not_given_back`).
    #[cfg(feature = "alloc")]
    held: *mut Node,
}

/// What is to be run next.
enum Next {
    Waker(Waker),
    /// The wakers of the block.
    #[cfg(feature = "alloc")]
    Block,
    /// What the current node carries.
    Current,
    Nothing,
}

impl Waited {
    pub(super) fn none() -> Self {
        Self {
            first: ptr::null_mut(),
            links: ptr::null_mut(),
            current: ptr::null_mut(),
            pending: false,
            #[cfg(feature = "alloc")]
            block: ptr::null_mut(),
            #[cfg(feature = "alloc")]
            fired: Fired::NONE,
            #[cfg(feature = "alloc")]
            held: ptr::null_mut(),
        }
    }

    /// Notes a node that this cancel has marked, and that has been waited for.
    ///
    /// Its waker is left where it is until its turn to be woken has come: so a future that is dropped before that, by another
    /// waker for example, still takes its waker back and is not woken (C12); a callback can still be prevented.
    ///
    /// # Safety
    /// The caller has changed the node's CANCELLED from 0 to 1 (I8), and keeps it by a visit or a claim.
    #[inline]
    pub(super) unsafe fn add(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract; from the step on, the future's handle.
        unsafe {
            // Relaxed: what is asked has been so from birth.
            if at(node).state.load(Relaxed).stays() {
                self.add_staying(node);
            // If a future has its waker there, the node has a handle; so it is in no dropper's hands (I12).
            } else if slot::list(node) {
                at(node).link.with_mut(|link| *link = self.first);
                self.first = node;
            }
        }
    }

    /// The same for a node that STAYS: it is in nobody's hands before it is dead.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[cold]
    unsafe fn add_staying(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract; from the claim on, that.
        unsafe {
            if at(node).state.try_add_child() {
                let list = if role(node) == Role::Link { &mut self.links } else { &mut self.first };
                at(node).link.with_mut(|link| *link = *list);
                *list = node;
            }
        }
    }

    /// Notes a node that the caller keeps until all have been run, and its first block, and nothing else.
    ///
    /// # Safety
    /// As [`add`](Self::add), for both. The caller keeps them until [`run_noted`](Self::run_noted) returns.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) unsafe fn add_held(&mut self, node: *mut Node, block: *mut Node) {
        self.held = node;
        // SAFETY: the caller's contract; `held` is set.
        unsafe { self.take_block(block) };
    }

    /// Cancels the tokens that the links lead to, with all below them; these may lead to more. Iterative.
    pub(super) fn follow_links(&mut self, bin: &mut Bin) {
        while !self.links.is_null() {
            let node = self.links;
            // SAFETY: our claim on the link, and then on its target, until each is released.
            unsafe {
                self.links = at(node).link.with(|link| *link);
                if let Some(target) = linked::target(node) {
                    // The link has the reason of its source. The token stands in no list, so nothing has to be announced.
                    at(target).reason.decide(at(node).reason.word());
                    walk(target, self, bin);
                    release(target, CHILD, bin);
                }
                release(node, CHILD, bin);
            }
        }
    }

    /// What is to be run next. A node with a waker is given back before the waker is run, so that a panic leaves nothing
    /// behind and a waker that drops what it wakes finds nobody in its way (C15, C16). A node that carries what is run is
    /// given back after that, by the next call, which comes after a panic, too.
    #[inline]
    fn next(&mut self) -> Next {
        #[cfg(feature = "alloc")]
        if !self.fired.is_none() {
            return Next::Block;
        }
        if !self.current.is_null() {
            if core::mem::take(&mut self.pending) {
                return Next::Current;
            }
            self.end_current();
        }
        while !self.first.is_null() {
            let node = self.first;
            // SAFETY: our claim until it is released, or what keeps the node for us until `finish`; the waker is ours by that (I8).
            unsafe {
                self.first = at(node).link.with(|link| *link);
                prefetch(self.first.cast());
                if at(node).state.load(Relaxed).stays() {
                    if let Some(next) = self.next_of(node) {
                        return next;
                    }
                    continue;
                }
                let finished = slot::finish(node);
                if finished.kept {
                    release_handle_into(node, &mut Bin::deferred());
                }
                if let Some(waker) = finished.waker {
                    return Next::Waker(waker);
                }
            }
        }
        #[cfg(feature = "alloc")]
        if !self.held.is_null() {
            let node = core::mem::replace(&mut self.held, ptr::null_mut());
            // SAFETY: the canceller keeps it; the waker is ours (I8).
            if let Some(waker) = unsafe { slot::fire(node) } {
                return Next::Waker(waker);
            }
        }
        Next::Nothing
    }

    /// Fires a block, and if there is something in it, has it run next. True if so.
    ///
    /// # Safety
    /// The caller has the duty to wake (I8), and a child claim, which he gives up; or the block is that of `held`.
    #[cfg(feature = "alloc")]
    #[inline]
    unsafe fn take_block(&mut self, block: *mut Node) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            (self.block, self.fired) = (block, block::fire(block));
            if self.fired.is_none() && self.held.is_null() {
                release(block, CHILD, &mut Bin::deferred());
            }
            !self.fired.is_none()
        }
    }

    /// Wakes the wakers of the block, or, if one panics, those up to it. Before the last one goes our claim (C16).
    #[cfg(feature = "alloc")]
    #[inline]
    fn wake_block(&mut self) {
        // SAFETY: our claim, or the canceller, keeps the block; its wakers are ours by `fire` (I8), each once. There is at least one.
        unsafe {
            let (last, is_there) = block::wake_but_the_last(self.block, &mut self.fired);
            if self.held.is_null() {
                release(self.block, CHILD, &mut Bin::deferred());
            }
            if is_there {
                last.wake();
            }
        }
    }

    /// The same for a node that STAYS.
    ///
    /// # Safety
    /// The node comes from the list, with the list's claim.
    #[cold]
    unsafe fn next_of(&mut self, node: *mut Node) -> Option<Next> {
        // SAFETY: the caller's contract; the waker or the closure is ours by `fire` (I8).
        unsafe {
            match role(node) {
                Role::Callback if slot::claim(node) => {
                    self.current = node;
                    Some(Next::Current)
                }
                Role::Timed => {
                    let waker = slot::fire(node);
                    (self.current, self.pending) = (node, waker.is_some());
                    Some(waker.map_or(Next::Current, Next::Waker))
                }
                #[cfg(feature = "alloc")]
                Role::First | Role::Further => self.take_block(node).then_some(Next::Block),
                _ => {
                    let waker = slot::fire(node);
                    release(node, CHILD, &mut Bin::deferred());
                    waker.map(Next::Waker)
                }
            }
        }
    }

    /// What the current node carries has been run.
    #[cold]
    fn end_current(&mut self) {
        let node = core::mem::replace(&mut self.current, ptr::null_mut());
        let mut bin = Bin::deferred();
        // SAFETY: our claim on the node, until it is released; by it we keep the token that waits for its end.
        unsafe {
            if role(node) == Role::Callback {
                let finished = callback::finish(node);
                if !finished.is_null() {
                    at(finished).reason.decide_by(&Reason::new(CancelKind::Cancelled));
                    walk(finished, self, &mut bin);
                }
            }
            release(node, CHILD, &mut bin);
        }
    }

    /// Runs all, whatever each of them does. If some panic, the first panic is raised again when all have run.
    #[inline]
    pub(super) fn run(self) {
        if !self.first.is_null() {
            self.run_noted();
        }
    }

    #[inline(never)]
    pub(super) fn run_noted(mut self) {
        run_all(|| {
            match self.next() {
                Next::Waker(waker) => waker.wake(),
                #[cfg(feature = "alloc")]
                Next::Block => self.wake_block(),
                // SAFETY: our claim keeps the node until the next call of `next`; what it carries is ours to run, once.
                Next::Current => unsafe { notify(self.current) },
                Next::Nothing => return false,
            }
            true
        });
    }
}
