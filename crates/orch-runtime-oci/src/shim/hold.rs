//! Keeps a running container's log, and serves those attached to it, until its program ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use orch_core::runtime::LogStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::log::Log;
use super::serve::Server;
use super::start::Running;
use crate::cgroup::Hierarchies;
use crate::sys;

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// After so long without output a container is taken for one that stays: only then is memory given back, which takes time.
const QUIET: Duration = Duration::from_secs(1);

const BOTH: [LogStream; 2] = [LogStream::Stdout, LogStream::Stderr];

/// Where something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Child,
    Knock,
    Output(LogStream),
    /// The program has read some of its input.
    Room,
    Client(usize),
}

/// Returns the exit code once the program has ended and its log is whole.
pub(super) fn hold(
    mut running: Running,
    server: &mut Server,
    hierarchies: &Hierarchies,
    cgroup: &str,
) -> io::Result<i32> {
    let mut chunk = vec![0; CHUNK];
    let mut complained = false;
    let mut quiet = Some(Timespec::try_from(QUIET).map_err(io::Error::other)?);
    let code = loop {
        let events = wait_for(&running, server, quiet.as_ref())?;
        if events.is_empty() && quiet.take().is_some() {
            // Most of the program is not needed again before the container's end. If that fails it costs memory, no more.
            let _ = sys::let_go_of_files();
        }
        for event in &events {
            match *event {
                // One turn each, so that a flood on one does not keep the other, or the end, waiting.
                Event::Output(stream) => {
                    turn(&mut running, server, stream, &mut chunk, &mut complained);
                }
                Event::Room => running.input.flush(),
                Event::Client(number) => server.read(number),
                Event::Knock | Event::Child => {}
            }
        }
        server.work(&mut running.input);
        if events.contains(&Event::Knock) {
            server.accept();
        }
        if events.contains(&Event::Child) {
            while let Ok(Some(_)) = running.children.read_signal() {}
            if let Some(code) = reap(running.pid) {
                break code;
            }
        }
    };
    // Without a process namespace of its own, others may be left, and must not keep the log open.
    hierarchies.kill(cgroup)?;
    for stream in BOTH {
        while turn(&mut running, server, stream, &mut chunk, &mut complained) {}
    }
    complain(running.log.finish(), &mut complained);
    Ok(code)
}

/// What happens next; nothing, if it takes longer than that.
fn wait_for(running: &Running, server: &Server, bound: Option<&Timespec>) -> io::Result<Vec<Event>> {
    let mut events = vec![Event::Child, Event::Knock];
    let listener = server.listener();
    let mut fds = vec![
        PollFd::new(&running.children, PollFlags::IN),
        PollFd::from_borrowed_fd(listener, PollFlags::IN),
    ];
    for stream in BOTH {
        if let Some(output) = &running.output[stream as usize] {
            events.push(Event::Output(stream));
            fds.push(PollFd::new(output, PollFlags::IN));
        }
    }
    if let Some(input) = running.input.waiting() {
        events.push(Event::Room);
        fds.push(PollFd::from_borrowed_fd(input, PollFlags::OUT));
    }
    for (number, client) in server.readers(&running.input) {
        events.push(Event::Client(number));
        fds.push(PollFd::from_borrowed_fd(client, PollFlags::IN));
    }
    match poll(&mut fds, bound) {
        Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
        polled => drop(polled?),
    }
    let happened = events.into_iter().zip(&fds);
    Ok(happened
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(event, _)| event)
        .collect())
}

/// Moves some output into the log, and to those attached; says whether there may be more. Nothing comes after an
/// end, or an error.
fn turn(
    running: &mut Running,
    server: &mut Server,
    stream: LogStream,
    chunk: &mut [u8],
    complained: &mut bool,
) -> bool {
    let output: &mut Option<File> = &mut running.output[stream as usize];
    let Some(pipe) = output else { return false };
    match pipe.read(chunk) {
        Ok(count) if count > 0 => {
            let log: &mut Log = &mut running.log;
            // The program must not wait for a disk that is full: what cannot be written is lost.
            complain(log.write(stream, &chunk[..count]), complained);
            server.show(stream, &chunk[..count]);
            true
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
        // Of a terminal, an error says that nobody has it open any more.
        _ => {
            *output = None;
            false
        }
    }
}

fn complain(written: io::Result<()>, complained: &mut bool) {
    if let Err(error) = written
        && !std::mem::replace(complained, true)
    {
        let _ = writeln!(io::stderr(), "some of the log is lost: {error}");
    }
}

/// Waits for all children that have ended; the exit code if this one is among them.
pub(super) fn reap(of: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == of {
            code = Some(exit_code(status));
        }
    }
    code
}

/// Waits for all children that have ended.
pub(super) fn reap_all() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

pub(super) fn exit_code(status: WaitStatus) -> i32 {
    let signalled = || 128 + status.terminating_signal().unwrap_or_default();
    status.exit_status().unwrap_or_else(signalled)
}
