//! Executes a [`Program`] step by step, without time of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::runtime::{ContainerConfig, ExitReason, LogStream};
use crate::testing::runtime::{Program, Step};

/// Why a machine does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// It sleeps; resume it after this long.
    Sleep(Duration),
    /// It reads standard input; give it some.
    Input,
    /// It waits until it is stopped.
    Wait,
    /// It has ended.
    Ended(End),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) reason: ExitReason,
}

impl End {
    pub(super) fn exit(code: i32) -> Self {
        let reason = if code == 0 {
            ExitReason::Completed
        } else {
            ExitReason::Error
        };
        Self { code, reason }
    }

    pub(super) const KILLED: Self = Self {
        code: 137,
        reason: ExitReason::Error,
    };

    pub(super) const OUT_OF_MEMORY: Self = Self {
        code: 137,
        reason: ExitReason::OutOfMemory,
    };
}

/// What a program does when a signal asks it to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ends(End),
    EndsAfter(Duration, End),
    Ignores,
}

/// A program being executed.
#[derive(Debug)]
pub(super) struct Machine {
    program: Program,
    at: usize,
    config: Arc<ContainerConfig>,
    tty: bool,
    traps: Vec<(String, Answer)>,
    /// What it finds in `/proc/self/uid_map`, if its sandbox has users of its own.
    users: Option<String>,
}

impl Machine {
    pub(super) fn new(program: Program, config: Arc<ContainerConfig>, tty: bool) -> Self {
        Self {
            program,
            at: 0,
            config,
            tty,
            traps: Vec::new(),
            users: None,
        }
    }

    pub(super) fn with_users(self, users: Option<String>) -> Self {
        Self { users, ..self }
    }

    /// Goes on until the next pause. After a sleep: from there.
    pub(super) fn run(&mut self, emit: &mut dyn FnMut(LogStream, Bytes)) -> Pause {
        use LogStream::{Stderr, Stdout};
        while let Some(step) = self.program.steps().get(self.at) {
            match step {
                Step::Out(bytes) => emit(Stdout, Bytes::copy_from_slice(bytes)),
                Step::Err(bytes) => emit(Stderr, Bytes::copy_from_slice(bytes)),
                Step::Count(last) => (1..=*last).for_each(|n| emit(Stdout, format!("{n}\n").into())),
                Step::Fill(bytes) => emit(Stdout, vec![b'x'; *bytes].into()),
                Step::Env(name) => {
                    let value = self.config.env.iter().rfind(|(key, _)| key == name);
                    emit(
                        Stdout,
                        format!("{}\n", value.map_or("", |(_, value)| value)).into(),
                    );
                }
                Step::Pwd => {
                    let directory = self.config.working_dir.as_deref().unwrap_or("/");
                    emit(Stdout, format!("{directory}\n").into());
                }
                Step::UserId => {
                    let user = self.config.security.run_as_user.unwrap_or(0);
                    emit(Stdout, format!("{user}\n").into());
                }
                Step::Tty => {
                    let text: &'static [u8] = if self.tty { b"tty\n" } else { b"no tty\n" };
                    emit(Stdout, Bytes::from_static(text));
                }
                Step::Read(path) if path == "/proc/self/uid_map" => {
                    let map = self.users.as_deref().unwrap_or("0 0 4294967295\n");
                    emit(Stdout, Bytes::copy_from_slice(map.as_bytes()));
                }
                Step::Read(path) => match self
                    .host_path(path)
                    .and_then(|(path, _)| std::fs::read(path).ok())
                {
                    Some(content) => emit(Stdout, content.into()),
                    None => return self.end(End::exit(1)),
                },
                Step::Write(path, text) => {
                    let writable = self.host_path(path).filter(|(_, read_only)| !read_only);
                    if writable
                        .and_then(|(path, _)| std::fs::write(path, text).ok())
                        .is_none()
                    {
                        return self.end(End::exit(1));
                    }
                }
                Step::Cat => return Pause::Input,
                Step::Sleep(duration) => {
                    let duration = *duration;
                    self.at += 1;
                    return Pause::Sleep(duration);
                }
                Step::Wait | Step::Echo(_) => return Pause::Wait,
                Step::OnSignal { signal, after, code } => {
                    let end = End::exit(*code);
                    let answer = if after.is_zero() {
                        Answer::Ends(end)
                    } else {
                        Answer::EndsAfter(*after, end)
                    };
                    self.traps.push((signal.clone(), answer));
                }
                Step::Ignore(signal) => self.traps.push((signal.clone(), Answer::Ignores)),
                Step::Exit(code) => {
                    let end = End::exit(*code);
                    return self.end(end);
                }
                Step::Kill(signal) => {
                    let end = End::exit(128 + signal);
                    return self.end(end);
                }
                Step::OutOfMemory => return self.end(End::OUT_OF_MEMORY),
                Step::CannotStart => return self.end(End::exit(127)),
            }
            self.at += 1;
        }
        Pause::Ended(End::exit(0))
    }

    /// Gives it standard input, none at its end; goes on if that was what it waited for.
    pub(super) fn input(
        &mut self,
        bytes: Option<Bytes>,
        emit: &mut dyn FnMut(LogStream, Bytes),
    ) -> Option<Pause> {
        if self.program.steps().get(self.at) != Some(&Step::Cat) {
            return None;
        }
        match bytes {
            Some(bytes) => {
                emit(LogStream::Stdout, bytes);
                None
            }
            None => {
                self.at += 1;
                Some(self.run(emit))
            }
        }
    }

    /// Whether it listens on a port, and sends back what it is sent.
    pub(super) fn echoes(&self, port: u16) -> bool {
        self.program.steps().get(self.at) == Some(&Step::Echo(port))
    }

    /// What it does on a signal, with or without `SIG` before its name.
    pub(super) fn answer(&self, signal: &str) -> Answer {
        let signal = signal.strip_prefix("SIG").unwrap_or(signal);
        match self.traps.iter().rfind(|(name, _)| name == signal) {
            Some((_, answer)) if signal != "KILL" => *answer,
            _ => Answer::Ends(End::exit(128 + number(signal))),
        }
    }

    fn end(&mut self, end: End) -> Pause {
        self.program = Program::new().exit(end.code);
        self.at = 0;
        Pause::Ended(end)
    }

    /// Where the machine's file system has what the container sees there, and whether it is read-only.
    fn host_path(&self, path: &str) -> Option<(std::path::PathBuf, bool)> {
        let path = std::path::Path::new(path);
        self.config.mounts.iter().find_map(|mount| {
            let rest = path.strip_prefix(&mount.target).ok()?;
            let path = if rest.as_os_str().is_empty() {
                mount.source.clone()
            } else {
                mount.source.join(rest)
            };
            Some((path, mount.read_only))
        })
    }
}

fn number(signal: &str) -> i32 {
    match signal {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => 9,
        "USR1" => 10,
        "USR2" => 12,
        _ => 15,
    }
}
