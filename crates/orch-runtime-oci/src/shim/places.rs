//! Whether a container's mounts and its working directory fit in its root. libcontainer finds that out too, and says no
//! more than that a system call has failed.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::Value;

use crate::record::{self, ContainerDir};

/// The specification, as far as it is of interest here.
#[derive(Deserialize)]
struct Spec {
    process: Process,
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Process {
    cwd: String,
    #[serde(default, rename = "apparmorProfile")]
    app_armor: Option<String>,
}

#[derive(Deserialize)]
struct Mount {
    destination: String,
    source: String,
    r#type: String,
}

/// The root is mounted, and nothing in it. An error is a sentence for whoever asked; what cannot be known before it is
/// tried is none.
pub(super) fn check(dir: &ContainerDir, spec: &Value) -> Result<(), String> {
    let Spec { process, mounts } =
        Spec::deserialize(spec).map_err(|error| format!("reading its specification: {error}"))?;
    let root = dir.rootfs();
    for (number, mount) in mounts.iter().enumerate() {
        let Mount {
            destination, source, ..
        } = mount;
        if mount.r#type != "bind" || covering(&mounts[..number], destination).is_some() {
            continue;
        }
        let is_directory = fs::metadata(source).is_ok_and(|meta| meta.is_dir());
        let refused = |why: &str| Err(format!("mounting {source} at {destination}: {why}"));
        match look(&root, destination) {
            Found::Directory if !is_directory => {
                return refused("there is a directory, and what is mounted is none");
            }
            Found::Other if is_directory => {
                return refused("there is no directory, and what is mounted is one");
            }
            Found::NotBelow => return refused("what is above it is not a directory"),
            _ => {}
        }
    }
    let cwd = &process.cwd;
    let found = match covering(&mounts, cwd) {
        None => look(&root, cwd),
        Some((mount, below)) => match mount.r#type.as_str() {
            "bind" => look(Path::new(&mount.source), below),
            // A new one has nothing in it.
            "tmpfs" if !below.is_empty() => Found::Nothing,
            _ => Found::Unknown,
        },
    };
    match found {
        Found::Directory | Found::Unknown => Ok(()),
        Found::Nothing => Err(format!("its working directory {cwd}: {}", desc(Errno::NOENT))),
        Found::Other | Found::NotBelow => {
            Err(format!("its working directory {cwd}: {}", desc(Errno::NOTDIR)))
        }
    }
}

/// As libcontainer says what failed, with what of that it may be about.
pub(super) fn explain(dir: &ContainerDir, said: String) -> String {
    let spec: Option<Spec> = record::read(&dir.spec()).ok().flatten();
    let Some(spec) = spec else { return said };
    if said.ends_with("failed to unix syscall") {
        return format!("{said} (its working directory is {})", spec.process.cwd);
    }
    if let (true, Some(profile)) = (said.ends_with("failed apparmor"), spec.process.app_armor) {
        return format!(
            "it cannot run under the AppArmor profile {profile:?}, which is loaded no longer, or refused by the kernel"
        );
    }
    if said.ends_with("failed to prepare rootfs") {
        if let Some(why) = spec.mounts.iter().find_map(unmountable) {
            return why;
        }
        let bound = spec.mounts.iter().filter(|mount| mount.r#type == "bind");
        let bound: Vec<_> = bound.map(|mount| mount.destination.as_str()).collect();
        return format!("{said} (mounted there are {})", bound.join(", "));
    }
    said
}

/// Why a place of the machine cannot be shown, as far as that is to be seen from outside the container.
fn unmountable(mount: &Mount) -> Option<String> {
    let target = &mount.destination;
    if mount.r#type != "bind" {
        return None;
    }
    // What is shown to users of a pod's own comes from what is open, not from a place.
    let is_place = !mount.source.starts_with("/proc/");
    if is_place && matches!(Path::new(&mount.source).try_exists(), Ok(false)) {
        return Some(format!(
            "what is to be mounted at {target} is there no more: {}; make it again, and then a new attempt",
            mount.source
        ));
    }
    let is_kernels = ["/proc/", "/sys/"].iter().any(|place| target.starts_with(place));
    // The kernel's file systems look alike wherever they are mounted, but for processes.
    (is_kernels && matches!(Path::new(target).try_exists(), Ok(false))).then(|| {
        format!("nothing can be mounted at {target}: the kernel has no such file, and none can be made there")
    })
}

fn desc(error: Errno) -> &'static str {
    nix::errno::Errno::from_raw(error.raw_os_error()).desc()
}

/// The mount that a path is in, of those made before, and the rest of the path below it.
fn covering<'a>(mounts: &'a [Mount], path: &'a str) -> Option<(&'a Mount, &'a str)> {
    let below = |mount: &'a Mount| {
        let rest = Path::new(path).strip_prefix(&mount.destination).ok()?;
        Some((mount, rest.to_str()?))
    };
    mounts.iter().rev().find_map(below)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Directory,
    Other,
    Nothing,
    /// Something above it is no directory.
    NotBelow,
    /// A link is on the way: where it leads depends on what is mounted there.
    Unknown,
}

fn look(root: &Path, path: &str) -> Found {
    let path = Path::new(path);
    let path = path.strip_prefix("/").unwrap_or(path);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let stat = if path.as_os_str().is_empty() {
        rustix::fs::statat(CWD, root, rustix::fs::AtFlags::empty())
    } else {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let opened = open(root, flags, Mode::empty());
        let opened = opened.and_then(|root| openat2(root, path, flags, Mode::empty(), resolve));
        opened.and_then(fstat)
    };
    match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => Found::Directory,
        Ok(_) => Found::Other,
        Err(Errno::NOENT) => Found::Nothing,
        Err(Errno::NOTDIR) => Found::NotBelow,
        Err(_) => Found::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_link_is_not_known() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("/a", root.join("link")).unwrap();
        for (path, expected) in [
            ("", Found::Directory),
            ("/", Found::Directory),
            ("/a/b", Found::Directory),
            ("a/file", Found::Other),
            ("/a/file/x", Found::NotBelow),
            ("/a/none/x", Found::Nothing),
            ("/link/none", Found::Unknown),
            ("/link", Found::Unknown),
        ] {
            assert_eq!(look(root, path), expected, "{path:?}");
        }
    }

    #[test]
    fn the_last_mount_above_a_path_is_what_it_is_in() {
        let mount = |destination: &str| Mount {
            destination: destination.into(),
            source: destination.into(),
            r#type: "bind".into(),
        };
        let mounts = [mount("/data"), mount("/data/deep"), mount("/tmp")];
        for (path, expected) in [
            ("/data/deep/x/y", Some(("/data/deep", "x/y"))),
            ("/data/other", Some(("/data", "other"))),
            ("/tmp", Some(("/tmp", ""))),
            ("/database", None),
        ] {
            let found = covering(&mounts, path).map(|(mount, rest)| (mount.source.as_str(), rest));
            assert_eq!(found, expected, "{path}");
        }
    }
}
