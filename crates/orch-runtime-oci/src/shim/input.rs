//! A container's standard input as its shim feeds it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orch_core::runtime::TerminalSize;
use rustix::termios::tcsetwinsize;

use crate::terminal;

/// Takes what attached clients send, and hands it on as the program reads.
pub(super) struct Input {
    /// The pipe's other end, or the terminal's; none: there is nothing to feed.
    target: Option<File>,
    terminal: bool,
    /// Whether more may come.
    open: bool,
    pending: Vec<u8>,
}

impl Input {
    pub(super) fn none() -> Self {
        Self {
            target: None,
            terminal: false,
            open: false,
            pending: Vec::new(),
        }
    }

    pub(super) fn pipe(write: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&write, true)?;
        Ok(Self {
            target: Some(write.into()),
            open: true,
            ..Self::none()
        })
    }

    /// That of a terminal, which is for resizing alone unless it is to be `open`.
    pub(super) fn terminal(master: OwnedFd, open: bool) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self {
            target: Some(master.into()),
            terminal: true,
            open,
            ..Self::none()
        })
    }

    /// What becomes writable once the program has read some of what waits; none if nothing waits.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        let waits = !self.pending.is_empty();
        self.target.as_ref().filter(|_| waits).map(File::as_fd)
    }

    /// Takes what is next; only if nothing waits.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.open {
            self.pending.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Nothing comes after what waits. A terminal is told as a person would tell it.
    pub(super) fn close(&mut self) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        if let Some(master) = self.target.as_ref().filter(|_| self.terminal) {
            self.pending.extend(terminal::end_of_input(master));
        }
        self.flush();
    }

    /// Hands on what the program has room for.
    pub(super) fn flush(&mut self) {
        let Some(target) = &mut self.target else {
            return;
        };
        while !self.pending.is_empty() {
            match target.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody reads it any more.
                Err(_) => {
                    self.open = false;
                    self.pending.clear();
                }
            }
        }
        // A large piece that had to wait is not kept.
        self.pending = Vec::new();
        if !self.open && !self.terminal {
            self.target = None;
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) {
        if let Some(master) = self.target.as_ref().filter(|_| self.terminal) {
            // One that nobody has open has no size to change.
            let _ = tcsetwinsize(master, terminal::winsize(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_the_program_does_not_read_waits_and_then_the_end_comes() {
        let (mut read, write) = io::pipe().unwrap();
        let mut input = Input::pipe(write.into()).unwrap();
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        input.put(&sent);
        input.close();
        input.put(b"too late");
        assert!(input.waiting().is_some(), "a pipe takes less");
        let mut got = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match read.read(&mut chunk).unwrap() {
                0 => break,
                count => got.extend_from_slice(&chunk[..count]),
            }
            input.flush();
        }
        assert!(got == sent && input.waiting().is_none());
    }

    #[test]
    fn a_program_that_reads_no_more_is_no_trouble() {
        let (read, write) = io::pipe().unwrap();
        let mut input = Input::pipe(write.into()).unwrap();
        drop(read);
        input.put(b"into the void");
        assert!(input.waiting().is_none());
        input.put(b"again");
        input.close();
    }
}
