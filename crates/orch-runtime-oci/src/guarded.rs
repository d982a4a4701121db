//! The shim's program as processes have it that others may break into: in a mount that is read-only, and nobody else's. Through
//! `/proc/PID/exe` of such a process the machine's own file could otherwise be overwritten (CVE-2019-5736). That link then reads
//! `/`, for the file is all that there is in its mount.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::sys;

/// To be started from it while this lives; who was started keeps the mount.
pub(crate) struct Guarded(OwnedFd);

impl Guarded {
    /// # Errors
    ///
    /// Where the kernel cannot do this, or the file is in a mount that this program does not have; and for a script, whose
    /// interpreter would look for it where it is only for who executes it.
    pub(crate) fn of(file: &Path) -> io::Result<Self> {
        let mut begin = [0; 2];
        File::open(file)?.read_exact(&mut begin)?;
        if begin == *b"#!" {
            return Err(io::Error::other("it is a script"));
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let file = open_tree(CWD, file, flags)?;
        sys::make_read_only(&file)?;
        Ok(Self(file))
    }

    /// As whoever is forked to execute it has it.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}
