//! Has what is mounted in the containers of a pod with users of its own belong to those: what is root's on the disk is
//! theirs root's, and the other way round. The files stay as they are.
//!
//! Such a container is made by who may not enter the directories of this runtime. So all that is mounted in it, its root
//! included, is mounted in a place that everyone may enter first, in the mount namespace that the container is made in.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{CWD, FileType, Gid, Uid};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, move_mount, open_tree};
use serde_json::{Value, json};

use crate::cgroup;
use crate::namespaces::{Kind, Shared};
use crate::record::ContainerDir;
use crate::sys::map_owners;
use crate::users::Users;

/// What a container of such a pod is made with.
pub(super) struct Owners {
    users: Users,
    namespace: File,
    /// What will be at the number of the mount in the specification.
    mounts: Vec<(usize, PathBuf)>,
}

/// A place that is there on every machine, and where containers see nothing.
fn place(name: impl AsRef<Path>) -> PathBuf {
    Path::new(cgroup::ROOT).join(name)
}

impl Owners {
    /// None for a pod without users of its own. In the mount namespace that the container is made in. An error is a sentence
    /// for whoever asked.
    pub(super) fn find(dir: &ContainerDir, shared: &Shared, spec: &Value) -> Result<Option<Self>, String> {
        let Some(users) = shared.users() else {
            return Ok(None);
        };
        let file = shared.file(Kind::User);
        let namespace =
            File::open(&file).map_err(|error| format!("opening its pod's user namespace: {error}"))?;
        let mut owners = Self {
            users,
            namespace,
            mounts: Vec::new(),
        };
        let mounts = spec["mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own_network = shared.kinds().contains(&Kind::Net);
        let mut trees = Vec::new();
        for (number, mount) in mounts.iter().enumerate() {
            match mount["type"].as_str() {
                Some("bind") if mount["source"] != json!(dir.shm()) => {
                    let tree = owners.bound(mount);
                    trees.push((number, tree.map_err(|error| refusal(mount, error))?));
                }
                // The kernel shows the machine's devices only to who has the network's users.
                Some("sysfs") if !own_network => {
                    let tree = clone(Path::new("/sys"), false);
                    let tree = tree.map_err(|error| format!("finding /sys: {error}"))?;
                    trees.push((number, tree));
                }
                _ => {}
            }
        }
        owners
            .gather(trees)
            .map_err(|error| format!("mounting what is bound: {error}"))?;
        Ok(Some(owners))
    }

    /// What is bound from the machine.
    fn bound(&self, mount: &Value) -> Result<OwnedFd, Errno> {
        let source = mount["source"].as_str().unwrap_or_default();
        let tree = clone(Path::new(source), true)?;
        let options = mount["options"].as_array();
        let read_only = options.is_some_and(|options| options.iter().any(|option| option == "ro"));
        // In the pod it could be undone, if it were only done there.
        map_owners(&tree, &self.namespace, read_only)?;
        Ok(tree)
    }

    /// Mounts everything in the place for it, which covers what is there.
    fn gather(&mut self, trees: Vec<(usize, OwnedFd)>) -> io::Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("none", cgroup::ROOT, "tmpfs", flags, c"size=1m,mode=0755")?;
        for (number, tree) in trees {
            let target = place(number.to_string());
            attach(&tree, &target)?;
            self.mounts.push((number, target));
        }
        Ok(())
    }

    /// Mounts a directory so that it belongs to the pod's users.
    pub(super) fn show(&self, directory: &Path, at: &Path) -> io::Result<()> {
        let tree = clone(directory, false)?;
        map_owners(&tree, &self.namespace, false)?;
        Ok(move_tree(&tree, at)?)
    }

    /// Mounts the layers of an image so, in a directory that is made, by their numbers.
    pub(super) fn show_layers(&self, layers: &[PathBuf]) -> io::Result<PathBuf> {
        let all = place("layers");
        fs::create_dir(&all)?;
        for (number, layer) in layers.iter().enumerate() {
            let at = all.join(number.to_string());
            fs::create_dir(&at)?;
            self.show(layer, &at)?;
        }
        Ok(all)
    }

    /// Gives a directory with an image's owner to him who is that in the pod; to root, if nobody is.
    pub(super) fn give(&self, directory: &Path) -> io::Result<()> {
        let found = rustix::fs::stat(directory)?;
        let own = |id| self.users.of_machine(id).unwrap_or(self.users.root());
        let (uid, gid) = (Uid::from_raw(own(found.st_uid)), Gid::from_raw(own(found.st_gid)));
        Ok(rustix::fs::chown(directory, Some(uid), Some(gid))?)
    }

    /// The specification, as it names where all of it is mounted. What the pod shares is by now.
    pub(super) fn name(&self, dir: &ContainerDir, spec: &Value) -> io::Result<Value> {
        for (from, name) in [(dir.rootfs(), "root"), (dir.shm(), "shm")] {
            let at = place(name);
            fs::create_dir(&at)?;
            mount_bind(from, at)?;
        }
        let mut spec = spec.clone();
        spec["root"]["path"] = json!(place("root"));
        let mounts = spec["mounts"].as_array_mut();
        for (number, mount) in mounts.into_iter().flatten().enumerate() {
            let gathered = self.mounts.iter().find(|(at, _)| *at == number);
            if let Some((_, target)) = gathered {
                mount["type"] = json!("bind");
                mount["source"] = json!(target);
                if let Some(options) = mount["options"].as_array_mut()
                    && !options.iter().any(|option| option == "rbind")
                {
                    options.insert(0, json!("rbind"));
                }
            } else if mount["source"] == json!(dir.shm()) {
                mount["source"] = json!(place("shm"));
            }
        }
        Ok(spec)
    }
}

fn clone(path: &Path, with_all_below: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if with_all_below {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags).map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// At a path where nothing is.
fn attach(tree: &OwnedFd, at: &Path) -> io::Result<()> {
    match FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) {
        FileType::Directory => fs::create_dir(at)?,
        _ => drop(File::create_new(at)?),
    }
    Ok(move_tree(tree, at)?)
}

fn move_tree(tree: impl AsFd, at: &Path) -> rustix::io::Result<()> {
    move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn refusal(mount: &Value, error: Errno) -> String {
    let (source, destination) = (&mount["source"], &mount["destination"]);
    let what = format!(
        "mounting {} at {}",
        source.as_str().unwrap_or_default(),
        destination.as_str().unwrap_or_default()
    );
    match error {
        Errno::EINVAL | Errno::EPERM => format!("{what}: {UNSHOWN}"),
        error => format!("{what}: {}", error.desc()),
    }
}

/// Why something cannot be shown so, for `EINVAL` and `EPERM`.
pub(super) const UNSHOWN: &str = "its file system, or one that is mounted in it, cannot show files as those of other users, which a \
    pod with a user namespace of its own needs; put it on ext4, xfs, btrfs or (from Linux 6.3 on) tmpfs, or set hostUsers: true";
