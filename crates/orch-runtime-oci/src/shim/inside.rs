//! Has libcontainer run a command in a container whose pod has users of its own: for a command it enters every namespace of
//! the container but theirs. So a child of the shim is in that one before, has it done there, and waits for the command.
//!
//! It ends with the shim, and the command with it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, pidfd_open, set_parent_process_death_signal, wait,
};

use super::hold;
use super::streams::pipe;
use crate::cgroup::Doors;
use crate::namespaces::{Kind, Shared};
use crate::sys::{self, Forked};

/// Says that the command runs; else a sentence on why not.
const RUNS: &[u8] = b"+";

/// As long as the kernel writes whole.
const LONGEST: usize = 4096;

/// What it is done with.
pub(super) struct Inside {
    /// The container's first process.
    first: OwnedFd,
    /// The pod's user namespace.
    users: File,
    back: Doors,
}

impl Inside {
    /// The first process, held, has this number. It may have gone where it is more than its pod's users are, or less: what it
    /// is in now is not entered.
    ///
    /// # Errors
    ///
    /// If it is elsewhere, or its pod's namespace is held no more.
    pub(super) fn find(first: &OwnedFd, number: i32, shared: &Shared, back: Doors) -> io::Result<Self> {
        let users = File::open(shared.file(Kind::User))
            .map_err(|error| io::Error::other(format!("its pod's user namespace is not there: {error}")))?;
        let its = fs::metadata(format!("/proc/{number}/ns/user"))?;
        if its.ino() != users.metadata()?.ino() {
            return Err(io::Error::other(
                "the container's first process has left the user namespace of its pod, and no command can be run beside it",
            ));
        }
        let first = first.try_clone()?;
        Ok(Self { first, users, back })
    }
}

/// Has a command built by a child of this process, in its pod's user namespace. The child's exit code is the command's. An
/// error is a sentence for whoever asked.
pub(super) fn build(
    Inside { first, users, back }: &Inside,
    build: impl FnOnce() -> Result<Pid, String>,
) -> Result<Pid, String> {
    let failed = |error: io::Error| format!("entering its user namespace: {error}");
    let (read, write) = pipe().map_err(failed)?;
    let shim = getpid();
    match sys::fork().map_err(failed)? {
        Forked::Parent(child) => {
            // What is to be the command's alone goes with it.
            drop((write, build));
            answer(child, read)
        }
        Forked::Child => {
            drop(read);
            let code = match enter(users, shim).map_err(failed).and_then(|()| build()) {
                Ok(command) => {
                    // Nobody but the command is counted with the container, and the machine's mounts are held by nobody. It
                    // may have ended meanwhile, and the command with it.
                    let _ = back.enter();
                    let _ = setns(first, CloneFlags::CLONE_NEWNS);
                    let _ = File::from(write).write_all(RUNS);
                    code_of(command)
                }
                Err(mut why) => {
                    why.truncate(why.floor_char_boundary(LONGEST));
                    let _ = File::from(write).write_all(why.as_bytes());
                    125
                }
            };
            std::process::exit(code)
        }
    }
}

fn enter(users: &File, shim: Pid) -> io::Result<()> {
    setns(users, CloneFlags::CLONE_NEWUSER)?;
    // After that, which takes it back.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match getppid() {
        Some(parent) if parent == shim => Ok(()),
        _ => Err(io::Error::other("its shim has ended")),
    }
}

/// What the child says, if it says anything.
fn answer(child: Pid, read: OwnedFd) -> Result<Pid, String> {
    let failed = |error: io::Error| format!("waiting for its start: {error}");
    // Not waited for yet: the number is its own.
    let process = pidfd_open(child, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
    let mut said = [0; LONGEST];
    loop {
        let mut fds = [read.as_fd(), process.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled.map_err(|error| failed(error.into()))?,
        };
        if fds[0].revents().is_empty() {
            return Err("what was to start it was killed".into());
        }
        let length = File::from(read).read(&mut said).map_err(failed)?;
        return match &said[..length] {
            RUNS => Ok(child),
            [] => Err("what was to start it has ended".into()),
            why => Err(String::from_utf8_lossy(why).into_owned()),
        };
    }
}

/// Waits for the end of a command.
fn code_of(command: Pid) -> i32 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => return hold::exit_code(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // It was not seen to end.
            Err(_) => return 125,
        }
    }
}
