//! How containers are confined: capabilities, privileges and system calls.

use std::collections::HashMap;
use std::sync::Arc;

use orch_core::runtime::{RuntimeError, SeccompProfile, Security};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::invalid;
use crate::seccomp::{self, Subject};
use crate::spec::{Capabilities, Machine};
use crate::sys::Filter;

/// What a shim has to see to in the end, because libcontainer does not, or too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    pub(crate) capabilities: Capabilities,
    /// Programs cannot gain privileges that their parents lack.
    pub(crate) no_new_privileges: bool,
    /// There is a filter of system calls, in a file of its own.
    pub(crate) filtered: bool,
}

impl Confinement {
    /// The capabilities that the program is to be set up with, by libcontainer, if what is too many goes at the end.
    pub(crate) fn until_then(self) -> Capabilities {
        if self.filtered && !self.no_new_privileges {
            self.capabilities.for_loading()
        } else {
            self.capabilities
        }
    }
}

/// Compiled filters, each once: compiling takes longer than starting a container.
#[derive(Default)]
pub(crate) struct Filters(Mutex<HashMap<(String, Capabilities), Arc<Filter>>>);

impl Filters {
    /// How a container is to be confined, with its filter.
    pub(crate) fn confine(
        &self,
        security: &Security,
        machine: &Machine,
    ) -> Result<(Confinement, Option<Arc<Filter>>), RuntimeError> {
        let capabilities = Capabilities::of(security, machine)?;
        let filter = match &security.seccomp {
            _ if security.privileged => None,
            SeccompProfile::Unconfined => None,
            SeccompProfile::RuntimeDefault => Some(self.filter(seccomp::DEFAULT, capabilities, machine)?),
            SeccompProfile::Localhost(path) => {
                let refused =
                    |reason: String| invalid("security.seccomp", format!("{}: {reason}", path.display()));
                if !path.is_absolute() {
                    return Err(refused("must be an absolute path".into()));
                }
                let profile = std::fs::read_to_string(path);
                let profile = profile
                    .map_err(|error| refused(format!("{error}; it must be a profile in Docker's format")))?;
                let filter = self.filter(&profile, capabilities, machine);
                Some(filter.map_err(|error| refused(error.to_string()))?)
            }
            other => {
                return Err(invalid(
                    "security.seccomp",
                    format!("{other:?}: must be RuntimeDefault, Unconfined or Localhost"),
                ));
            }
        };
        let confinement = Confinement {
            capabilities,
            no_new_privileges: security.allow_privilege_escalation == Some(false),
            filtered: filter.is_some(),
        };
        Ok((confinement, filter))
    }

    fn filter(
        &self,
        profile: &str,
        capabilities: Capabilities,
        machine: &Machine,
    ) -> Result<Arc<Filter>, RuntimeError> {
        /// Whoever uses more profiles than this compiles some of them again.
        const MOST: usize = 64;
        let key = (profile.to_owned(), capabilities);
        let mut known = self.0.lock();
        if let Some(filter) = known.get(&key) {
            return Ok(filter.clone());
        }
        let (arch, native) = seccomp::ARCHITECTURE;
        let names = capabilities.names();
        let subject = Subject {
            arch,
            native,
            kernel: machine.kernel,
            capabilities: &names,
        };
        let filter = seccomp::resolve(profile, subject).and_then(|rules| seccomp::compile(&rules));
        let filter =
            Arc::new(filter.map_err(|error| RuntimeError::failed("compiling a seccomp profile", error))?);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, filter.clone());
        Ok(filter)
    }
}
