//! Finds the shim's program and starts it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use orch_core::runtime::RuntimeError;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::record::{ContainerDir, Started};
use crate::{invalid, shim};

/// How long a program may take to say that it is a shim.
const PROBE: Duration = Duration::from_secs(10);

/// How long a process of ours may take to come up, to answer, and to end once it was told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this program, started again, would be a shim.
static SELF: Mutex<Itself> = Mutex::new(Itself::Unasked);

/// The processes this one has started, to be waited for when they have ended.
static CHILDREN: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Lets this program be the shim that holds containers. Must be called first thing in a synchronous `main`.
///
/// Where this program was started to hold a container it does so, and does not return. Otherwise it returns at once.
pub fn init() {
    become_shim_if_asked();
    let alone = is_alone();
    let mut itself = SELF.lock();
    match *itself {
        _ if alone => *itself = Itself::Main,
        Itself::Unasked => *itself = Itself::LateMain,
        _ => {}
    }
}

/// The same, called before `main` by nobody's doing.
#[cfg(feature = "auto-shim")]
pub(crate) fn before_main() {
    become_shim_if_asked();
    *SELF.lock() = if is_alone() {
        Itself::Before
    } else {
        Itself::LateBefore
    };
}

fn become_shim_if_asked() {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    // Whoever may start a program that has other rights than his own (set-uid) must not tell it what to hold.
    let is_trusted = || (getuid(), getgid()) == (geteuid(), getegid());
    match shim::asked() {
        Some(asked) if is_trusted() => shim::main(&asked),
        _ => {}
    }
}

/// Whether this is the only thread. Where they cannot be counted there may be several: no shim would run.
fn is_alone() -> bool {
    matches!(shim::threads(), Ok(1))
}

/// Whether this program, started again, would be a shim, by who has seen to that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Itself {
    Unasked,
    /// It has called [`init`], in time.
    Main,
    LateMain,
    /// The feature `auto-shim`, before `main`.
    #[cfg(feature = "auto-shim")]
    Before,
    #[cfg(feature = "auto-shim")]
    LateBefore,
}

impl Itself {
    /// An error is a sentence on what to do.
    fn would_be_shim(self) -> Result<(), String> {
        const NAMED: &str = "name the program orch-oci-shim with OciOptions::shim";
        match self {
            Self::Main => Ok(()),
            Self::Unasked => Err(format!(
                "call orch_runtime_oci::init() first thing in main, or build it with the feature auto-shim, or {NAMED}"
            )),
            Self::LateMain => Err(
                "orch_runtime_oci::init() was called when there were threads already; call it first thing in a main \
                 that is not async, and start tokio after it"
                    .into(),
            ),
            #[cfg(feature = "auto-shim")]
            Self::Before => before::is_program(),
            #[cfg(feature = "auto-shim")]
            Self::LateBefore => Err(format!(
                "a library that this program is linked with has started threads before main; {NAMED}"
            )),
        }
    }
}

#[cfg(feature = "auto-shim")]
#[path = "launch/before.rs"]
mod before;

/// What to do about a program that is none.
const WHICH: &str = "name the program orch-oci-shim that this version of orch-runtime-oci has built, or none, and call \
                     orch_runtime_oci::init() first thing in main";

/// The program that holds containers.
#[derive(Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// A named one, which must say what it is; else this program itself, if it would be a shim.
    pub(crate) async fn find(named: Option<&Path>) -> Result<Self, RuntimeError> {
        let Some(path) = named else {
            let would_be = *SELF.lock();
            return match would_be.would_be_shim() {
                Ok(()) => Ok(Self("/proc/self/exe".into())),
                Err(reason) => Err(invalid("shim", reason)),
            };
        };
        match probe(path).await {
            Ok(said) if said.trim() == shim::VERSION => Ok(Self(path.to_owned())),
            Ok(said) => {
                let said: String = said.trim().chars().take(80).collect();
                let reason = format!(
                    "{}: is no shim of this version: asked with --probe it says {said:?}, and must say {:?}; {WHICH}",
                    path.display(),
                    shim::VERSION
                );
                Err(invalid("shim", reason))
            }
            Err(error) => Err(invalid("shim", format!("{}: {error}; {WHICH}", path.display()))),
        }
    }

    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Starts it as what these arguments say.
    pub(crate) fn command(&self, arguments: [&str; 2]) -> Command {
        Self::command_of(&self.0, arguments)
    }

    /// The same of the place where its file is, for this, to be found.
    pub(crate) fn command_of(file: &Path, arguments: [&str; 2]) -> Command {
        let mut command = Command::new(file);
        command
            .arg0(shim::NAME)
            .args(arguments)
            .env_clear()
            .current_dir("/");
        command
    }
}

/// Starts one of this process's children, to be waited for when it has ended.
pub(crate) fn start(command: &mut Command) -> io::Result<Process> {
    let child = command.spawn()?;
    // Not waited for yet: the number is its own.
    let process = pidfd_open(pid(child.id()), PidfdFlags::NONBLOCK)?;
    CHILDREN.lock().push(process.try_clone()?);
    Ok(Process(process))
}

fn pid(number: u32) -> Pid {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .expect("process numbers are positive")
}

/// Asks a program what it is, for no longer than [`PROBE`].
async fn probe(path: &Path) -> io::Result<String> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut command = Command::new(path);
    command
        .arg("--probe")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(write)
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    drop(command);
    let process = Process(pidfd_open(pid(child.id()), PidfdFlags::NONBLOCK)?);
    let ended = tokio::time::timeout(PROBE, process.ended()).await;
    if ended.is_err() {
        process.kill();
        process.ended().await?;
    }
    child.wait()?;
    ended.map_err(|_| io::Error::other(format!("did not answer --probe within {PROBE:?}")))??;
    // What it has written is there; whoever else has the pipe may keep it.
    rustix::io::ioctl_fionbio(&read, true)?;
    let mut said = vec![0; 1024];
    let count = match File::from(read).read(&mut said) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        count => count?,
    };
    Ok(String::from_utf8_lossy(&said[..count]).into_owned())
}

/// A shim that was just started.
pub(crate) struct Shim {
    pub(crate) process: Process,
    answer: OwnedFd,
}

impl Shim {
    pub(crate) fn new(process: Process, answer: OwnedFd) -> Self {
        Self { process, answer }
    }

    /// Returns once the container has started or ended, or the shim has. Of one that has started it is told.
    pub(crate) async fn answered(&self) -> io::Result<Option<Started>> {
        let answer = readable(self.answer.try_clone()?)?;
        // What is written comes all at once, or not at all: then it becomes readable by its end.
        drop(answer.readable().await?);
        let mut said = [0; 512];
        // If it cannot be read, its files say the same.
        let read = rustix::io::retry_on_intr(|| rustix::io::read(answer.get_ref(), &mut said));
        Ok(serde_json::from_slice(&said[..read.unwrap_or(0)]).ok())
    }
}

/// A process held fast, whosever child it is.
pub(crate) struct Process(OwnedFd);

impl Process {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) async fn ended(&self) -> io::Result<()> {
        let process = readable(self.0.try_clone()?)?;
        process.readable().await.map(drop)
    }

    /// Its number, which is no other's as long as it lives; an error once it has ended, and was waited for.
    pub(crate) fn number(&self) -> io::Result<i32> {
        let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let number = about.lines().find_map(|line| line.strip_prefix("Pid:"));
        let number = number.and_then(|number| number.trim().parse().ok());
        number
            .filter(|number| *number > 0)
            .ok_or_else(|| io::Error::other("the process has ended"))
    }

    /// Whether it has ended. Does not wait.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)) {
                Err(rustix::io::Errno::INTR) => {}
                polled => return Ok(polled? > 0),
            }
        }
    }

    pub(crate) fn kill(&self) {
        // It may have ended, and that is as good.
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

impl From<OwnedFd> for Process {
    fn from(pidfd: OwnedFd) -> Self {
        Self(pidfd)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The shim that holds the container of this directory, none if there is none.
pub(crate) fn holder(dir: &ContainerDir) -> io::Result<Option<Process>> {
    holder_of(&dir.lock())
}

/// The process that has a lock for life, none if there is none.
pub(crate) fn holder_of(lock: &Path) -> io::Result<Option<Process>> {
    let Some(first) = who_locked(lock)? else {
        return Ok(None);
    };
    let process = match pidfd_open(first, PidfdFlags::NONBLOCK) {
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        process => process?,
    };
    // Asked again once it is held fast: the number may have become another's.
    Ok((who_locked(lock)? == Some(first)).then_some(Process(process)))
}

/// Which process has the lock that a shim holds for life.
pub(crate) fn locked_by(dir: &ContainerDir) -> io::Result<Option<Pid>> {
    who_locked(&dir.lock())
}

fn who_locked(lock: &Path) -> io::Result<Option<Pid>> {
    let file = match File::options().write(true).open(lock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let wanted = Flock::from(FlockType::WriteLock);
    let found = fcntl_getlk(file.as_fd(), &wanted)?;
    Ok(found.and_then(|lock| lock.pid))
}

/// Waits for those of this process's children that have ended.
pub(crate) fn reap() {
    CHILDREN.lock().retain(|child| {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        // An error: someone else has waited for it.
        matches!(
            rustix::process::waitid(WaitId::PidFd(child.as_fd()), options),
            Ok(None)
        )
    });
}

/// Waits, for [`PATIENCE`] at most, for something to be said, or to end; false if that takes too long.
pub(crate) fn readable_in_time(fd: impl AsFd) -> io::Result<bool> {
    let bound = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&bound)) {
            Err(rustix::io::Errno::INTR) => {}
            polled => return Ok(polled? > 0),
        }
    }
}

/// A descriptor whose readability can be awaited.
#[allow(
    deprecated,
    reason = "unsound only for types that lie about their descriptor; the successor is unsafe"
)]
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
