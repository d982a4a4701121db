//! Runs other people's programs, and waits for them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// As much as is kept of what a program writes.
const KEPT: u64 = 1 << 20;

/// Where programs are looked for if the environment does not say.
pub(crate) const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Ended {
    /// What it said about its failure, on one line.
    pub(crate) fn complaint(&self) -> String {
        let said = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let ending = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "an unknown end".into(),
        };
        match [&self.err, &self.out].map(|bytes| said(bytes)) {
            [err, _] if !err.is_empty() => format!("{ending}: {err}"),
            [_, out] if !out.is_empty() => format!("{ending}: {out}"),
            _ => ending,
        }
    }
}

/// Runs a program with `input`, and kills it with all that it started if it takes longer than `bound`.
///
/// It gets no descriptor of this process but its own standard three, and only the variables given. With `holding` it
/// gets that one as well, and keeps it open until it ends: a lock on it is held even if this process is killed before.
///
/// # Errors
///
/// If it cannot be started; [`io::ErrorKind::TimedOut`] if it took too long.
pub(crate) fn run<E, K, V>(
    program: &Path,
    arguments: &[&str],
    variables: E,
    input: &[u8],
    bound: Duration,
    holding: Option<&File>,
) -> io::Result<Ended>
where
    E: IntoIterator<Item = (K, V)> + Send,
    K: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    // A thread can have a table of descriptors that is its own, where closing all of them harms nobody. So even those
    // that some library opened without the flag that closes them on `exec` are not inherited.
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FILES)?;
            close_all(holding)?;
            let files = Streams::new(input)?;
            let mut command = Command::new(program);
            command
                .args(arguments)
                .env_clear()
                .envs(variables)
                .current_dir("/");
            files
                .spawn(&mut command)
                .and_then(|child| files.wait(child, bound))
        });
        running
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Closes all but the standard three, and the one that the program is to have.
fn close_all(holding: Option<&File>) -> io::Result<()> {
    if let Some(file) = holding {
        fcntl_setfd(file, FdFlags::empty())?;
    }
    let kept = holding.map(AsRawFd::as_raw_fd);
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/thread-self/fd")? {
        let number: Option<i32> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        open.extend(number.filter(|&number| number > 2 && Some(number) != kept));
    }
    for number in open {
        // That of the listing itself is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// A program's streams, files in memory: nobody waits for the other's end, also if a descendant keeps one open.
struct Streams([File; 3]);

impl Streams {
    fn new(input: &[u8]) -> io::Result<Self> {
        let file = || Ok::<_, io::Error>(File::from(memfd_create(c"orch-podnet", MemfdFlags::CLOEXEC)?));
        let mut streams = [file()?, file()?, file()?];
        streams[0].write_all(input)?;
        streams[0].rewind()?;
        Ok(Self(streams))
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let [input, out, err] = &self.0;
        command
            .stdin(Stdio::from(input.try_clone()?))
            .stdout(Stdio::from(out.try_clone()?))
            .stderr(Stdio::from(err.try_clone()?))
            .process_group(0)
            .spawn()
    }

    fn wait(mut self, mut child: Child, bound: Duration) -> io::Result<Ended> {
        let group = Pid::from_child(&child);
        let ended = ends_within(group, bound);
        if !matches!(ended, Ok(true)) {
            // Not reaped yet, so the number is still its own.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = child.wait()?;
        if !ended? {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("took longer than {bound:?} and was killed"),
            ));
        }
        let mut kept = |stream: usize| {
            let mut bytes = Vec::new();
            let file = &mut self.0[stream];
            file.rewind()?;
            file.take(KEPT).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        Ok(Ended {
            status,
            out: kept(1)?,
            err: kept(2)?,
        })
    }
}

/// Whether a child ends before `bound` has passed.
fn ends_within(child: Pid, bound: Duration) -> io::Result<bool> {
    let process = pidfd_open(child, PidfdFlags::empty())?;
    let until = Instant::now() + bound;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `PATH` as the environment has it, or the usual one, with the directories of system programs in any case.
pub(crate) fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    let mut path = if own.is_empty() {
        USUAL_PATH.to_owned()
    } else {
        own
    };
    for usual in ["/usr/sbin", "/sbin"] {
        if !path.split(':').any(|dir| dir == usual) {
            path = format!("{path}:{usual}");
        }
    }
    path
}

/// A program of this name on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    search_path()
        .split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|path| is_program(path))
}

/// Whether a file can be run.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: &str = "/bin/sh";

    fn sh(line: &str, bound: Duration, holding: Option<&File>) -> io::Result<Ended> {
        let variables = [("PATH", USUAL_PATH), ("WORD", "told")];
        run(Path::new(SH), &["-c", line], variables, b"given", bound, holding)
    }

    #[test]
    fn a_program_is_given_and_answers_and_says_how_it_ended() {
        let long = Duration::from_secs(60);
        let ended = sh("cat; echo $WORD; echo odd >&2; exit 3", long, None).unwrap();
        assert_eq!(
            (ended.out.as_slice(), ended.err.as_slice()),
            (&b"giventold\n"[..], &b"odd\n"[..])
        );
        assert_eq!(ended.complaint(), "exit code 3: odd");
        assert_eq!(
            sh("echo only", long, None).unwrap().complaint(),
            "exit code 0: only"
        );
        assert_eq!(
            sh("kill -9 $$", long, None).unwrap().complaint(),
            "killed by signal 9"
        );
        let none = run(Path::new("/nowhere"), &[], [("A", "b")], &[], long, None).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
        let late = sh("sleep 600", Duration::from_millis(50), None).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // What one leaves behind is not waited for.
        let begun = Instant::now();
        assert!(sh("sleep 20 & exit 0", long, None).unwrap().status.success());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_gets_the_descriptor_that_it_is_to_hold_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let [held, other] = ["held", "other"].map(|name| File::create(dir.path().join(name)).unwrap());
        let _inherited = rustix::io::dup(&other).unwrap();
        for holding in [None, Some(&held)] {
            let ended = sh("ls -l /proc/$$/fd", Duration::from_secs(60), holding).unwrap();
            let open = String::from_utf8(ended.out).unwrap();
            assert_eq!(open.contains("/held"), holding.is_some(), "{open}");
            assert!(!open.contains("/other"), "{open}");
        }
    }
}
