//! Becomes the container's program, or a command beside it, in the last moment of the process that libcontainer made for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::confine::Confinement;
use crate::record::ContainerDir;
use crate::sys::{self, Filter};

/// Ours, for what the library's own gets wrong: it says nothing of a program that cannot be executed, wants
/// programs to be executable by everyone, loses the order of variables, and hands on blocked signals.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    /// Closed by executing; if that fails, why is written to it.
    pub(super) status: Rc<File>,
    pub(super) confined: Confined,
    /// For a command in a container that runs already.
    pub(super) joining: Option<Rc<Joining>>,
}

/// What is done last, once there is nothing left to set up.
#[derive(Clone)]
pub(super) struct Confined {
    confinement: Confinement,
    filter: Option<Rc<Filter>>,
}

impl Confined {
    pub(super) fn read(dir: &ContainerDir, confinement: Confinement) -> io::Result<Self> {
        let filter = if confinement.filtered {
            let filter = Filter::decode(&fs::read(dir.filter())?);
            Some(Rc::new(filter.ok_or(io::ErrorKind::InvalidData)?))
        } else {
            None
        };
        Ok(Self { confinement, filter })
    }

    /// From here on this process may do what the program may, and execute it.
    fn enter(&self) -> Result<(), Errno> {
        let errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
        let Confinement {
            capabilities,
            no_new_privileges,
            ..
        } = self.confinement;
        let Some(filter) = &self.filter else { return Ok(()) };
        if no_new_privileges {
            return filter.load();
        }
        // What loading the filter took goes, from the bounding set first, which takes one itself.
        let surplus = self.confinement.until_then().0 & !capabilities.0;
        for capability in CapabilitySet::from_bits_retain(surplus).iter() {
            remove_capability_from_bounding_set(capability).map_err(errno)?;
        }
        filter.load()?;
        let mut sets = rustix::thread::capabilities(None).map_err(errno)?;
        let surplus = CapabilitySet::from_bits_retain(surplus);
        sets.effective.remove(surplus);
        sets.permitted.remove(surplus);
        rustix::thread::set_capabilities(None, sets).map_err(errno)
    }
}

/// What a command shares with a container.
pub(super) struct Joining {
    /// The list of a control group, open for writing: that of the command and all that it starts.
    pub(super) group: File,
    /// The container's first process, held fast before anything was looked up by its number.
    pub(super) init: OwnedFd,
}

/// Why a program could not be executed.
pub(super) struct Refusal {
    pub(super) error: Errno,
    /// A sentence, with the program's name.
    pub(super) text: String,
}

impl Refusal {
    fn write(&self, mut to: impl Write) -> io::Result<()> {
        to.write_all(&[&(self.error as i32).to_le_bytes()[..], self.text.as_bytes()].concat())
    }

    /// What was written to the other end of a status pipe, which all have closed: nothing if the program runs.
    pub(super) fn read(status: OwnedFd) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        File::from(status).read_to_end(&mut bytes)?;
        Ok(bytes.split_first_chunk().map(|(error, text)| Self {
            error: Errno::from_raw(i32::from_le_bytes(*error)),
            text: String::from_utf8_lossy(text).into_owned(),
        }))
    }
}

impl Executor for Program {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        if let Some(joining) = &self.joining {
            joining
                .check()
                .map_err(|text| ExecutorError::Other(text.into()))?;
        }
        let Err(error) = self.execute();
        let text = match self.args.first() {
            Some(name) => format!("{name}: {}", error.desc()),
            None => "there is no program".into(),
        };
        let refusal = Refusal { error, text };
        // Who reads it may be gone; then nobody asks.
        let _ = refusal.write(&*self.status);
        Err(ExecutorError::Other(refusal.text))
    }

    /// The kernel knows best what can be executed. This is the first that is called, before it is waited for.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        let Some(joining) = &self.joining else {
            return Ok(());
        };
        joining
            .join()
            .map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
    }

    /// Handed to `execve` instead.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

impl Joining {
    /// From here on it ends with its shim, and can be told from all else in the container.
    fn join(&self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        (&self.group).write_all(b"0")
    }

    /// While its first process lives, what was found by its number is the container's and no other's.
    fn check(&self) -> Result<(), &'static str> {
        let mut fds = [PollFd::new(&self.init, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) => Ok(()),
            _ => Err("the container has ended"),
        }
    }
}

impl Program {
    fn execute(&self) -> Result<Infallible, Errno> {
        sys::default_signals()?;
        SigSet::empty().thread_set_mask()?;
        let strings = |words: &[String]| {
            let words = words.iter().map(|word| CString::new(word.as_bytes()));
            words.collect::<Result<Vec<_>, _>>().map_err(|_| Errno::EINVAL)
        };
        let (args, env) = (strings(&self.args)?, strings(&self.env)?);
        let name = self.args.first().ok_or(Errno::EINVAL)?;
        let path = self
            .env
            .iter()
            .find_map(|variable| variable.strip_prefix("PATH="));
        self.confined.enter()?;
        let mut worst = Errno::ENOENT;
        for candidate in candidates(name, path.unwrap_or_default()) {
            let candidate = CString::new(candidate).map_err(|_| Errno::EINVAL)?;
            let Err(error) = execve(&candidate, &args, &env);
            match error {
                Errno::ENOENT | Errno::ENOTDIR => {}
                // Another further on may be meant.
                Errno::EACCES => worst = error,
                error => return Err(error),
            }
        }
        Err(worst)
    }
}

fn execve(path: &CStr, args: &[CString], env: &[CString]) -> Result<Infallible, Errno> {
    nix::unistd::execve(path, args, env)
}

/// Where a program may be: a name with a slash is a path.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let dirs = path.split(':').map(|dir| if dir.is_empty() { "." } else { dir });
    dirs.map(|dir| format!("{dir}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_on_the_path_in_order_and_a_path_is_not() {
        for (name, path, expected) in [
            ("sh", "/usr/bin:/bin", vec!["/usr/bin/sh", "/bin/sh"]),
            ("sh", ":/bin", vec!["./sh", "/bin/sh"]),
            ("./sh", "/bin", vec!["./sh"]),
            ("/bin/sh", "", vec!["/bin/sh"]),
            ("", "/bin", vec![]),
        ] {
            assert_eq!(candidates(name, path), expected);
        }
    }
}
