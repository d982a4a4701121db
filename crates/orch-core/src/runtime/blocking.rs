//! Work that keeps a thread, off those that run tasks.

use super::RuntimeError;

/// Does on a thread of its own what may keep a thread for longer than other tasks should wait: starting a process,
/// removing or reading much. Goes on to its end if the caller gives up. For runtimes, by their names.
///
/// # Errors
///
/// [`RuntimeError::Unavailable`] if the program is ending.
pub async fn blocking<T: Send + 'static>(
    runtime: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RuntimeError::Unavailable {
                runtime,
                reason: "the program is ending".into(),
            }),
        },
    }
}
