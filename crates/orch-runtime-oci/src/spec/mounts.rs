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
    // What this runtime keeps, the logs and files of all other containers, is none of a container's business.
    if !FRESH.iter().any(|path| state.starts_with(path)) {
        let target = state.to_string_lossy();
        let options = ["nosuid", "nodev", "noexec", "ro", "mode=700"];
        mounts.push(made(&target, "tmpfs", &options));
    }
}
