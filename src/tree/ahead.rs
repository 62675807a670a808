//! A guess where the later nodes of a list stand, so that they are on their way from memory when their turn comes.
//!
//! The address of a node is in the one before it: who goes through more nodes than a cache holds waits for each. But nodes that
//! were made one after another stand mostly at the same distance from each other. So if the last two steps were alike, memory is
//! asked for what stands so many steps further on. If that is no node, nothing comes of it: it is read into the cache alone,
//! if at all.

use super::Node;

/// So many nodes are dealt with while memory answers (measured: 16 to 32 do equally well, 8 do not).
const STEPS: usize = 16;

/// What is remembered of the way through a list.
pub(super) struct Ahead {
    last: usize,
    step: usize,
}

impl Ahead {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { last: 0, step: 0 }
    }

    /// The way has come to this node.
    #[inline(always)]
    pub(super) fn at(&mut self, node: *mut Node) {
        let step = node.addr().wrapping_sub(self.last);
        if step == self.step {
            prefetch(node.cast_const().cast::<i8>().wrapping_byte_add(step.wrapping_mul(STEPS)));
        }
        (self.last, self.step) = (node.addr(), step);
    }
}

/// The same for who has no list to go through: the owner of a family, who drops one after another. Somebody has come to the second of
/// these nodes, and the first was made before it. Neither is looked at: they may be gone, or null.
#[inline(always)]
pub(super) fn guess(from: *mut Node, to: *mut Node) {
    /// Only what was made one right after another (bytes): else memory is asked in vain.
    const NEAR: usize = 1024;
    /// So many are dropped while memory answers.
    const STEPS: usize = 8;

    let step = to.addr().wrapping_sub(from.addr());
    if step.wrapping_add(NEAR) < 2 * NEAR {
        prefetch(to.cast_const().cast::<i8>().wrapping_byte_add(step.wrapping_mul(STEPS)));
    }
}

/// Of two lines: a node is no shorter. Nothing where the language has no way to say it.
#[inline(always)]
pub(super) fn prefetch(at: *const i8) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: it may name any address, and has no effect that the language knows.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at);
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_byte_add(64));
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse", not(miri))))]
    let _ = at;
}
