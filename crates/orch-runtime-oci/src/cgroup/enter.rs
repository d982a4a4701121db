//! Making groups, and moving the calling process into them.
//!
//! It moves itself, and of version 1 as a thread: before the kernel moves a process with all its threads, it waits until
//! nobody can be in the midst of starting one, which takes it ten milliseconds. For the caller alone it need not.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::handing::hand_down;
use super::{Hierarchies, put};

/// What a new group of version 1 lacks, without which it takes no process.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// What is measured or limited here, by its controllers of version 1. A group costs time in each hierarchy.
const USED: [&str; 7] = [
    "cpu", "cpuacct", "memory", "pids", "devices", "freezer", "hugetlb",
];

impl Hierarchies {
    /// Makes a group, and those above it, in every hierarchy of which something is used here. One that is there is as good.
    pub(crate) fn make(&self, group: &str) -> io::Result<()> {
        for mount in self.used() {
            self.make_in(mount, group)?;
        }
        Ok(())
    }

    /// Moves the calling process, which has one thread, into a group that was made, where containers have theirs.
    pub(crate) fn enter(&self, group: &str) -> io::Result<()> {
        for mount in self.used() {
            self.move_in(mount, group)?;
        }
        Ok(())
    }

    /// Makes a group in every hierarchy there is and moves the calling process, which has one thread, into it: so it is
    /// in none of the groups that it was started in.
    pub(crate) fn settle(&self, group: &str) -> io::Result<()> {
        for mount in &self.mounts {
            self.make_in(mount, group)?;
            self.move_in(mount, group)?;
        }
        Ok(())
    }

    /// The hierarchies of which something is used here, once each.
    fn used(&self) -> BTreeSet<&PathBuf> {
        match &self.v2 {
            // Even if it has no controller: it tells processes apart.
            Some(mount) if self.unified => [mount].into(),
            _ => USED
                .iter()
                .filter_map(|name| self.controllers.get(*name))
                .collect(),
        }
    }

    fn make_in(&self, mount: &Path, group: &str) -> io::Result<()> {
        let is_cpuset = !self.unified && self.controllers.get("cpuset").is_some_and(|at| at == mount);
        if !self.unified && !is_cpuset {
            // Most often those above it are there.
            match fs::create_dir(mount.join(group.trim_start_matches('/'))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => return made,
            }
        }
        let mut path = mount.to_owned();
        for part in Path::new(group.trim_start_matches('/')) {
            let above = path.clone();
            path.push(part);
            if self.unified {
                hand_down(&above)?;
            }
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            if is_cpuset {
                for file in CPUSET {
                    put(path.join(file), fs::read_to_string(above.join(file))?)?;
                }
            }
        }
        Ok(())
    }

    fn move_in(&self, mount: &Path, group: &str) -> io::Result<()> {
        let path = mount.join(group.trim_start_matches('/'));
        put(path.join(self.list_of(mount)), "0")
    }

    /// The list of a group's processes that the calling one, which has one thread, writes itself into.
    pub(super) fn list_of(&self, mount: &Path) -> &'static str {
        match &self.v2 {
            Some(v2) if v2 == mount => "cgroup.procs",
            _ => "tasks",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The machine's hierarchy of version 2, wherever it is, if it can hand anything down.
    fn v2() -> Option<Hierarchies> {
        let mount = Hierarchies::find().ok()?.v2?;
        let names = fs::read_to_string(mount.join("cgroup.controllers")).ok()?;
        let names: Vec<&str> = names.split_whitespace().collect();
        let is_writable = fs::write(mount.join("cgroup.subtree_control"), "").is_ok();
        (is_writable && !names.is_empty()).then(|| Hierarchies {
            mounts: vec![mount.clone()],
            v2: Some(mount.clone()),
            controllers: names
                .iter()
                .map(|name| ((*name).to_owned(), mount.clone()))
                .collect(),
            unified: true,
        })
    }

    #[test]
    fn groups_of_version_2_are_handed_all_controllers_down_to_a_containers() {
        let Some(hierarchies) = v2() else {
            let _ = writeln!(
                io::stderr(),
                "skipped: no control groups of version 2 that have a controller and can be written"
            );
            return;
        };
        let mount = hierarchies.v2.clone().unwrap();
        let handed = mount.join("cgroup.subtree_control");
        let before = fs::read_to_string(&handed).unwrap();
        let top = format!("orch-enter-{}", std::process::id());
        hierarchies.make(&format!("/{top}/a/b")).unwrap();
        hierarchies.make(&format!("/{top}/a/b")).unwrap();
        let has = |path: &str| fs::read_to_string(mount.join(&top).join(path)).unwrap();
        let own: BTreeSet<_> = has("a/b/cgroup.controllers")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let missing: Vec<_> = hierarchies
            .controllers
            .keys()
            .filter(|name| !own.contains(*name))
            .collect();
        let limiting = missing
            .iter()
            .any(|name| ["memory", "pids", "hugetlb"].contains(&name.as_str()));
        assert!(!limiting, "{missing:?} of {own:?}");
        assert_eq!(has("a/b/cgroup.subtree_control").trim(), "", "it has processes");
        hierarchies.sweep(&format!("/{top}")).unwrap();
        assert!(!mount.join(&top).exists());
        for name in hierarchies
            .controllers
            .keys()
            .filter(|name| !before.contains(*name))
        {
            // Others may have begun to need it.
            let _ = fs::write(&handed, format!("-{name}"));
        }
    }

    #[test]
    fn in_version_2_what_can_be_limited_is_handed_down_to_each_group_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (path, own) in [("", "cpuset cpu memory pids"), ("orch", "cpu memory")] {
            fs::create_dir_all(root.join(path)).unwrap();
            fs::write(root.join(path).join("cgroup.controllers"), own).unwrap();
            fs::write(root.join(path).join("cgroup.subtree_control"), "cpu").unwrap();
        }
        let hierarchies = Hierarchies {
            mounts: vec![root.into()],
            v2: Some(root.into()),
            controllers: [("cpu".into(), root.into()), ("memory".into(), root.into())].into(),
            unified: true,
        };
        hierarchies.make("/orch/pod").unwrap();
        hierarchies.make("/orch/pod").unwrap();
        assert!(root.join("orch/pod").is_dir());
        // A file takes the last word alone, where the kernel would add each.
        let handed = |path: &str| fs::read_to_string(root.join(path).join("cgroup.subtree_control")).unwrap();
        assert_eq!(
            (handed("").as_str(), handed("orch").as_str()),
            ("+pids", "+memory")
        );
    }

    #[test]
    fn in_version_1_a_group_is_made_where_something_of_it_is_used_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mount = |name: &str| {
            fs::create_dir(root.join(name)).unwrap();
            root.join(name)
        };
        let controllers = ["cpu", "memory", "devices", "blkio"].map(|name| (name.to_owned(), mount(name)));
        let named = mount("systemd");
        let hierarchies = Hierarchies {
            mounts: controllers
                .iter()
                .map(|(_, mount)| mount.clone())
                .chain([named])
                .collect(),
            v2: None,
            controllers: controllers.into(),
            unified: false,
        };
        hierarchies.make("/orch/a/b").unwrap();
        for (name, expected) in [
            ("cpu", true),
            ("memory", true),
            ("devices", true),
            ("blkio", false),
            ("systemd", false),
        ] {
            assert_eq!(root.join(name).join("orch/a/b").is_dir(), expected, "{name}");
        }
    }
}
