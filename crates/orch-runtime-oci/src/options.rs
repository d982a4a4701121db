//! The runtime's settings.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use orch_core::runtime::PodNetwork;

use crate::image::ImageOptions;
use crate::users::Pool;

/// Where an [`OciRuntime`](crate::OciRuntime) keeps its state, and how it runs containers.
///
/// ```
/// use orch_runtime_oci::OciOptions;
///
/// let options = OciOptions::new("/var/lib/edge/containers").cgroup_parent("edge");
/// ```
#[derive(Clone, Debug)]
pub struct OciOptions {
    pub(crate) root: PathBuf,
    pub(crate) shim: Option<PathBuf>,
    pub(crate) cgroup_parent: String,
    pub(crate) log_file_bytes: u64,
    pub(crate) log_files: usize,
    pub(crate) start_timeout: Duration,
    pub(crate) images: ImageOptions,
    pub(crate) network: Option<Network>,
    pub(crate) users: Pool,
}

/// What pods are connected by.
#[derive(Clone)]
pub(crate) struct Network(Arc<dyn PodNetwork>);

impl Deref for Network {
    type Target = dyn PodNetwork;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl OciOptions {
    /// State in this directory, which is made if it is missing. One runtime has it open at a time.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            shim: None,
            cgroup_parent: "orch".into(),
            log_file_bytes: 10 << 20,
            log_files: 5,
            start_timeout: Duration::from_secs(60),
            images: ImageOptions::default(),
            network: None,
            users: Pool::default(),
        }
    }

    /// Starts containers through this program, the package's `orch-oci-shim`, instead of running the embedding
    /// program's own file again, for which that must call [`init`](crate::init) or be built with the feature `auto-shim`.
    /// Not a script: pods with a first process of their own would not become ready.
    #[must_use]
    pub fn shim(mut self, program: impl Into<PathBuf>) -> Self {
        self.shim = Some(program.into());
        self
    }

    /// The control group in which all others are made, `orch` by default. A plain name.
    #[must_use]
    pub fn cgroup_parent(mut self, name: impl Into<String>) -> Self {
        self.cgroup_parent = name.into();
        self
    }

    /// How many bytes a container's log file may come to, and how many of them are kept: 5 of 10 MiB by default, and one of one
    /// byte at least. What is written beyond that takes the place of what is oldest.
    #[must_use]
    pub fn log_limits(mut self, file_bytes: u64, files: usize) -> Self {
        (self.log_file_bytes, self.log_files) = (file_bytes.max(1), files.max(1));
        self
    }

    /// How long a container may take until its program runs, a minute by default, and more than nothing; then it is given up.
    #[must_use]
    pub fn start_timeout(mut self, bound: Duration) -> Self {
        self.start_timeout = bound;
        self
    }

    /// Which images are taken, and where they come from.
    #[must_use]
    pub fn images(mut self, images: ImageOptions) -> Self {
        self.images = images;
        self
    }

    /// Which users of the machine pods have that are to have some of their own (see
    /// [`SandboxConfig::user_namespace`](orch_core::runtime::SandboxConfig::user_namespace)): 65,536 each, for so many pods, from
    /// `first` on, a multiple of 65,536. By default, as kubelet has it, from 65,536 on for 110 pods.
    ///
    /// Opening the runtime is [`RuntimeError::InvalidConfig`](orch_core::runtime::RuntimeError::InvalidConfig) for what is no such
    /// range. In a program that is in a user namespace itself and has not all of them there, such pods are
    /// [`RuntimeError::Unsupported`](orch_core::runtime::RuntimeError::Unsupported). What `/etc/subuid` or `/etc/subgid` gives to others than root is left out. State directories on one machine know nothing of
    /// each other: give each a range of its own. Pods that are there keep what they have.
    ///
    /// The kernel knows numbers alone: whoever has one of these numbers on the machine is the same as a user of a pod, with its files
    /// and its processes. What `/etc/passwd`, LDAP or another directory gives to people and programs is not looked at, and directories
    /// often begin above 65,535 (with 100,000, or 200,000, or higher), which is in the default range: on a machine that has such users
    /// or groups, or files of theirs on volumes, name a range here in which nobody is, 3,000,041,472 for one.
    #[must_use]
    pub fn user_ranges(mut self, first: u32, pods: u32) -> Self {
        self.users = Pool { first, pods };
        self
    }

    /// Gives each pod that does not share the machine's network one of its own, connected by this. Without it all
    /// pods are on the machine's network; those made before stay on the one that they are on.
    #[must_use]
    pub fn network(mut self, network: Arc<dyn PodNetwork>) -> Self {
        self.network = Some(Network(network));
        self
    }
}

impl Default for OciOptions {
    fn default() -> Self {
        Self::new("/var/lib/orch-oci")
    }
}
