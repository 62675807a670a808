//! Timers in statics, with a clock that a test sets.

use std::time::Duration;

/// A timer with a clock of its own, `it_is` to set that, and room for so many.
macro_rules! timer {
    ($name:ident, $room:expr) => {
        static NOW: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        struct Ticks;
        impl cancel_tree::time::Clock for Ticks {
            fn now() -> std::time::Duration {
                ms(NOW.load(SeqCst))
            }
        }
        static $name: cancel_tree::time::StaticTimer<Ticks, { $room }> = cancel_tree::time::StaticTimer::new();
        #[allow(unused, reason = "not every test's clock moves")]
        fn it_is(now: usize) {
            NOW.store(now, SeqCst);
        }
    };
}

pub(crate) fn ms(n: usize) -> Duration {
    Duration::from_millis(n as u64)
}
