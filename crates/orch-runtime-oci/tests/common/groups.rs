//! Containers with limits, and what the kernel's own files say of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use orch_core::runtime::{ContainerConfig, ContainerId, Resources};

use super::{Oci, config, processes};

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) fn limited(name: &str, script: &str, resources: Resources) -> ContainerConfig {
    ContainerConfig {
        resources,
        ..config(name, script)
    }
}

pub(crate) fn memory(bytes: u64) -> Resources {
    Resources {
        memory_limit_bytes: Some(bytes),
        ..Resources::default()
    }
}

/// The control groups that a container's first process is in, by the kernel's word.
pub(crate) struct Files(Vec<(String, PathBuf)>);

impl Files {
    pub(crate) fn of(oci: &Oci, id: &ContainerId) -> Self {
        let (_, init) = processes(oci, id);
        let list = fs::read_to_string(format!("/proc/{}/cgroup", init.as_raw_nonzero())).unwrap();
        let mut found = Vec::new();
        for line in list.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
                continue;
            };
            let group = group.trim_start_matches('/');
            let mount = Path::new("/sys/fs/cgroup");
            let names: Vec<_> = match controllers {
                "" => vec!["unified".to_owned()],
                names => names.split(',').map(str::to_owned).collect(),
            };
            for name in names {
                let place = if mount.join("cgroup.controllers").exists() {
                    mount.join(group)
                } else {
                    mount.join(&name).join(group)
                };
                found.push((name, place));
            }
        }
        Self(found)
    }

    /// Their directories, each once.
    pub(crate) fn dirs(&self) -> BTreeSet<&Path> {
        self.0.iter().map(|(_, dir)| dir.as_path()).collect()
    }

    pub(crate) fn unified(&self) -> bool {
        self.0.iter().all(|(name, _)| name == "unified")
    }

    /// Those so many levels further up.
    pub(crate) fn above(&self, levels: usize) -> Self {
        let up = |dir: &PathBuf| dir.ancestors().nth(levels).expect("it is deep enough").to_owned();
        Self(self.0.iter().map(|(name, dir)| (name.clone(), up(dir))).collect())
    }

    /// Where the group of a controller is; that of version 2 where there is no other.
    pub(crate) fn dir(&self, controller: &str) -> &Path {
        let controller = if self.unified() { "unified" } else { controller };
        let (_, dir) = self.0.iter().find(|(name, _)| name == controller).unwrap();
        dir
    }

    /// Of version 1, or 2.
    pub(crate) fn read(&self, controller: &str, v1: &str, v2: &str) -> String {
        let (controller, file) = if self.unified() {
            ("unified", v2)
        } else {
            (controller, v1)
        };
        let (_, dir) = self.0.iter().find(|(name, _)| name == controller).unwrap();
        fs::read_to_string(dir.join(file)).unwrap().trim().to_owned()
    }

    /// What is behind a name in such a file.
    pub(crate) fn keyed(&self, controller: &str, v1: (&str, &str), v2: (&str, &str)) -> u64 {
        let name = if self.unified() { v2.1 } else { v1.1 };
        let text = self.read(controller, v1.0, v2.0);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse().unwrap()
    }

    pub(crate) fn number(&self, controller: &str, v1: &str, v2: &str) -> u64 {
        self.read(controller, v1, v2).parse().unwrap()
    }
}
