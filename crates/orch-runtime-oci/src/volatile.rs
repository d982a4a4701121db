//! Small file systems in memory, in the state directory: what lies in them costs no disk anything, and does not outlive
//! the machine's processes, which is what it tells of.

use std::ffi::CStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use parking_lot::Mutex;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
    move_mount, open_tree, unmount,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::record::gone;

/// Mounts one on a directory, which is made, if there is none.
pub(crate) fn open(dir: &Path, options: &CStr) -> io::Result<()> {
    // Or two who look at the same time would mount one over the other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if !is_mounted(dir)? {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", dir, "tmpfs", flags, options)?;
        // Nobody else is to get to see, and hold, what is mounted in it.
        mount_change(dir, MountPropagationFlags::PRIVATE)?;
    }
    Ok(())
}

/// Looks for the one of this directory with processes that have known it longer, if it is not there: it was mounted in
/// a mount namespace that went with the program before this one.
pub(crate) fn find(dir: &Path, processes: &[Pid]) -> io::Result<()> {
    if processes.is_empty() || is_mounted(dir)? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for pid in processes {
        // One that has ended since, or never knew it, is not the last.
        let process = pidfd_open(*pid, PidfdFlags::empty());
        if let Ok(process) = process
            && take_over(process, dir, dir).is_ok()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Unmounts it and removes its directory, if nothing is in it.
pub(crate) fn close(dir: &Path) -> io::Result<()> {
    let mut entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    if entries.next().is_some() {
        return Ok(());
    }
    drop(entries);
    // What another thread has just started may have something of it open still, until it begins its program.
    match unmount(dir, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
        // Nothing was mounted there, or nothing is.
        Err(Errno::INVAL | Errno::NOENT) => {}
        unmounted => unmounted?,
    }
    gone(fs::remove_dir(dir))
}

/// Whether a directory is there and the root of a file system, not of the one that it lies in.
pub(crate) fn is_mounted(dir: &Path) -> io::Result<bool> {
    let above = dir.parent().unwrap_or(dir);
    match dir.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.dev() != above.metadata()?.dev()),
    }
}

/// Mounts on a directory what a process has at `there`, in another mount namespace.
pub(crate) fn take_over(process: impl AsFd + Sync, there: &Path, dir: &Path) -> io::Result<()> {
    let tree = aside(|| {
        // What is one's own alone can be in another mount namespace than the other threads.
        unshare(CloneFlags::CLONE_FS)?;
        setns(&process, CloneFlags::CLONE_NEWNS)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(open_tree(CWD, there, flags)?)
    })?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", CWD, dir, flags)?;
    Ok(mount_change(dir, MountPropagationFlags::PRIVATE)?)
}

/// Does something on a thread that ends with it: what it enters is nobody else's.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let aside = thread::Builder::new().name("orch-oci-aside".into());
        match aside.spawn_scoped(scope, work)?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
