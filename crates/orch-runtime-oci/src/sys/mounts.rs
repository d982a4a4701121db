//! Changing mounts that are nowhere attached.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

/// Makes a mount that `open_tree` has made read-only.
pub(crate) fn make_read_only(tree: impl AsFd) -> nix::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    set(tree, 0, &attributes)
}

/// Has what such a mount shows, and all that is mounted in it, belong to the users of a namespace whose numbers the files
/// have; read-only, if that is wanted.
///
/// # Errors
///
/// `EINVAL` where a file system cannot do that, `EPERM` where one does it already.
pub(crate) fn map_owners(tree: impl AsFd, users: impl AsFd, read_only: bool) -> nix::Result<()> {
    let read_only = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP | read_only,
        attr_clr: 0,
        propagation: 0,
        // No descriptor is less than zero.
        userns_fd: users.as_fd().as_raw_fd() as u64,
    };
    set(tree, libc::AT_RECURSIVE, &attributes)
}

fn set(tree: impl AsFd, flags: libc::c_int, attributes: &libc::mount_attr) -> nix::Result<()> {
    // SAFETY: the path is a constant with its end, and the kernel reads of the attributes the size that it is told,
    // which is theirs. All of them live until the call returns, as do the descriptors, of which it keeps none: a namespace
    // it holds by itself.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop)
}
