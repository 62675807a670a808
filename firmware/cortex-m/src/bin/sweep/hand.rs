//! What the interrupt does.

use crate::stage::{POOL, THEIRS};
use cancel_tree::{CancellationToken, WaitForCancellationFutureOwned};
use core::future::Future;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, RawWaker, RawWakerVTable, Waker};
use firmware_cortex_m::inject::Shared;
use portable_atomic::{AtomicU32, Ordering::SeqCst};

/// What an interrupt can do to the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    CancelRoot,
    CancelNear,
    /// Cancels `root`, and drops all that the interrupt has.
    CancelAndDrop,
    Look,
    /// Wakes a task that runs in the interrupt, and polls there once more.
    WakeToPoll,
    /// The same; it drops its waiter.
    WakeToDrop,
    Child,
    Drop,
}

pub const ACTS: [(Act, &str); 8] = [
    (Act::CancelRoot, "cancel of the root"),
    (Act::CancelNear, "cancel"),
    (Act::CancelAndDrop, "cancel of the root, and drop"),
    (Act::Look, "is_cancelled"),
    (Act::WakeToPoll, "wake of a task that polls"),
    (Act::WakeToDrop, "wake of a task that drops its waiter"),
    (Act::Child, "try_child_token"),
    (Act::Drop, "drop"),
];

impl Act {
    pub fn cancels_root(self) -> bool {
        matches!(self, Self::CancelRoot | Self::CancelAndDrop)
    }
}

/// The interrupt's own things.
pub struct Hand {
    pub act: Act,
    pub root: Option<CancellationToken>,
    pub near: Option<CancellationToken>,
    /// Tokens that a cancel of `near` reaches.
    pub below: [Option<CancellationToken>; 3],
    /// Its `cancel_with` said that it decided.
    pub decided: bool,
    /// A token was seen cancelled.
    pub saw: bool,
    pub made: Option<CancellationToken>,
}

static HAND: Shared<Hand> = Shared::new(Hand {
    act: Act::Look,
    root: None,
    near: None,
    below: [None, None, None],
    decided: false,
    saw: false,
    made: None,
});

impl Hand {
    pub fn drop_all(&mut self) {
        (self.root, self.near, self.made, self.below) = (None, None, None, Default::default());
    }
}

/// # Safety
/// That of [`Shared::get`].
pub unsafe fn hand() -> &'static mut Hand {
    // SAFETY: the caller's contract.
    unsafe { HAND.get() }
}

pub fn interrupt(pc: u32) {
    // SAFETY: the handler of the SysTick.
    let hand = unsafe { hand() };
    let Hand { root: Some(root), near: Some(near), .. } = &*hand else { panic!("given before each run") };
    match hand.act {
        Act::CancelRoot | Act::CancelNear | Act::CancelAndDrop => {
            let whole = hand.act.cancels_root();
            let decided = if whole { root } else { near }.cancel_with(&THEIRS);
            // Nothing waits for the thread that is interrupted.
            let below = hand.below.iter().flatten().all(CancellationToken::is_cancelled);
            assert!(near.is_cancelled() && below, "not cancelled after cancel() at {pc:#x}");
            assert!(root.is_cancelled() || !whole, "root not cancelled at {pc:#x}");
            hand.decided = decided;
            if hand.act == Act::CancelAndDrop {
                hand.drop_all();
            }
        }
        Act::Look => {
            let below = hand.below.iter().flatten().any(CancellationToken::is_cancelled);
            // The same step makes both.
            assert!(!near.is_cancelled() || near.reason().is_some(), "cancelled without a reason at {pc:#x}");
            hand.saw = root.is_cancelled() || near.is_cancelled() || below;
        }
        Act::WakeToPoll | Act::WakeToDrop => task_waker().wake(),
        Act::Child => match hand.below[0].as_ref().unwrap_or(near).try_child_token() {
            Ok(child) => hand.made = Some(child),
            Err(full) => assert!(POOL.in_use() == POOL.capacity(), "{full} at {pc:#x}, with {} nodes", POOL.in_use()),
        },
        Act::Drop => hand.drop_all(),
    }
}

// A task that runs wherever it is woken: in the interrupt, or in the middle of a `cancel()`.

pub struct Task {
    pub waits: Option<WaitForCancellationFutureOwned>,
    pub drops: bool,
    /// It has said `Pending`.
    pub polled: bool,
    pub ready: bool,
}

static TASK: Shared<Task> = Shared::new(Task { waits: None, drops: false, polled: false, ready: false });
/// How often it was woken since it ran; whoever is the first lets it run.
static WOKEN: AtomicU32 = AtomicU32::new(0);

/// # Safety
/// Nobody runs it.
pub unsafe fn task() -> &'static mut Task {
    // SAFETY: the caller's contract.
    unsafe { TASK.get() }
}

pub fn task_waker() -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(|_| RawWaker::new(ptr::null(), &VTABLE), wake, wake, |_| ());
    fn wake(_: *const ()) {
        if WOKEN.fetch_add(1, SeqCst) != 0 {
            return;
        }
        loop {
            let woken = WOKEN.load(SeqCst);
            // SAFETY: who has changed `WOKEN` from 0 runs it alone.
            run(unsafe { task() });
            if WOKEN.fetch_sub(woken, SeqCst) == woken {
                break;
            }
        }
    }
    // SAFETY: the functions of the table use no data.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &VTABLE)) }
}

fn run(task: &mut Task) {
    let Some(waits) = &mut task.waits else { return };
    if !task.drops || !task.polled {
        if Pin::new(waits).poll(&mut Context::from_waker(&task_waker())).is_ready() {
            task.ready = true;
        }
        task.polled = true;
    }
    if task.ready || task.drops {
        task.waits = None;
    }
}
