//! Whether pods can have users of their own on this machine, and if not, why.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use orch_core::runtime::RuntimeError;
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::{COUNT, Pool, Span};
use crate::sys;

pub(crate) struct Support {
    /// Why there can be no such pods, in words that follow `does not support`.
    trouble: Option<String>,
    /// Files of the state directory can be shown as those of other users.
    shown: OnceLock<()>,
}

impl Support {
    /// `possible`: the kernel has all that it takes.
    pub(crate) fn find(possible: bool, pool: Pool) -> Self {
        let trouble = match possible {
            true => ["uid_map", "gid_map"].into_iter().find_map(|file| {
                // Without it there are no user namespaces, and so none that this program could be in.
                let map = fs::read_to_string(format!("/proc/self/{file}")).ok()?;
                let lacking = lacking(&map, pool.span())?;
                Some(format!(
                    "users of a sandbox's own (user_namespace) here: {lacking} (/proc/self/{file}); give it more, or name a \
                     range that it has with OciOptions::user_ranges"
                ))
            }),
            false => Some(
                "users of a sandbox's own (user_namespace) on this machine: it takes Linux 5.19 with user namespaces"
                    .into(),
            ),
        };
        Self {
            trouble,
            shown: OnceLock::new(),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.trouble.is_none()
    }

    pub(crate) fn check(&self) -> Result<(), RuntimeError> {
        let trouble = self.trouble.clone();
        trouble.map_or(Ok(()), |words| Err(unsupported(words)))
    }

    /// Tries, until it has worked once, whether what is below a directory can be shown to the users of a namespace as theirs.
    pub(crate) fn try_to_show(&self, directory: &Path, users: impl AsFd) -> Result<(), RuntimeError> {
        if self.shown.get().is_some() {
            return Ok(());
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, directory, flags);
        let tree = tree.map_err(|error| Errno::from_raw(error.raw_os_error()));
        match tree.and_then(|tree| sys::map_owners(&tree, users, false)) {
            Ok(()) => {
                let _ = self.shown.set(());
                Ok(())
            }
            Err(Errno::EINVAL | Errno::EPERM) => {
                let kind = file_system(directory).unwrap_or_else(|_| "which is not known".into());
                Err(unsupported(format!(
                    "users of a sandbox's own (user_namespace) with its state in {}: its file system, {kind}, cannot show \
                     files as those of other users; open the runtime with a directory on ext4, xfs, btrfs or (from Linux 6.3 \
                     on) tmpfs, or set hostUsers: true",
                    directory.display()
                )))
            }
            Err(error) => Err(RuntimeError::failed(
                format!("showing {} as other users'", directory.display()),
                io::Error::from(error),
            )),
        }
    }
}

fn unsupported(words: impl Into<Cow<'static, str>>) -> RuntimeError {
    RuntimeError::Unsupported {
        runtime: crate::NAME,
        what: words.into(),
    }
}

/// What this program has not of users that it is to give, by a map of its own (user_namespaces(7)).
fn lacking(map: &str, wanted: Span) -> Option<String> {
    let mut has: Vec<Span> = map
        .lines()
        .filter_map(|line| {
            let fields: Vec<u64> = line
                .split_whitespace()
                .filter_map(|field| field.parse().ok())
                .collect();
            match fields[..] {
                [first, _, count] => Some((first, first + count)),
                _ => None,
            }
        })
        .collect();
    has.sort_unstable();
    let mut reached = wanted.0;
    for (first, end) in &has {
        if *first <= reached {
            reached = reached.max(*end);
        }
    }
    let words = |(first, end): &Span| format!("{first} to {}", end - 1);
    (reached < wanted.1).then(|| {
        let all: Vec<_> = has.iter().filter(|(first, end)| first < end).map(words).collect();
        let all = match &all[..] {
            [] => "none".to_owned(),
            all => all.join(" and "),
        };
        format!(
            "pods are to have {} of its users, {COUNT} each, and this program, which is in a user namespace itself, has {all}",
            words(&wanted)
        )
    })
}

/// The kind of file system that a directory is in, as the kernel calls it.
fn file_system(directory: &Path) -> io::Result<String> {
    let opened: File = open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into();
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", opened.as_raw_fd()))?;
    let id = about.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    kind_of_mount(&mounts, id.unwrap_or_default().trim())
        .map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// In the third word after those that are optional (proc_pid_mountinfo(5)).
fn kind_of_mount<'a>(mounts: &'a str, id: &str) -> Option<&'a str> {
    let mut lines = mounts.lines();
    let line = lines.find(|line| line.split(' ').next() == Some(id))?;
    line.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_that_are_to_be_given_must_be_ones_own() {
        let whole = "         0          0 4294967295\n";
        let two = "0 1000 1\n65536 100000 65536\n131072 300000 65536\n";
        for (map, wanted, expected) in [
            (whole, (65_536, 7_274_496), None),
            (two, (65_536, 196_608), None),
            (two, (65_536, 196_609), Some("65536 to 196608")),
            (
                two,
                (196_608, 262_144),
                Some("has 0 to 0 and 65536 to 131071 and 131072 to 196607"),
            ),
            ("0 100000 65536\n", (65_536, 131_072), Some("has 0 to 65535")),
            ("", (65_536, 131_072), Some("has none")),
        ] {
            let lacking = lacking(map, wanted);
            match expected {
                None => assert_eq!(lacking, None, "{map}"),
                Some(expected) => assert!(
                    lacking.as_ref().is_some_and(|all| all.contains(expected)),
                    "{lacking:?}"
                ),
            }
        }
    }

    #[test]
    fn the_kind_of_a_mount_stands_after_what_is_optional() {
        let mounts = "22 27 0:21 / / rw shared:1 master:2 - ext4 /dev/vda rw\n2 22 0:22 / /a\\040-\\040b rw - ramfs none rw\n";
        assert_eq!(kind_of_mount(mounts, "22"), Some("ext4"));
        assert_eq!(kind_of_mount(mounts, "2"), Some("ramfs"));
        assert_eq!(kind_of_mount(mounts, "9"), None);
        assert!(file_system(Path::new("/proc")).is_ok_and(|kind| kind == "proc"));
    }
}
