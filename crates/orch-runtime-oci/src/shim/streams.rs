//! A container's standard streams: pipes or a terminal, and the shim's ends of them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use libcontainer::container::builder::ContainerBuilder;
use rustix::pipe::{PipeFlags, pipe_with};

use super::console::Console;
use super::identity::Settled;
use super::input::Input;
use crate::record::{ContainerDir, Plan};

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
        stdin: bool,
    },
}

impl Streams {
    pub(super) fn make(dir: &ContainerDir, plan: &Plan, owner: &Settled) -> io::Result<Self> {
        if plan.tty {
            return Ok(Self::Terminal {
                console: Console::listen(&dir.0)?,
                stdin: plan.stdin,
            });
        }
        let (stdout, stderr) = (pipe()?, pipe()?);
        for (_, write) in [&stdout, &stderr] {
            owner.own(write)?;
        }
        let (stdin, input) = if plan.stdin {
            let (read, write) = pipe()?;
            owner.own(&read)?;
            (read, Input::pipe(write)?)
        } else {
            (File::open("/dev/null")?.into(), Input::none())
        };
        Ok(Self::Pipes {
            theirs: [stdin, stdout.1, stderr.1],
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
            Self::Terminal { console, stdin } => {
                let builder = builder.with_console_socket(Some(console.socket()));
                (builder, Ours::Terminal { console, stdin })
            }
        }
    }
}

/// The shim's ends, while the container is made.
pub(super) enum Ours {
    Pipes { output: [OwnedFd; 2], input: Input },
    Terminal { console: Console, stdin: bool },
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
            Self::Terminal { console, stdin } => {
                let master = console.take()?;
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
