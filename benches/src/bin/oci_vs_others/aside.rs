//! Where commands of others are started: crun refuses machines that have control groups of both versions, so there the second
//! is out of sight, for all others alike.

use std::path::Path;
use std::process::ExitStatus;
use std::{io, thread};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

/// Of hybrid machines, as systemd mounts it.
const SECOND: &str = "/sys/fs/cgroup/unified";

type Job = (Command, oneshot::Sender<io::Result<ExitStatus>>);

/// A thread with a mount namespace of its own, in which whatever it starts is too.
#[derive(Clone)]
pub(crate) struct Aside(mpsc::UnboundedSender<Job>);

impl Aside {
    pub(crate) fn new() -> Self {
        let (jobs, taken) = mpsc::unbounded_channel();
        thread::spawn(move || {
            hide().expect("a mount namespace");
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
            tokio.expect("a runtime").block_on(work(taken));
        });
        Self(jobs)
    }

    pub(crate) async fn run(&self, command: Command) -> io::Result<ExitStatus> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send((command, answer));
        answered.await.map_err(io::Error::other)?
    }
}

fn hide() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&Path>, "/", None::<&Path>, flags, None::<&Path>)?;
    match umount2(SECOND, MntFlags::MNT_DETACH) {
        // There is none.
        Err(nix::Error::EINVAL | nix::Error::ENOENT) => Ok(()),
        done => done,
    }
}

async fn work(mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some((mut command, answer)) = jobs.recv().await {
        // Here, on this thread.
        let child = command.spawn();
        tokio::spawn(async move {
            let ended = match child {
                Ok(mut child) => child.wait().await,
                Err(error) => Err(error),
            };
            let _ = answer.send(ended);
        });
    }
}
