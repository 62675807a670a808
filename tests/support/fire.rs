//! One signal after another, sent to the thread that asks for them, at any instruction. (Linux.)

use std::mem::{MaybeUninit, zeroed};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, compiler_fence};

/// The handler is to let the tree alone.
static QUIET: AtomicBool = AtomicBool::new(true);
static TIMER: AtomicPtr<libc::c_void> = AtomicPtr::new(null_mut());

/// Has `SIGUSR1` sent to this thread, and to no other, until it is dropped.
pub(crate) struct Fire(());

impl Fire {
    /// The handler [`arm`]s the next signal, and leaves errno as it was.
    pub(crate) fn open(handler: extern "C" fn(libc::c_int)) -> Self {
        // SAFETY: the structures are plain data for which zero is a value, and live during the calls.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, null_mut()), 0);
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGUSR1;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = MaybeUninit::uninit();
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, timer.as_mut_ptr()), 0);
            TIMER.store(timer.assume_init(), Relaxed);
        }
        arm(50_000);
        Self(())
    }
}

impl Drop for Fire {
    fn drop(&mut self) {
        QUIET.store(true, SeqCst);
        // SAFETY: the timer that `open` made. A signal that is still on its way finds it gone, and does nothing.
        unsafe { libc::timer_delete(TIMER.load(Relaxed)) };
    }
}

/// One signal in so many nanoseconds; 0: none. Each signal is armed by the handler of the last one, so that the thread
/// gets on however slow the handler is.
pub(crate) fn arm(nanoseconds: usize) {
    // SAFETY: plain numbers; zero is a value for all of them.
    let mut time: libc::itimerspec = unsafe { zeroed() };
    time.it_value.tv_nsec = nanoseconds.try_into().expect("less than a second");
    // SAFETY: a timer that was created; `timer_settime` may be called by signal handlers.
    unsafe { libc::timer_settime(TIMER.load(Relaxed), 0, &raw const time, null_mut()) };
}

pub(crate) fn set_quiet(quiet: bool) {
    compiler_fence(SeqCst);
    QUIET.store(quiet, SeqCst);
    compiler_fence(SeqCst);
}

/// For the handler.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Relaxed)
}
