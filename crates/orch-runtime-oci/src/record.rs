//! What is written down about sandboxes and containers. The files are the record; memory only knows where they are.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orch_core::runtime::{ContainerConfig, SandboxConfig, SandboxId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::confine::Confinement;
use crate::image::Base;
use crate::marks::Marks;
use crate::namespaces::Shared;
use crate::place::Place;
use crate::users::Users;

/// `sandbox.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) config: SandboxConfig,
    /// The name of the network that it is on; none: the machine's own.
    #[serde(default)]
    pub(crate) network: Option<String>,
    /// Whom its users are on the machine, where it has some of its own.
    #[serde(default)]
    pub(crate) users: Option<Users>,
    pub(crate) created_at: Timestamp,
}

/// `net.json`: all that its containers share is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Net {
    /// Its addresses, the primary one first; none on the machine's network.
    pub(crate) ips: Vec<IpAddr>,
    /// None of an earlier version's.
    #[serde(default)]
    pub(crate) marks: Marks,
}

/// `container.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) sandbox: SandboxId,
    pub(crate) pod_uid: String,
    /// The control group that its own is in, below that of all.
    #[serde(default)]
    pub(crate) cgroup_parent: String,
    pub(crate) config: ContainerConfig,
    pub(crate) image_id: String,
    /// The signal that its image wants to be asked to end by.
    pub(crate) image_signal: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// As whom a program runs, in the words of images: names or numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) user: String,
    /// None: the user's own.
    pub(crate) group: Option<String>,
    /// Beside those that the image has the user in.
    pub(crate) more: Vec<u32>,
}

/// How this version writes plans. A change that an older or newer shim would read wrongly is a new number.
pub(crate) const PLAN: u32 = 4;

/// `plan.json`: what the shim does beside what is in the bundle's `config.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// [`PLAN`]; a container may be made by one version of the program and started by another.
    pub(crate) version: u32,
    /// The container's control group, from the root of each hierarchy.
    pub(crate) cgroup: String,
    /// What its root is made of.
    pub(crate) base: Base,
    /// What it has in common with its pod's other containers.
    pub(crate) shared: Shared,
    pub(crate) args: Vec<String>,
    /// The shim adds the user's home directory, if it lacks one.
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    /// As whom it runs; none: root, without more groups.
    pub(crate) identity: Option<Identity>,
    pub(crate) confinement: Confinement,
    /// It may use every device.
    pub(crate) privileged: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) tty: bool,
    pub(crate) log_file_bytes: u64,
    pub(crate) log_files: usize,
}

impl Plan {
    pub(crate) fn read(dir: &ContainerDir) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let path = dir.plan();
        let read = || {
            let text = fs::read(&path)?;
            // First of all this, for the rest may be another's.
            let Version { version } = serde_json::from_slice(&text)?;
            if version != PLAN {
                return Err(io::Error::other(format!(
                    "it was made by another version of the program (its plan has version {version}, this one knows \
                     {PLAN}); make a new attempt"
                )));
            }
            Ok(serde_json::from_slice(&text)?)
        };
        read()
            .map_err(|error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// `started.json`: the program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    /// When the process started, as the kernel counts it: together with the number, it is no other process.
    pub(crate) ticks: u64,
    pub(crate) at: Timestamp,
}

/// Why a container ended, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    Exited,
    StartError,
    Unknown,
}

/// `end.json`: written last, once the log is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) at: Timestamp,
    pub(crate) code: Option<i32>,
    pub(crate) why: Why,
    /// Whether the kernel killed any of it because memory ran out.
    #[serde(default)]
    pub(crate) out_of_memory: bool,
    pub(crate) message: Option<String>,
}

/// What of all containers is in memory, in the state directory.
pub(crate) const RUN: &str = "run";

/// The shim's socket, in a container's directory in memory.
pub(crate) const SOCKET: &str = "sock";

/// Where a container's files are: what outlives the machine's restart, and what does not need to.
#[derive(Clone, Debug)]
pub(crate) struct ContainerDir {
    kept: PathBuf,
    run: PathBuf,
}

impl ContainerDir {
    /// Of a container, or the draft of one, by its place in the state directory: `containers/ID` or `trash/ID`.
    pub(crate) fn new(kept: PathBuf) -> Self {
        let root = kept.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let run = root.join(RUN).join(kept.file_name().unwrap_or_default());
        Self { kept, run }
    }

    /// The same by its two directories, held open: they may be moved.
    pub(crate) fn at(kept: &Place, run: &Place) -> Self {
        let (kept, run) = (kept.path("."), run.path("."));
        Self { kept, run }
    }

    /// What stays on the disk: its record, its end, its log and what it has changed in its root.
    pub(crate) fn kept(&self) -> &Path {
        &self.kept
    }
    /// What is in memory.
    pub(crate) fn run(&self) -> &Path {
        &self.run
    }
    pub(crate) fn record(&self) -> PathBuf {
        self.kept.join("container.json")
    }
    pub(crate) fn end(&self) -> PathBuf {
        self.kept.join("end.json")
    }
    pub(crate) fn log(&self) -> &Path {
        &self.kept
    }
    pub(crate) fn upper(&self) -> PathBuf {
        self.kept.join("upper")
    }
    /// When its shim made its root, as the disk has it; none if it did not, or the file system does not keep that.
    pub(crate) fn was_begun_at(&self) -> Option<Timestamp> {
        let made = fs::metadata(self.upper()).and_then(|meta| meta.created());
        made.ok()?.try_into().ok()
    }
    pub(crate) fn work(&self) -> PathBuf {
        self.kept.join("work")
    }
    /// The limits in force.
    pub(crate) fn resources(&self) -> PathBuf {
        self.run.join("resources.json")
    }
    pub(crate) fn plan(&self) -> PathBuf {
        self.run.join("plan.json")
    }
    pub(crate) fn filter(&self) -> PathBuf {
        self.run.join("filter")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }
    /// Made by the shim before anything else, once in a container's life.
    pub(crate) fn begun(&self) -> PathBuf {
        self.run.join("begun")
    }
    pub(crate) fn started(&self) -> PathBuf {
        self.run.join("started.json")
    }
    pub(crate) fn bundle(&self) -> PathBuf {
        self.run.join("bundle")
    }
    pub(crate) fn spec(&self) -> PathBuf {
        self.run.join("bundle/config.json")
    }
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.run.join("bundle/rootfs")
    }
    /// Where the pod's `/dev/shm` is mounted, in its shim's view.
    pub(crate) fn shm(&self) -> PathBuf {
        self.run.join("bundle/shm")
    }
    /// libcontainer's own notes, which nothing of ours reads.
    pub(crate) fn notes(&self) -> PathBuf {
        self.run.join("lc")
    }
    /// What the shim has to say if it cannot even write an end.
    pub(crate) fn complaints(&self) -> PathBuf {
        self.run.join("shim.err")
    }
    /// What its commands have, each while it runs.
    pub(crate) fn execs(&self) -> PathBuf {
        self.run.join("execs")
    }
    pub(crate) fn exec(&self, id: &str) -> ExecDir {
        ExecDir(self.execs().join(id))
    }
}

/// Where the files of a command in a container are.
#[derive(Clone, Debug)]
pub(crate) struct ExecDir(pub(crate) PathBuf);

impl ExecDir {
    /// The specification's `process`.
    pub(crate) fn process(&self) -> PathBuf {
        self.0.join("process.json")
    }
    /// Libcontainer's notes, for this command alone: it leaves a socket behind in them.
    pub(crate) fn notes(&self) -> PathBuf {
        self.0.join("lc")
    }
    /// What its shim has to say if it cannot even answer.
    pub(crate) fn complaints(&self) -> PathBuf {
        self.0.join("shim.err")
    }
}

/// What a file says, none if it is not there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file whole or not at all: whoever reads it meanwhile sees the one before, or none.
///
/// It is not forced to the disk: it must outlive this program. After a loss of power it may be there and say nothing, which
/// is then as if it were not there: no process that it tells of is left.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    fs::rename(&beside, path)
}

/// Writes a file that nobody looks at before who writes it says so: it may be cut off if that dies.
pub(crate) fn draft(path: &Path, value: &impl Serialize) -> io::Result<()> {
    fs::write(path, serde_json::to_vec(value)?)
}

/// When a process started, in ticks since the machine did; none if there is no such process.
pub(crate) fn ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have any characters, and ends with the last bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the container's first process neither has ended nor is about to: then nothing can join it any more.
pub(crate) fn is_alive(dir: &ContainerDir) -> bool {
    /// The kernel's `PF_EXITING`.
    const EXITING: u64 = 4;
    let Ok(Some(started)) = read::<Started>(&dir.started()) else {
        return false;
    };
    let stat = fs::read_to_string(format!("/proc/{}/stat", started.pid)).unwrap_or_default();
    // The name before it may have any characters, and ends with the last bracket.
    let fields: Vec<_> = match stat.rsplit_once(')') {
        Some((_, fields)) => fields.split_whitespace().collect(),
        None => return false,
    };
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    number(19) == Some(started.ticks) && number(6).is_some_and(|flags| flags & EXITING == 0)
}

/// Removes what may be gone already.
pub(crate) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_not_read_as_if_it_were_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let container = ContainerDir::new(dir.path().join("containers/c"));
        fs::create_dir_all(container.run()).unwrap();
        let error = Plan::read(&container).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "there is none");
        assert!(error.to_string().contains("plan.json"), "{error}");
        fs::write(container.plan(), r#"{"version": 1, "of": "another kind"}"#).unwrap();
        let error = Plan::read(&container).unwrap_err().to_string();
        assert!(
            error.contains("plan.json")
                && error.contains("version 1")
                && error.contains(&format!("knows {PLAN}")),
            "{error}"
        );
    }
}
