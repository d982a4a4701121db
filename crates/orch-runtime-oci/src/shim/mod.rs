//! The process that holds a container: it makes it through libcontainer, keeps its log and writes down its end.
//!
//! One of its own for each container, with a single thread: libcontainer clones without the C library's knowledge,
//! after which a program with more threads can hang for ever. The program that asked for the container may die at
//! any time; the shim goes on.

mod apart;
mod console;
mod exec;
mod executor;
mod hold;
mod identity;
mod input;
mod inside;
mod join;
mod limits;
mod log;
pub(crate) mod maker;
mod moved;
mod nursery;
mod owners;
mod pause;
mod places;
mod refusal;
mod root;
mod serve;
mod start;
mod streams;
mod view;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use orch_core::time;
use rustix::fs::FlockOperation;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use self::serve::Server;
use crate::cgroup::Hierarchies;
use crate::place::Place;
use crate::record::{self, ContainerDir, End, Plan, Started, Why};
use crate::sys;

/// What a process calls itself (its first argument) to be a shim.
pub(crate) const NAME: &str = "orch-oci-shim";

/// What a shim program says of itself when asked with `--probe`.
pub(crate) const VERSION: &str = "orch-oci-shim 1";

/// What a process is asked for to be a pod's first rather than a shim.
pub(crate) const PAUSE: &str = "--pause";

/// What a process is asked for to be the one that shims are born of; the control group that they are in follows.
pub(crate) const NURSERY: &str = "--nursery";

/// What a process is asked for to make a user namespace and others that belong to it; which ones follows.
pub(crate) const USERS: &str = "--users";

/// What this program is started for.
pub(crate) enum Asked {
    /// To bear shims, in this control group.
    Nursery(String),
    /// To be the first process of a pod.
    Pause,
    /// To make these namespaces.
    Users(String),
}

/// What a shim is born for.
enum Life {
    /// To hold the container of this directory.
    Hold(PathBuf),
    /// To run a command of this name beside the container's program.
    Exec(PathBuf, String),
}

/// Is what was asked for until that ends, and exits. In what is born of a nursery, too: it goes on from there.
pub(crate) fn main(asked: &Asked) -> ! {
    let run = || {
        if threads()? != 1 {
            return Err(io::Error::other(
                "a shim must have one thread: call `init` first thing in a synchronous `main`",
            ));
        }
        close_inherited()?;
        // Or it would be called after the number of a descriptor, as which it was executed.
        rustix::thread::set_name(&CString::new(NAME)?)?;
        // Nobody who is less than root of the machine looks into what this and all that is born of it have open: also while it
        // is in a pod's user namespace, over which more have power than over the machine.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        sys::ignore_broken_pipes()?;
        let shims = match asked {
            Asked::Nursery(shims) => shims,
            Asked::Pause => return pause::run(),
            Asked::Users(kinds) => return maker::run(kinds),
        };
        // What is known before a fork, nobody has to find out after it.
        let hierarchies = &Hierarchies::find()?;
        let life = nursery::run(shims, hierarchies)?;
        match life {
            Some(Life::Hold(dir)) => run(&ContainerDir::new(dir), hierarchies, shims),
            Some(Life::Exec(dir, id)) => exec::run(&ContainerDir::new(dir), &id, hierarchies, shims),
            None => Ok(()),
        }
    };
    let code = match run() {
        Ok(()) => 0,
        Err(error) => {
            // The last resort: a file beside the container's others.
            let _ = writeln!(io::stderr(), "{error}");
            125
        }
    };
    std::process::exit(code)
}

/// How many threads this process has.
pub(crate) fn threads() -> io::Result<u64> {
    const TASKS: &str = "/proc/self/task";
    // Each is a directory there, and Linux counts its link to the one above.
    match fs::metadata(TASKS)?.nlink() {
        links @ 3.. => Ok(links - 2),
        // Not on what takes its place elsewhere.
        _ => Ok(fs::read_dir(TASKS)?.count() as u64),
    }
}

fn run(dir: &ContainerDir, hierarchies: &Hierarchies, shims: &str) -> io::Result<()> {
    let mut answer = File::from(take_output()?);
    // For as long as this process lives. Opened once, for closing any descriptor of it would let go of the lock.
    let lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.lock())?;
    rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    // Once in a container's life.
    File::create_new(dir.begun())?;
    let mut plan = Plan::read(dir)?;
    let moved = moved::follow(dir, &mut plan);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let start = || -> Result<_, String> {
        let server = Server::listen(dir.run(), plan.stdin_once);
        let server = server.map_err(|error| format!("opening its socket: {error}"))?;
        Ok((
            server,
            start::start(dir, &plan, moved.as_ref(), hierarchies, shims)?,
        ))
    };
    let places = (Place::open(dir.kept())?, Place::open(dir.run())?);
    let (mut server, mut running) = match start() {
        Ok(started) => started,
        Err(why) => {
            // Told of it if this process cannot leave the group, and goes with it.
            let _ = writeln!(io::stderr(), "{why}");
            // What there is of it is in its control group, or waited for.
            hierarchies.sweep(&plan.cgroup)?;
            hold::reap_all();
            let failed = End {
                started_at: None,
                at: time::now(),
                code: None,
                why: Why::StartError,
                out_of_memory: false,
                message: Some(why),
            };
            return record::write(&dir.end(), &failed);
        }
    };
    // Its state directory may be moved while it runs.
    let dir = &ContainerDir::at(&places.0, &places.1);
    running.log.go_on_in(dir.log());
    let pid = running.pid.as_raw_nonzero().get();
    // It is not waited for yet: the number is its own.
    let ticks = record::ticks(pid).ok_or(io::ErrorKind::NotFound)?;
    let started = Started {
        pid,
        ticks,
        at: time::now(),
    };
    record::write(&dir.started(), &started)?;
    // Whoever asked may be gone.
    let _ = answer.write_all(&serde_json::to_vec(&started)?);
    drop(answer);
    let code = hold::hold(running, &mut server, hierarchies, &plan.cgroup)?;
    let end = End {
        started_at: Some(started.at),
        at: time::now(),
        code: Some(code),
        why: Why::Exited,
        // While there is a group to ask. If it cannot say, the rest is still to be written down.
        out_of_memory: hierarchies
            .group(&plan.cgroup)
            .oom_kills()
            .is_ok_and(|kills| kills > 0),
        message: None,
    };
    record::write(&dir.end(), &end)?;
    server.finish(code);
    hierarchies.sweep(&plan.cgroup)
}

/// Closes what whoever started this has left open by mistake: it would be held, a lock for instance, for as long as
/// the container lives. Nothing of this process's own is open yet.
fn close_inherited() -> io::Result<()> {
    let entries = fs::read_dir("/proc/self/fd")?;
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number| *number > 2).collect::<Vec<i32>>() {
        // The list's own is among them, and is closed by now.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Takes standard output away from what follows: whoever has its other end waits for it to be closed, by when the
/// container has started or ended.
fn take_output() -> io::Result<OwnedFd> {
    let answer = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(answer)
}

/// Whether the arguments of this process say that it is a shim, and for what. As the kernel has them: before `main` Rust
/// may have none.
pub(crate) fn asked() -> Option<Asked> {
    let line = fs::read("/proc/self/cmdline").ok()?;
    let mut arguments = line.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    let is = arguments.next()? == NAME.as_bytes();
    let mut words = arguments.map(|word| std::str::from_utf8(word).ok());
    let asked = match (words.next()??, words.next()) {
        (PAUSE, None) => Asked::Pause,
        (USERS, Some(kinds)) => Asked::Users(kinds?.to_owned()),
        (NURSERY, Some(shims)) => Asked::Nursery(shims?.to_owned()),
        _ => return None,
    };
    (is && words.next().is_none()).then_some(asked)
}
