//! The origin from which the timers of a process with `std` count.

use core::time::Duration;
use std::sync::OnceLock;
use std::time::Instant;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// How far before its first use the origin is put: the first of these that the platform can subtract. (Where an
/// `Instant` counts from the start of the machine, nothing can be named that is earlier than that.)
const BACK: [u64; 5] = [365 * 86_400, 30 * 86_400, 86_400, 3_600, 60];

/// The point from which [`ThreadTimer`](super::ThreadTimer) and the timers of async runtimes count.
///
/// It lies a year before its first use in this process, or less where the platform cannot name such a point, and never
/// changes. So every instant of the program's life is after it.
///
/// The first use initialises it: threads that come at the same time wait for the one that does. Then it is wait-free,
/// one load. Allocates nothing.
#[must_use]
pub fn origin() -> Instant {
    *ORIGIN.get_or_init(|| {
        let now = Instant::now();
        BACK.iter().find_map(|&seconds| now.checked_sub(Duration::from_secs(seconds))).unwrap_or(now)
    })
}

/// How long after the [`origin`] an instant is; zero for one before it.
///
/// Progress as [`origin`]. Allocates nothing, and does not panic.
#[must_use]
pub fn since_origin(instant: Instant) -> Duration {
    instant.saturating_duration_since(origin())
}

/// The instant that is so long after the [`origin`]; `None` if the platform cannot represent it.
///
/// Progress as [`origin`]. Allocates nothing, and does not panic.
#[must_use]
pub fn instant(since_origin: Duration) -> Option<Instant> {
    origin().checked_add(since_origin)
}

#[cfg(test)]
mod tests {
    use super::{instant, origin, since_origin};
    use core::time::Duration;
    use std::time::Instant;

    #[test]
    fn there_and_back() {
        let now = Instant::now();
        assert_eq!(instant(since_origin(now)), Some(now));
        assert_eq!(since_origin(origin()), Duration::ZERO);
        assert_eq!(instant(Duration::ZERO), Some(origin()));
        assert_eq!(origin(), origin());
    }

    #[test]
    fn the_origin_is_in_the_past() {
        let first = origin();
        assert!(Instant::now() >= first);
        #[cfg(target_os = "linux")]
        assert!(first.elapsed() >= Duration::from_secs(365 * 86_400));
    }

    #[test]
    fn saturates_and_overflows() {
        if let Some(before) = origin().checked_sub(Duration::from_secs(1)) {
            assert_eq!(since_origin(before), Duration::ZERO);
        }
        assert_eq!(instant(Duration::MAX), None);
    }
}
