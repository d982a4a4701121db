//! Notices when containers write, and moves what they wrote into their logs.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::log::Log;
#[cfg(target_os = "linux")]
use super::os;

/// How often to look where the system does not tell.
const POLL: Duration = Duration::from_millis(100);

/// Follows the raw output of all running containers, until it is dropped.
pub(super) struct Follower {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// By inotify watch; by any number where there is none.
    logs: Mutex<HashMap<i32, Weak<Log>>>,
    added: Notify,
    #[cfg(target_os = "linux")]
    inotify: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

impl Follower {
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::open());
        let following = shared.clone();
        let task = tokio::spawn(async move { following.run().await }).abort_handle();
        Self { shared, task }
    }

    /// Follows a log whose raw files exist, until it is dropped.
    pub(super) fn add(&self, log: &Arc<Log>) {
        let shared = &self.shared;
        shared.logs.lock().retain(|_, log| log.strong_count() > 0);
        if let Err(error) = shared.watch(log) {
            tracing::warn!(%error, "a container's log is brought up to date only when it is read");
        }
        shared.added.notify_one();
        // What was written before it was watched.
        pump(log);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves some output of one container; says whether there is more.
fn pump(log: &Log) -> bool {
    log.pump().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot write a container's log");
        false
    })
}

#[cfg(target_os = "linux")]
impl Shared {
    fn open() -> Self {
        use rustix::fs::inotify::{CreateFlags, init};
        let opened = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(io::Error::from);
        let inotify = opened.and_then(os::readable);
        if let Err(error) = &inotify {
            tracing::warn!(%error, "no inotify; container logs are looked at every {POLL:?} instead");
        }
        Self {
            inotify: inotify.ok(),
            ..Self::default()
        }
    }

    fn watch(&self, log: &Arc<Log>) -> io::Result<()> {
        use rustix::fs::inotify::{WatchFlags, add_watch};
        for path in log.raw_paths() {
            let Some(inotify) = &self.inotify else {
                self.insert(log);
                return Ok(());
            };
            // A watch ends by itself when its file is removed.
            let watch = add_watch(inotify, path, WatchFlags::MODIFY)?;
            self.logs.lock().insert(watch, Arc::downgrade(log));
        }
        Ok(())
    }

    async fn run(&self) {
        let Some(inotify) = &self.inotify else {
            return self.poll().await;
        };
        loop {
            let Ok(mut ready) = inotify.readable().await else {
                return;
            };
            let written = self.written();
            if written.is_empty() {
                ready.clear_ready();
            }
            drop(ready);
            for watch in written {
                let log = self.logs.lock().get(&watch).and_then(Weak::upgrade);
                let Some(log) = log else {
                    self.logs.lock().remove(&watch);
                    continue;
                };
                while pump(&log) {
                    tokio::task::yield_now().await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// The watches whose files were written to, each once.
    fn written(&self) -> Vec<i32> {
        use rustix::fs::inotify::{ReadFlags, Reader};
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let Some(inotify) = &self.inotify else {
            return Vec::new();
        };
        let mut reader = Reader::new(inotify, &mut buffer);
        let mut written = Vec::new();
        // Some at a time, so that the list is bounded.
        while written.len() < 256 {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    written = self.logs.lock().keys().copied().collect();
                }
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {
                    self.logs.lock().remove(&event.wd());
                }
                Ok(event) if written.last() != Some(&event.wd()) => written.push(event.wd()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        written.sort_unstable();
        written.dedup();
        written
    }
}

#[cfg(not(target_os = "linux"))]
impl Shared {
    fn open() -> Self {
        Self::default()
    }

    fn watch(&self, log: &Arc<Log>) -> io::Result<()> {
        self.insert(log);
        Ok(())
    }

    async fn run(&self) {
        self.poll().await
    }
}

impl Shared {
    fn insert(&self, log: &Arc<Log>) {
        let mut logs = self.logs.lock();
        let free = (0..).find(|key| !logs.contains_key(key)).unwrap_or_default();
        logs.insert(free, Arc::downgrade(log));
    }

    async fn poll(&self) {
        loop {
            let logs: Vec<_> = self.logs.lock().values().filter_map(Weak::upgrade).collect();
            if logs.is_empty() {
                self.added.notified().await;
                continue;
            }
            for log in logs {
                while pump(&log) {
                    tokio::task::yield_now().await;
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
