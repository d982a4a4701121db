//! Sockets in directories whose paths may be longer than the 108 bytes that a socket's address has.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// A directory held open, by whose number this process has a short path to what is in it.
pub(crate) struct Place(OwnedFd);

impl Place {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(dir, flags, Mode::empty())?))
    }

    /// Good for this process alone, and for as long as this is held.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()).into()
    }

    pub(crate) fn listen(&self, name: &str) -> io::Result<UnixListener> {
        UnixListener::bind(self.path(name))
    }

    pub(crate) fn connect(&self, name: &str) -> io::Result<UnixStream> {
        UnixStream::connect(self.path(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_may_be_far_away() {
        let dir = tempfile::tempdir().unwrap();
        let far = dir.path().join("long".repeat(50));
        std::fs::create_dir(&far).unwrap();
        let place = Place::open(&far).unwrap();
        assert_eq!(place.connect("sock").unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = place.listen("sock").unwrap();
        assert!(far.join("sock").exists());
        place.connect("sock").unwrap();
        drop(listener);
        let refused = place.connect("sock").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
