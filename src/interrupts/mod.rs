//! Interrupt safety (C10), shown: `cancel()` and `is_cancelled()` on the same thread, at every point of every operation.
//!
//! Under the unit tests the façade has a hook (`primitives::hooked`), which is called before each atomic operation and inside of
//! each access to a cell. An operation is run anew for each of these, and interrupted there: by the cancel of a token, by an
//! alarm. Then the interrupt is interrupted in turn, at each of its own accesses, by each of them. Who is interrupted
//! goes on when the interrupt has returned, as under a signal handler. All this for every pair, and nothing by chance.
//!
//! ```text
//! cargo test --lib interrupts -- --nocapture
//! ```
//!
//! prints what was done to which operation. For a run that fails, `RUST_BACKTRACE=1` adds where it was interrupted.
//!
//! `is_cancelled` changes nothing, so one run tells for all its points: before every access of an operation and its
//! interrupt, all tokens are asked, and their reasons.
//!
//! # What it shows
//!
//! - Nobody waits for what he has interrupted. Whatever does, by a lock, a spin, a flag that somebody else has to take back, is
//!   stuck, and is found by the number of its accesses.
//! - `cancel`, `is_cancelled` and an alarm allocate nothing and free nothing, whatever was interrupted.
//! - When a cancel returns, in the interrupt too, all that it has to reach is cancelled (C3), and what is made from then on is born
//!   so (C4). Nothing else is (C1), nothing is ever alive again (C2), and a reason is its own or its parent's, and final (C6).
//! - Foreign code comes after that (C5). A waker that was left is woken once, and not after the drop of its future (C12, C13); a
//!   callback is run once, or prevented (C17, C18); a timer is disarmed once, and what it has armed is not dropped in a cancel.
//! - Nothing is left, nothing freed twice, and no heap memory accessed after its end; there are no more nodes than there have
//!   to be (C8). And the tree is whole: with one interrupt in a further run, with two in every other one, all is cancelled
//!   in the end, and hears it.
//! - No cell is accessed while another access to it is interrupted, but if both read.
//!
//! All on the heap and in a pool, where nodes are reused at once. There interrupts may do more: so they make and drop tokens, drop
//! futures, take callbacks back, arm and poll a timer; also when the pool is full. (On the heap they do so, too, for a late access
//! is found there. What would make that unsafe, an allocator that is interrupted, does not happen here.)
//!
//! # What it does not show
//!
//! - Anything of other threads, or of memory orderings: a thread sees its own writes in order. That is for `loom-tests`. Interrupts
//!   end before what they have interrupted goes on; threads need not.
//! - Two interrupts one after the other, or three inside of each other.
//! - Interrupts between two accesses, which could tell nothing that they cannot before the second; those in the middle of one; and
//!   those in foreign code, be it a waker or an allocator.
//!
//! That it would notice is shown by toys that are broken (`controls`).

mod actions;
mod attached;
mod controls;
mod injector;
mod memory;
mod promises;
mod reasons;
mod scenes;
mod tests;
mod timers;
mod world;
