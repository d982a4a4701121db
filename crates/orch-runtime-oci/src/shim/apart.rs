//! Where a container is made: in its control group, whose members all its processes are born as, and in a mount
//! namespace that nobody else sees and that goes with its last process.
//!
//! There are no control groups to be seen there, so libcontainer finds none to make or enter, for which it would have the
//! kernel wait for every other process of the machine. Unless the container is to see the machine's: then libcontainer
//! enters its group, and this process stays out of it, for libcontainer kills what is in there if it fails. Nor is anything
//! else to be seen that the container is not made of.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{chdir, chroot, fchdir};

use super::view::{self, Needed};
use crate::cgroup::{self, Hierarchies};
use crate::image::Base;
use crate::record::{ContainerDir, Plan};

/// This process is there for as long as this lives.
pub(super) struct Apart<'a> {
    hierarchies: &'a Hierarchies,
    /// The control group to come back to.
    back: &'a str,
    namespace: File,
    root: OwnedFd,
    is_back: bool,
}

impl<'a> Apart<'a> {
    /// Goes there; the group was made. What is mounted from these places of the machine is there still.
    pub(super) fn go<'b>(
        hierarchies: &'a Hierarchies,
        dir: &ContainerDir,
        plan: &Plan,
        back: &'a str,
        sources: impl Iterator<Item = &'b Path>,
    ) -> io::Result<Self> {
        let named: Vec<&Path> = sources.collect();
        // What cannot be resolved is refused when it is mounted.
        let sources: Vec<PathBuf> = named
            .iter()
            .filter_map(|place| place.canonicalize().ok())
            .collect();
        let apart = Self {
            hierarchies,
            back,
            namespace: File::open("/proc/self/ns/mnt")?,
            root: open(
                "/",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
            is_back: false,
        };
        let shown = sources.iter().any(|place| shows_groups(place));
        if !shown {
            hierarchies.enter(&plan.cgroup)?;
        }
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )?;
        view::narrow(&needed(dir, plan, &named, sources), Path::new(cgroup::ROOT))?;
        if !shown {
            // If it is there still.
            match unmount(cgroup::ROOT, UnmountFlags::DETACH) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
            // By this libcontainer takes the machine for one of version 1.
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
            mount("none", cgroup::ROOT, "tmpfs", flags, c"size=4k,mode=0555")?;
        }
        Ok(apart)
    }

    /// Comes back. What was made goes on without this process.
    pub(super) fn come_back(mut self) -> io::Result<()> {
        self.is_back = true;
        self.return_home()
    }

    fn return_home(&self) -> io::Result<()> {
        self.to_the_machine().and(self.hierarchies.enter(self.back))
    }

    fn to_the_machine(&self) -> io::Result<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNS)?;
        // By that its root became the namespace's, which need not be what it was.
        fchdir(&self.root)?;
        chroot(".")?;
        Ok(chdir("/")?)
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        if !self.is_back
            && let Err(error) = self.return_home()
        {
            let _ = writeln!(
                io::stderr(),
                "it cannot leave its container, and is swept away with it: {error}"
            );
        }
    }
}

/// Whether control groups are in a place of the machine, or it in them.
fn shows_groups(place: &Path) -> bool {
    place.starts_with(cgroup::ROOT) || Path::new(cgroup::ROOT).starts_with(place)
}

/// More links on its way and the kernel resolves no path.
const MOST_LINKS: usize = 40;

/// Where the links are by which a path is resolved, as the kernel has it: those that it leads over on other mounts, too.
fn links_of(path: &Path) -> Vec<PathBuf> {
    let (mut found, mut reached) = (Vec::new(), PathBuf::new());
    let parts = |path: &Path| -> Vec<PathBuf> { path.iter().rev().map(PathBuf::from).collect() };
    let mut rest = parts(path);
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            reached.pop();
            continue;
        }
        // The root is one, and all before it is left.
        let next = reached.join(part);
        match fs::read_link(&next) {
            Ok(target) if found.len() < MOST_LINKS => {
                rest.extend(parts(&target));
                found.push(next);
            }
            _ => reached = next,
        }
    }
    found
}

/// What a container is made of, and what libcontainer wants to make it. Of what is named by links all that it leads over, for
/// it is named so again.
fn needed(dir: &ContainerDir, plan: &Plan, named: &[&Path], sources: Vec<PathBuf>) -> Vec<Needed> {
    let mut places = vec![
        Path::new("/proc"),
        Path::new("/sys"),
        dir.kept(),
        dir.run(),
        plan.shared.own(),
    ];
    if let Base::Layers(layers) = &plan.base {
        places.extend(layers.iter().map(PathBuf::as_path));
    }
    let real = places.iter().filter_map(|place| place.canonicalize().ok());
    let mut needed: Vec<_> = real.map(Needed::Place).collect();
    let all = places.iter().chain(named);
    needed.extend(all.map(|place| Needed::Place((*place).to_owned())));
    let by_links = named
        .iter()
        .filter(|place| sources.iter().all(|source| source != *place));
    needed.extend(by_links.flat_map(|place| links_of(place)).map(Needed::Place));
    let trees = [PathBuf::from("/dev"), plan.shared.own().to_owned()];
    needed.extend(trees.into_iter().chain(sources).map(Needed::Tree));
    needed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_of_a_path_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let place = |name: &str| root.join(name);
        for name in ["names", "between", "data", "data/volume"] {
            fs::create_dir(place(name)).unwrap();
        }
        symlink(place("data"), place("between/link")).unwrap();
        symlink("../between/./link/volume", place("names/volume")).unwrap();
        symlink("around", place("around")).unwrap();
        let named = [place("names/volume"), place("between/link")];
        assert_eq!(links_of(&place("names/volume/file")), named);
        assert!(links_of(&place("data/volume")).is_empty());
        assert_eq!(links_of(&place("around/x")).len(), MOST_LINKS);
        assert!(links_of(Path::new("/no/such/../place")).is_empty());
    }
}
