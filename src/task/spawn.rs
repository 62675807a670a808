//! Spawning on tokio and tracking in one step.

use super::TaskTracker;
use ::tokio::runtime::Handle;
use ::tokio::task::{self, JoinHandle, LocalSet};
use core::future::Future;

/// Spawning on tokio. What is spawned counts from the call on, and until it is dropped: when a [`wait`](Self::wait) is over, the
/// task has ended, though [`JoinHandle::is_finished`] may say so a moment later.
///
/// ```
/// use cancel_tree::task::TaskTracker;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tracker = TaskTracker::new();
/// let answer = tracker.spawn(async { 42 });
/// tracker.close();
/// tracker.wait().await;
/// assert_eq!(answer.await.unwrap(), 42);
/// # });
/// ```
impl TaskTracker {
    /// `tokio::spawn(tracker.track_future(task))`.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, as [`tokio::spawn`](task::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(self.track_future(task))
    }

    /// `handle.spawn(tracker.track_future(task))`.
    #[track_caller]
    pub fn spawn_on<F>(&self, task: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.spawn(self.track_future(task))
    }

    /// `tokio::task::spawn_local(tracker.track_future(task))`.
    ///
    /// # Panics
    ///
    /// Outside of a [`LocalSet`] or local runtime, as [`spawn_local`](task::spawn_local).
    #[track_caller]
    pub fn spawn_local<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn_local(self.track_future(task))
    }

    /// `local_set.spawn_local(tracker.track_future(task))`.
    #[track_caller]
    pub fn spawn_local_on<F>(&self, task: F, local_set: &LocalSet) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        local_set.spawn_local(self.track_future(task))
    }

    /// As [`tokio::task::spawn_blocking`], tracked until `task` has returned and is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, task: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        task::spawn_blocking(self.tracked(task))
    }

    /// As [`Handle::spawn_blocking`], tracked until `task` has returned and is dropped.
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn spawn_blocking_on<F, T>(&self, task: F, handle: &Handle) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        handle.spawn_blocking(self.tracked(task))
    }

    /// The call, which is tracked until it has returned or panicked, or is dropped without having run.
    #[cfg(not(target_family = "wasm"))]
    fn tracked<F: FnOnce() -> T, T>(&self, task: F) -> impl FnOnce() -> T + use<F, T> {
        // In the order in which they are to be dropped.
        let tracked = (task, self.token());
        move || {
            // All of it: not one and then the other.
            let tracked = tracked;
            let (task, _token) = tracked;
            task()
        }
    }
}
