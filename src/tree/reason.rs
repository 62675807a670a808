//! The reason word: whether a node is cancelled, and why, in one word that is written once (C6).
//!
//! ```text
//! | pointer to a cause | COUNTED | DEADLINE | CANCELLED |
//! |                    |    2    |    1     |     0     |
//! ```
//!
//! Without CANCELLED it is alive: null, or EXTENDED, if the node is a token with a tail. (Who makes a child asks for both here: the
//! state, where the latter stands, too, is on a cache line that other children write.) A plain cancel and an expired deadline are
//! constants, without a pointer. A cause is either a [`StaticCause`], for ever, or a COUNTED one on the heap: each word that names
//! it owns one count, as does each [`Reason`].
//!
//! The first compare-and-swap from what it was born with decides, whoever makes it: the caller of a cancel with his own reason, or
//! a walker with the reason of the parent. It comes *before* the mark in `head`; so whoever finds a node marked finds the reason.
//!
//! The *short way* spares most nodes of most cancels that step: where the owner of a list was cancelled for no reason (the
//! *plain* one), a walker marks a child first, and then stores the plain reason. So a child may be found marked and without
//! a reason: then this can only be the plain one, and who finds it so stores it, too, before he relies on it
//! (`announce::help`). What keeps a store from overwriting another reason:
//!
//! - All walkers of one list have the same reason, that of its owner, which is final; and what is marked stays in its list.
//! - Whoever cancels a node that does not STAY for another reason announces himself first: by ANNOUNCED in `visit`, and then by a
//!   step in the head, which sets WAITED there (`announce::announce`). If that step comes after the mark, he finds the mark, and has lost.
//!   If it comes before it, who marks finds WAITED, and then looks for ANNOUNCED before he stores; so does who helps. Where that
//!   is found, the plain reason, too, is a candidate: a compare-and-swap decides. (ANNOUNCED is not in this word, so that no step in it
//!   ever meets a store.)
//! - Whoever cancels the node plainly, or waits for it, writes no other reason.

#[cfg(feature = "alloc")]
use super::shared::Shared;
use crate::primitives::{Acquire, AtomicPtr, Relaxed, Release};
use crate::reason::{CancelKind, StaticCause};
use core::error::Error;
use core::ptr::{self, NonNull};

const CANCELLED: usize = 0b001;
const DEADLINE: usize = 0b010;
const COUNTED: usize = 0b100;
const TAGS: usize = CANCELLED | DEADLINE | COUNTED;
/// Alive, with a tail. No pointer: it says so without CANCELLED.
const EXTENDED: usize = 0b1000;

const _: () = assert!(align_of::<StaticCause>() > TAGS);
#[cfg(feature = "alloc")]
const _: () = assert!(align_of::<Shared>() > TAGS);

/// Why something is cancelled. Owns a count of its cause, if that is on the heap.
pub(crate) struct Reason(NonNull<()>);

// SAFETY: a word; what it points to is a `Shared` or a `StaticCause`, both `Send` and `Sync`, and counted by atomics.
unsafe impl Send for Reason {}
// SAFETY: as above.
unsafe impl Sync for Reason {}

impl Reason {
    pub(crate) fn new(kind: CancelKind) -> Self {
        Self::tagged(ptr::null_mut(), kind, 0)
    }

    pub(crate) fn with_static(kind: CancelKind, cause: &'static StaticCause) -> Self {
        Self::tagged(ptr::from_ref(cause).cast_mut().cast(), kind, 0)
    }

    /// Two allocations, one of them the caller's.
    #[cfg(feature = "alloc")]
    pub(crate) fn with_error(kind: CancelKind, error: alloc::boxed::Box<dyn Error + Send + Sync>) -> Self {
        Self::tagged(Shared::new(error).cast(), kind, COUNTED)
    }

    fn tagged(pointer: *mut (), kind: CancelKind, tags: usize) -> Self {
        let kind = match kind {
            CancelKind::Cancelled => 0,
            CancelKind::DeadlineExceeded => DEADLINE,
        };
        let word = pointer.map_addr(|address| address | kind | tags | CANCELLED);
        // SAFETY: it has the bit CANCELLED.
        Self(unsafe { NonNull::new_unchecked(word) })
    }

    pub(crate) fn kind(&self) -> CancelKind {
        if self.0.addr().get() & DEADLINE == 0 { CancelKind::Cancelled } else { CancelKind::DeadlineExceeded }
    }

    pub(crate) fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        #[cfg(feature = "alloc")]
        if self.word().is_counted() {
            // SAFETY: by `with_error`; our count keeps it.
            return Some(unsafe { &*self.word().shared() }.error());
        }
        let pointer = self.0.as_ptr().map_addr(|address| address & !TAGS).cast::<StaticCause>();
        // SAFETY: null, or by `with_static`.
        unsafe { pointer.as_ref() }.map(StaticCause::error)
    }

    pub(super) fn word(&self) -> Word {
        Word(self.0.as_ptr())
    }

    /// Whether it owns a count.
    pub(super) fn is_counted(&self) -> bool {
        self.word().is_counted()
    }

    /// # Safety
    /// The word is not null, and its count is the caller's to give.
    unsafe fn adopt(word: Word) -> Self {
        // SAFETY: the caller's contract.
        Self(unsafe { NonNull::new_unchecked(word.0) })
    }
}

impl Clone for Reason {
    fn clone(&self) -> Self {
        // SAFETY: our count keeps what it names.
        unsafe { self.word().retain() };
        Self(self.0)
    }
}

impl Drop for Reason {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: our count, not used again.
        unsafe { self.word().give_back() };
    }
}

/// A copy of a reason word that owns nothing: good as long as something else keeps the cause.
#[derive(Clone, Copy)]
pub(super) struct Word(*mut ());

impl Word {
    /// Of a plain cancel: no cause, no deadline.
    const PLAIN: Word = Word(ptr::without_provenance_mut(CANCELLED));

    #[inline]
    fn is_set(self) -> bool {
        self.0.addr() & CANCELLED != 0
    }

    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.0.addr() == CANCELLED
    }

    #[inline]
    pub(super) fn is_counted(self) -> bool {
        self.0.addr() & COUNTED != 0
    }

    #[cfg(feature = "alloc")]
    fn shared(self) -> *mut Shared {
        self.0.map_addr(|address| address & !TAGS).cast()
    }

    /// Takes a count, if the cause is counted.
    ///
    /// # Safety
    /// Something keeps the cause.
    #[inline]
    unsafe fn retain(self) {
        #[cfg(feature = "alloc")]
        if self.is_counted() {
            // SAFETY: the caller's contract.
            unsafe { &*self.shared() }.retain();
        }
    }

    /// Gives a count back, if the cause is counted.
    ///
    /// # Safety
    /// The caller gives up one count.
    #[inline]
    unsafe fn give_back(self) {
        #[cfg(feature = "alloc")]
        if self.is_counted() {
            // SAFETY: the caller's contract.
            unsafe { Shared::give_back(self.shared()) };
        }
    }
}

/// The word in a node.
pub(super) struct AtomicReason(AtomicPtr<()>);

impl AtomicReason {
    /// Of a node without a tail, or with one.
    #[inline]
    pub(super) fn alive(extended: bool) -> Self {
        Self(AtomicPtr::new(Self::at_birth(extended)))
    }

    #[inline]
    fn at_birth(extended: bool) -> *mut () {
        ptr::without_provenance_mut(if extended { EXTENDED } else { 0 })
    }

    pub(super) fn born(reason: Reason) -> Self {
        let word = reason.word();
        core::mem::forget(reason);
        Self(AtomicPtr::new(word.0))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        // Acquire (E6): what came before the cancel comes before what the caller does now (C11).
        Word(self.0.load(Acquire)).is_set()
    }

    /// Zero, if the node is neither cancelled nor extended. Nothing is acquired by this.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn glance(&self) -> usize {
        self.0.load(Relaxed).addr()
    }

    /// The word. The node keeps what it names.
    #[inline]
    pub(super) fn word(&self) -> Word {
        Word(self.0.load(Acquire)) // Acquire (E6): also the cause itself.
    }

    pub(super) fn get(&self) -> Option<Reason> {
        let word = self.word();
        // SAFETY: the node has a count, for good, and we take one of our own.
        word.is_set().then(|| unsafe {
            word.retain();
            Reason::adopt(word)
        })
    }

    /// Sets the word to `reason`, unless it is set. True if this is what decided.
    ///
    /// Wait-free.
    ///
    /// # Safety
    /// `reason` is not null, and something keeps its cause meanwhile.
    #[inline]
    pub(super) unsafe fn decide(&self, reason: Word) -> bool {
        // SAFETY: the caller's contract.
        if reason.is_counted() { unsafe { self.decide_counted(reason) } } else { self.set(reason) }
    }

    /// # Safety
    /// As [`decide`](Self::decide), for a counted one.
    #[cold]
    #[inline(never)]
    unsafe fn decide_counted(&self, reason: Word) -> bool {
        // SAFETY: the caller's contract; a count that we have taken in vain is not the last one.
        unsafe {
            reason.retain();
            let decided = self.set(reason);
            if !decided {
                reason.give_back();
            }
            decided
        }
    }

    #[inline]
    fn set(&self, reason: Word) -> bool {
        // Release (E6): what came before the cancel, which the caller has done or acquired; and the cause. Relaxed: whoever
        // needs the word that was there reads it again. (No look at the word before the step: loom, which remembers only
        // the last access to it, would then overlook other threads' looks.)
        match self.0.compare_exchange(Self::at_birth(false), reason.0, Release, Relaxed) {
            Ok(_) => true,
            Err(seen) if Word(seen).is_set() => false,
            // It was born so, and changes once. Release, Relaxed: as above.
            Err(extended) => self.0.compare_exchange(extended, reason.0, Release, Relaxed).is_ok(),
        }
    }

    /// Sets the word to the plain reason, by the short way.
    ///
    /// # Safety
    /// The node has been marked by the short way, the caller has done or acquired that, and nobody had announced another reason before: so
    /// none comes.
    #[inline]
    pub(super) unsafe fn set_plain(&self) {
        // Release (E6): what came before the cancel, which the caller has done or acquired (E5).
        self.0.store(Word::PLAIN.0, Release);
    }

    /// [`decide`](Self::decide)s for the plain reason.
    pub(super) fn decide_plainly(&self) {
        self.set(Word::PLAIN);
    }

    /// Whether the word is still to be set, for who has found the node marked, and acquired that.
    #[inline]
    pub(super) fn is_missing(&self) -> bool {
        // Relaxed: a reason that came before the mark is here to be seen (E5).
        !Word(self.0.load(Relaxed)).is_set()
    }

    /// As [`decide`](Self::decide).
    pub(super) fn decide_by(&self, reason: &Reason) -> bool {
        // SAFETY: a `Reason` is not null, and keeps its cause.
        unsafe { self.decide(reason.word()) }
    }

    /// Whether a count of a cause goes when the node goes.
    #[inline]
    pub(super) fn is_counted(&self) -> bool {
        // Relaxed: asked by whoever frees the node, to whom all is visible (E7).
        Word(self.0.load(Relaxed)).is_counted()
    }

    /// Takes the reason out of a node that is about to be freed.
    ///
    /// # Safety
    /// The caller owns the node, and nobody looks at the word again.
    pub(super) unsafe fn take(&self) -> Option<Reason> {
        let word = Word(self.0.load(Relaxed)); // Relaxed: as above.
        // SAFETY: the node's count becomes the result's.
        word.is_set().then(|| unsafe { Reason::adopt(word) })
    }
}
