//! Control groups, in every hierarchy that the machine has: v1, v2 or both.

mod devices;
mod doors;
mod enter;
mod freezer;
mod group;
mod handing;
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::record::gone;

pub(crate) use self::devices::can_confine_devices;
pub(crate) use self::doors::Doors;
pub(crate) use self::group::{Group, is_gone};
pub(crate) use self::limits::Refused;

/// Where the machine has them.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// How often to look again at a group whose processes were killed and have not gone yet.
const PAUSE: Duration = Duration::from_millis(2);

/// What is said of a group that cannot be removed.
const BUSY: &str =
    "stays busy: its cgroup.procs names processes that are put there by somebody else, or cannot be killed";

/// Given up after about this long: a process in the midst of a call to a dead disk cannot be killed.
const PATIENCE: u32 = 5_000;

/// Where the hierarchies are mounted.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchies {
    mounts: Vec<PathBuf>,
    /// The one of version 2 among them.
    v2: Option<PathBuf>,
    /// Which of them measures and limits what. On hybrid machines that is never the one of version 2, in which
    /// containers have no groups there.
    controllers: BTreeMap<String, PathBuf>,
    /// There is no other than version 2.
    pub(crate) unified: bool,
}

impl Hierarchies {
    pub(crate) fn find() -> io::Result<Self> {
        let mut found = Self::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        if let (true, Some(mount)) = (found.unified, found.mounts.first()) {
            let names = fs::read_to_string(mount.join("cgroup.controllers"))?;
            let names = names.split_whitespace().map(str::to_owned);
            found.controllers = names.map(|name| (name, mount.clone())).collect();
        }
        Ok(found)
    }

    fn parse(mountinfo: &str) -> Self {
        let (mut mounts, mut v2, mut controllers) = (Vec::new(), None, BTreeMap::new());
        for line in mountinfo.lines() {
            let Some((before, after)) = line.split_once(" - ") else {
                continue;
            };
            let (Some(target), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
                continue;
            };
            // A part of a hierarchy mounted elsewhere is no place for groups of ours.
            let whole = before.split(' ').nth(3) == Some("/");
            if whole && matches!(kind, "cgroup" | "cgroup2") && target.starts_with(ROOT) {
                let options = after.rsplit(' ').next().unwrap_or_default();
                if kind == "cgroup2" {
                    v2 = Some(PathBuf::from(target));
                } else if !options.split(',').any(|option| option.starts_with("name=")) {
                    // Among them are options that are no controllers, which nobody asks for.
                    let names = options.split(',').map(str::to_owned);
                    controllers.extend(names.map(|name| (name, PathBuf::from(target))));
                }
                mounts.push(PathBuf::from(target));
            }
        }
        Self {
            unified: v2.as_deref() == Some(Path::new(ROOT)),
            mounts,
            v2,
            controllers,
        }
    }

    /// Whether there is something that measures and limits this.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.contains_key(controller)
    }

    /// Whether the processes of a group can be made to stand still.
    pub(crate) fn can_freeze(&self) -> bool {
        self.unified || self.has("freezer")
    }

    /// Where the files of a group are.
    pub(crate) fn group(&self, group: &str) -> Group {
        let name = group.trim_start_matches('/');
        let dir = |controller: &str| Some(self.controllers.get(controller)?.join(name));
        Group {
            unified: self.unified,
            cpu: dir("cpu"),
            // In version 2 what is used is counted without a controller for it.
            cpuacct: if self.unified {
                self.at(group).next()
            } else {
                dir("cpuacct")
            },
            memory: dir("memory"),
            pids: dir("pids"),
            hugetlb: dir("hugetlb"),
            // In version 2 it takes no controller.
            freezer: if self.unified {
                self.at(group).next()
            } else {
                dir("freezer")
            },
        }
    }

    /// Where a group that was made in every hierarchy is in that of version 2, if there is one.
    pub(crate) fn place_of_v2(&self, group: &str) -> Option<PathBuf> {
        Some(self.v2.as_ref()?.join(group.trim_start_matches('/')))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mounts.is_empty()
    }

    fn at(&self, group: &str) -> impl Iterator<Item = PathBuf> {
        let group = group.trim_start_matches('/').to_owned();
        self.mounts.iter().map(move |mount| mount.join(&group))
    }

    /// Makes a group in one that exists, in a single hierarchy, to tell some of its processes from the others by. It
    /// limits nothing. Returns a list that a process with one thread writes
    /// itself (`0`) into, open for writing: also for those who could not open it.
    pub(crate) fn mark(&self, group: &str) -> io::Result<File> {
        let mount = self.marking()?;
        let path = mount.join(group.trim_start_matches('/'));
        fs::create_dir(&path)?;
        File::options().write(true).open(path.join(self.list_of(mount)))
    }

    /// Removes such a group and leaves what is in it to the one above, which must exist.
    pub(crate) fn unmark(&self, group: &str) -> io::Result<()> {
        let path = self.marking()?.join(group.trim_start_matches('/'));
        let above = path.with_file_name("cgroup.procs");
        for _ in 0..PATIENCE {
            let left = fs::read_to_string(path.join("cgroup.procs"))?;
            for pid in left.lines() {
                match put(&above, pid) {
                    // It has ended.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                    written => written?,
                }
            }
            match fs::remove_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                removed => return removed,
            }
            thread::sleep(PAUSE);
        }
        Err(io::Error::other(format!("control group {group} {BUSY}")))
    }

    /// Where groups are that limit nothing.
    fn marking(&self) -> io::Result<&PathBuf> {
        let fit = |mount: &&PathBuf| {
            let name = mount.file_name().and_then(|name| name.to_str());
            self.unified || matches!(name, Some("freezer" | "pids" | "devices"))
        };
        let mount = self.mounts.iter().find(fit);
        mount.ok_or_else(|| {
            io::Error::other(
                "none of the control groups freezer, pids and devices is mounted; mount one below /sys/fs/cgroup, as systemd \
                 does",
            )
        })
    }

    /// The processes of a group that is in every hierarchy.
    pub(crate) fn processes(&self, group: &str) -> Vec<Pid> {
        let list = self.at(group).next().map(|path| path.join("cgroup.procs"));
        let text = list.and_then(|list| fs::read_to_string(list).ok());
        let text = text.unwrap_or_default();
        text.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect()
    }

    /// The names of the groups in a group.
    pub(crate) fn children(&self, group: &str) -> BTreeSet<String> {
        let entries = self.at(group).filter_map(|path| fs::read_dir(path).ok());
        let dirs = entries
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Kills all that is in a group and the groups in it, and removes them. One that is not there is as good.
    pub(crate) fn sweep(&self, group: &str) -> io::Result<()> {
        // Most are empty, and gone by this.
        let is_left = |path: &PathBuf| gone(fs::remove_dir(path)).is_err();
        let left: Vec<_> = self.at(group).filter(is_left).collect();
        if !left.is_empty() {
            self.kill(group)?;
        }
        left.iter().try_for_each(|path| self.remove(path))
    }

    /// Kills all that is in a group and the groups in it; returns once it has gone.
    pub(crate) fn kill(&self, group: &str) -> io::Result<()> {
        if self.is_vacant(group) {
            return Ok(());
        }
        for _ in 0..PATIENCE {
            let mut left = false;
            for path in self.at(group) {
                left |= kill_in(&path)?;
            }
            if !left {
                return Ok(());
            }
            // In version 1 what stands still does not end.
            self.group(group).thaw()?;
            thread::sleep(PAUSE);
        }
        Err(io::Error::other(format!(
            "processes of control group {group} cannot be killed: they may wait for a disk, or a server of files, that does not \
             answer; once it does, call this again"
        )))
    }

    /// Whether nothing is in a group and the groups in it, where the kernel counts that.
    fn is_vacant(&self, group: &str) -> bool {
        let pids = self.group(group).pids;
        let count = pids.and_then(|dir| fs::read_to_string(dir.join("pids.current")).ok());
        count.is_some_and(|count| count.trim() == "0")
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        for inner in subgroups(path)? {
            self.remove(&inner)?;
        }
        // The kernel lets go of the last process a moment after it is gone from the list.
        for _ in 0..PATIENCE {
            match gone(fs::remove_dir(path)) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(PAUSE),
                other => return other,
            }
        }
        Err(io::Error::other(format!(
            "control group {} {BUSY}",
            path.display()
        )))
    }

    /// Removes a group if nothing is in it.
    pub(crate) fn remove_empty(&self, group: &str) {
        for path in self.at(group) {
            // Others may be in it, and that is as good.
            let _ = fs::remove_dir(path);
        }
    }
}

/// Writes into one of the kernel's files. To open it as if it had to be made takes the kernel longer.
pub(crate) fn put(file: impl AsRef<Path>, text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(file)?;
    file.write_all(text.as_ref())
}

fn subgroups(path: &Path) -> io::Result<Vec<PathBuf>> {
    // In the kernel's file systems of control groups a directory has two links of its own, and one from each that is in it
    // (kernfs). Where that is not how they are counted it is read.
    let found = fs::metadata(path).and_then(|found| match found.nlink() {
        2 => Ok(None),
        _ => fs::read_dir(path).map(Some),
    });
    let entries = match found {
        Ok(Some(entries)) => entries,
        Ok(None) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Kills what is in a group now; says whether there was anything.
fn kill_in(path: &Path) -> io::Result<bool> {
    let mut any = false;
    for inner in subgroups(path)? {
        any |= kill_in(&inner)?;
    }
    let list = path.join("cgroup.procs");
    let read = || match fs::read_to_string(&list) {
        Ok(text) => Ok(text),
        // Removed meanwhile: ENOENT when opening, ENODEV when reading.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 19)) => Ok(String::new()),
        Err(error) => Err(error),
    };
    for line in read()?.lines() {
        any = true;
        let Some(pid) = line.parse().ok().and_then(Pid::from_raw) else {
            continue;
        };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        // Looked at again once it is held fast: the number may have become another's.
        if read()?.lines().any(|again| again == line) {
            let _ = pidfd_send_signal(held, Signal::KILL);
        }
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_on_machines_of_each_kind() {
        let v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            33 30 0:27 /docker/x /mnt/memory rw - cgroup cgroup rw,memory\n\
            34 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        let paths = |found: Hierarchies| {
            found
                .mounts
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        assert!(Hierarchies::parse(v2).unified);
        assert_eq!(paths(Hierarchies::parse(v2)), ["/sys/fs/cgroup"]);
        assert!(!Hierarchies::parse(hybrid).unified);
        assert_eq!(
            paths(Hierarchies::parse(hybrid)),
            ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"]
        );
        assert!(Hierarchies::parse("").is_empty());
    }

    #[test]
    fn each_limit_is_where_its_controller_is() {
        let joint = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(joint);
        assert!(found.has("memory") && !found.has("pids"));
        assert_eq!(
            found.group("/orch/a/1"),
            Group {
                unified: false,
                cpu: Some("/sys/fs/cgroup/cpu,cpuacct/orch/a/1".into()),
                cpuacct: Some("/sys/fs/cgroup/cpu,cpuacct/orch/a/1".into()),
                memory: Some("/sys/fs/cgroup/memory/orch/a/1".into()),
                pids: None,
                hugetlb: None,
                freezer: None,
            }
        );
        let mut v2 =
            Hierarchies::parse("30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
        v2.controllers = [("memory".into(), "/sys/fs/cgroup".into())].into();
        let group = Some(PathBuf::from("/sys/fs/cgroup/orch/a/1"));
        let Group {
            cpu, cpuacct, memory, ..
        } = v2.group("/orch/a/1");
        assert_eq!((cpu, cpuacct, memory), (None, group.clone(), group));
    }
}
