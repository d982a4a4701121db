//! Becomes the container's program, or a command beside it, in the last moment of the process that libcontainer made for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::refusal::Refusal;
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
        let Some(filter) = &self.filter else {
            return give_up_if_not_root();
        };
        if no_new_privileges {
            give_up_if_not_root()?;
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
        rustix::thread::set_capabilities(None, sets).map_err(errno)?;
        give_up_if_not_root()
    }
}

/// Executing takes a user's capabilities away, and asks before whether he may: with them, he might.
fn give_up_if_not_root() -> Result<(), Errno> {
    let errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut sets = rustix::thread::capabilities(None).map_err(errno)?;
    sets.effective = CapabilitySet::empty();
    sets.permitted = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, sets).map_err(errno)
}

/// What a command shares with a container.
pub(super) struct Joining {
    /// The list of a control group, open for writing: that of the command and all that it starts.
    pub(super) group: File,
    /// The container's first process, held fast before anything was looked up by its number.
    pub(super) init: OwnedFd,
}

impl Executor for Program {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        if let Some(joining) = &self.joining {
            joining
                .check()
                .map_err(|text| ExecutorError::Other(text.into()))?;
        }
        let Err(refusal) = self.execute();
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
    fn execute(&self) -> Result<Infallible, Refusal> {
        let unfit = |what: &'static str| move |error| Refusal::before(what, error);
        sys::default_signals().map_err(unfit("resetting signals"))?;
        SigSet::empty()
            .thread_set_mask()
            .map_err(unfit("resetting signals"))?;
        let strings = |words: &[String]| {
            let words = words.iter().map(|word| CString::new(word.as_bytes()));
            words.collect::<Result<Vec<_>, _>>().map_err(|_| Errno::EINVAL)
        };
        let words = |words: &[String]| strings(words).map_err(unfit("its arguments and its environment"));
        let (args, env) = (words(&self.args)?, words(&self.env)?);
        // The kernel would close what is left of the machine's, directories among it, once it has found the program, and
        // `/proc/self/fd` would lead there, and out of the container, until then: the name of a program is anybody's.
        sys::close_all_but(self.status.as_raw_fd()).map_err(unfit("closing what is the machine's"))?;
        let name = self.args.first().map(String::as_str).unwrap_or_default();
        let path = self
            .env
            .iter()
            .find_map(|variable| variable.strip_prefix("PATH="));
        let path = path.unwrap_or_default();
        self.confined.enter().map_err(unfit("confining it"))?;
        let mut worst = None;
        for candidate in candidates(name, path) {
            let file = CString::new(candidate.as_str()).map_err(|_| unfit("its name")(Errno::EINVAL))?;
            let Err(error) = nix::unistd::execve::<CString, CString>(&file, &args, &env);
            let file = Path::new(&candidate);
            match error {
                // It is there, and something else is not.
                Errno::ENOENT | Errno::ENOTDIR if fs::metadata(file).is_ok() => {}
                Errno::ENOENT | Errno::ENOTDIR => continue,
                // Another further on may be meant.
                Errno::EACCES => {}
                error => return Err(Refusal::of_file(file, error)),
            }
            worst.get_or_insert_with(|| Refusal::of_file(file, error));
        }
        Err(worst.unwrap_or_else(|| Refusal::nowhere(name, path)))
    }
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
