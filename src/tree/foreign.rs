//! Running code that is not ours: wakers, callbacks, the drops of what users gave us.

/// Calls `step` until it says that nothing is left. A panic in one step does not keep the others from being taken; the
/// first is raised again when all have been. (Without std: the rest is done while it unwinds, and a second one aborts.)
///
/// `step` has to take what it runs out of where it was first, so that a panic finds it gone.
pub(crate) fn run_all(step: impl FnMut() -> bool) {
    #[cfg(feature = "std")]
    {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

        let mut step = step;
        let mut first_panic = None;
        // Unwind safe: by the demand on `step`.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| while step() {})) {
            match first_panic {
                None => first_panic = Some(panic),
                // What a panic carries may panic when dropped, too.
                Some(_) => drop_quietly(panic),
            }
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }
    #[cfg(not(feature = "std"))]
    {
        struct Rest<S: FnMut() -> bool>(S);
        impl<S: FnMut() -> bool> Drop for Rest<S> {
            fn drop(&mut self) {
                while (self.0)() {}
            }
        }
        let mut rest = Rest(step);
        while (rest.0)() {}
    }
}

#[cfg(feature = "std")]
#[cold]
fn drop_quietly(payload: std::boxed::Box<dyn core::any::Any + Send>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(another);
    }
}
