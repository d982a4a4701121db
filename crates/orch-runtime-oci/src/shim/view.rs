//! Leaves out of a mount namespace what a container is not made of.
//!
//! A container's mount namespace is a copy of this one, and libcontainer reads the list of its mounts: up to a dozen times for
//! each container, and a machine with many pods has hundreds.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use rustix::process::{chdir, pivot_root};

/// To leave out fewer would cost more than it saves.
const WORTH: usize = 64;

/// What is needed of the machine.
#[derive(Clone, Debug)]
pub(super) enum Needed {
    /// A place, and nothing that is mounted below it.
    Place(PathBuf),
    /// With all that is mounted below it.
    Tree(PathBuf),
}

impl Needed {
    /// Whether a mount is needed for it: one that it is in, or that is in it.
    fn needs(&self, mount: &Path) -> bool {
        match self {
            Self::Place(path) => path.starts_with(mount),
            Self::Tree(path) => path.starts_with(mount) || mount.starts_with(path),
        }
    }
}

/// In a mount namespace of this process's own, in which nothing spreads to others. Everything that is needed is where it was.
/// Where that cannot be done (on an initial ramdisk, or in a root that is no mount) all stays as it is. `free` is a directory
/// that nobody needs.
pub(super) fn narrow(needed: impl FnOnce() -> Vec<Needed>, free: &Path) -> io::Result<()> {
    let list = fs::read("/proc/thread-self/mountinfo")?;
    let mounts = mount_points(&list);
    if mounts.len() < WORTH {
        return Ok(());
    }
    let needed = needed();
    let kept = kept(&mounts, &needed);
    if mounts.len() < kept.len() + WORTH {
        return Ok(());
    }
    let mut attached = false;
    let Err(error) = rebuild(&kept, free, &mut attached) else {
        return Ok(());
    };
    tracing::debug!(%error, "all mounts of the machine stay in sight");
    if attached {
        unmount(free, UnmountFlags::DETACH)?;
    }
    Ok(())
}

fn rebuild(kept: &[&Path], free: &Path, attached: &mut bool) -> rustix::io::Result<()> {
    let clone = |path: &Path| {
        // What is only mounted when somebody looks is not to be looked at by this: who mounts it may take long, or be gone.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_NO_AUTOMOUNT;
        open_tree(CWD, path, flags)
    };
    let attach = |tree, at: &Path| move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
    let root = clone(Path::new("/"))?;
    let trees = kept.iter().map(|path| Ok((path, clone(path)?)));
    let trees: Vec<_> = trees.collect::<rustix::io::Result<_>>()?;
    attach(root, free)?;
    *attached = true;
    for (path, tree) in trees {
        attach(tree, &free.join(path.strip_prefix("/").unwrap_or(path)))?;
    }
    chdir(free)?;
    let pivoted = pivot_root(".", ".");
    if pivoted.is_ok() {
        // What was the root is on top of what is.
        unmount(".", UnmountFlags::DETACH)?;
    }
    chdir("/")?;
    pivoted
}

/// The mounts to keep but the root's, each after those that it is in.
fn kept<'a>(mounts: &'a [PathBuf], needed: &[Needed]) -> Vec<&'a Path> {
    let mounts = mounts.iter().map(PathBuf::as_path);
    let mut kept: Vec<_> = mounts
        .filter(|mount| *mount != "/" && needed.iter().any(|needed| needed.needs(mount)))
        .collect();
    kept.sort();
    // Of several in the same place, the one on top is what is found there.
    kept.dedup();
    kept
}

/// Where everything is mounted, of `/proc/PID/mountinfo`.
fn mount_points(list: &[u8]) -> Vec<PathBuf> {
    let lines = list.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points
        .map(|point| OsString::from_vec(plain(point)).into())
        .collect()
}

/// The kernel writes what would divide lines and words as a backslash and three octal digits.
fn plain(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        let digits = rest.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        text = if code.is_some() { &rest[3..] } else { rest };
    }
    plain
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

    use super::*;

    #[test]
    fn what_is_needed_is_kept_with_what_it_is_in_and_nothing_else() {
        let list = b"22 27 0:21 / / rw - ext4 /dev/vda rw\n\
            23 22 0:22 / /var rw - ext4 /dev/vdb rw\n\
            24 23 0:23 / /var/lib/with\\040space rw - tmpfs none rw\n\
            25 23 0:23 / /var/lib rw - tmpfs none rw\n\
            26 23 0:23 / /var/lib rw - tmpfs none rw\n\
            27 23 0:23 / /var/lib/deep/er rw - tmpfs none rw\n\
            28 23 0:23 / /variety rw - tmpfs none rw\n";
        let mounts = mount_points(list);
        let of = |needed: &[Needed]| -> Vec<String> {
            let kept = kept(&mounts, needed);
            kept.iter().map(|path| path.display().to_string()).collect()
        };
        let place = |path: &str| Needed::Place(path.into());
        let tree = |path: &str| Needed::Tree(path.into());
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&[place("/etc")]), [""; 0]);
        assert_eq!(of(&[place("/var/lib")]), ["/var", "/var/lib"]);
        assert_eq!(
            of(&[place("/var/lib/with space/x")]),
            ["/var", "/var/lib", "/var/lib/with space"]
        );
        assert_eq!(
            of(&[tree("/var/lib/deep")]),
            ["/var", "/var/lib", "/var/lib/deep/er"]
        );
        assert_eq!(of(&[tree("/")]).len(), 5);
        assert_eq!(plain(br"\134x\04"), br"\x\04");
    }

    /// Whether what follows can be tried; says so if not.
    fn possible() -> bool {
        use std::io::Write;
        let root = rustix::process::geteuid().is_root();
        if !root {
            let _ = writeln!(io::stderr(), "skipped: not root");
        }
        root
    }

    /// Does something on a thread in a mount namespace with eighty mounts of no use to anybody.
    fn among_strays<T: Send>(place: impl Fn(&str) -> PathBuf + Sync, work: impl FnOnce() -> T + Send) -> T {
        for number in 0..80 {
            fs::create_dir(place(&format!("m{number}"))).unwrap();
        }
        fs::create_dir(place("free")).unwrap();
        let in_a_namespace = || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
            mount_change("/", flags).unwrap();
            for number in 0..80 {
                let at = place(&format!("m{number}"));
                mount("none", &at, "tmpfs", MountFlags::empty(), c"size=4k").unwrap();
                fs::create_dir(at.join("below")).unwrap();
            }
            work()
        };
        std::thread::scope(|scope| scope.spawn(in_a_namespace).join().unwrap())
    }

    fn mounts() -> Vec<PathBuf> {
        mount_points(&fs::read("/proc/thread-self/mountinfo").unwrap())
    }

    #[test]
    fn what_is_needed_is_where_it_was_and_the_rest_is_not_to_be_seen() {
        if !possible() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::write(place("file"), "of the machine").unwrap();
        let seen = || {
            let inner = place("m7").join("below");
            mount("none", &inner, "tmpfs", MountFlags::empty(), c"size=4k").unwrap();
            fs::write(inner.join("file"), "below").unwrap();
            let needed = [Needed::Place("/proc".into()), Needed::Tree(place("m7"))];
            narrow(|| needed.into(), &place("free")).unwrap();
            let text = fs::read_to_string(inner.join("file")).unwrap();
            let others = fs::read_dir(place("m8")).unwrap().count();
            (
                mounts(),
                text,
                others,
                fs::read_to_string(place("file")).unwrap(),
                std::env::current_dir().unwrap(),
            )
        };
        let (mounts, text, others, file, cwd) = among_strays(place, seen);
        let mut expected = vec!["/".into(), "/proc".into(), place("m7"), place("m7").join("below")];
        // More may be mounted where processes are told of, or the place for temporary files be a mount of its own.
        expected.retain(|path| mounts.contains(path));
        assert_eq!(expected.len(), 4, "{mounts:?}");
        assert!(mounts.len() < 8, "{mounts:?}");
        assert_eq!(
            (text.as_str(), others, file.as_str()),
            ("below", 0, "of the machine")
        );
        assert_eq!(cwd, Path::new("/"));
    }

    #[test]
    fn what_is_mounted_when_somebody_looks_is_kept_as_it_is() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        use std::os::unix::process::CommandExt;
        if !possible() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::create_dir(place("auto")).unwrap();
        // Who mounts it is of another group, and never hears of it.
        let mut group = std::process::Command::new("sleep");
        let mut group = group.arg("3600").process_group(0).spawn().unwrap();
        let seen = || {
            let (read, write) = rustix::pipe::pipe().unwrap();
            let (fd, pgrp) = (write.as_raw_fd(), group.id());
            let options = format!("fd={fd},pgrp={pgrp},minproto=5,maxproto=5,direct");
            let options = std::ffi::CString::new(options).unwrap();
            mount("none", place("auto"), "autofs", MountFlags::empty(), &*options).ok()?;
            drop(read);
            let needed = [Needed::Place("/proc".into()), Needed::Tree(place("auto"))];
            narrow(|| needed.into(), &place("free")).unwrap();
            Some(mounts())
        };
        let mounts = among_strays(place, seen);
        group.kill().unwrap();
        group.wait().unwrap();
        let Some(mounts) = mounts else {
            let _ = writeln!(io::stderr(), "skipped: no autofs here");
            return;
        };
        assert!(mounts.contains(&place("auto")), "{mounts:?}");
        assert!(mounts.len() < 8, "{mounts:?}");
    }
}
