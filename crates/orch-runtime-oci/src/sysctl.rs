//! A pod's kernel settings: only those that the kernel keeps for each of the pod's namespaces, as Kubernetes has it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use orch_core::runtime::{RuntimeError, SandboxConfig};

use crate::invalid;
use crate::namespaces::{Kind, Shared};

/// Where a setting is. Both `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are names: the separator that comes first
/// is the one, so that the other can be in the name of a device.
fn place(name: &str) -> Option<PathBuf> {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = match name.find(['.', '/']) {
        Some(first) if name[first..].starts_with('.') => name.chars().map(swap).collect(),
        _ => name.to_owned(),
    };
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\n']);
    path.split('/').all(plain).then(|| path.into())
}

/// The namespace that a setting is kept for.
fn kind(place: &Path) -> Option<Kind> {
    let parts: Vec<_> = place.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        ["kernel", name] if name == "sem" || name.starts_with("shm") || name.starts_with("msg") => {
            Some(Kind::Ipc)
        }
        ["fs", "mqueue", _] => Some(Kind::Ipc),
        ["net", _, ..] => Some(Kind::Net),
        _ => None,
    }
}

/// Refuses what is not the pod's own to set.
pub(crate) fn check(config: &SandboxConfig, kinds: &[Kind]) -> Result<(), RuntimeError> {
    for name in config.sysctls.keys() {
        let refused = |reason: &str| Err(invalid("sysctls", format!("{name}: {reason}")));
        let Some(place) = place(name) else {
            return refused("must be a setting's name as sysctl has it, net.core.somaxconn for one");
        };
        match kind(&place) {
            Some(kind) if kinds.contains(&kind) => {}
            Some(_) => {
                return refused(
                    "the pod is on the machine's network, whose setting it would change; give pods a network of their own \
                     (OciOptions::network)",
                );
            }
            None => {
                return refused(
                    "is the whole machine's, or no setting at all; a pod may set kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* \
                     and, on a network of its own, net.*",
                );
            }
        }
    }
    Ok(())
}

/// One to be written.
pub(crate) struct Setting<'a> {
    name: &'a str,
    /// Below `/proc/sys`.
    place: PathBuf,
    pub(crate) value: &'a str,
}

impl Setting<'_> {
    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        Path::new("/proc/sys").join(&self.place)
    }

    pub(crate) fn refused(&self, error: &io::Error) -> RuntimeError {
        let Self { name, value, .. } = self;
        invalid("sysctls", format!("{name}={value}: {error}"))
    }
}

/// Writes one in the namespaces that the calling thread is in. The file is never made: a setting that is not there is an error.
pub(crate) fn write(file: &Path, value: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(value)
}

/// Those that the root of a pod with users of its own must write, for the machine's may not.
pub(crate) fn of_users(config: &SandboxConfig) -> impl Iterator<Item = Setting<'_>> {
    settings(config).filter_map(|(setting, kind)| (kind == Some(Kind::Ipc)).then_some(setting))
}

fn settings(config: &SandboxConfig) -> impl Iterator<Item = (Setting<'_>, Option<Kind>)> {
    config.sysctls.iter().map(|(name, value)| {
        let place = place(name).unwrap_or_default();
        let kind = kind(&place);
        (Setting { name, place, value }, kind)
    })
}

/// Sets them in the pod's namespaces, but for those that are its users'.
pub(crate) fn set(config: &SandboxConfig, shared: &Shared) -> Result<(), RuntimeError> {
    let is_set = |kind| shared.users().is_some() && kind == Some(Kind::Ipc);
    let settings: Vec<_> = settings(config).filter(|(_, kind)| !is_set(*kind)).collect();
    if settings.is_empty() {
        return Ok(());
    }
    let mut refused = None;
    let within = shared.within(|| {
        for (setting, _) in settings {
            if let Err(error) = write(&setting.file(), setting.value.as_bytes()) {
                refused = Some(setting.refused(&error));
                break;
            }
        }
        Ok(())
    });
    within.map_err(|error| RuntimeError::failed("entering the pod's namespaces", error))?;
    refused.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_a_file_and_never_out_of_the_place_for_them() {
        for (name, expected) in [
            ("net.core.somaxconn", Some("net/core/somaxconn")),
            ("net/core/somaxconn", Some("net/core/somaxconn")),
            (
                "net.ipv4.conf.eth0/100.forwarding",
                Some("net/ipv4/conf/eth0.100/forwarding"),
            ),
            (
                "net/ipv4/conf/eth0.100/forwarding",
                Some("net/ipv4/conf/eth0.100/forwarding"),
            ),
            ("net/../kernel/pid_max", None),
            ("net.//.kernel.pid_max", None),
            ("net..core", None),
            ("/net/core", None),
            ("net.core.", None),
            ("", None),
        ] {
            assert_eq!(place(name).as_deref(), expected.map(Path::new), "{name}");
        }
    }

    #[test]
    fn settings_of_the_machine_are_refused_by_name_and_reason() {
        let own = [Kind::Ipc, Kind::Uts, Kind::Net];
        for (name, kinds, expected) in [
            ("net.core.somaxconn", &own[..], None),
            ("net.core.somaxconn", &own[..2], Some("on the machine's network")),
            ("kernel.shm_rmid_forced", &own[..1], None),
            ("kernel.msgmax", &own[..1], None),
            ("kernel.sem", &own[..1], None),
            ("fs.mqueue.msg_max", &own[..1], None),
            ("kernel.semaphores", &own[..], Some("whole machine's")),
            ("kernel.pid_max", &own[..], Some("whole machine's")),
            ("kernel.shm.more", &own[..], Some("whole machine's")),
            ("fs.file-max", &own[..], Some("whole machine's")),
            ("vm.overcommit_memory", &own[..], Some("whole machine's")),
            ("net", &own[..], Some("whole machine's")),
            (
                "net/../kernel/pid_max",
                &own[..],
                Some("must be a setting's name"),
            ),
        ] {
            let config = SandboxConfig {
                sysctls: [(name.to_owned(), "1".to_owned())].into(),
                ..SandboxConfig::default()
            };
            match (check(&config, kinds), expected) {
                (Ok(()), None) => {}
                (Err(RuntimeError::InvalidConfig { field, reason }), Some(expected)) => {
                    assert_eq!(field, "sysctls");
                    assert!(reason.starts_with(name) && reason.contains(expected), "{reason}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
