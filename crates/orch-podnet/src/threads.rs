//! Work on threads of its own, each in the network namespace that it is for.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use orch_core::runtime::RuntimeError;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The network namespace that something belongs to, whichever thread calls it later.
#[derive(Clone, Debug)]
pub(crate) struct Home(Arc<File>);

impl Home {
    /// That of this thread.
    pub(crate) fn here() -> io::Result<Self> {
        Ok(Self(Arc::new(File::open("/proc/thread-self/ns/net")?)))
    }

    /// Does `work` on a new thread in this namespace. It goes on to its end if the caller gives up.
    ///
    /// The thread may enter other namespaces: nothing is run on it afterwards.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let home = self.clone();
        let (done, answer) = tokio::sync::oneshot::channel();
        let task = move || {
            let entered = enter(&*home.0);
            let outcome = match entered {
                Ok(()) => work(),
                Err(error) => Err(RuntimeError::failed(
                    "entering the network's own namespace",
                    error,
                )),
            };
            // Nobody waits for it any more: it was done all the same.
            let _ = done.send(outcome);
        };
        std::thread::Builder::new()
            .name("orch-podnet".into())
            .spawn(task)
            .map_err(|error| RuntimeError::failed(format!("{what}: starting a thread"), error))?;
        match answer.await {
            Ok(outcome) => outcome,
            Err(_) => Err(RuntimeError::failed(what, "the thread that did it panicked")),
        }
    }
}

/// Moves this thread into a network namespace.
pub(crate) fn enter(namespace: &impl AsFd) -> io::Result<()> {
    Ok(move_into_link_name_space(
        namespace.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// Does `work` in a namespace, on a thread that may stay in it.
pub(crate) fn inside<T: Send>(namespace: impl AsFd + Sync, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| enter(&namespace).map(|()| work()));
        working
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens a sandbox's network namespace.
pub(crate) fn namespace(path: &Path) -> Result<File, RuntimeError> {
    File::open(path).map_err(|error| {
        RuntimeError::failed(format!("opening the network namespace {}", path.display()), error)
    })
}
