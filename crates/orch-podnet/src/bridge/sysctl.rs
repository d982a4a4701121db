//! Kernel settings of the network namespace that the thread is in.

use std::fs;
use std::io;
use std::path::Path;

use orch_core::runtime::RuntimeError;

use super::NAME;

const ROOT: &str = "/proc/sys/net";

/// Refuses a machine whose settings cannot be written, before anything is made on it.
pub(super) fn writable() -> Result<(), RuntimeError> {
    let path = Path::new(ROOT).join("ipv4/ip_forward");
    match rustix::fs::access(&path, rustix::fs::Access::WRITE_OK) {
        Err(error) => Err(unwritable(
            &path,
            "1",
            read("ipv4/ip_forward").as_deref().unwrap_or_default(),
            error.into(),
        )),
        Ok(()) => Ok(()),
    }
}

/// Sets `name` below `/proc/sys/net` unless it is so; whether it was not.
pub(super) fn set(name: &str, value: &str) -> Result<bool, RuntimeError> {
    let path = Path::new(ROOT).join(name);
    let now = fs::read_to_string(&path)
        .map_err(|error| RuntimeError::failed(format!("reading {}", path.display()), error))?;
    if now.trim() == value {
        return Ok(false);
    }
    fs::write(&path, value)
        .map(|()| true)
        .map_err(|error| unwritable(&path, value, now.trim(), error))
}

fn unwritable(path: &Path, value: &str, now: &str, error: io::Error) -> RuntimeError {
    let name = path.display();
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => RuntimeError::Unavailable {
            runtime: NAME,
            reason: format!(
                "{name} is {now} and must become {value}, and cannot be written ({error}): in a container, have \
                 /proc/sys writable"
            ),
        },
        _ => RuntimeError::failed(format!("writing {value} to {name}"), error),
    }
}

/// Has the machine forward packets between its links.
///
/// A machine that forwards IPv6 no longer takes routes that its routers announce, its own default route among them,
/// unless told to: links that did are told so first.
pub(super) fn forward(v4: bool, v6: bool) -> Result<(), RuntimeError> {
    if v4 && set("ipv4/ip_forward", "1")? {
        tracing::info!(
            setting = "net.ipv4.ip_forward",
            "the machine forwards IPv4 packets from now on"
        );
    }
    let all = "ipv6/conf/all/forwarding";
    if v6 && read(all).as_deref() != Some("1") {
        for link in names("ipv6/conf") {
            let accepts = format!("ipv6/conf/{link}/accept_ra");
            if read(&accepts).as_deref() == Some("1") {
                set(&accepts, "2")?;
            }
        }
        set(all, "1")?;
        tracing::info!(
            setting = "net.ipv6.conf.all.forwarding",
            "the machine forwards IPv6 packets from now on"
        );
    }
    Ok(())
}

/// A setting's value, if there is such a setting.
pub(super) fn read(name: &str) -> Option<String> {
    let value = fs::read_to_string(Path::new(ROOT).join(name)).ok()?;
    Some(value.trim().to_owned())
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
