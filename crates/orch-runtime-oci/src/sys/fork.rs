//! Forking.

use std::io;

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
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => Pid::from_raw(child.as_raw())
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("a process without a number")),
    }
}
