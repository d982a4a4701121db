//! Notices when containers write, and moves what they wrote into their logs.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::log::Log;
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
    lock: Weak<File>,
    /// By inotify watch.
    watched: Mutex<HashMap<i32, Weak<Log>>>,
    /// Those that could not be watched: no inotify, or the user's watches are used up.
    polled: Mutex<Vec<Weak<Log>>>,
    added: Notify,
    #[cfg(target_os = "linux")]
    inotify: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

impl Follower {
    /// Moves output only while `lock`, that of the state directory, is held.
    pub(super) fn start(lock: Weak<File>) -> Self {
        let shared = Arc::new(Shared {
            lock,
            ..Shared::open()
        });
        let following = shared.clone();
        let task = tokio::spawn(async move { following.run().await }).abort_handle();
        Self { shared, task }
    }

    /// Follows a log whose raw files exist, until it is dropped.
    pub(super) fn add(&self, log: &Arc<Log>) {
        let shared = &self.shared;
        shared.watched.lock().retain(|_, log| log.strong_count() > 0);
        shared.polled.lock().retain(|log| log.strong_count() > 0);
        if let Err(error) = shared.watch(log) {
            tracing::debug!(%error, "cannot watch a container's log, looking at it every {POLL:?}");
            shared.polled.lock().push(Arc::downgrade(log));
            shared.added.notify_one();
        }
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
        let Some(inotify) = &self.inotify else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        for path in log.raw_paths() {
            // A watch ends by itself when its file is removed.
            let watch = add_watch(inotify, path, WatchFlags::MODIFY)?;
            self.watched.lock().insert(watch, Arc::downgrade(log));
        }
        Ok(())
    }

    async fn run(&self) {
        tokio::join!(self.follow(), self.poll());
    }

    async fn follow(&self) {
        let Some(inotify) = &self.inotify else { return };
        let mut due = BTreeSet::new();
        loop {
            if due.is_empty() {
                let Ok(mut ready) = inotify.readable().await else {
                    return;
                };
                due = self.written();
                if due.is_empty() {
                    ready.clear_ready();
                }
            } else {
                due.append(&mut self.written());
            }
            // One turn each, so that one which never stops writing does not keep the others waiting.
            for watch in std::mem::take(&mut due) {
                let log = self.watched.lock().get(&watch).and_then(Weak::upgrade);
                let Some(log) = log else {
                    self.watched.lock().remove(&watch);
                    continue;
                };
                if self.pump(log).await {
                    due.insert(watch);
                }
            }
        }
    }

    /// The watches whose files were written to, each once.
    fn written(&self) -> BTreeSet<i32> {
        use rustix::fs::inotify::{ReadFlags, Reader};
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let Some(inotify) = &self.inotify else {
            return BTreeSet::new();
        };
        let mut reader = Reader::new(inotify, &mut buffer);
        let mut written = BTreeSet::new();
        // Some at a time, so that the list is bounded.
        while written.len() < 256 {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    written = self.watched.lock().keys().copied().collect();
                }
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {
                    self.watched.lock().remove(&event.wd());
                }
                Ok(event) => drop(written.insert(event.wd())),
                Err(_) => break,
            }
        }
        written
    }
}

#[cfg(not(target_os = "linux"))]
impl Shared {
    fn open() -> Self {
        Self::default()
    }

    fn watch(&self, _: &Arc<Log>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn run(&self) {
        self.poll().await;
    }
}

impl Shared {
    /// Looks, from time to time, at those of which the system does not tell.
    async fn poll(&self) {
        loop {
            let logs: Vec<_> = self.polled.lock().iter().filter_map(Weak::upgrade).collect();
            if logs.is_empty() {
                self.added.notified().await;
                continue;
            }
            let mut has_more = false;
            for log in logs {
                has_more |= self.pump(log).await;
            }
            if !has_more {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Moves some output of one container, beside the tasks; says whether there is more.
    async fn pump(&self, log: Arc<Log>) -> bool {
        // Held while it moves: another runtime must not open the log meanwhile.
        let Some(lock) = self.lock.upgrade() else {
            return false;
        };
        let moving = os::blocking(move || {
            let has_more = pump(&log);
            drop(lock);
            has_more
        });
        moving.await.unwrap_or(false)
    }
}
