//! A container's standard streams: pipes or a terminal, and the shim's ends of them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use libcontainer::container::builder::ContainerBuilder;
use rustix::fs::{FileType, Gid, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Deserialize;

use super::console::Console;
use super::input::Input;
use crate::record::{self, ContainerDir, Plan};
use crate::terminal;
use crate::users::Users;

/// The specification's `process`, as far as it is of interest here.
#[derive(Deserialize)]
pub(super) struct Process {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) terminal: bool,
    pub(super) user: User,
}

/// As whom it runs.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

impl Process {
    /// The container's own.
    pub(super) fn of(dir: &ContainerDir) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Spec {
            process: Process,
        }
        let spec: Option<Spec> = record::read(&dir.bundle().join("config.json"))?;
        Ok(spec.ok_or(io::ErrorKind::NotFound)?.process)
    }
}

impl User {
    /// Whom it is on the machine, where its pod has users of its own.
    pub(super) fn on_machine(self, users: Option<Users>) -> Self {
        let Some(users) = users else { return self };
        // Another was refused before this, and would be nobody.
        let of = |id| users.of_machine(id).unwrap_or(users.root());
        Self {
            uid: of(self.uid),
            gid: of(self.gid),
        }
    }

    /// Gives it a pipe of its program's, which it may open again by its name (`/dev/stdout`). Anything else is not
    /// the program's alone.
    pub(super) fn own(self, stream: impl AsFd) -> io::Result<()> {
        if FileType::from_raw_mode(rustix::fs::fstat(&stream)?.st_mode) != FileType::Fifo {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(rustix::fs::fchown(stream, Some(uid), Some(gid))?)
    }

    /// The same for a terminal, by its master.
    pub(super) fn own_terminal(self, master: impl AsFd) -> io::Result<()> {
        terminal::own(master, self.uid)
    }
}

/// Before the program has them.
pub(super) enum Streams {
    Pipes {
        /// The program's: input, output, errors.
        theirs: [OwnedFd; 3],
        output: [OwnedFd; 2],
        input: Input,
    },
    Terminal {
        console: Console,
        user: User,
        stdin: bool,
    },
}

impl Streams {
    pub(super) fn make(dir: &ContainerDir, plan: &Plan) -> io::Result<Self> {
        let user = Process::of(dir)?.user.on_machine(plan.shared.users());
        if plan.tty {
            return Ok(Self::Terminal {
                console: Console::listen(dir.run())?,
                user,
                stdin: plan.stdin,
            });
        }
        let (stdout, stderr) = (pipe()?, pipe()?);
        let (stdin, input) = if plan.stdin {
            let (read, write) = pipe()?;
            (read, Input::pipe(write)?)
        } else {
            (File::open("/dev/null")?.into(), Input::none())
        };
        let theirs = [stdin, stdout.1, stderr.1];
        theirs.iter().try_for_each(|stream| user.own(stream))?;
        Ok(Self::Pipes {
            theirs,
            output: [stdout.0, stderr.0],
            input,
        })
    }

    /// Gives the program its ends; what is left is the shim's.
    pub(super) fn give(self, builder: ContainerBuilder) -> (ContainerBuilder, Ours) {
        match self {
            Self::Pipes {
                theirs: [stdin, stdout, stderr],
                output,
                input,
            } => {
                let builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
                (builder, Ours::Pipes { output, input })
            }
            Self::Terminal { console, user, stdin } => {
                let builder = builder.with_console_socket(Some(console.socket()));
                (builder, Ours::Terminal { console, user, stdin })
            }
        }
    }
}

/// The shim's ends, while the container is made.
pub(super) enum Ours {
    Pipes {
        output: [OwnedFd; 2],
        input: Input,
    },
    Terminal {
        console: Console,
        user: User,
        stdin: bool,
    },
}

impl Ours {
    /// What the program writes, by stream, and its input, once it has been made.
    pub(super) fn take(self) -> io::Result<([Option<File>; 2], Input)> {
        match self {
            Self::Pipes { output, input } => {
                for read in &output {
                    rustix::io::ioctl_fionbio(read, true)?;
                }
                Ok((output.map(|read| Some(read.into())), input))
            }
            Self::Terminal { console, user, stdin } => {
                let master = console.take()?;
                user.own_terminal(&master)?;
                let input = Input::terminal(master.try_clone()?, stdin)?;
                Ok(([Some(master.into()), None], input))
            }
        }
    }
}

/// A pipe of which programs that are started inherit nothing.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}
