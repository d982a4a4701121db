//! Containers: how to make one, and what one is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SandboxId;

/// Names a container within its runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How to make a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// Its name within the pod; with `attempt` and the sandbox, the container's identity. Not empty.
    pub name: String,
    /// Counts the containers made under one name, from 0.
    pub attempt: u32,
    /// The image reference, which must be present. Not empty.
    pub image: String,
    /// What to execute; empty: the image's entrypoint.
    pub command: Vec<String>,
    /// Its arguments; empty: the image's, if `command` is empty too.
    pub args: Vec<String>,
    /// Where it starts; none: the image's, else `/`.
    pub working_dir: Option<String>,
    /// Environment on top of the image's, in order; a later name wins.
    pub env: Vec<(String, String)>,
    /// Files and directories of the machine shown in the container, each at a place of its own.
    pub mounts: Vec<Mount>,
    /// What it may use.
    pub resources: Resources,
    /// Under which identity and confinement it runs.
    pub security: Security,
    /// Keep its standard input open.
    pub stdin: bool,
    /// Close its standard input when the first attached session ends.
    pub stdin_once: bool,
    /// Give it a terminal.
    pub tty: bool,
    /// The signal that asks it to end (`SIGTERM`); none: the image's, else `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Kept with the container and shown in lists.
    pub labels: BTreeMap<String, String>,
    /// Kept with the container and shown in lists; not for filtering.
    pub annotations: BTreeMap<String, String>,
}

/// A path of the machine shown in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The machine's path; it must exist.
    pub source: PathBuf,
    /// Where the container sees it.
    pub target: PathBuf,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

/// What a container may use. Unset fields mean no limit, or in an update no change.
///
/// What a field says of values that mean something else than they are holds on every runtime that limits;
/// [`in_force`](Self::in_force) is what comes of it, which is told of the container. What is less than a runtime can keep to, and
/// not spoken of here, it refuses by the field's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Its share of processor time against other containers (cgroup v1 `cpu.shares`), from 2 to 262,144. What is less is taken
    /// for the least, and what is more for the most, as the kernel and kubelet have it.
    pub cpu_shares: Option<u64>,
    /// Processor time it may use, in thousandths of one processor. 0 is no limit, and so is more than the kernel can count
    /// (175,921,860,444); from 1 to 9 are taken for 10, the least that the kernel takes in its usual period of 100 ms. As kubelet
    /// has it (`MilliCPUToQuota`).
    pub cpu_limit_millis: Option<u64>,
    /// Memory it may use, in bytes; past it the kernel kills. 0 is no limit, as kubelet has it, and so is what the kernel
    /// shows of a group without one, 9,223,372,036,854,771,712, and more. Less than
    /// [`Capabilities::memory_limit_min`](super::Capabilities::memory_limit_min) is refused.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads it may have. 0 is no limit, as Docker has it, and so is more than a kernel can have (4,194,304).
    pub pids_limit: Option<u64>,
    /// How ready the kernel is to kill it when the machine runs out of memory (-1000 to 1000).
    pub oom_score_adj: Option<i32>,
    /// Memory in huge pages that it may use, by their size, both in bytes (Kubernetes: `hugepages-2Mi`). It is no part of
    /// [`memory_limit_bytes`](Self::memory_limit_bytes).
    pub hugepages: BTreeMap<u64, u64>,
}

/// The bytes of a huge page, by the name that the kernel gives its size in `/sys/kernel/mm/hugepages`: `hugepages-2048kB`.
pub fn kernel_page_size(name: &str) -> Option<u64> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

/// Identity and confinement. Unset fields leave the runtime's safe default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// The user id to run as; none: the image's. Up to 4,294,967,294: the number after it is the kernel's word for none, of a
    /// group too.
    pub run_as_user: Option<u32>,
    /// The group id to run as; none: the user's.
    pub run_as_group: Option<u32>,
    /// Further groups.
    pub supplemental_groups: Vec<u32>,
    /// Refuse to run as user 0.
    pub run_as_non_root: bool,
    /// Give it all of root's powers over the machine.
    pub privileged: bool,
    /// Make its root file system read-only.
    pub read_only_root: bool,
    /// Whether a program can gain powers that its parent lacks (set-uid); none: the runtime's default.
    pub allow_privilege_escalation: Option<bool>,
    /// Capabilities to add to the runtime's default set, without `CAP_`; `ALL` for all.
    pub add_capabilities: Vec<String>,
    /// Capabilities to take from the runtime's default set, without `CAP_`; `ALL` for all.
    pub drop_capabilities: Vec<String>,
    /// Which system calls it may make. Privileged containers may make all.
    pub seccomp: SeccompProfile,
    /// What AppArmor lets it do. A profile that cannot be enforced is
    /// [`RuntimeError::InvalidConfig`](super::RuntimeError::InvalidConfig) for `security.app_armor`.
    pub app_armor: AppArmorProfile,
}

/// Which system calls a container may make (Kubernetes: `securityContext.seccompProfile`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SeccompProfile {
    /// Those of the runtime's own profile.
    #[default]
    RuntimeDefault,
    /// All.
    Unconfined,
    /// Those of a profile in this file of the machine, in Docker's format, which is that of the runtime specification with
    /// conditions.
    Localhost(PathBuf),
}

/// What AppArmor lets a container do (Kubernetes: `securityContext.appArmorProfile`; CRI: `apparmor`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AppArmorProfile {
    /// What the runtime's own profile does, where the machine has AppArmor; privileged containers have none.
    #[default]
    RuntimeDefault,
    /// Everything.
    Unconfined,
    /// What the profile of this name does, which must be loaded on the machine; it holds privileged containers too.
    Localhost(String),
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running since then.
    Running {
        /// When it started.
        started_at: Timestamp,
    },
    /// Ended.
    Exited {
        /// When it had started; none if it never ran.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Timestamp,
        /// Its exit code; 128 plus the signal's number if a signal ended it. None if nobody can know
        /// it any more.
        exit_code: Option<i32>,
        /// Why it ended.
        reason: ExitReason,
        /// What the runtime has to say of it, such as why it could not be started.
        message: Option<String>,
    },
    /// The backend reports a state that this version does not know, kept as it was given.
    Unknown(String),
}

impl ContainerState {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Whether it has ended.
    pub fn is_exited(&self) -> bool {
        matches!(self, Self::Exited { .. })
    }
}

/// Why a container ended, in the words Kubernetes shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// By itself, with code 0: `Completed`.
    Completed,
    /// By itself with another code, or by a signal: `Error`.
    Error,
    /// The kernel killed it over its memory limit, or something in it, whatever its code then was: `OOMKilled`, as containerd has
    /// it. Not if it ended with 0, or with 143, the code of SIGTERM: see [`of`](Self::of).
    OutOfMemory,
    /// It could not be started: `StartError`.
    StartError,
    /// Its end was not observed and left no trace: `ContainerStatusUnknown`.
    Unknown,
}

impl ExitReason {
    /// Why a container ended that was started: by its exit code, and by whether the kernel killed anything in it over its
    /// memory limit. For runtimes, so that they all say the same.
    ///
    /// ```
    /// use orch_core::runtime::ExitReason;
    ///
    /// // It lost a child, and gave up.
    /// assert_eq!(ExitReason::of(Some(1), true), ExitReason::OutOfMemory);
    /// // It lost a child, went on, and was asked to end later.
    /// assert_eq!(ExitReason::of(Some(143), true), ExitReason::Error);
    /// ```
    pub fn of(exit_code: Option<i32>, out_of_memory: bool) -> Self {
        /// What ends by SIGTERM, as one does that is asked to end.
        const TERMINATED: i32 = 128 + 15;
        match exit_code {
            Some(0) => Self::Completed,
            // Only something beside the program was killed earlier, if anything: a command, or a child without which it went on.
            Some(TERMINATED) => Self::Error,
            // With whatever code it ends that has lost a child by that.
            _ if out_of_memory => Self::OutOfMemory,
            Some(_) => Self::Error,
            None => Self::Unknown,
        }
    }

    /// The word in a container status's `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OutOfMemory => "OOMKilled",
            Self::StartError => "StartError",
            Self::Unknown => "ContainerStatusUnknown",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A container as the runtime holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The sandbox it is in.
    pub sandbox: SandboxId,
    /// The uid of the pod it belongs to.
    pub pod_uid: String,
    /// Its name within the pod.
    pub name: String,
    /// Which of the containers of that name it is.
    pub attempt: u32,
    /// The image reference it was made from.
    pub image: String,
    /// The image's id (a digest), where the runtime has images.
    pub image_id: String,
    /// Where it is in its life.
    pub state: ContainerState,
    /// Whether it is [paused](super::Runtime::pause). Then it is one that runs.
    pub paused: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The limits in force, where the runtime knows them.
    pub resources: Resources,
    /// The labels given; shared by all that the runtime says of this container.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The annotations given; shared likewise.
    pub annotations: Arc<BTreeMap<String, String>>,
}

/// Which containers to list; the default is all. Conditions add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    /// Only this one.
    pub id: Option<ContainerId>,
    /// Only those in this sandbox.
    pub sandbox: Option<SandboxId>,
    /// Only those of the pod with this uid.
    pub pod_uid: Option<String>,
}
