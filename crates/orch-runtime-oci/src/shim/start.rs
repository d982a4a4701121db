//! Makes the container, through libcontainer.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Pid;
use serde_json::Value;

use super::apart::{self, Apart, Groups};
use super::executor::{Confined, Program};
use super::input::Input;
use super::log::Log;
use super::owners::Owners;
use super::refusal::Refusal;
use super::streams::{Streams, pipe};
use super::{identity, join, limits, moved, places, root};
use crate::cgroup::Hierarchies;
use crate::record::{self, ContainerDir, Plan};

/// What libcontainer knows it by, each in a directory of its own.
pub(super) const CONTAINER: &str = "c";

/// A container whose program runs, or has ended and is not waited for.
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) output: [Option<File>; 2],
    pub(super) input: Input,
    pub(super) log: Log,
    pub(super) children: SignalFd,
}

/// Starts the program, from the control group of the shims; an error is a sentence for whoever asked.
pub(super) fn start(
    dir: &ContainerDir,
    plan: &Plan,
    moved: Option<&(PathBuf, PathBuf)>,
    hierarchies: &Hierarchies,
    shims: &str,
) -> Result<Running, String> {
    let failed = |what: &str, error: &dyn Error| format!("{what}: {}", told(error));
    let log = Log::create(dir.log(), plan.log_file_bytes, plan.log_files);
    let log = log.map_err(|error| failed("opening its log", &error))?;
    let children = children().map_err(|error| failed("waiting for its end", &error))?;
    let spec: io::Result<Option<Value>> = record::read(&dir.spec());
    let spec = spec.and_then(|spec| Ok(spec.ok_or(io::ErrorKind::NotFound)?));
    let mut spec = spec.map_err(|error| failed("reading its specification", &error))?;
    if let Some(places) = moved {
        moved::follow_in(&mut spec, plan, places);
    }
    let grouped = || {
        hierarchies.make(&plan.cgroup)?;
        if !plan.privileged {
            confine_devices(hierarchies, plan)?;
        }
        let named: Vec<&Path> = sources(&spec).collect();
        // What cannot be resolved is refused when it is mounted.
        let real = named.iter().filter_map(|place| place.canonicalize().ok());
        let real: Vec<PathBuf> = real.collect();
        let groups = Groups::among(&real);
        Apart::go(hierarchies, dir, plan, shims, groups, (&named, real))
    };
    let apart = grouped().map_err(|error| failed("entering its control group", &error))?;
    if apart.groups() == Groups::One {
        spec["linux"]["cgroupsPath"] = apart::ONE.into();
    }
    let owners = Owners::find(dir, &plan.shared, &spec)?;
    root::mount(dir, &plan.base, owners.as_ref())
        .map_err(|error| failed("mounting its root file system", &error))?;
    let joined = join::join(dir, plan, &mut spec);
    let _joined = joined.map_err(|error| failed("joining its pod", &error))?;
    let env = identity::settle(dir, plan, &mut spec)?;
    places::check(dir, &spec)?;
    let written = |error: io::Error| failed("writing its specification", &error);
    if let Some(owners) = &owners {
        let named = owners.name(dir, &spec);
        let named = named.map_err(|error| failed("showing its root to its users", &error))?;
        record::draft(&dir.spec(), &named).map_err(written)?;
    } else {
        record::draft(&dir.spec(), &spec).map_err(written)?;
    }
    let pipes = || Ok::<_, io::Error>((Streams::make(dir, plan)?, pipe()?));
    let (streams, status) = pipes().map_err(|error| failed("making its standard streams", &error))?;
    let confined = Confined::read(dir, plan.confinement);
    let program = Program {
        args: plan.args.clone(),
        env,
        status: Rc::new(status.1.into()),
        confined: confined.map_err(|error| failed("reading its confinement", &error))?,
        joining: None,
    };
    let builder = ContainerBuilder::new(CONTAINER.into(), SyscallType::default())
        .with_root_path(dir.notes())
        .map_err(|error| told(&error))?;
    let (builder, streams) = streams.give(builder.with_executor(program));
    let built = builder.as_init(dir.bundle()).with_systemd(false).build();
    let mut container = built.map_err(|error| places::explain(dir, alone(told(&error))))?;
    let pid = container.pid().and_then(|pid| Pid::from_raw(pid.as_raw()));
    let pid = pid.ok_or("libcontainer made no process")?;
    apart
        .come_back()
        .map_err(|error| failed("leaving its control group", &error))?;
    limits::set(dir, hierarchies, &plan.cgroup, pid)
        .map_err(|error| failed("setting its limits", &*error))?;
    if owners.is_some() {
        // Of a command beside it libcontainer reads this again, where all is in its own place.
        record::draft(&dir.spec(), &spec).map_err(written)?;
    }
    // Before its program runs, whose they must be by then.
    let (output, input) = streams
        .take()
        .map_err(|error| failed("taking its standard streams", &error))?;
    container.start().map_err(|error| told(&error))?;
    drop(container);
    let refusal = Refusal::read(status.0).map_err(|error| failed("executing its program", &error))?;
    if let Some(refusal) = refusal {
        return Err(refusal.text);
    }
    Ok(Running {
        pid,
        output,
        input,
        log,
        children,
    })
}

/// What libcontainer says has failed, without what it then could not tidy up: the control group is not its to remove.
fn alone(mut said: String) -> String {
    if let Some(end) = said.find(". error during cleanup: ") {
        said.truncate(end);
    }
    said
}

/// The places of the machine that are mounted in the container.
fn sources(spec: &Value) -> impl Iterator<Item = &Path> {
    let mounts = spec["mounts"].as_array().into_iter().flatten();
    let bound = mounts.filter(|mount| mount["type"] == "bind");
    bound.filter_map(|mount| mount["source"].as_str().map(Path::new))
}

/// Becomes readable when a child has ended.
pub(super) fn children() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Keeps it to the devices that every container has.
fn confine_devices(hierarchies: &Hierarchies, plan: &Plan) -> io::Result<()> {
    match hierarchies.confine_devices(&plan.cgroup) {
        // The machine may have no means of that. What may make devices does not get that far then.
        Err(_) if !plan.confinement.capabilities.make_devices() => Ok(()),
        confined => confined,
    }
}

/// An error with what is behind it.
pub(super) fn told(error: &dyn Error) -> String {
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
