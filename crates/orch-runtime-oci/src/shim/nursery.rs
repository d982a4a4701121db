//! Bears shims: with one thread, out of the caller's session and control groups, it forks for each that is asked for.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::exec::take_input;
use super::start::children;
use super::{Life, hold};
use crate::cgroup::Hierarchies;
use crate::sys::{self, Forked};
use crate::wire::{Inbox, Reply, Request, Stage, send};

/// Returns in each process that is born, and says what that is to be; or with none, when nobody can ask for more.
pub(super) fn run(shims: &str, hierarchies: &Hierarchies) -> io::Result<Option<Life>> {
    let socket = take_input()?;
    rustix::process::setsid()?;
    // An empty list in a specification would have a container keep the caller's.
    nix::unistd::setgroups(&[])?;
    hierarchies
        .settle(shims)
        .map_err(|error| io::Error::other(format!("leaving the caller's control groups: {error}")))?;
    let children = children()?;
    // libcontainer has one for each process, which what is born and all that it starts find made: it is of this machine's
    // processes, as they may see it, and closed before a program runs. If it cannot be made, they say so.
    let _ = pathrs::procfs::ProcfsHandle::new();
    send(&socket, &Reply::Hello.encode(), &[])?;
    let mut inbox = Inbox::default();
    loop {
        wait(&socket, &children)?;
        while children.read_signal()?.is_some() {}
        hold::reap_all();
        match inbox.fill(&socket) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while let Some(request) = inbox.request()? {
            let Request::Bear(arguments) = request else {
                continue;
            };
            if let Some(life) = bear(&socket, &arguments, inbox.fds())? {
                return Ok(Some(life));
            }
        }
    }
}

fn wait(socket: &UnixStream, children: &impl AsFd) -> io::Result<()> {
    let mut fds = [
        PollFd::new(socket, PollFlags::IN),
        PollFd::new(children, PollFlags::IN),
    ];
    match poll(&mut fds, None) {
        Err(rustix::io::Errno::INTR) => Ok(()),
        polled => Ok(polled.map(drop)?),
    }
}

/// Returns in who is born what it is to be, and in who bears none.
fn bear(socket: &UnixStream, arguments: &[u8], streams: Vec<OwnedFd>) -> io::Result<Option<Life>> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        let reply = Reply::Failed(Stage::Other, format!("{what}: {error}"));
        send(socket, &reply.encode(), &[]).map(|()| None)
    };
    let Some(life) = Life::read(arguments) else {
        return failed("bearing", &"what is to be born is not said");
    };
    let child = match sys::fork() {
        Ok(Forked::Child) => return become_it(life, streams).map(Some),
        Ok(Forked::Parent(child)) => child,
        Err(error) => return failed("forking", &error),
    };
    // It is waited for by nobody else, and not yet: its number is its own.
    match pidfd_open(child, PidfdFlags::NONBLOCK) {
        Ok(process) => send(socket, &Reply::Born.encode(), &[process.as_fd()]).map(|()| None),
        Err(error) => {
            // Nobody could hold it fast.
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
            failed("holding what was born", &error)
        }
    }
}

fn become_it(life: Life, streams: Vec<OwnedFd>) -> io::Result<Life> {
    let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(streams) else {
        return Err(io::Error::other("what is born has three streams"));
    };
    rustix::stdio::dup2_stdin(&stdin)?;
    rustix::stdio::dup2_stdout(&stdout)?;
    rustix::stdio::dup2_stderr(&stderr)?;
    rustix::process::setsid()?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_unblock()?;
    Ok(life)
}

impl Life {
    /// What it is to be, in words with zeros between: a container's directory, and a command's name if it is for one.
    fn read(arguments: &[u8]) -> Option<Self> {
        let mut words = arguments.split(|byte| *byte == 0);
        let dir = OsStr::from_bytes(words.next().filter(|dir| !dir.is_empty())?).into();
        let life = match words.next() {
            None => Self::Hold(dir),
            Some(id) => Self::Exec(dir, std::str::from_utf8(id).ok()?.to_owned()),
        };
        words.next().is_none().then_some(life)
    }
}
