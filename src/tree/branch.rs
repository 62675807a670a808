//! Branches: hidden tokens that have the children of a crowded token in its place.
//!
//! Where several threads make and drop children of one token, each of these steps has to wait for the cache line that the head and the
//! state of the token are on. A thread that collides there again and again *opens* branches for the token: from then on a child comes
//! into the list of a branch, a child of the token, that is chosen by the thread. So threads meet no more where they make children,
//! and drop those that they have made. A branch is a node like those of other tokens, in the walks of cancels, too: what
//! is promised of descendants is promised of what stands below it.
//!
//! A token's branches belong to it, like its first block (I19): its number in the annex word leads to a *directory* of them, with a handle on each,
//! given up before the last handle on the token goes. They go then as other tokens do: at once, or when nothing is left below them; or
//! are replaced by the one child that is left.
//!
//! Neither directories nor branches are on the heap, so that nobody's child costs more than its own node, or leaves more behind. There are
//! so many in the process, for who comes first; who finds none goes on as before.
//!
//! Nobody waits for a branch, makes anything but tokens of it, or cancels it but by a cancel of the token.

use super::birth::push;
use super::deadline::Deadline;
use super::extended::{Payload, Role, birth_state, role};
use super::memory::{Bin, Home, Places, Pool, give_up};
use super::release::release;
use super::slot::announce;
use super::state::{HANDLE, State};
use super::{Node, at};
use crate::primitives::{Acquire, AtomicPtr, AtomicU32, Relaxed, Release, thread_hint};
#[cfg(not(cancel_tree_loom))]
use core::cell::Cell;
use core::ptr;

/// Tokens that have branches at one time: what an annex word can number.
#[cfg(not(cancel_tree_loom))]
const DIRECTORIES: usize = 15;
/// Branches of one token.
#[cfg(not(cancel_tree_loom))]
const BRANCHES: usize = 16;
/// Branches of all.
#[cfg(not(cancel_tree_loom))]
const PLACES: usize = 128;
// Small enough for the models to come to the end of each.
#[cfg(cancel_tree_loom)]
const DIRECTORIES: usize = 2;
#[cfg(cancel_tree_loom)]
const BRANCHES: usize = 2;
#[cfg(cancel_tree_loom)]
const PLACES: usize = 2;

/// The branches of one token.
struct Directory {
    /// Whether it is somebody's: 0 or 1.
    taken: AtomicU32,
    /// With a handle on each.
    branches: [AtomicPtr<Node>; BRANCHES],
}

/// All that there are.
struct Shared {
    directories: [Directory; DIRECTORIES],
    places: Places<PLACES>,
}

#[cfg(not(cancel_tree_loom))]
static SHARED: Shared = Shared {
    directories: [const {
        Directory { taken: AtomicU32::new(0), branches: [const { AtomicPtr::new(ptr::null_mut()) }; BRANCHES] }
    }; DIRECTORIES],
    places: Places::new(),
};
#[cfg(cancel_tree_loom)]
loom::lazy_static! {
    static ref SHARED: Shared = Shared {
        directories: core::array::from_fn(|_| Directory {
            taken: AtomicU32::new(0),
            branches: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }),
        places: Places::new(),
    };
}

/// Nothing: the tail of a branch, which says that it is one, and where it lives.
struct Branch;

impl Payload for Branch {
    const ROLE: Role = Role::Branch;
}

/// Whether the node is a branch.
///
/// # Safety
/// The caller keeps the node.
pub(super) unsafe fn is_branch(node: *mut Node) -> bool {
    // SAFETY: the caller's contract. Relaxed: EXTENDED is there from birth.
    unsafe { at(node).state.load(Relaxed).is_extended() && role(node) == Role::Branch }
}

/// The number of the token's branches, or 0: then it has its children itself.
///
/// # Safety
/// The caller holds a handle on `token`.
#[inline(always)]
pub(super) unsafe fn branches_of(token: *mut Node) -> usize {
    // SAFETY: the handle. Relaxed: `host` looks again.
    unsafe { at(token).annex.load(Relaxed).branches() }
}

/// A push to the list of the token had to be tried again. If this thread has met that so often, and of no other token in between, it opens
/// branches.
///
/// # Safety
/// As [`open`].
#[cfg(not(cancel_tree_loom))]
#[cold]
pub(super) unsafe fn collided(token: *mut Node) {
    const OFTEN: u32 = 16;
    std::thread_local! {
        // Another token may have come to the same address: then that has branches for nothing.
        static MET: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
    }
    let (last, times) = MET.get();
    let times = if last == token.addr() { times + 1 } else { 1 };
    if times < OFTEN {
        return MET.set((token.addr(), times));
    }
    MET.set((0, 0));
    // SAFETY: the caller's contract.
    unsafe { open(token) };
}

/// Opens branches for a token that is crowded, if it has none, and is none, and there is a directory.
///
/// Lock-free: one look at each directory, and as a first waiter, and [`add_branches`](super::annex::AtomicAnnex::add_branches).
///
/// # Safety
/// The caller holds a handle on `token`.
#[cold]
#[inline(never)]
pub(super) unsafe fn open(token: *mut Node) {
    // SAFETY: the handle.
    unsafe {
        if branches_of(token) != 0 || is_branch(token) {
            return;
        }
        for (index, directory) in SHARED.directories.iter().enumerate() {
            // Acquire: with `close`: that it is empty.
            if directory.taken.load(Relaxed) == 0 && directory.taken.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                // Who ends the token looks for branches only then (calibration `branches_are_announced`). If it is cancelled, it
                // has no children any more. (Calibration `who_finds_a_token_crowded_in_vain_closes_the_directory`.)
                if !announce(token) || !at(token).annex.add_branches(index + 1) {
                    directory.close();
                }
                return;
            }
        }
    }
}

impl Directory {
    fn close(&self) {
        // Release: that it is empty (calibration `a_directory_is_closed_when_it_is_empty`).
        self.taken.store(0, Release);
    }
}

/// Where a child of `token` is to stand: there, or in one of its branches.
///
/// Wait-free, but for the first time that a thread comes to a branch, which is made then, as a child is.
///
/// # Safety
/// The caller holds a handle on `token`, and by that has one on what this says.
pub(super) unsafe fn host(token: *mut Node) -> *mut Node {
    // SAFETY: the handle keeps the directory, and that the branches in it.
    unsafe {
        // Acquire (E17): that the directory was empty.
        let number = at(token).annex.load(Acquire).branches();
        if number == 0 {
            return token;
        }
        let place = &SHARED.directories[number - 1].branches[thread_hint() % BRANCHES];
        // Acquire (E17): the branch.
        let branch = place.load(Acquire);
        if branch.is_null() { plant(token, place) } else { branch }
    }
}

/// Makes a branch. If there is no room, or the token is cancelled, the children are the token's as before.
///
/// # Safety
/// As [`host`]; `place` is in the directory of `token`.
#[cold]
#[inline(never)]
unsafe fn plant(token: *mut Node, place: &AtomicPtr<Node>) -> *mut Node {
    // SAFETY: the handle; the branch is ours, by its handle, until that is the directory's.
    unsafe {
        let pool: Pool = SHARED.places.pool();
        let Ok(room) = pool.room() else {
            return token;
        };
        let state = birth_state(State::CHILD, Role::Branch);
        let branch = room.fill(Node::child(state, token), Deadline::NEVER, Branch);
        // First into the list, then into the directory: a cancel reaches it before anybody has a child there (calibration
        // `a_branch_stands_before_it_is_used`).
        if !push(token, branch) {
            give_up(branch);
            return token;
        }
        // Release (E17): the branch. Acquire (E17): the other's.
        match place.compare_exchange(ptr::null_mut(), branch, Release, Acquire) {
            Ok(_) => branch,
            // Another thread of the same hint was first (calibrations `a_branch_is_no_others`, `a_branch_in_vain_ends`).
            Err(other) => {
                release(branch, HANDLE, &mut Bin::immediate());
                other
            }
        }
    }
}

/// The end of a token's branches: gives back what the token has of them, and its directory.
///
/// # Safety
/// The caller holds the last handle on the token, whose number this was, has acquired what the others did (E7), and calls this once.
#[cold]
pub(super) unsafe fn end(number: usize, bin: &mut Bin) {
    let directory = &SHARED.directories[number - 1];
    for place in &directory.branches {
        // Relaxed, both: nobody else comes to them any more, but by way of `close`.
        let branch = place.load(Relaxed);
        if !branch.is_null() {
            place.store(ptr::null_mut(), Relaxed);
            // SAFETY: the directory's handle (calibration `branches_end_with_their_token`).
            unsafe { release(branch, HANDLE, bin) };
        }
    }
    directory.close();
}

/// How many branches and directories are in use now.
#[cfg(any(test, cancel_tree_loom))]
pub(crate) fn in_use() -> (usize, usize) {
    let taken = SHARED.directories.iter().filter(|directory| directory.taken.load(Relaxed) != 0);
    (SHARED.places.used(), taken.count())
}
