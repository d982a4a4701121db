//! The process that shims are born of: it is this program, started once, has one thread, has left this program's control
//! groups, and forks. So a container costs no start of a program as large as this one, nor the move into other control
//! groups, for which the kernel takes its time.
//!
//! It ends with this program, or with the runtime; what was born of it goes on. It is started with the first container or
//! command, and again if it was killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::guarded::Guarded;
use crate::launch::{self, Process, Program, Shim};
use crate::record::ContainerDir;
use crate::shim;
use crate::wire::{Inbox, Reply, Request, send};

pub(crate) struct Nursery {
    program: Program,
    /// What it has to say of itself goes there.
    complaints: PathBuf,
    /// The control group of the shims.
    shims: String,
    living: Mutex<Option<Living>>,
}

struct Living {
    process: Process,
    socket: UnixStream,
    inbox: Inbox,
}

/// The standard streams of a shim.
struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Nursery {
    pub(crate) fn new(program: Program, complaints: PathBuf, shims: String) -> Self {
        Self {
            program,
            complaints,
            shims,
            living: Mutex::default(),
        }
    }

    /// Starts a shim for the container of this directory, which exists and has not begun.
    pub(crate) fn hold(&self, dir: &ContainerDir) -> io::Result<Shim> {
        let (answer, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let streams = Streams {
            stdin: null()?,
            stdout: write,
            stderr: File::create(dir.complaints())?.into(),
        };
        let process = self.bear(dir.kept().as_os_str().as_bytes(), streams)?;
        Ok(Shim::new(process, answer))
    }

    /// Starts a shim for a command in a container that runs, whose directory exists; what it is to do is told over
    /// the socket, and the command ends with that.
    pub(crate) fn exec(&self, dir: &ContainerDir, id: &str) -> io::Result<(Process, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let streams = Streams {
            stdin: theirs.into(),
            stdout: null()?,
            stderr: File::create(dir.exec(id).complaints())?.into(),
        };
        let arguments = [dir.kept().as_os_str().as_bytes(), b"\0", id.as_bytes()].concat();
        Ok((self.bear(&arguments, streams)?, ours))
    }

    fn bear(&self, arguments: &[u8], streams: Streams) -> io::Result<Process> {
        let request = Request::Bear(arguments.to_vec());
        let mut place = self.living.lock();
        if let Some(living) = place.as_mut() {
            let born = match living.ask(&request, &streams) {
                Ok(()) => Self::born(&mut place),
                failed => failed.and(Err(io::ErrorKind::NotConnected.into())),
            };
            match born {
                // It has begun nothing: it had ended before it was asked, or had not read that when it ended.
                Err(error) if was_not_read(&error) => *place = None,
                born => return born,
            }
        }
        place.insert(self.start()?).ask(&request, &streams)?;
        Self::born(&mut place)
    }

    /// What was asked for. Who does not answer as it should is not asked again: what it says next could be taken for
    /// another answer.
    fn born(place: &mut Option<Living>) -> io::Result<Process> {
        let answer = place.as_mut().map(Living::answer);
        match answer.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into())) {
            Ok(born) => born.map_err(io::Error::other),
            Err(error) => {
                if let Some(living) = place.take() {
                    living.process.kill();
                }
                Err(error)
            }
        }
    }

    /// Ends it, and not what was born of it.
    pub(crate) fn end(&self) {
        let Some(Living { process, socket, .. }) = self.living.lock().take() else {
            return;
        };
        // It ends by this.
        drop(socket);
        if !matches!(launch::readable_in_time(&process), Ok(true)) {
            process.kill();
        }
    }

    fn start(&self) -> io::Result<Living> {
        let (socket, theirs) = UnixStream::pair()?;
        // All shims have what it has.
        let file = Guarded::of(self.program.path()).inspect_err(
            |error| tracing::debug!(%error, "shims have the file of their program as the machine has it"),
        );
        let arguments = [shim::NURSERY, self.shims.as_str()];
        let mut command = match &file {
            Ok(file) => Program::command_of(&file.path(), arguments),
            Err(_) => self.program.command(arguments),
        };
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(File::create(&self.complaints)?);
        let process = launch::start(&mut command)?;
        // With it goes this side's end of what is its.
        drop(command);
        let mut living = Living {
            process,
            socket,
            inbox: Inbox::default(),
        };
        match living.reply() {
            Ok(Reply::Hello) => Ok(living),
            other => {
                // It says why after it has let go of its end.
                if !launch::readable_in_time(&living.process)? {
                    living.process.kill();
                }
                let said = fs::read_to_string(&self.complaints).unwrap_or_default();
                let why = match (said.trim(), other) {
                    ("", Err(error)) => error.to_string(),
                    ("", Ok(reply)) => format!("it said {reply:?}"),
                    (said, _) => said.to_owned(),
                };
                Err(io::Error::other(format!(
                    "the process that holders of containers are born of did not come up: {why}"
                )))
            }
        }
    }
}

impl Living {
    fn ask(&self, request: &Request, streams: &Streams) -> io::Result<()> {
        let fds = [&streams.stdin, &streams.stdout, &streams.stderr];
        send(&self.socket, &request.encode(), &fds.map(AsFd::as_fd))
    }

    /// What was born, or why nothing was.
    fn answer(&mut self) -> io::Result<Result<Process, String>> {
        match self.reply()? {
            Reply::Born => {
                let born = self.inbox.fds().pop();
                let born = born.ok_or_else(|| io::Error::other("a process was born and not shown"))?;
                Ok(Ok(born.into()))
            }
            Reply::Failed(_, why) => Ok(Err(why)),
            other => Err(io::Error::other(format!(
                "it was asked for a process and said {other:?}"
            ))),
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.inbox.reply()? {
                return Ok(reply);
            }
            if !launch::readable_in_time(&self.socket)? {
                return Err(io::Error::other("it does not answer"));
            }
            match self.inbox.fill(&self.socket) {
                Ok(true) => {}
                Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether who was at the other end of a connection went without having read what it was sent. The kernel tells that from its
/// end: nobody else reads there, and all that was sent before has been answered.
fn was_not_read(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// Whether it went, and may have read that.
pub(crate) fn went(error: &io::Error) -> bool {
    was_not_read(error) || error.kind() == io::ErrorKind::UnexpectedEof
}

fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// What comes of asking one that ends, and whether it was to be asked for anew.
    fn asked_of_one_that(ends: impl FnOnce(UnixStream) + Send + 'static) -> io::Error {
        let dir = tempfile::tempdir().unwrap();
        // The next one cannot be started, which tells that it was tried.
        let none = Program::at(Path::new("/no/such/program"));
        let nursery = Nursery::new(none, dir.path().join("complaints"), "shims".into());
        let (socket, theirs) = UnixStream::pair().unwrap();
        *nursery.living.lock() = Some(Living {
            process: launch::start(Command::new("sleep").arg("3600")).unwrap(),
            socket,
            inbox: Inbox::default(),
        });
        let ending = thread::spawn(|| ends(theirs));
        let streams = Streams {
            stdin: null().unwrap(),
            stdout: null().unwrap(),
            stderr: null().unwrap(),
        };
        let error = nursery.bear(b"/no/such/container", streams).err();
        ending.join().unwrap();
        nursery.end();
        error.expect("nothing was born")
    }

    fn wait_for_a_request(socket: &UnixStream) {
        assert!(launch::readable_in_time(socket).unwrap());
    }

    #[test]
    fn another_is_started_only_if_the_last_cannot_have_read_what_it_was_asked() {
        let unread = asked_of_one_that(|socket| {
            wait_for_a_request(&socket);
            drop(socket);
        });
        assert_eq!(unread.kind(), io::ErrorKind::NotFound, "{unread}");
        let read = asked_of_one_that(|socket| {
            wait_for_a_request(&socket);
            assert!(Inbox::default().fill(&socket).unwrap());
        });
        assert_eq!(read.kind(), io::ErrorKind::UnexpectedEof, "{read}");
        assert!(went(&read) && !was_not_read(&read));
    }
}
