//! Work on files, off the threads that run tasks.

/// Does `work` on a thread of its own; none if the tokio runtime ended first, or the work panicked.
///
/// On a thread whose date is [anchored](orch_core::time::anchor_thread) it is done at once: when another thread is
/// done is up to the machine, and a simulation's history must not be.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if orch_core::time::is_anchored() {
        return Some(work());
    }
    tokio::task::spawn_blocking(work).await.ok()
}
