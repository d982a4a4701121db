//! Where a container is made: in its control group, whose members all its processes are born as, and in a mount
//! namespace that nobody else sees and that goes with its last process.
//!
//! Of control groups there is one at most to be seen where the machine has its own, in which libcontainer can change nothing
//! and finds nobody: to make or enter others it would have the kernel wait for every other process of the machine. Unless the
//! container is to see the machine's: then libcontainer enters its group, and this process stays out of it, for libcontainer
//! kills what is in there if it fails. Nor is anything else to be seen that the container is not made of.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir};

use super::view::{self, Needed};
use crate::cgroup::{self, Hierarchies, is_gone};
use crate::image::Base;
use crate::record::{ContainerDir, Plan};
use crate::sys;

/// What is to be seen of control groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// Those of the machine.
    All,
    /// One alone, of version 2, and to libcontainer it is all there are: a specification names [`ONE`], and no other.
    One,
    /// None where the machine has its own. To libcontainer those of version 1 that are mounted elsewhere are there still, so
    /// a specification must never name [`ONE`]: it would be the machine's own.
    None,
}

/// What the one is called that is to be seen.
pub(super) const ONE: &str = "/";

impl Groups {
    /// For what is made of these places of the machine, if it can be had.
    pub(super) fn among(sources: &[PathBuf]) -> Self {
        let shown =
            |place: &PathBuf| place.starts_with(cgroup::ROOT) || Path::new(cgroup::ROOT).starts_with(place);
        if sources.iter().any(shown) {
            Self::All
        } else {
            Self::One
        }
    }

    /// For what joins a container of which libcontainer was told that this is its group.
    pub(super) fn beside(named: &str) -> Self {
        if named == ONE { Self::One } else { Self::None }
    }
}

/// How often the group to come back to is entered, and made in between: each program that ends removes it once.
const TRIES: usize = 10;

/// This process is there for as long as this lives.
pub(super) struct Apart<'a> {
    hierarchies: &'a Hierarchies,
    /// The control group to come back to.
    back: &'a str,
    namespace: File,
    root: OwnedFd,
    groups: Groups,
    is_back: bool,
}

impl<'a> Apart<'a> {
    /// Goes there; the group was made. What is mounted from these places of the machine, of which both names and what they
    /// come to are given, is there still.
    pub(super) fn go(
        hierarchies: &'a Hierarchies,
        dir: &ContainerDir,
        plan: &Plan,
        back: &'a str,
        groups: Groups,
        (named, sources): (&[&Path], Vec<PathBuf>),
    ) -> io::Result<Self> {
        let one = match groups {
            Groups::One => hierarchies.place_of_v2(back).and_then(|place| still(&place).ok()),
            _ => None,
        };
        let apart = Self {
            hierarchies,
            back,
            namespace: File::open("/proc/self/ns/mnt")?,
            root: open(
                "/",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
            groups: match groups {
                // There is none on a machine of version 1 alone, and it cannot be made read-only before Linux 5.12.
                Groups::One if one.is_none() => Groups::None,
                groups => groups,
            },
            is_back: false,
        };
        if groups != Groups::All {
            hierarchies.enter(&plan.cgroup)?;
        }
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )?;
        view::narrow(|| needed(dir, plan, named, sources), Path::new(cgroup::ROOT))?;
        if groups != Groups::All {
            hide_groups(one)?;
        }
        Ok(apart)
    }

    /// What is to be seen there, which may be none where one was wanted.
    pub(super) fn groups(&self) -> Groups {
        self.groups
    }

    /// Comes back. What was made goes on without this process.
    pub(super) fn come_back(mut self) -> io::Result<()> {
        self.is_back = true;
        self.return_home()
    }

    fn return_home(&self) -> io::Result<()> {
        self.to_the_machine()?;
        self.enter_back()
    }

    /// Its group may be gone: a program that ends removes it if nobody is in it, and this process was away.
    fn enter_back(&self) -> io::Result<()> {
        let mut tries = 1..TRIES;
        loop {
            match self.hierarchies.enter(self.back) {
                Err(error) if is_gone(&error) && tries.next().is_some() => {
                    // Those above it may go meanwhile too.
                    match self.hierarchies.make(self.back) {
                        Err(error) if !is_gone(&error) => return Err(error),
                        _ => {}
                    }
                }
                done => return done,
            }
        }
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

/// Shows what is in a place, and lets nobody change it.
fn still(place: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, place, flags)?;
    sys::make_read_only(&tree)?;
    Ok(tree)
}

/// Takes the machine's control groups out of sight. libcontainer asks what is in their place for its version: of version 2, by
/// this one group, it has only to enter it; a place without any looks like version 1, and it searches the machine's mounts for
/// each of a dozen controllers.
fn hide_groups(group: Option<OwnedFd>) -> io::Result<()> {
    // If it is there still.
    match unmount(cgroup::ROOT, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(group) = group else {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        return Ok(mount("none", cgroup::ROOT, "tmpfs", flags, c"size=4k,mode=0555")?);
    };
    move_mount(
        group,
        "",
        CWD,
        cgroup::ROOT,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    // Nobody moves in, and nobody is found there: when it fails, libcontainer kills all whom it finds.
    Ok(mount_bind(
        "/dev/null",
        Path::new(cgroup::ROOT).join("cgroup.procs"),
    )?)
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
