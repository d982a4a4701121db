//! The first process of a pod whose containers see each other's processes. It waits for what nobody else does.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, Gid, Uid};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::{DumpableBehavior, chdir, pivot_root, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_res_gid, set_thread_res_uid,
};

use super::{hold, start, take_output};
use crate::cgroup::Hierarchies;
use crate::pause::{Pause, lock};
use crate::record;
use crate::sys::{self, Forked};

/// In the sandbox's directory, and a mount namespace of this process's own. Returns only with an error, or where another
/// has become the first.
pub(super) fn run() -> io::Result<()> {
    let answer = take_output()?;
    let dir = std::env::current_dir()?;
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock(&dir))?;
    let pause: Pause = record::read(&dir.join("pause.json"))?.ok_or(io::ErrorKind::NotFound)?;
    rustix::process::setsid()?;
    Hierarchies::find()?.settle(&pause.shims)?;
    nix::unistd::setgroups(&[])?;
    let users = pause.users.map(File::open).transpose()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    leave_machine(&dir)?;
    if let Some(users) = users {
        match sys::fork_as_first(users)? {
            // The other is the one.
            Forked::Parent(_) => return Ok(()),
            Forked::Child => become_root_of_the_pod()?,
        }
    }
    rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let children = start::children()?;
    // Of those in the containers that may trace others, some could otherwise make this one do things for them.
    let nothing = CapabilitySet::empty();
    set_no_new_privs(true)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: nothing,
            permitted: nothing,
            inheritable: nothing,
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop((answer, null));
    loop {
        hold::reap_all();
        match poll(&mut [PollFd::new(&children, PollFlags::IN)], None) {
            Err(rustix::io::Errno::INTR) => {}
            polled => drop(polled?),
        }
        while let Ok(Some(_)) = children.read_signal() {}
    }
}

/// The machine's root has no business there.
pub(super) fn become_root_of_the_pod() -> io::Result<()> {
    let (user, group) = (Some(Uid::ROOT), Some(Gid::ROOT));
    set_thread_res_gid(group, group, group)?;
    Ok(set_thread_res_uid(user, user, user)?)
}

/// From here on this process has an empty root, so that nobody finds the machine's through it.
fn leave_machine(dir: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", dir, "tmpfs", flags, c"mode=0555,size=4k")?;
    chdir(dir)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(mount_remount("/", flags | MountFlags::RDONLY, c"")?)
}
