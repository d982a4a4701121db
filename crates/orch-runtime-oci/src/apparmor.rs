//! What AppArmor lets containers do, where the kernel has it.
//!
//! A profile is loaded on the machine and known by its name; libcontainer asks the kernel for it as the last thing before
//! the program is executed, for commands in a container as well.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use orch_core::runtime::{AppArmorProfile, RuntimeError, Security};
use parking_lot::Mutex;

use crate::image::digest::Digest;
use crate::invalid;

/// The profile that containers have unless they ask for another, with [`NAME`] where its name belongs.
const TEXT: &str = include_str!("apparmor/default.profile");
const NAME: &str = "@NAME@";

/// The profile's name. It tells the text, so that another program on the machine, with another version of this crate, loads
/// its own beside this one, and neither changes what the other's containers may do; and what is there under the name needs
/// not be loaded again.
static DEFAULT: LazyLock<String> =
    LazyLock::new(|| format!("orch-default-{}", &Digest::of(TEXT.as_bytes()).hex()[..8]));

const FIELD: &str = "security.app_armor";

/// AppArmor as this machine has it.
#[derive(Debug)]
pub(crate) struct AppArmor {
    root: PathBuf,
    /// Whether the kernel has it, which does not change while it runs.
    is_enabled: bool,
    state: Mutex<State>,
}

/// Held while the default is looked for and loaded, so that two do not load it at once.
#[derive(Debug, Default)]
struct State {
    /// That containers go unconfined is said once.
    has_warned: bool,
}

impl AppArmor {
    /// `root` is `/`.
    pub(crate) fn of(root: &Path) -> Self {
        let path = root.join("sys/module/apparmor/parameters/enabled");
        Self {
            root: root.to_owned(),
            is_enabled: fs::read(path).is_ok_and(|text| text.first() == Some(&b'Y')),
            state: Mutex::default(),
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
            other => Err(invalid(
                FIELD,
                format!("{other:?}: must be RuntimeDefault, Unconfined or Localhost"),
            )),
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
            return Err(refused(&format!(
                "AppArmor is not enabled on the host, so there is no profile {name:?}; enable it, or ask for none"
            )));
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
        let mut state = self.state.lock();
        let why = match self.loaded() {
            Ok(loaded) if has(&loaded, &DEFAULT) => return Ok(Some(DEFAULT.clone())),
            Ok(_) => match self.parser() {
                Some(parser) => {
                    let loaded = load(&parser, &text());
                    loaded.map_err(|error| {
                        RuntimeError::failed(format!("loading the AppArmor profile {}", *DEFAULT), error)
                    })?;
                    return Ok(Some(DEFAULT.clone()));
                }
                None => "there is no apparmor_parser to load a profile with".to_owned(),
            },
            Err(error) => format!("{}: {error}", self.profiles().display()),
        };
        if !std::mem::replace(&mut state.has_warned, true) {
            tracing::warn!(
                reason = why,
                "AppArmor does not confine containers on this machine"
            );
        }
        Ok(None)
    }

    /// Whether the kernel has it: a profile can be enforced.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
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
}

/// The default profile, as the parser reads it.
fn text() -> String {
    TEXT.replace(NAME, &DEFAULT)
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
