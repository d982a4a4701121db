//! What AppArmor lets containers do, where the kernel has it.
//!
//! A profile is loaded on the machine and known by its name; libcontainer asks the kernel for it as the last thing before
//! the program is executed, for commands in a container as well.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orch_core::runtime::{AppArmorProfile, RuntimeError, Security};
use parking_lot::Mutex;

use crate::invalid;

/// The profile that containers have unless they ask for another.
pub(crate) const DEFAULT: &str = "orch-default";

const FIELD: &str = "security.app_armor";
const CONFINED_BY: &str = "@CONFINED_BY@";

/// AppArmor as this machine has it.
#[derive(Debug)]
pub(crate) struct AppArmor {
    root: PathBuf,
    /// Two do not load the same at once. What was said of a machine that cannot is said once.
    loading: Mutex<bool>,
}

impl AppArmor {
    /// `root` is `/`.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            loading: Mutex::default(),
        }
    }

    /// The name of the profile that a container is to run under; none where it needs none.
    ///
    /// [`RuntimeError::InvalidConfig`] if it asks for one that is not there.
    pub(crate) fn profile(&self, security: &Security) -> Result<Option<String>, RuntimeError> {
        match &security.app_armor {
            AppArmorProfile::Unconfined => Ok(None),
            AppArmorProfile::RuntimeDefault if security.privileged => Ok(None),
            AppArmorProfile::RuntimeDefault => self.default(),
            AppArmorProfile::Localhost(name) => self.named(name).map(Some),
            other => Err(invalid(FIELD, format!("{other:?} is not known here"))),
        }
    }

    fn named(&self, name: &str) -> Result<String, RuntimeError> {
        if name.is_empty() || name.trim() != name || name.contains(['\0', '\n']) {
            let reason = "is no profile's name: it must not be empty, begin or end with a space, or hold a new line or NUL";
            return Err(invalid(FIELD, format!("{name:?} {reason}")));
        }
        // The kubelet's words, the last of them an older one's.
        let refused = |why: &str| invalid(FIELD, format!("Cannot enforce AppArmor: {why}"));
        if !self.is_enabled() {
            return Err(refused("AppArmor is not enabled on the host"));
        }
        let loaded = self.loaded().map_err(|error| {
            let path = self.profiles();
            refused(&format!("{}: {error}; mount securityfs there", path.display()))
        })?;
        if !has(&loaded, name) {
            return Err(refused(&format!("profile {name:?} is not loaded")));
        }
        Ok(name.to_owned())
    }

    /// Ours, which is loaded if it is not: others may have removed it. A machine that has no AppArmor, or cannot load, is as
    /// good as one where containers are not confined by it: as with Docker and Kubernetes.
    fn default(&self) -> Result<Option<String>, RuntimeError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let mut was_said = self.loading.lock();
        let why = match self.loaded() {
            Ok(loaded) if has(&loaded, DEFAULT) => return Ok(Some(DEFAULT.into())),
            Ok(_) => match self.parser() {
                Some(parser) => {
                    let loaded = load(&parser, &self.text());
                    loaded.map_err(|error| {
                        RuntimeError::failed(format!("loading the AppArmor profile {DEFAULT}"), error)
                    })?;
                    return Ok(Some(DEFAULT.into()));
                }
                None => "there is no apparmor_parser to load a profile with".to_owned(),
            },
            Err(error) => format!("{}: {error}", self.profiles().display()),
        };
        if !std::mem::replace(&mut *was_said, true) {
            tracing::warn!(
                reason = why,
                "AppArmor does not confine containers on this machine"
            );
        }
        Ok(None)
    }

    fn is_enabled(&self) -> bool {
        let path = self.root.join("sys/module/apparmor/parameters/enabled");
        fs::read(path).is_ok_and(|text| text.first() == Some(&b'Y'))
    }

    fn profiles(&self) -> PathBuf {
        self.root.join("sys/kernel/security/apparmor/profiles")
    }

    /// A line for each: its name, and its mode in brackets.
    fn loaded(&self) -> std::io::Result<String> {
        fs::read_to_string(self.profiles())
    }

    fn parser(&self) -> Option<PathBuf> {
        let places = ["usr/sbin/apparmor_parser", "sbin/apparmor_parser"];
        let mut places = places.iter().map(|place| self.root.join(place));
        places.find(|path| path.is_file())
    }

    /// The profile's text. A program that is confined itself must still be able to look at its containers and end them.
    fn text(&self) -> String {
        let own = fs::read_to_string(self.root.join("proc/self/attr/apparmor/current"))
            .or_else(|_| fs::read_to_string(self.root.join("proc/self/attr/current")));
        let own = own.unwrap_or_default();
        // `name (mode)`.
        let own = own.trim_end_matches(['\n', '\0']);
        let own = own.rsplit_once(" (").map_or(own, |(name, _)| name);
        let is_name = !own.is_empty() && own != "unconfined" && !own.contains(['"', '\\', '\n']);
        let rule = match is_name {
            true => format!("signal (receive) peer=\"{own}\",\n  ptrace (readby) peer=\"{own}\","),
            false => String::new(),
        };
        include_str!("apparmor/default.profile").replace(CONFINED_BY, &rule)
    }
}

fn has(loaded: &str, name: &str) -> bool {
    let names = loaded
        .lines()
        .map(|line| line.rsplit_once(" (").map_or(line, |(name, _)| name));
    names.into_iter().any(|loaded| loaded == name)
}

/// Has the kernel take a profile, in place of one of its name.
fn load(parser: &Path, text: &str) -> std::io::Result<()> {
    let mut running = Command::new(parser)
        .args(["--skip-cache", "--replace"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // One that reads no further says why.
    let fed = running.stdin.take().map(|mut to| to.write_all(text.as_bytes()));
    let output = running.wait_with_output()?;
    if output.status.success() {
        return fed.unwrap_or(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(std::io::Error::other(format!(
        "{}: {}: {}",
        parser.display(),
        output.status,
        said.trim()
    )))
}

#[cfg(test)]
mod tests;
