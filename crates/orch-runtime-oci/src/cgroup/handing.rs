//! Of version 2: what a group measures and limits, it hands down to the groups in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use rustix::io::Errno;

use super::{Hierarchies, put};

/// Where the processes go that stand in the way of groups beside them: Docker's own containers that hold engines call it so.
const ASIDE: &str = "init";

/// How often processes are looked for that were started while the others were moved.
const LOOKS: usize = 16;

impl Hierarchies {
    /// Has the machine's group of version 2 hand down what it can. What it does not is no longer among the controllers: no
    /// group of ours could have it.
    ///
    /// In a container the machine's group is in truth one of another machine's, and holds the container's processes. The
    /// kernel lets no group have both processes and groups that it limits, so they move into a group of their own, this
    /// process among them; what limits them stays the same.
    pub(crate) fn hand_down(&mut self) -> io::Result<()> {
        let Some(mount) = self.v2.clone().filter(|_| self.unified) else {
            return Ok(());
        };
        if is_inhabited(&mount)? {
            match move_aside(&mount) {
                Ok(()) => tracing::info!(
                    group = %mount.join(ASIDE).display(),
                    "moved the processes of the machine's control group aside: it is a container's"
                ),
                Err(error) => tracing::warn!(
                    group = %mount.display(), %error,
                    "what containers use is not limited: the machine's control group, a container's, has processes that \
                     cannot be moved into one in it"
                ),
            }
        }
        hand_down(&mount)?;
        let handed = fs::read_to_string(mount.join("cgroup.subtree_control"))?;
        let handed: BTreeSet<&str> = handed.split_whitespace().collect();
        self.controllers.retain(|name, _| handed.contains(name.as_str()));
        Ok(())
    }
}

/// Has the groups in a group of version 2 measure and limit what this one can.
///
/// Not if processes are in it: the kernel would hand a part of it down, and then let no process into the groups.
pub(super) fn hand_down(group: &Path) -> io::Result<()> {
    let (can, does) = (
        group.join("cgroup.controllers"),
        group.join("cgroup.subtree_control"),
    );
    let (can, handed) = (fs::read_to_string(can)?, fs::read_to_string(&does)?);
    let handed: BTreeSet<&str> = handed.split_whitespace().collect();
    let mut missing = can
        .split_whitespace()
        .filter(|name| !handed.contains(name))
        .peekable();
    if missing.peek().is_none() || is_inhabited(group)? {
        return Ok(());
    }
    for name in missing {
        // The kernel hands processors down only while no process of the machine is a real-time one: then there is no limit
        // of them, which is told when one is asked for.
        if let Err(error) = put(&does, format!("+{name}")) {
            tracing::debug!(group = %group.display(), name, %error, "a controller is not handed down");
        }
    }
    Ok(())
}

/// Whether processes in a group stand in the way of groups in it: in all groups but the first of the machine, which
/// alone has no kind.
fn is_inhabited(group: &Path) -> io::Result<bool> {
    Ok(group.join("cgroup.type").exists() && !fs::read_to_string(group.join("cgroup.procs"))?.is_empty())
}

/// Moves all processes of a group into one in it.
fn move_aside(group: &Path) -> io::Result<()> {
    let aside = group.join(ASIDE);
    match fs::create_dir(&aside) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    for _ in 0..LOOKS {
        let list = fs::read_to_string(group.join("cgroup.procs"))?;
        if list.is_empty() {
            return Ok(());
        }
        for pid in list.lines() {
            // Of another namespace of processes, which this one has no number of: `0` would be ourselves.
            if pid == "0" {
                return Err(io::Error::other(
                    "a process in it is not to be seen from here, and cannot be moved out of the way; run this where all processes \
                     of the machine are seen",
                ));
            }
            match put(aside.join("cgroup.procs"), pid) {
                // It has ended.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
                written => written?,
            }
        }
    }
    Err(io::Error::other(
        "processes are started in it faster than they can be moved out of the way; open the runtime again once that is over",
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::{Child, Command};

    use super::*;

    /// A group with a process in it, as the machine's is in a container.
    struct Inhabited {
        group: PathBuf,
        process: Child,
    }

    impl Inhabited {
        /// None where there are no groups of version 2 that limit anything.
        fn new(name: &str) -> Option<Self> {
            let mut machine = Hierarchies::find().ok()?;
            let found = machine.unified && machine.hand_down().is_ok() && machine.has("memory");
            if !found {
                let why = "control groups of version 2 alone that limit memory";
                assert!(
                    std::env::var_os("ORCH_REQUIRE_KERNEL").is_none(),
                    "it is to have {why}"
                );
                let _ = writeln!(io::stderr(), "skipped: needs {why}");
                return None;
            }
            let group = machine.v2?.join(format!("orch-{name}-{}", std::process::id()));
            fs::create_dir(&group).unwrap();
            let process = Command::new("sleep").arg("3600").spawn().unwrap();
            fs::write(group.join("cgroup.procs"), process.id().to_string()).unwrap();
            Some(Self { group, process })
        }

        /// As it looks to who sees no more of the machine.
        fn machine(&self) -> Hierarchies {
            let names = fs::read_to_string(self.group.join("cgroup.controllers")).unwrap();
            Hierarchies {
                mounts: vec![self.group.clone()],
                v2: Some(self.group.clone()),
                controllers: names
                    .split_whitespace()
                    .map(|name| (name.to_owned(), self.group.clone()))
                    .collect(),
                unified: true,
            }
        }
    }

    impl Drop for Inhabited {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            for group in [&self.group.join("orch"), &self.group.join(ASIDE), &self.group] {
                let _ = fs::remove_dir(group);
            }
        }
    }

    #[test]
    fn processes_in_the_way_of_groups_beside_them_move_into_one_of_their_own() {
        let Some(container) = Inhabited::new("inhabited") else {
            return;
        };
        let mut machine = container.machine();
        // Whoever does it halfway leaves groups that nothing can be in.
        hand_down(&container.group).unwrap();
        let handed = fs::read_to_string(container.group.join("cgroup.subtree_control"));
        assert_eq!(handed.unwrap(), "");
        machine.hand_down().unwrap();
        machine.hand_down().unwrap();
        assert!(machine.has("memory") && machine.has("pids"), "{machine:?}");
        let moved = fs::read_to_string(container.group.join(ASIDE).join("cgroup.procs")).unwrap();
        assert_eq!(moved.trim(), container.process.id().to_string());
        machine.make("/orch").unwrap();
        assert!(container.group.join("orch/memory.max").exists());
    }

    #[test]
    fn what_is_not_handed_down_is_not_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_owned();
        fs::write(place.join("cgroup.controllers"), "cpu memory pids").unwrap();
        let mut machine = Hierarchies {
            mounts: vec![place.clone()],
            v2: Some(place.clone()),
            controllers: ["pids", "hugetlb"]
                .map(|name| (name.into(), place.clone()))
                .into(),
            unified: true,
        };
        assert!(machine.hand_down().is_err());
        fs::write(place.join("cgroup.subtree_control"), "cpu memory pids").unwrap();
        machine.hand_down().unwrap();
        assert!(machine.has("pids") && !machine.has("hugetlb"));
    }

    #[test]
    fn processes_that_cannot_be_named_are_not_moved() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.procs"), "0\n").unwrap();
        let error = move_aside(dir.path()).unwrap_err();
        assert!(error.to_string().contains("not to be seen from here"), "{error}");
        assert!(!dir.path().join(ASIDE).join("cgroup.procs").exists());
    }
}
