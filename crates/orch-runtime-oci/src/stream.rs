//! A pipe's end or a terminal's as an asynchronous program reads and writes it.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) struct Stream(AsyncFd<OwnedFd>);

impl Stream {
    /// What is only read, or written, must say so.
    #[allow(
        deprecated,
        reason = "unsound only for types that lie about their descriptor; the successor is unsafe"
    )]
    pub(crate) fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        AsyncFd::with_interest(fd, interest).map(Self)
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Returns 0 at the end. Nothing is lost if it is dropped.
    pub(crate) async fn read(&self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| read(fd.get_ref(), chunk)) {
                Ok(read) => return read,
                Err(_) => continue,
            }
        }
    }

    /// What is there now; none if that is nothing.
    pub(crate) fn try_read(&self, chunk: &mut [u8]) -> io::Result<Option<usize>> {
        match read(self.fd(), chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            read => read.map(Some),
        }
    }

    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            if let Ok(written) = ready.try_io(|fd| retry(|| rustix::io::write(fd.get_ref(), bytes))) {
                bytes = &bytes[written?..];
            }
        }
        Ok(())
    }
}

fn read(fd: &OwnedFd, chunk: &mut [u8]) -> io::Result<usize> {
    match retry(|| rustix::io::read(fd, &mut *chunk)) {
        // A terminal that nobody has open any more.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(0),
        read => read,
    }
}

fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}
