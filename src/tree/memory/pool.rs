//! Static pools: a fixed number of places for nodes, without a heap.
//!
//! A place is free while its `home` is null. Who wants one first takes a *permit*: he counts himself into `used`, unless
//! that is at the capacity; then the pool is full, and was so at that very step. A permit is the right to one free place,
//! whichever it is: a place is made free before its permit is given back. So the holder goes round, from where a
//! free place was last, and finds one; if another holder takes it under his hands, then because one has come free
//! for that other's permit elsewhere.
//!
//! No list of free places, and so no address that could come back under a compare-and-swap (no ABA).
//!
//! All that a new pool holds is zero bits, so that a `static` takes no room in a firmware image.
//!
//! # Invariants
//!
//! - **I1** Places that are not free, and permits that have not found their place, are together no more than `used`, which is no more
//!   than the capacity. So there are at least as many free places as permits that look for one.
//! - **I2** The body of a place belongs to who has changed its `home` from null, and then to the node that he makes of it, until the
//!   end of that node's memory. `home` itself is no part of the body, and may be looked at by everybody at any time.
//! - **I3** Every pool is at the same place for ever (`&'static`), so a pointer to it or to a place in it never dangles.

use super::super::extended::Extended;
use super::super::head::NODE_ALIGN;
use super::super::{Node, state};
use super::graveyard::{Graveyard, graveyard};
#[cfg(not(cancel_tree_loom))]
use crate::primitives::Word;
use crate::primitives::{AcqRel, Acquire, AtomicPtr, AtomicUsize, Relaxed, Release, UnsafeCell};
use core::mem::{MaybeUninit, offset_of};
use core::ptr::{self, NonNull};

/// What a node in a pool may carry beyond a plain one: two words.
pub(super) type Room = [usize; 2];

/// A place for a node with a tail.
// Aligned for the tags of the head word.
#[repr(C, align(16))]
struct Place {
    /// First: a pointer to the place is one to its node.
    body: core::cell::UnsafeCell<MaybeUninit<Extended<Room>>>,
    /// Stands for the body in models; nothing otherwise.
    watch: UnsafeCell<()>,
    /// Null: free. Else the pool.
    home: AtomicPtr<Header>,
}

#[cfg(not(cancel_tree_loom))]
const _: () = {
    // On 32-bit targets with 64-bit atomics (x86, armv7) the state word takes two words, and is aligned to them.
    assert!(
        size_of::<Place>()
            == if usize::BITS == 64 {
                144
            } else if Word::BITS == 32 {
                80
            } else {
                96
            }
    );
};

/// What is known of a pool where its size is not.
struct Header {
    /// The permits that are out.
    used: AtomicUsize,
    /// Where to look first: null, or a place.
    hint: AtomicPtr<Place>,
    /// How many places there are. Written before there can be a permit.
    capacity: AtomicUsize,
    /// What cancels have left: nodes of this pool.
    graveyard: Graveyard,
}

/// A pool with all its places.
#[repr(C)]
pub(crate) struct Places<const N: usize> {
    header: Header,
    places: [Place; N],
}

// SAFETY: shared by design: its atomics by the protocol of the module's head, the bodies by I2.
unsafe impl<const N: usize> Sync for Places<N> {}
// SAFETY: as above; nobody but nodes, which are `Send`, is in it.
unsafe impl<const N: usize> Send for Places<N> {}

/// From a header to the first place, whatever their number.
const PLACES: usize = offset_of!(Places<1>, places);

// Written once, for the models' types have no `const` constructors.
macro_rules! header {
    () => {
        Header {
            used: AtomicUsize::new(0),
            hint: AtomicPtr::new(ptr::null_mut()),
            capacity: AtomicUsize::new(0),
            graveyard: graveyard!(),
        }
    };
}
macro_rules! place {
    () => {
        // Zeroed, though nobody reads it: with bytes that are undefined it would not go into .bss.
        Place {
            body: core::cell::UnsafeCell::new(MaybeUninit::zeroed()),
            watch: UnsafeCell::new(()),
            home: AtomicPtr::new(ptr::null_mut()),
        }
    };
}

impl<const N: usize> Places<N> {
    const CHECKED: () = {
        assert!(align_of::<Place>() == NODE_ALIGN);
        assert!(N > 0, "a pool without a place");
        assert!(N <= state::MOST_CHILDREN, "more places than a node can count children");
        assert!(offset_of!(Self, header) == 0 && offset_of!(Self, places) == PLACES);
    };

    #[cfg(not(cancel_tree_loom))]
    pub(crate) const fn new() -> Self {
        const { Self::CHECKED };
        Self { header: header!(), places: [const { place!() }; N] }
    }

    #[cfg(cancel_tree_loom)]
    pub(crate) fn new() -> Self {
        const { Self::CHECKED };
        Self { header: header!(), places: core::array::from_fn(|_| place!()) }
    }

    pub(crate) fn used(&self) -> usize {
        // Relaxed: one number, at one moment.
        self.header.used.load(Relaxed)
    }

    pub(crate) fn pool(&'static self) -> Pool {
        // Relaxed: always the same; and who reads it has got his pool from here, or from who has.
        self.header.capacity.store(N, Relaxed);
        // Made of the whole, not of the header: the places are reached by it.
        Pool(NonNull::from(self).cast())
    }
}

/// A pool, whatever its size.
#[derive(Clone, Copy)]
pub(crate) struct Pool(NonNull<Header>);

// SAFETY: a reference to `Places`, which are `Sync`.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    fn header(&self) -> &Header {
        // SAFETY: I3.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn graveyard(&self) -> &Graveyard {
        &self.header().graveyard
    }

    /// Memory for a node with a tail, as large as a place's body; the caller's, until [`give_back`]. `None`: the pool is full.
    ///
    /// Lock-free: each step is repeated only because somebody else's, here or in `give_back`, went through.
    pub(super) fn take(self) -> Option<*mut Node> {
        self.permit().then(|| self.find())
    }

    /// A permit, unless all are out.
    fn permit(self) -> bool {
        let Header { used, capacity, .. } = self.header();
        let capacity = capacity.load(Relaxed); // Relaxed: as in `pool`.
        let mut seen = used.load(Relaxed);
        while seen < capacity {
            // Acquire: with `give_back`: the places whose permits these were are free, for us, too.
            match used.compare_exchange(seen, seen + 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(newer) => seen = newer,
            }
        }
        false
    }

    /// The place that a permit is good for.
    fn find(self) -> *mut Node {
        let Header { hint, capacity, .. } = self.header();
        // Relaxed: as in `pool`.
        let (first, capacity) = (self.first(), capacity.load(Relaxed));
        // SAFETY: `first` and as many as `capacity` says are places of one array.
        let end = unsafe { first.add(capacity) };
        // Relaxed: only where to begin.
        let mut place = hint.load(Relaxed);
        if place.is_null() {
            place = first;
        }
        loop {
            // SAFETY: a place (I3).
            let home = unsafe { &(*place).home };
            // SAFETY: inside of the array, or its end.
            let next = unsafe { place.add(1) };
            let next = if ptr::eq(next, end) { first } else { next };
            // Acquire: if it is taken, by somebody whose permit came after a place had come free that we have not seen yet:
            // then that is to be seen now.
            if home.load(Acquire).is_null()
                // Acquire: with `give_back`: the body. Release: for the load. Relaxed: if somebody was quicker, the load of the
                // next round sees it.
                && home.compare_exchange(ptr::null_mut(), self.0.as_ptr(), AcqRel, Relaxed).is_ok()
            {
                // SAFETY: the body is ours (I2).
                unsafe { (*place).watch.with_mut(|_| ()) };
                hint.store(next, Relaxed); // Relaxed: as above.
                return place.cast();
            }
            place = next;
        }
    }

    fn first(self) -> *mut Place {
        // SAFETY: by `pool` this points to `Places` of some number, and there the first is here.
        unsafe { self.0.as_ptr().byte_add(PLACES).cast() }
    }
}

/// The pool of a node.
///
/// # Safety
/// The node is in a pool, and the caller keeps it, or its memory.
pub(in super::super) unsafe fn of(node: *mut Node) -> Pool {
    // SAFETY: so it is in a place that is taken. Relaxed: since before the node was born.
    unsafe { Pool(NonNull::new_unchecked((*node.cast::<Place>()).home.load(Relaxed))) }
}

/// Gives a place back. Wait-free.
///
/// # Safety
/// The memory came from [`Pool::take`], and is the caller's, who does not use it again.
pub(super) unsafe fn give_back(node: *mut Node) {
    let place = node.cast::<Place>();
    // SAFETY: the caller's place. It is in an array that stays (I3), so `home` may be looked at even when it is free.
    unsafe {
        let pool = of(node);
        (*place).watch.with_mut(|_| ());
        // Release: what was done with the body, for who takes the place next.
        (*place).home.store(ptr::null_mut(), Release);
        // The place first, then the permit (I1). Release: for who takes the permit.
        pool.header().used.fetch_sub(1, Release);
        pool.header().hint.store(place, Relaxed); // Relaxed: only where to begin.
    }
}
