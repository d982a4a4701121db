//! Becomes the container's program, in the last moment of the process that libcontainer made for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::SigSet;

use crate::sys;

/// Ours, for what the library's own gets wrong: it says nothing of a program that cannot be executed, wants
/// programs to be executable by everyone, loses the order of variables, and hands on blocked signals.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    /// Closed by executing; if that fails, why is written to it.
    pub(super) status: Rc<File>,
}

impl Executor for Program {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let Err(error) = self.execute();
        let text = match self.args.first() {
            Some(name) => format!("{name}: {}", error.desc()),
            None => "there is no program".into(),
        };
        // Who reads it may be gone; then nobody asks.
        let _ = (&*self.status).write_all(text.as_bytes());
        Err(ExecutorError::Other(text))
    }

    /// The kernel knows best what can be executed.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// Handed to `execve` instead.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
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
