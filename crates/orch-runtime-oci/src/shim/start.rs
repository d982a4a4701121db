//! Makes the container, through libcontainer.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::executor::Program;
use super::log::Log;
use super::{identity, root};
use crate::record::{ContainerDir, Plan};

/// A container whose program runs, or has ended and is not waited for.
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) output: [Option<File>; 2],
    /// The other end of its standard input, which must stay open.
    pub(super) input: Option<OwnedFd>,
    pub(super) log: Log,
    pub(super) children: SignalFd,
}

/// Starts the program; an error is a sentence for whoever asked.
pub(super) fn start(dir: &ContainerDir, plan: &Plan) -> Result<Running, String> {
    let failed = |what: &str, error: &dyn Error| format!("{what}: {}", told(error));
    let log = Log::create(&dir.log(), plan.log_file_bytes, plan.log_files);
    let log = log.map_err(|error| failed("opening its log", &error))?;
    let children = children().map_err(|error| failed("waiting for its end", &error))?;
    root::mount(dir, &plan.base).map_err(|error| failed("mounting its root file system", &error))?;
    let settled = identity::settle(dir, plan)?;
    let pipes = || -> io::Result<_> {
        let (stdout, stderr, status) = (pipe()?, pipe()?, pipe()?);
        for (read, _) in [&stdout, &stderr] {
            rustix::io::ioctl_fionbio(read, true)?;
        }
        for (_, write) in [&stdout, &stderr] {
            settled.own(write)?;
        }
        let (stdin, input) = if plan.stdin {
            let (read, write) = pipe()?;
            settled.own(&read)?;
            (read, Some(write))
        } else {
            (File::open("/dev/null")?.into(), None)
        };
        Ok((stdin, input, stdout, stderr, status))
    };
    let (stdin, input, stdout, stderr, status) = pipes().map_err(|error| failed("making pipes", &error))?;
    let program = Program {
        args: plan.args.clone(),
        env: settled.env.clone(),
        status: Rc::new(status.1.into()),
    };
    let built = ContainerBuilder::new("c".into(), SyscallType::default())
        .with_root_path(dir.notes())
        .map(|builder| builder.with_executor(program).with_stdin(stdin))
        .map(|builder| builder.with_stdout(stdout.1).with_stderr(stderr.1))
        .and_then(|builder| builder.as_init(dir.bundle()).with_systemd(false).build());
    let mut container = built.map_err(|error| told(&error))?;
    let pid = container.pid().and_then(|pid| Pid::from_raw(pid.as_raw()));
    let pid = pid.ok_or("libcontainer made no process")?;
    deny_tunnels(&plan.cgroup).map_err(|error| failed("denying /dev/net/tun", &error))?;
    container.start().map_err(|error| told(&error))?;
    drop(container);
    let mut why = String::new();
    let mut status = File::from(status.0);
    status
        .read_to_string(&mut why)
        .map_err(|error| failed("executing its program", &error))?;
    if !why.is_empty() {
        return Err(why);
    }
    Ok(Running {
        pid,
        output: [Some(stdout.0.into()), Some(stderr.0.into())],
        input,
        log,
        children,
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Becomes readable when a child has ended.
fn children() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// libcontainer allows it to every container.
fn deny_tunnels(cgroup: &str) -> io::Result<()> {
    let group = Path::new("/sys/fs/cgroup/devices").join(cgroup.trim_start_matches('/'));
    match fs::write(group.join("devices.deny"), "c 10:200 rwm") {
        // Version 2 has no such file, and what may make devices there does not get that far.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// An error with what is behind it.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        // Some repeat what they wrap.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text.replace('\0', "")
}
