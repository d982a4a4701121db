//! Forking.

use std::io;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::Pid;

/// Which of the two one is.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

/// Makes a second process of this one, which must have a single thread.
pub(crate) fn fork() -> io::Result<Forked> {
    if crate::shim::threads()? != 1 {
        return Err(io::Error::other(
            "a process with several threads cannot be forked",
        ));
    }
    // SAFETY: `fork` is unsafe because of other threads, whose locks, an allocator's for one, the child would find held by
    // nobody. There are none, as was looked at just now, and this thread starts none in between.
    forked(unsafe { nix::unistd::fork() }?)
}

/// Has this process enter a user namespace, and makes a second one that is the first of a process namespace of its own, which
/// belongs to those users.
pub(crate) fn fork_as_first(users: impl AsFd) -> io::Result<Forked> {
    // The kernel lets only who has a single thread do this.
    setns(users, CloneFlags::CLONE_NEWUSER)?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    // SAFETY: as above; that there are no other threads the kernel has looked at just now.
    forked(unsafe { nix::unistd::fork() }?)
}

fn forked(which: nix::unistd::ForkResult) -> io::Result<Forked> {
    match which {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => Pid::from_raw(child.as_raw())
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("a process without a number")),
    }
}
