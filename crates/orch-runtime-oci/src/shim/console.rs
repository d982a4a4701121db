//! Receives the terminal that libcontainer makes for a program, within the container.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::place::Place;
use crate::record::gone;
use crate::wire::Inbox;

/// What the socket is called.
const NAME: &str = "console";

pub(super) struct Console {
    place: Place,
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Awaits it at a socket in this directory.
    pub(super) fn listen(dir: &Path) -> io::Result<Self> {
        let place = Place::open(dir)?;
        let listener = place.listen(NAME)?;
        listener.set_nonblocking(true)?;
        let path = dir.join(NAME);
        Ok(Self {
            place,
            listener,
            path,
        })
    }

    /// Where libcontainer is to send it.
    pub(super) fn socket(&self) -> PathBuf {
        self.place.path(NAME)
    }

    /// The terminal's other end, once libcontainer has said that all went well, by when it has been sent.
    pub(super) fn take(self) -> io::Result<OwnedFd> {
        let (socket, _) = self.listener.accept()?;
        let mut inbox = Inbox::default();
        inbox.fill(&socket)?;
        gone(fs::remove_file(&self.path))?;
        inbox
            .fds()
            .pop()
            .ok_or_else(|| io::Error::other("libcontainer made no terminal"))
    }
}
