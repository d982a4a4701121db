//! A group's files: what they say of what is used, and of what ran out of memory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::subgroups;

/// What the processes of a group use, together with those of the groups in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time, in nanoseconds.
    pub(crate) cpu_nanos: u64,
    /// Memory without what is in files that were not used lately: Kubernetes' working set.
    pub(crate) working_set: u64,
    /// Memory that is in no file.
    pub(crate) anonymous: Option<u64>,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
}

/// Where the files of a group are, by what they measure and limit; none where the machine cannot.
///
/// Everything here works on directories, whatever is mounted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// They are of version 2.
    pub(crate) unified: bool,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) cpuacct: Option<PathBuf>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    pub(crate) hugetlb: Option<PathBuf>,
    pub(crate) freezer: Option<PathBuf>,
}

impl Group {
    /// What is used now; none where the machine does not count processor time and memory.
    pub(crate) fn usage(&self) -> io::Result<Option<Usage>> {
        let (Some(cpu), Some(memory)) = (&self.cpuacct, &self.memory) else {
            return Ok(None);
        };
        let (usage, inactive, anonymous) = if self.unified {
            ("memory.current", "inactive_file", "anon")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file", "total_rss")
        };
        let cpu_nanos = if self.unified {
            let micros = keyed(&cpu.join("cpu.stat"), "usage_usec")?;
            micros.unwrap_or(0).saturating_mul(1000)
        } else {
            number(&cpu.join("cpuacct.usage"))?
        };
        let stat = memory.join("memory.stat");
        let used = number(&memory.join(usage))?;
        let pids = self.pids.as_ref().map(|dir| number(&dir.join("pids.current")));
        Ok(Some(Usage {
            cpu_nanos,
            working_set: used.saturating_sub(keyed(&stat, inactive)?.unwrap_or(0)),
            anonymous: keyed(&stat, anonymous)?,
            pids: pids.transpose()?,
        }))
    }

    /// How many of its processes, and of the groups in it that are there still, the kernel has killed because memory ran
    /// out, here or on the whole machine. None of a group that is gone.
    pub(crate) fn oom_kills(&self) -> io::Result<u64> {
        match &self.memory {
            Some(dir) if self.unified => kills(dir, "memory.events"),
            Some(dir) => kills_in_all(dir),
            None => Ok(0),
        }
    }

    /// Memory that is used and does not hold what is in files as well, which is all that can be taken back without swap.
    pub(super) fn memory_kept(&self, dir: &Path) -> io::Result<u64> {
        let (usage, names) = if self.unified {
            ("memory.current", ["inactive_file", "active_file"])
        } else {
            (
                "memory.usage_in_bytes",
                ["total_inactive_file", "total_active_file"],
            )
        };
        let stat = dir.join("memory.stat");
        let mut kept = number(&dir.join(usage))?;
        for name in names {
            kept = kept.saturating_sub(keyed(&stat, name)?.unwrap_or(0));
        }
        Ok(kept)
    }
}

/// Of version 1, where a group's own count leaves out those of the groups in it.
fn kills_in_all(dir: &Path) -> io::Result<u64> {
    let mut count = kills(dir, "memory.oom_control")?;
    for inner in subgroups(dir)? {
        count += kills_in_all(&inner)?;
    }
    Ok(count)
}

fn kills(dir: &Path, file: &str) -> io::Result<u64> {
    match keyed(&dir.join(file), "oom_kill") {
        Err(error) if is_gone(&error) => Ok(0),
        count => Ok(count?.unwrap_or(0)),
    }
}

/// Whether this says that a group is not there: removed before its file was opened, or since.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NODEV))
}

/// The number that is all of a file.
pub(super) fn number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| unreadable(path, &text))
}

/// The number behind a name in a file of `name number` lines.
pub(super) fn keyed(path: &Path, name: &str) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then_some(value)
    });
    value
        .map(|value| value.trim().parse().map_err(|_| unreadable(path, value)))
        .transpose()
}

fn unreadable(path: &Path, text: &str) -> io::Error {
    io::Error::other(format!("{}: {:?} is no number", path.display(), text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn all(dir: &tempfile::TempDir, unified: bool) -> Group {
        let dir = || Some(dir.path().to_owned());
        Group {
            unified,
            cpu: dir(),
            cpuacct: dir(),
            memory: dir(),
            pids: dir(),
            hugetlb: dir(),
            freezer: dir(),
        }
    }

    const V1: [(&str, &str); 5] = [
        ("cpuacct.usage", "1234567891\n"),
        ("memory.usage_in_bytes", "1000\n"),
        (
            "memory.stat",
            "cache 600\nrss 1\ninactive_file 1\ntotal_rss 500\ntotal_inactive_file 400\ntotal_active_file 50\n",
        ),
        (
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        ("pids.current", "3\n"),
    ];
    const V2: [(&str, &str); 5] = [
        ("cpu.stat", "usage_usec 1234567\nuser_usec 7\nsystem_usec 8\n"),
        ("memory.current", "1000\n"),
        (
            "memory.stat",
            "anon 500\nfile 600\ninactive_file 400\nactive_file 50\n",
        ),
        (
            "memory.events",
            "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
        ),
        ("pids.current", "3\n"),
    ];

    #[test]
    fn what_is_used_is_read_from_the_files_of_either_version() {
        for (files, unified, cpu_nanos) in [(V1, false, 1_234_567_891), (V2, true, 1_234_567_000)] {
            let dir = tree(&files);
            let mut group = all(&dir, unified);
            let expected = Usage {
                cpu_nanos,
                working_set: 600,
                anonymous: Some(500),
                pids: Some(3),
            };
            assert_eq!(group.usage().unwrap(), Some(expected));
            assert_eq!(group.oom_kills().unwrap(), 2);
            fs::create_dir_all(dir.path().join("a/b")).unwrap();
            for (inner, count) in [("a", 1), ("a/b", 5)] {
                let text = format!("oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n");
                fs::write(dir.path().join(inner).join("memory.oom_control"), text).unwrap();
            }
            // Version 2 has counted those in.
            assert_eq!(group.oom_kills().unwrap(), if unified { 2 } else { 8 });
            assert_eq!(group.memory_kept(dir.path()).unwrap(), 550);
            group.pids = None;
            let without = group.usage().unwrap().expect("it is counted");
            assert_eq!(
                without,
                Usage {
                    pids: None,
                    ..expected
                }
            );
            group.memory = None;
            assert_eq!((group.usage().unwrap(), group.oom_kills().unwrap()), (None, 0));
        }
    }

    #[test]
    fn of_a_group_that_is_gone_nothing_was_killed_and_its_use_is_not_known() {
        let dir = tree(&[]);
        for unified in [false, true] {
            let group = all(&dir, unified);
            assert_eq!(group.oom_kills().unwrap(), 0);
            assert!(is_gone(&group.usage().unwrap_err()));
        }
    }

    #[test]
    fn what_is_no_number_is_told_with_its_file() {
        let dir = tree(&[
            ("memory.events", "oom_kill many\n"),
            ("cpu.stat", "usage_usec 1\n"),
        ]);
        fs::write(dir.path().join("memory.current"), "max\n").unwrap();
        let group = all(&dir, true);
        for (error, words) in [
            (
                group.oom_kills().unwrap_err(),
                "memory.events: \"many\" is no number",
            ),
            (group.usage().unwrap_err(), "memory.current: \"max\" is no number"),
        ] {
            assert!(!is_gone(&error) && error.to_string().contains(words), "{error}");
        }
    }
}
