//! Keeps a running container's log until its program ends.

use std::fs::File;
use std::io::{self, Read, Write};

use orch_core::runtime::LogStream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::log::Log;
use super::start::Running;
use crate::cgroup::Hierarchies;

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// Returns the exit code once the program has ended and its log is whole.
pub(super) fn hold(mut running: Running, hierarchies: &Hierarchies, cgroup: &str) -> io::Result<i32> {
    let mut chunk = vec![0; CHUNK];
    let mut complained = false;
    let code = loop {
        let mut fds = vec![PollFd::new(&running.children, PollFlags::IN)];
        fds.extend(
            running
                .output
                .iter()
                .flatten()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => drop(polled?),
        }
        let ended = fds[0].revents().contains(PollFlags::IN);
        drop(fds);
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            // One turn each, so that a flood on one does not keep the other, or the end, waiting.
            turn(
                &mut running.output[stream as usize],
                stream,
                &mut running.log,
                &mut chunk,
                &mut complained,
            );
        }
        if ended {
            while let Ok(Some(_)) = running.children.read_signal() {}
            if let Some(code) = reap(&running) {
                break code;
            }
        }
    };
    drop(running.input.take());
    // Without a process namespace of its own, others may be left, and must not keep the log open.
    hierarchies.kill(cgroup)?;
    for stream in [LogStream::Stdout, LogStream::Stderr] {
        let output = &mut running.output[stream as usize];
        while turn(output, stream, &mut running.log, &mut chunk, &mut complained) {}
    }
    complain(running.log.finish(), &mut complained);
    Ok(code)
}

/// Moves some output into the log; says whether there may be more. Nothing comes after an end, or an error.
fn turn(
    output: &mut Option<File>,
    stream: LogStream,
    log: &mut Log,
    chunk: &mut [u8],
    complained: &mut bool,
) -> bool {
    let Some(pipe) = output else { return false };
    match pipe.read(chunk) {
        Ok(count) if count > 0 => {
            // The program must not wait for a disk that is full: what cannot be written is lost.
            complain(log.write(stream, &chunk[..count]), complained);
            true
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
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

/// Waits for all children that have ended; the exit code if the container's program is among them.
fn reap(running: &Running) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == running.pid {
            code = Some(exit_code(status));
        }
    }
    code
}

/// Waits for all children that have ended.
pub(super) fn reap_all() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

fn exit_code(status: WaitStatus) -> i32 {
    let signalled = || 128 + status.terminating_signal().unwrap_or_default();
    status.exit_status().unwrap_or_else(signalled)
}
