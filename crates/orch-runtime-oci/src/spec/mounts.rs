//! What is mounted in a container above its root.

use std::path::Path;

use orch_core::runtime::ContainerConfig;
use serde_json::{Value, json};

use super::Places;

/// Directories of the machine that are not the container's: it has its own, empty.
const FRESH: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

pub(super) fn mounts(config: &ContainerConfig, places: Places<'_>) -> Vec<Value> {
    let sys: &[&str] = match config.security.privileged {
        true => &["nosuid", "noexec", "nodev"],
        false => &["nosuid", "noexec", "nodev", "ro"],
    };
    let mut mounts = vec![
        made("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        made(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        made(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        json!({
            "destination": "/dev/shm",
            "type": "bind",
            "source": places.shm,
            "options": ["bind", "rprivate", "nosuid", "noexec", "nodev"],
        }),
        made("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        made("/sys", "sysfs", sys),
    ];
    if places.is_host {
        hide(&mut mounts, places.state);
    }
    let bound = |source: &Path, target: &Path, read_only: bool| {
        let options = ["rbind", "rprivate", if read_only { "ro" } else { "rw" }];
        json!({"destination": target, "type": "bind", "source": source, "options": options})
    };
    mounts.push(bound(places.hosts, Path::new("/etc/hosts"), false));
    mounts.push(bound(places.resolv_conf, Path::new("/etc/resolv.conf"), false));
    let hostname = places.hostname.iter();
    mounts.extend(hostname.map(|source| bound(source, Path::new("/etc/hostname"), false)));
    let given = config.mounts.iter();
    mounts.extend(given.map(|mount| bound(&mount.source, &mount.target, mount.read_only)));
    mounts
}

fn made(target: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": target, "type": kind, "source": kind, "options": options})
}

/// Covers what is not a container's own in the machine's root.
fn hide(mounts: &mut Vec<Value>, state: &Path) {
    for path in FRESH {
        let mode = if path == "/run" { "mode=755" } else { "mode=1777" };
        mounts.push(made(path, "tmpfs", &["nosuid", "nodev", mode]));
    }
    mounts.extend(cover(state));
}

/// What this runtime keeps, the logs and files of all other containers, is none of a container's business. None where it is
/// out of sight as it is.
fn cover(state: &Path) -> Option<Value> {
    let options = ["nosuid", "nodev", "noexec", "ro", "mode=700"];
    let is_covered = FRESH.iter().any(|path| state.starts_with(path));
    (!is_covered).then(|| made(&state.to_string_lossy(), "tmpfs", &options))
}

/// Has the mounts of a container, made when the state directory was in one place, be those of a state directory in another.
pub(crate) fn follow(mounts: &mut Vec<Value>, is_host: bool, (from, to): (&Path, &Path)) {
    if is_host {
        let old = cover(from);
        mounts.retain(|mount| Some(mount) != old.as_ref());
        let last = FRESH.last().copied().unwrap_or_default();
        let fresh = mounts
            .iter()
            .position(|mount| mount["type"] == "tmpfs" && mount["destination"] == last);
        let after = fresh.map_or(mounts.len(), |place| place + 1);
        mounts.splice(after..after, cover(to));
    }
    for mount in mounts {
        let source = mount["source"].as_str().map(Path::new);
        let within = source.and_then(|source| source.strip_prefix(from).ok());
        if let Some(moved) = within
            .filter(|_| mount["type"] == "bind")
            .map(|rest| to.join(rest))
        {
            mount["source"] = json!(moved);
        }
    }
}
