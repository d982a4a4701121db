//! Processes as the operating system shows them: who they are, when they end, how they are signalled.

use std::io;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::{NAME, wrapper};
use crate::runtime::{ContainerId, RuntimeError};

/// Does what may keep a thread on one of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RuntimeError> {
    crate::runtime::blocking(NAME, work).await
}

/// The number of a process that `std` has just spawned.
pub(super) fn pid(number: u32) -> Pid {
    let number = i32::try_from(number).ok();
    number
        .and_then(Pid::from_raw)
        .expect("process numbers are positive")
}

/// A signal by its name, with or without `SIG`, or by its number.
pub(super) fn signal(name: &str) -> Option<Signal> {
    let name = name.to_ascii_uppercase();
    Some(match name.strip_prefix("SIG").unwrap_or(&name) {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "KILL" => Signal::KILL,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "ALRM" => Signal::ALARM,
        "TERM" => Signal::TERM,
        "CONT" => Signal::CONT,
        "WINCH" => Signal::WINCH,
        number => Signal::from_named_raw(number.parse().ok()?)?,
    })
}

/// Whether this process is the container's wrapper, and has not ended.
pub(super) fn is_wrapper(pid: Pid, id: &ContainerId) -> bool {
    let name = wrapper::name(id);
    #[cfg(target_os = "linux")]
    {
        // Empty for a process that has ended and was not waited for.
        let arguments = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == name.as_bytes())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut ps = std::process::Command::new("ps");
        ps.args(["-ww", "-o", "args=", "-p", &pid.as_raw_nonzero().to_string()]);
        let output = ps.output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).contains(&name)
    }
}

/// Signals a process group. It may have gone meanwhile, and that is as good.
pub(super) fn signal_group(leader: Pid, signal: Signal) {
    // Nothing else can be done about a group that may not be signalled.
    if let Err(error) = rustix::process::kill_process_group(leader, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(group = leader.as_raw_nonzero(), %error, "cannot signal a process group");
    }
}

/// A descriptor whose readability can be awaited.
#[cfg(target_os = "linux")]
#[allow(
    deprecated,
    reason = "unsound only for types that lie about their descriptor; the successor is unsafe"
)]
pub(super) fn readable(
    fd: std::os::fd::OwnedFd,
) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    tokio::io::unix::AsyncFd::with_interest(fd, tokio::io::Interest::READABLE)
}

/// Returns when a process has ended, whosever child it is.
pub(super) async fn ended(pid: Pid) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, pidfd_open};
        match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => {
                if let Ok(pidfd) = readable(pidfd)
                    && pidfd.readable().await.is_ok()
                {
                    return;
                }
            }
            Err(rustix::io::Errno::SRCH) => return,
            // A kernel before 5.3: look now and then.
            Err(_) => {}
        }
    }
    while !waitable(pid) && rustix::process::test_kill_process(pid).is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Whether it is a child of ours that has ended and was not waited for: its number is then still its own.
pub(super) fn waitable(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(Some(_)))
}

/// Waits for a child of ours that has ended: its exit code, 128 and the signal's number if by a signal.
pub(super) fn reap(pid: Pid) -> Option<i32> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status: WaitIdStatus = rustix::process::waitid(WaitId::Pid(pid), options).ok()??;
    status
        .exit_status()
        .or_else(|| Some(128 + status.terminating_signal()?))
}

/// What a process' environment tells of a container's mark.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Absent,
    Present,
    /// It is about to begin another program: for that moment it shows no environment at all.
    Unknown,
}

/// Looks for a container's mark, `NAME=value`, in the environment of a process.
#[cfg(target_os = "linux")]
pub(super) fn mark_of(pid: Pid, mark: &[u8]) -> Mark {
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let environment = || std::fs::read(process.join("environ")).unwrap_or_default();
    let seen = environment();
    let is_marked = |environment: &[u8]| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark)
    };
    if is_marked(&seen) {
        return Mark::Present;
    }
    // Threads of the kernel, and processes that have ended, have no program.
    if !seen.is_empty() || std::fs::read_link(process.join("exe")).is_err() {
        return Mark::Absent;
    }
    if environment_is_to_come(&process) {
        return Mark::Unknown;
    }
    // It has come by now, if it is not empty for good.
    if is_marked(&environment()) {
        Mark::Present
    } else {
        Mark::Absent
    }
}

/// Whether a process has no place for its environment yet; a process begun without any variable has one.
#[cfg(target_os = "linux")]
fn environment_is_to_come(process: &std::path::Path) -> bool {
    /// `env_end` of proc(5), counted from the state, which is the first after the name in brackets.
    const ENV_END: usize = 51 - 3;

    let Ok(stat) = std::fs::read_to_string(process.join("stat")) else {
        return false;
    };
    let after_name = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    after_name.split(' ').nth(ENV_END) == Some("0")
}

/// Kills every process with the container's mark in its environment, also those that left its group.
#[cfg(target_os = "linux")]
pub(super) fn kill_marked(id: &ContainerId) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

    /// Enough for processes that multiply while they are looked for.
    const ROUNDS: usize = 10;
    /// Between looks at a process that is about to begin a program.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(1);
    /// Far more than beginning a program takes on a machine that has other work.
    const LOOKS: usize = 500;

    let mark = format!("{}={id}", wrapper::MARK).into_bytes();
    let is_marked = |pid: Pid| {
        for _ in 0..LOOKS {
            match mark_of(pid, &mark) {
                Mark::Unknown => std::thread::sleep(PAUSE),
                seen => return seen == Mark::Present,
            }
        }
        false
    };
    for _ in 0..ROUNDS {
        let mut killed = false;
        for pid in processes() {
            if !is_marked(pid) {
                continue;
            }
            // Looked at again once it is held fast: the number may have become another's.
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            if is_marked(pid) && pidfd_send_signal(pidfd, Signal::KILL).is_ok() {
                killed = true;
            }
        }
        if !killed {
            return;
        }
    }
}

/// Only Linux shows other processes' environment in a file.
#[cfg(not(target_os = "linux"))]
pub(super) fn kill_marked(_: &ContainerId) {}

/// All processes of the machine.
#[cfg(target_os = "linux")]
pub(super) fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Gives the space of a file's first bytes back, while others go on writing at its end. The file keeps its
/// length. Where that is not possible nothing happens.
pub(super) fn punch(file: &std::fs::File, from: u64, to: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(file, flags, from, to - from) {
            Err(rustix::io::Errno::OPNOTSUPP) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, from, to);
        Ok(())
    }
}
