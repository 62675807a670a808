//! Phase two of a cancel: what the walk has found to be waited for, and the wakers and callbacks that are to be run.

use super::ahead::prefetch;
#[cfg(feature = "alloc")]
use super::announce::{is_crowded, last_block_of};
#[cfg(feature = "alloc")]
use super::block::{self, Fired, prefetch_wakers};
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
/// us (`slot::leave`). So is the first block of a token, which goes with the last handle; if nobody is in the token's own slot, or the
/// token STAYS, the lists hold a handle for it.
pub(super) struct Waited {
    first: *mut Node,
    /// Links to tokens that have several sources: they are followed before anything is run.
    links: *mut Node,
    /// An extended node that is being run, or is to be run next.
    current: *mut Node,
    /// The current node is to be run next.
    pending: bool,
    #[cfg(feature = "alloc")]
    woken: Woken,
}

/// In `link` of a node in the list: it has a first block, and the turn of that comes first.
#[cfg(feature = "alloc")]
const WITH_BLOCK: usize = 0b01;
/// In the same place: the list holds a handle on it.
#[cfg(feature = "alloc")]
const RETAINED: usize = 0b10;

/// The block that is being woken, as long as there is something in `fired`.
#[cfg(feature = "alloc")]
struct Woken {
    block: *mut Node,
    /// What of it is still to be woken.
    fired: Fired,
    /// A child claim on it is ours: of a further block. A first one is kept by what keeps its token.
    claimed: bool,
}

#[cfg(feature = "alloc")]
impl Woken {
    const NOTHING: Self = Self { block: ptr::null_mut(), fired: Fired::NONE, claimed: false };

    /// Fires a block.
    ///
    /// # Safety
    /// The caller has the duty to wake (I8), and keeps the block: by a child claim, if so it is said, which he gives up, or until all have
    /// been run.
    #[inline]
    unsafe fn of(block: *mut Node, claimed: bool) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            let woken = Self { block, fired: block::fire(block), claimed };
            if woken.fired.is_none() {
                woken.give_back();
            }
            woken
        }
    }

    /// Wakes the wakers of the block, or, if one panics, those up to it. Before the last one goes our claim (C16).
    ///
    /// # Safety
    /// There is at least one.
    #[inline]
    unsafe fn wake(&mut self) {
        // SAFETY: the block is kept as `of` says; its wakers are ours by `fire` (I8), each once.
        unsafe {
            let (last, is_there) = block::wake_but_the_last(self.block, &mut self.fired);
            self.give_back();
            if is_there {
                last.wake();
            }
        }
    }

    /// # Safety
    /// The claim, if there is one, is given up.
    #[inline]
    unsafe fn give_back(&self) {
        if self.claimed {
            // SAFETY: the caller's contract.
            unsafe { release(self.block, CHILD, &mut Bin::deferred()) };
        }
    }
}

/// Wakes all that wait for a token that has no children, whose own waker and first block are all there is.
///
/// # Safety
/// As [`Waited::add`]. The caller keeps the token by a handle until this returns.
#[cfg(feature = "alloc")]
pub(super) unsafe fn wake_held(token: *mut Node, block: *mut Node) {
    // SAFETY: the handle keeps the block, too; the wakers are ours (I8).
    unsafe {
        let mut own = slot::fire(token);
        let mut woken = Woken::of(block, false);
        run_all(|| {
            if let Some(waker) = own.take() {
                waker.wake();
            } else if !woken.fired.is_none() {
                woken.wake();
            } else {
                return false;
            }
            true
        });
    }
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
            woken: Woken::NOTHING,
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
        // SAFETY: the caller's contract.
        unsafe {
            // Relaxed: what is asked has been so from birth.
            if at(node).state.load(Relaxed).stays() {
                return self.add_staying(node);
            }
            #[cfg(feature = "alloc")]
            if is_crowded(node) {
                return self.add_crowded(node);
            }
            self.add_plain(node);
        }
    }

    /// The same for a node that does not STAY and has no block.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline]
    pub(super) unsafe fn add_plain(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract; from the step on, the future's handle.
        unsafe {
            // If a future has its waker there, the node has a handle; so it is in no dropper's hands (I12).
            if slot::list(node) {
                at(node).link.with_mut(|link| *link = self.first);
                self.first = node;
            }
        }
    }

    /// The same for a token that has perhaps a block.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[cfg(feature = "alloc")]
    #[inline(never)]
    unsafe fn add_crowded(&mut self, node: *mut Node) {
        // SAFETY: the caller's contract; from the step on, the future's handle, or ours: so the node is in no dropper's hands (I12). If
        // there is none, there is no block any more.
        unsafe {
            let block = last_block_of(node);
            prefetch_wakers(block);
            let mut tags = if block.is_null() { 0 } else { WITH_BLOCK };
            if !slot::list(node) {
                // (Calibration `a_token_is_kept_while_its_block_is_woken`.)
                if block.is_null() || !at(node).state.try_retain() {
                    return;
                }
                tags |= RETAINED;
            }
            at(node).link.with_mut(|link| *link = self.first.map_addr(|address| address | tags));
            self.first = node;
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
                let next = *list;
                #[cfg(feature = "alloc")]
                let next = if is_crowded(node) && !last_block_of(node).is_null() && at(node).state.try_retain() {
                    next.map_addr(|address| address | WITH_BLOCK | RETAINED)
                } else {
                    next
                };
                at(node).link.with_mut(|link| *link = next);
                *list = node;
            }
        }
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
        if !self.woken.fired.is_none() {
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
                #[cfg(feature = "alloc")]
                if self.first.addr() & (WITH_BLOCK | RETAINED) != 0 && self.is_left_to_its_block(node) {
                    if !self.woken.fired.is_none() {
                        return Next::Block;
                    }
                    continue;
                }
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
        Next::Nothing
    }

    /// Of a node that has, or had, a block: first its turn is that of the block, which it stays for. Then the handle goes, if there is
    /// one; false, if there is still a turn of its own.
    ///
    /// # Safety
    /// The node comes from the list, and what stood in its `link` is in `first`.
    #[cfg(feature = "alloc")]
    #[inline(never)]
    unsafe fn is_left_to_its_block(&mut self, node: *mut Node) -> bool {
        let next = self.first;
        // SAFETY: what keeps the node keeps the block; its wakers are ours (I8).
        unsafe {
            if next.addr() & WITH_BLOCK != 0 {
                at(node).link.with_mut(|link| *link = next.map_addr(|address| address & !WITH_BLOCK));
                self.first = node;
                // Relaxed: acquired before (`last_block_of`).
                self.woken = Woken::of(at(node).annex.load(Relaxed).block_of(node), false);
                return true;
            }
            self.first = next.map_addr(|address| address & !RETAINED);
            let stays = at(node).state.load(Relaxed).stays();
            // (Calibration `what_is_retained_is_given_back`.) What STAYS has the list's claim, too.
            release_handle_into(node, &mut Bin::deferred());
            !stays
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
                Role::Further => {
                    self.woken = Woken::of(node, true);
                    (!self.woken.fired.is_none()).then_some(Next::Block)
                }
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
                // SAFETY: there is, as long as `next` says so.
                Next::Block => unsafe { self.woken.wake() },
                // SAFETY: our claim keeps the node until the next call of `next`; what it carries is ours to run, once.
                Next::Current => unsafe { notify(self.current) },
                Next::Nothing => return false,
            }
            true
        });
    }
}
