//! Where CNI's configuration and plugins are.

use std::path::PathBuf;
use std::time::Duration;

/// How a [`Cni`](super::Cni) network is found.
///
/// ```
/// use orch_podnet::CniOptions;
///
/// let options = CniOptions::new("/run/edge/cni").network("edge").plugin_dirs(["/usr/lib/cni"]);
/// ```
#[derive(Clone, Debug)]
pub struct CniOptions {
    pub(super) state: PathBuf,
    pub(super) config: Config,
    pub(super) network: Option<String>,
    pub(super) plugin_dirs: Vec<PathBuf>,
    pub(super) timeout: Duration,
}

/// Where the configuration is looked for.
#[derive(Clone, Debug)]
pub(super) enum Config {
    Dir(PathBuf),
    File(PathBuf),
}

impl CniOptions {
    /// What plugins answered is kept in this directory, which is made if it is missing. One network has it open at a
    /// time. As no network outlives the machine, it may lie where nothing outlives it either, as in `/run`.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            config: Config::Dir("/etc/cni/net.d".into()),
            network: None,
            plugin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            timeout: Duration::from_secs(60),
        }
    }

    /// The directory whose first configuration is taken, `/etc/cni/net.d` by default: of its files that end in
    /// `.conflist`, `.conf` or `.json`, in the order of their names.
    #[must_use]
    pub fn config_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config = Config::Dir(dir.into());
        self
    }

    /// The one file to be taken, in place of a directory.
    #[must_use]
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = Config::File(file.into());
        self
    }

    /// Takes the first configuration of a network of this name only.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = Some(name.into());
        self
    }

    /// Where plugins are looked for, in this order; `/opt/cni/bin` and Debian's `/usr/lib/cni` by default.
    #[must_use]
    pub fn plugin_dirs(mut self, dirs: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.plugin_dirs = dirs.into_iter().map(Into::into).collect();
        self
    }

    /// How long one plugin may take for one sandbox, a minute by default; then it is killed.
    #[must_use]
    pub fn timeout(mut self, bound: Duration) -> Self {
        self.timeout = bound;
        self
    }
}
