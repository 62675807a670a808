//! Interrupt safety (C10), shown: `cancel()` and `is_cancelled()` on the same thread, at every point of every operation.
//!
//! Under the unit tests the façade has a hook (`primitives::hooked`), which is called before each atomic operation and inside of
//! each access to a cell. An operation is run anew for each of them, and interrupted there: by a cancel of this token or of
//! that, by a look at all of them, by an alarm. And each of these is interrupted in turn, at each of its accesses, by
//! each of them. What is interrupted goes on when the interrupt has returned, as under a signal handler.
//!
//! ```text
//! cargo test --lib interrupts -- --nocapture
//! ```
//!
//! prints what was done to which operation; with `RUST_BACKTRACE=1`, for a run that fails, also where it was interrupted.
//!
//! # What it shows
//!
//! - Nobody waits for what he has interrupted. Whatever does, by a lock, a spin, a flag that somebody else has to take back, is stuck
//!   at once; more than 10,000 accesses in one run are.
//! - An interrupt allocates nothing and frees nothing, though it may come when a node is half made or half gone.
//! - When a cancel returns, in the interrupt too, all that it has to reach is cancelled (C3); what is made then is born so (C4);
//!   nothing else is (C1), nothing ever is again alive, and every reason is final (C6).
//! - Foreign code comes after that (C5). A waker that was left is woken once, and not after its future's drop (C12, C13); a callback
//!   is run once, or prevented (C17, C18); a timer is disarmed once, and what it armed is dropped outside of a cancel.
//! - Nothing is left, nothing freed twice, nothing accessed after its end; and the tree is whole: in every other run
//!   all is cancelled in the end, and hears it.
//! - No cell is accessed while another access to it has been interrupted, unless both only read.
//!
//! The same in a pool, where nodes are reused at once, and children are made and dropped in interrupts, too; also when it is full.
//!
//! # What it does not show
//!
//! - Anything of other threads, or of memory orderings: one thread sees its own writes in order. That is for `loom-tests`.
//! - An interrupt of an interrupt of an interrupt. (But for pools and linked tokens, and then too but for memory, a third cancel
//!   meets nothing that a second has not left.)
//! - Interrupts in the middle of an access: atomic ones have none; one to a cell that is half done would show in the next
//!   access to the cell, which is looked at. Between two accesses nothing happens that an interrupt could tell.
//! - Interrupts in foreign code: in a waker, in an allocator.
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
