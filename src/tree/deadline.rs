//! When a token's time is over.

use core::time::Duration;

/// Nanoseconds since the origin of a clock, and in the lowest bit whether that clock is any but the system's. So the earlier of
/// two is the smaller word.
// Packed: 64 bits are aligned like words, so that a tail has no gap on 32-bit targets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// No deadline.
    pub(crate) const NEVER: Deadline = Deadline(u64::MAX);

    /// [`NEVER`](Self::NEVER) if it is 2⁶³ − 1 ns or more.
    pub(crate) fn new(at: Duration, on_system_clock: bool) -> Self {
        match u64::try_from(at.as_nanos()) {
            Ok(nanos) if nanos < u64::MAX >> 1 => Self(nanos << 1 | u64::from(!on_system_clock)),
            _ => Self::NEVER,
        }
    }

    /// Whether this one makes the other needless: it comes first, by the same clock.
    pub(crate) fn covers(self, other: Self) -> bool {
        self <= other && self.0 & 1 == 0 && other.0 & 1 == 0
    }

    #[cfg(all(feature = "std", not(cancel_tree_loom)))]
    pub(crate) fn since_origin(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| Duration::from_nanos(self.0 >> 1))
    }
}

#[cfg(all(test, not(cancel_tree_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_is_the_smaller() {
        let [first, second] =
            [1, 2].map(|nanos| [true, false].map(|system| Deadline::new(Duration::from_nanos(nanos), system)));
        assert!(first[1] < second[0] && second[1] < Deadline::NEVER);
        assert!(first[0].covers(second[0]) && first[0].covers(first[0]));
        assert!(!second[0].covers(first[0]) && !first[1].covers(second[1]) && !first[0].covers(second[1]));
        assert!(!Deadline::NEVER.covers(second[0]));
    }

    #[test]
    fn what_cannot_be_counted_never_comes() {
        assert!(Deadline::new(Duration::MAX, true) == Deadline::NEVER);
        assert!(Deadline::new(Duration::from_nanos(u64::MAX >> 1), true) == Deadline::NEVER);
        assert!(Deadline::new(Duration::from_nanos((u64::MAX >> 1) - 1), false) < Deadline::NEVER);
    }
}
