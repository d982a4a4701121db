//! Runs one command in a container that runs already, through libcontainer, and tells how it ended.
//!
//! A process of its own for each: what libcontainer leaves behind when it fails goes with it. The command's streams
//! are the caller's own; nothing that is written goes through here. The end of the caller's connection, by which it
//! says that it wants no more of this, or has died, is the command's.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use serde_json::Value;

use super::apart::{Apart, Groups};
use super::console::Console;
use super::executor::{Confined, Joining, Program};
use super::inside::{self, Inside};
use super::refusal::Refusal;
use super::start::{CONTAINER, children, told};
use super::streams::{Process, pipe};
use super::{hold, limits, places};
use crate::cgroup::Hierarchies;
use crate::place::Place;
use crate::record::{self, ContainerDir, ExecDir, Plan, Started, gone};
use crate::wire::{Inbox, Reply, Request, Stage, send};

/// How long what a failed start has left may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command that runs, or has ended and is not waited for.
struct Running {
    pid: Pid,
    terminal: Option<OwnedFd>,
}

/// Why it does not run, a sentence for whoever asked.
struct Fault {
    stage: Stage,
    text: String,
}

impl Fault {
    fn other(what: &str, error: &dyn std::error::Error) -> Self {
        Self {
            stage: Stage::Other,
            text: format!("{what}: {}", told(error)),
        }
    }
}

pub(super) fn run(dir: &ContainerDir, id: &str, hierarchies: &Hierarchies, shims: &str) -> io::Result<()> {
    let control = take_input()?;
    let plan = Plan::read(dir)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut inbox = Inbox::default();
    let Some(streams) = asked(&control, &mut inbox)? else {
        return gone(fs::remove_dir_all(dir.exec(id).0));
    };
    let places = (Place::open(dir.kept())?, Place::open(dir.run())?);
    let group = format!("{}/exec-{id}", plan.cgroup);
    let children = children()?;
    let started = start(dir, &dir.exec(id), (hierarchies, &group, shims), &plan, streams);
    // Its state directory may be moved from here on, and would not be found to have its container.
    let dir = &ContainerDir::at(&places.0, &places.1);
    let answer = match started {
        Ok(running) => {
            let fd = running.terminal.as_ref().map(AsFd::as_fd);
            // Whoever asked may be gone; that shows again below.
            let _ = send(&control, &Reply::Started.encode(), fd.as_slice());
            drop(running.terminal);
            if ended(dir) {
                // It came too late to be ended with the container.
                hierarchies.kill(&group)?;
            }
            let code = hold_until_end(running.pid, &children, &control, &mut inbox, || {
                hierarchies.kill(&group)
            })?;
            Reply::Exited(code)
        }
        Err(fault) => {
            hierarchies.kill(&group)?;
            reap_failed(&children)?;
            let why = fault.stage == Stage::Other && !record::is_alive(dir);
            Reply::Failed(if why { Stage::Ended } else { fault.stage }, fault.text)
        }
    };
    // What the command has left running goes on as a part of the container, as under other runtimes. If that fails, or
    // there is none, it ends with the container, at the latest.
    let _ = hierarchies.unmark(&group);
    if ended(dir) {
        // Whoever swept may have done so before all was here.
        hierarchies.sweep(&plan.cgroup)?;
    }
    gone(fs::remove_dir_all(dir.exec(id).0))?;
    let _ = send(&control, &answer.encode(), &[]);
    Ok(())
}

/// Takes standard input, the socket of whoever started this, away from what follows.
pub(super) fn take_input() -> io::Result<UnixStream> {
    let control = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control.into())
}

/// The streams to be the command's, once it is asked for; none if it is not.
fn asked(control: &UnixStream, inbox: &mut Inbox) -> io::Result<Option<Vec<OwnedFd>>> {
    loop {
        if let Some(Request::Run) = inbox.request()? {
            return Ok(Some(inbox.fds()));
        }
        let mut fds = [PollFd::new(control, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            polled => {
                polled?;
                if !inbox.fill(control)? {
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether the container has ended, or is gone.
fn ended(dir: &ContainerDir) -> bool {
    dir.end().exists() || !dir.started().exists()
}

fn start(
    dir: &ContainerDir,
    exec: &ExecDir,
    (hierarchies, group, shims): (&Hierarchies, &str, &str),
    plan: &Plan,
    streams: Vec<OwnedFd>,
) -> Result<Running, Fault> {
    let failed = |error: io::Error| Fault::other("preparing a command", &error);
    let (init, number) = first(dir).map_err(failed)?;
    let inside = plan.shared.users().map(|_| {
        let shared = plan.shared.beside(dir.kept());
        Inside::find(&init, number, &shared, hierarchies.doors(shims)?)
    });
    let inside = inside.transpose().map_err(failed)?;
    limits::share_score(dir).map_err(failed)?;
    let process: Option<Process> = record::read(&exec.process()).map_err(failed)?;
    let process = process.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    note(dir, exec).map_err(failed)?;
    let user = process.user.on_machine(plan.shared.users());
    for stream in &streams {
        user.own(stream).map_err(failed)?;
    }
    let status = pipe().map_err(failed)?;
    let program = Program {
        args: process.args,
        env: process.env,
        status: Rc::new(status.1.into()),
        confined: Confined::read(dir, plan.confinement).map_err(failed)?,
        joining: Some(Rc::new(Joining {
            group: hierarchies.mark(group).map_err(failed)?,
            init,
        })),
    };
    let mut builder = ContainerBuilder::new(CONTAINER.into(), SyscallType::default())
        .with_root_path(exec.notes())
        .map_err(|error| Fault::other("preparing a command", &error))?
        .with_executor(program);
    let mut console = None;
    if process.terminal {
        let listening = Console::listen(&exec.0).map_err(failed)?;
        builder = builder.with_console_socket(Some(listening.socket()));
        console = Some(listening);
    } else {
        let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(streams)
            .map_err(|_| failed(io::Error::other("three streams are needed")))?;
        builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
    }
    let spec: Option<Value> = record::read(&dir.spec()).map_err(failed)?;
    let named = spec
        .as_ref()
        .and_then(|spec| spec["linux"]["cgroupsPath"].as_str());
    let groups = Groups::beside(named.unwrap_or_default());
    let apart = Apart::go(hierarchies, dir, plan, shims, groups, (&[], Vec::new())).map_err(failed)?;
    if apart.groups() != groups {
        let text = "no control group of version 2 can be shown, as one could when the container was started: what was mounted in \
                    /sys/fs/cgroup has changed since; make the container's next attempt";
        return Err(failed(io::Error::other(text)));
    }
    let build = || {
        let built = builder
            .as_tenant()
            .with_process(Some(exec.process()))
            .with_detach(true)
            .build();
        let pid = built.map_err(|error| places::explain(dir, told(&error)))?;
        Pid::from_raw(pid.as_raw()).ok_or_else(|| "no process was made".to_owned())
    };
    let built = match inside {
        None => build(),
        Some(inside) => inside::build(&inside, build),
    };
    apart.come_back().map_err(failed)?;
    // libcontainer may have heard nothing of it.
    if let Some(refusal) = Refusal::read(status.0).map_err(failed)? {
        return Err(Fault {
            stage: match refusal.error {
                Errno::ENOENT | Errno::ENOTDIR => Stage::NotFound,
                _ => Stage::NotExecutable,
            },
            text: refusal.text,
        });
    }
    let pid = built.map_err(|error| Fault {
        stage: Stage::Other,
        text: format!("joining the container: {error}"),
    })?;
    let terminal = console.map(Console::take).transpose().map_err(failed)?;
    if let Some(master) = &terminal {
        // It runs already, and may have closed it again.
        let _ = user.own_terminal(master);
    }
    Ok(Running { pid, terminal })
}

/// Gives libcontainer its notes of the container, in a place of this command's own; with where the container's files are
/// now, for the state directory may have been moved since it was started.
fn note(dir: &ContainerDir, exec: &ExecDir) -> io::Result<()> {
    let read: Option<Value> = record::read(&dir.notes().join(CONTAINER).join("state.json"))?;
    let mut notes = read.ok_or(io::ErrorKind::NotFound)?;
    notes["bundle"] = dir.bundle().to_string_lossy().into();
    let place = exec.notes().join(CONTAINER);
    fs::create_dir_all(&place)?;
    record::write(&place.join("state.json"), &notes)
}

/// The container's first process, held fast, and its number.
fn first(dir: &ContainerDir) -> io::Result<(OwnedFd, i32)> {
    let ended = || io::Error::other("the container has ended");
    let started: Started = record::read(&dir.started())?.ok_or_else(ended)?;
    Ok((started.process()?.ok_or_else(ended)?, started.pid))
}

/// Returns the exit code once the command has ended, which the end of the connection brings about.
fn hold_until_end(
    pid: Pid,
    children: &SignalFd,
    control: &UnixStream,
    inbox: &mut Inbox,
    kill: impl Fn() -> io::Result<()>,
) -> io::Result<i32> {
    let mut wanted = true;
    loop {
        if let Some(code) = hold::reap(pid) {
            return Ok(code);
        }
        let mut fds = vec![PollFd::new(children, PollFlags::IN)];
        if wanted {
            fds.push(PollFd::new(control, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => drop(polled?),
        }
        let spoken = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        while let Ok(Some(_)) = children.read_signal() {}
        // Nothing that is said now means anything to this version.
        if spoken && !matches!(inbox.fill(control), Ok(true)) {
            wanted = false;
            kill()?;
        }
    }
}

/// Waits for what libcontainer leaves of a command that did not come to run.
fn reap_failed(children: &SignalFd) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            // None is left.
            Err(_) => return Ok(()),
        }
        let Some(left) = PATIENCE.checked_sub(begin.elapsed()) else {
            return Ok(());
        };
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(children, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            polled => drop(polled?),
        }
        while let Ok(Some(_)) = children.read_signal() {}
    }
}
