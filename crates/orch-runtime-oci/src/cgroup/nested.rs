//! Groups that hold others.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::Hierarchies;

/// What can be limited of the groups in a group together.
const LIMITED: [&str; 4] = ["cpu", "hugetlb", "memory", "pids"];

impl Hierarchies {
    /// Makes a group, and those above it, wherever something of what is in it can be limited. One that is there is as
    /// good.
    pub(crate) fn make(&self, group: &str) -> io::Result<()> {
        let mounts = LIMITED.iter().filter_map(|name| self.controllers.get(*name));
        for mount in mounts.collect::<BTreeSet<_>>() {
            let mut path = mount.clone();
            for part in Path::new(group.trim_start_matches('/')) {
                if self.unified {
                    hand_down(&path)?;
                }
                path.push(part);
                match fs::create_dir(&path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Lets what a group of version 2 can limit be limited in the groups in it as well.
fn hand_down(path: &Path) -> io::Result<()> {
    let own = fs::read_to_string(path.join("cgroup.controllers"))?;
    let handed = fs::read_to_string(path.join("cgroup.subtree_control"))?;
    let handed: BTreeSet<_> = handed.split_whitespace().collect();
    for name in own.split_whitespace().filter(|name| !handed.contains(name)) {
        // Some cannot be. A limit that takes one of those fails, and says so.
        let _ = fs::write(path.join("cgroup.subtree_control"), format!("+{name}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn in_version_1_a_group_is_made_where_something_is_limited_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mount = |name: &str| {
            fs::create_dir(root.join(name)).unwrap();
            root.join(name)
        };
        let controllers = ["cpu", "memory", "devices"].map(|name| (name.to_owned(), mount(name)));
        let hierarchies = Hierarchies {
            mounts: controllers.iter().map(|(_, mount)| mount.clone()).collect(),
            controllers: controllers.into(),
            unified: false,
        };
        hierarchies.make("/orch/a/b").unwrap();
        for (name, expected) in [("cpu", true), ("memory", true), ("devices", false)] {
            assert_eq!(root.join(name).join("orch/a/b").is_dir(), expected, "{name}");
        }
    }
}
