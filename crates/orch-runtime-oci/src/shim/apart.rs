//! Where a container is made: in its control group, whose members all its processes are born as, and in a mount
//! namespace that nobody else sees and that goes with its last process.
//!
//! There are no control groups to be seen there, so libcontainer finds none to make or enter: it would have the kernel
//! wait for every other process of the machine, and read the list of mounts a dozen times.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{chdir, chroot, fchdir};

use crate::cgroup::{self, Hierarchies};

/// This process is there for as long as this lives.
pub(super) struct Apart<'a> {
    hierarchies: &'a Hierarchies,
    /// The control group to come back to.
    back: &'a str,
    namespace: File,
    root: OwnedFd,
    is_back: bool,
}

impl<'a> Apart<'a> {
    /// Goes there; the group was made.
    pub(super) fn go(hierarchies: &'a Hierarchies, group: &str, back: &'a str) -> io::Result<Self> {
        let apart = Self {
            hierarchies,
            back,
            namespace: File::open("/proc/self/ns/mnt")?,
            root: open(
                "/",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
            is_back: false,
        };
        hierarchies.enter(group)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )?;
        unmount(cgroup::ROOT, UnmountFlags::DETACH)?;
        // By this libcontainer takes the machine for one of version 1.
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        mount("none", cgroup::ROOT, "tmpfs", flags, c"size=4k,mode=0555")?;
        Ok(apart)
    }

    /// Comes back. What was made goes on without this process.
    pub(super) fn come_back(mut self) -> io::Result<()> {
        self.is_back = true;
        self.return_home()
    }

    fn return_home(&self) -> io::Result<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNS)?;
        // By that its root became the namespace's, which need not be what it was.
        fchdir(&self.root)?;
        chroot(".")?;
        chdir("/")?;
        self.hierarchies.enter(self.back)
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        if !self.is_back
            && let Err(error) = self.return_home()
        {
            tracing::error!(%error, "a shim cannot leave its container, and will be swept away with it");
        }
    }
}
