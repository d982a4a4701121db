//! Panics on the thread of a run: each fails it, also one that somebody catches, as tokio does with those of tasks and the
//! controller engine with those of reconcilers.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Once};

use futures::FutureExt;
use tokio::sync::watch;

use super::watchdog::Pulse;

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// What has panicked on a thread.
struct Seen {
    /// Ends the run.
    failed: watch::Sender<bool>,
    /// Which run it is.
    pulse: Arc<Pulse>,
    /// The panics that nobody has reported yet, oldest first.
    unreported: Vec<String>,
    /// Whether nothing is to be written of them: of hundreds of runs one is told.
    is_silent: bool,
}

/// From now on panics on this thread, which is the run's own, fail the run that listens to `failed`.
pub(super) fn watch_thread(failed: watch::Sender<bool>, pulse: Arc<Pulse>, is_silent: bool) {
    static HOOK: Once = Once::new();
    // Who catches a panic keeps it from everybody else: only the hook sees them all.
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !is_to_be_silent(panic) {
                before(panic);
            }
        }));
    });
    SEEN.set(Some(Seen {
        failed,
        pulse,
        unreported: Vec::new(),
        // Where a panic ends the process, nothing tells of it later.
        is_silent: is_silent && !cfg!(panic = "abort"),
    }));
}

/// From now on nothing is written of panics on this thread: the run is over.
pub(super) fn no_longer_tell() {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            seen.is_silent = !cfg!(panic = "abort");
        }
    });
}

/// What std says when a panic cannot be caught any more, and the process ends.
const ENDS: [&str; 2] = [
    "panic in a destructor during cleanup",
    "panic in a function that cannot unwind",
];

impl Seen {
    /// Writes what nobody will come to report.
    fn tell_the_end(&self) {
        let panics: String = self
            .unreported
            .iter()
            .map(|panic| format!("  {panic}\n"))
            .collect();
        let told = format!(
            "simulation {}: a panic that cannot be caught (one in a destructor while another unwinds, say) ends the process. \
             What panicked before it:\n{panics}It is the run of ORCH_SIM='{}'.\n",
            self.pulse.name,
            self.pulse.line(),
        );
        // Past the capture of tests, which does not outlive the process.
        drop(std::io::stderr().write_all(told.as_bytes()));
    }
}

/// Takes note of a panic; whether it is one of which nothing is to be written.
fn is_to_be_silent(panic: &PanicHookInfo<'_>) -> bool {
    // A second panic in here would end the process.
    let noted = SEEN.try_with(|seen| {
        let mut seen = seen.try_borrow_mut().ok()?;
        let seen = seen.as_mut()?;
        if ENDS.contains(&message(panic.payload())) {
            seen.tell_the_end();
            return Some(false);
        }
        let place = panic
            .location()
            .map(|at| format!(" (at {at})"))
            .unwrap_or_default();
        seen.unreported
            .push(format!("{}{place}", message(panic.payload())));
        seen.failed.send_replace(true);
        Some(seen.is_silent)
    });
    noted.ok().flatten().unwrap_or(false)
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// What is to be said of a panic that was caught just now.
fn caught(payload: &(dyn Any + Send)) -> String {
    let seen = SEEN.with_borrow_mut(|seen| seen.as_mut()?.unreported.pop());
    seen.unwrap_or_else(|| message(payload).to_owned())
}

/// The first panic that was caught by others, if there was one; it is reported then.
pub(super) fn unreported() -> Option<String> {
    SEEN.with_borrow_mut(|seen| {
        let unreported = std::mem::take(&mut seen.as_mut()?.unreported);
        unreported.into_iter().next()
    })
    .map(|panic| format!("a task or a reconciler panicked: {panic}"))
}

/// Polls what users of the simulation wrote; a panic is an error of `what`.
pub(super) async fn guarded<T>(what: &str, code: impl Future<Output = T>) -> Result<T, String> {
    let ended = AssertUnwindSafe(code).catch_unwind().await;
    ended.map_err(|panic| format!("{what} panicked: {}", caught(&*panic)))
}

/// Calls what users of the simulation wrote; a panic is an error of `what`.
pub(super) fn guarded_call<T>(what: &str, code: impl FnOnce() -> T) -> Result<T, String> {
    let ended = std::panic::catch_unwind(AssertUnwindSafe(code));
    ended.map_err(|panic| format!("{what} panicked: {}", caught(&*panic)))
}
