//! loom's types, and the watch over a node's life.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use self::AtomicU32 as AtomicWord;
#[cfg(target_has_atomic = "64")]
pub(crate) use loom::sync::atomic::AtomicU64 as AtomicWord;

/// Watches over one node during a model: an access reads it, the free writes it, so that loom reports every
/// access that is concurrent with the free, and the flag reports every access that comes after it.
#[derive(Debug)]
pub(crate) struct Life {
    cell: UnsafeCell<()>,
    ended: core::cell::Cell<bool>,
}

impl Life {
    pub(crate) fn new() -> Self {
        Self { cell: UnsafeCell::new(()), ended: core::cell::Cell::new(false) }
    }
    pub(crate) fn check(&self) {
        assert!(!self.ended.get(), "use after free: a node was accessed after it had been given back");
        self.cell.with(|_| ());
    }
    pub(crate) fn end(&self) {
        assert!(!self.ended.replace(true), "double free: a node was given back twice");
        self.cell.with_mut(|_| ());
    }
}

loom::thread_local! {
    static HINT: core::cell::Cell<usize> = core::cell::Cell::new(0);
}

/// What the current thread's [`thread_hint`] is from now on.
pub fn set_thread_hint(hint: usize) {
    HINT.with(|cell| cell.set(hint));
}

pub fn thread_hint() -> usize {
    HINT.with(core::cell::Cell::get)
}
