//! A container's log as its readers get it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use futures::stream::BoxStream;
use orch_core::runtime::cri::{self, Progress};
use orch_core::runtime::{LogChunk, LogOptions, RuntimeError};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::launch::readable;
use crate::runtime::blocking;

/// Reads a log, which is whole if it is `complete`. To follow it is to be told by the kernel when its files change, and by `ended` when it is whole.
pub(crate) async fn read(
    dir: &Path,
    options: LogOptions,
    complete: bool,
    ended: watch::Receiver<bool>,
) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
    let (sender, progress) = watch::channel(Progress { version: 0, complete });
    if options.follow && !complete {
        // Watched before anything is read.
        let changes = changes(dir).map_err(|error| RuntimeError::failed("following a log", error))?;
        tokio::spawn(follow(changes, ended, sender));
    }
    let dir = dir.to_owned();
    blocking(move || cri::read(dir, options, progress)).await?
}

fn changes(dir: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    match add_watch(&inotify, dir, WatchFlags::MODIFY | WatchFlags::CREATE) {
        // It was removed: there is nothing more to be told of.
        Ok(_) | Err(rustix::io::Errno::NOENT) => readable(inotify),
        Err(error) => Err(error.into()),
    }
}

/// Tells of changes until the log is whole, its reader has gone, or the runtime has, whose end nobody would tell of.
async fn follow(
    changes: AsyncFd<OwnedFd>,
    mut ended: watch::Receiver<bool>,
    progress: watch::Sender<Progress>,
) {
    loop {
        tokio::select! {
            biased;
            () = progress.closed() => return,
            ended = ended.wait_for(|ended| *ended) => {
                if ended.is_ok() {
                    progress.send_modify(|progress| {
                        progress.version += 1;
                        progress.complete = true;
                    });
                }
                return;
            }
            ready = changes.readable() => {
                let Ok(mut ready) = ready else { return };
                let mut buffer = [MaybeUninit::uninit(); 4096];
                let mut reader = Reader::new(&changes, &mut buffer);
                while reader.next().is_ok() {}
                ready.clear_ready();
                progress.send_modify(|progress| progress.version += 1);
            }
        }
    }
}
