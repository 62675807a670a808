//! The plain façade with a hook before each access, for the crate's own tests.
//!
//! A thread that has set a hook has it called before each of its atomic operations, and inside of each of its accesses to a
//! cell, before the cell is touched. Every other thread halts at its next access meanwhile: so what the threads share, the
//! graveyard, is this one's alone, and what it counts is its own.

use super::{Ordering, plain};
use core::cell::Cell;
use core::ptr;
use std::sync::{PoisonError, RwLock};

pub(crate) use plain::Life;

/// An access that is about to be made, or has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Atomic,
    /// A shared one, from here to its `Left`.
    Read,
    /// An exclusive one, from here to its `Left`.
    Write,
    Left,
}

/// Called with each access and its address.
pub(crate) type Hook = fn(Access, usize);

std::thread_local! {
    static HOOK: Cell<Option<Hook>> = const { Cell::new(None) };
}

static HOOKED: RwLock<()> = RwLock::new(());

/// Runs `f` with a hook.
pub(crate) fn with_hook<R>(hook: Hook, f: impl FnOnce() -> R) -> R {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            HOOK.set(None);
        }
    }
    let _alone = HOOKED.write().unwrap_or_else(PoisonError::into_inner);
    let _off = Off;
    HOOK.set(Some(hook));
    f()
}

fn tell<T>(access: Access, place: &T) {
    // A thread that is ending has no hook any more.
    match HOOK.try_with(Cell::get) {
        Ok(Some(hook)) => hook(access, ptr::from_ref(place).addr()),
        _ => drop(HOOKED.read().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// An atomic.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Hooked<A>(A);

pub(crate) type AtomicPtr<T> = Hooked<plain::AtomicPtr<T>>;
pub(crate) type AtomicU32 = Hooked<plain::AtomicU32>;
pub(crate) type AtomicUsize = Hooked<plain::AtomicUsize>;
pub(crate) type AtomicWord = Hooked<plain::AtomicWord>;

/// Methods of the plain atomic, by way of the hook. (Not by `Deref`: the hook would come before the arguments, which may be
/// accesses, too.)
macro_rules! methods {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[allow(dead_code, reason = "which are used depends on the features")]
        pub(crate) fn $method(&self, $($argument: $type),*) -> $result {
            tell(Access::Atomic, self);
            self.0.$method($($argument),*)
        }
    )*};
}

macro_rules! hooked {
    ([$($T:ident)?] $atomic:ty, $value:ty) => {
        impl $(<$T>)? Hooked<$atomic> {
            pub(crate) const fn new(value: $value) -> Self {
                Self(<$atomic>::new(value))
            }
            methods! {
                load(order: Ordering) -> $value;
                store(value: $value, order: Ordering) -> ();
                swap(value: $value, order: Ordering) -> $value;
                compare_exchange(from: $value, to: $value, success: Ordering, failure: Ordering) -> Result<$value, $value>;
                compare_exchange_weak(from: $value, to: $value, success: Ordering, failure: Ordering) -> Result<$value, $value>;
            }
            #[allow(dead_code, reason = "which are used depends on the features")]
            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut next: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut seen = self.load(failure);
                while let Some(value) = next(seen) {
                    match self.compare_exchange_weak(seen, value, success, failure) {
                        Ok(seen) => return Ok(seen),
                        Err(newer) => seen = newer,
                    }
                }
                Err(seen)
            }
        }
    };
}

macro_rules! hooked_number {
    ($atomic:ty, $value:ty) => {
        hooked! { [] $atomic, $value }
        impl Hooked<$atomic> {
            methods! {
                fetch_add(value: $value, order: Ordering) -> $value;
                fetch_sub(value: $value, order: Ordering) -> $value;
                fetch_and(value: $value, order: Ordering) -> $value;
                fetch_or(value: $value, order: Ordering) -> $value;
                fetch_xor(value: $value, order: Ordering) -> $value;
            }
        }
    };
}

hooked! { [T] plain::AtomicPtr<T>, *mut T }
hooked_number! { plain::AtomicU32, u32 }
hooked_number! { plain::AtomicUsize, usize }
#[cfg(target_has_atomic = "64")]
hooked_number! { plain::AtomicWord, super::Word }

/// A cell whose accesses last until they are left.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(plain::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(plain::UnsafeCell::new(value))
    }
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        let _visit = Visit::new(self, Access::Read);
        self.0.with(f)
    }
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        let _visit = Visit::new(self, Access::Write);
        self.0.with_mut(f)
    }
}

struct Visit<'a, T>(&'a UnsafeCell<T>);

impl<'a, T> Visit<'a, T> {
    fn new(cell: &'a UnsafeCell<T>, access: Access) -> Self {
        // It is left also if the hook panics.
        let visit = Self(cell);
        tell(access, cell);
        visit
    }
}

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        tell(Access::Left, self.0);
    }
}
