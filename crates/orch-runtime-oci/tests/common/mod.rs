//! A runtime of its own for each test, and a look at what it leaves.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

mod containers;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod network;
pub(crate) mod pods;
mod sessions;
pub(crate) mod stress;
mod sweep;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use orch_core::runtime::Runtime;
use orch_core::testing::runtime::Harness;
use orch_runtime_oci::{OciOptions, OciRuntime};

pub(crate) use containers::{
    clear, config, create, ended, exit_code, nursery, open, processes, said, start, text,
};
pub(crate) use sessions::{code, command, exec, hears, nap, rest, says, sleep_runs, sleepers, tell};

/// The package's own shim.
pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_orch-oci-shim");

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What threads are called that are on a test's own machine, in its network.
pub(crate) const AT_MACHINE: &str = "test-machine";

/// Whether containers can be run here; says so if not.
pub(crate) fn possible() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Not by a macro, whose output the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: needs root");
    }
    root
}

/// Whether something that a test needs was found; says so if not.
pub(crate) fn there(found: bool, why: &str) -> bool {
    if !found {
        assert!(
            std::env::var_os("ORCH_REQUIRE_ENGINE").is_none(),
            "ORCH_REQUIRE_ENGINE is set, and {why}"
        );
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
    }
    found
}

/// Whether the kernel has something that few have that tests run on; says so if not. `scripts/guest tests` runs them on one
/// that has it all.
pub(crate) fn kernel_has(found: bool, what: &str) -> bool {
    if !found {
        assert!(
            std::env::var_os("ORCH_REQUIRE_KERNEL").is_none(),
            "ORCH_REQUIRE_KERNEL is set, and there is no {what}"
        );
        let _ = writeln!(std::io::stderr(), "skipped: needs {what}");
    }
    found
}

/// A place for containers, which must be left clean.
pub(crate) struct Oci {
    dir: tempfile::TempDir,
    /// The control group of this test alone.
    group: String,
}

impl Oci {
    /// None where containers cannot be run.
    pub(crate) fn new() -> Option<Self> {
        possible().then(|| {
            let dir = tempfile::tempdir().expect("a directory for a test");
            let name = dir.path().file_name().expect("it has a name").to_string_lossy();
            let group = format!("orch-test{}", name.replace('.', "-"));
            Self { dir, group }
        })
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A place beside the state.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn options(&self) -> OciOptions {
        OciOptions::new(self.root()).shim(SHIM).cgroup_parent(&self.group)
    }

    /// What is left: processes that know the directory, control groups, mounts that name it, what
    /// is in memory, and namespaces that this program has open.
    pub(crate) fn left(&self) -> Vec<String> {
        let place = self.dir.path().to_string_lossy().into_owned();
        let groups = groups_called(&self.group).into_iter();
        let mut left: Vec<_> = groups.map(|group| group.display().to_string()).collect();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let process = entry.path();
            if process
                .file_name()
                .and_then(|name| name.to_str()?.parse::<i32>().ok())
                .is_none()
            {
                continue;
            }
            let has = |file: &str| fs::read(process.join(file)).is_ok_and(|text| find(&text, &place));
            if has("cmdline") || has("mountinfo") {
                left.push(process.display().to_string());
            }
        }
        if let Ok(found) = fs::read_dir(self.root().join("containers")) {
            left.extend(found.flatten().map(|entry| entry.path().display().to_string()));
        }
        for place in ["ns", "run"] {
            let place = self.root().join(place);
            if place.exists() {
                left.push(place.display().to_string());
            }
        }
        left.extend(held_namespaces());
        left
    }
}

impl Oci {
    /// Ends and removes all that a failed test has left.
    pub(crate) fn sweep(&self) {
        sweep::groups(&groups_called(&self.group));
        sweep::mounts(self.dir.path());
    }
}

impl Drop for Oci {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.sweep();
        }
        let strayed = strayed_threads();
        assert!(
            strayed.is_empty(),
            "a thread has stayed where it was to do one thing: {strayed:#?}"
        );
        let begin = Instant::now();
        // A runtime that was just dropped has tasks that end a moment later.
        let left = loop {
            let left = self.left();
            // Looked at once each time: other tests of this program have namespaces open for a moment.
            if left.is_empty() || begin.elapsed() > PATIENCE {
                break left;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.sweep();
        assert!(left.is_empty(), "a test has left {left:#?}");
    }
}

/// Namespaces that this program has open, by the kind of file that they are: what they are called says nothing once
/// they are bound nowhere. Of all its tests; they are open for a moment only.
fn held_namespaces() -> Vec<String> {
    /// The kernel's `NSFS_MAGIC`.
    const NSFS: rustix::fs::FsWord = 0x6e73_6673;
    let open = fs::read_dir("/proc/self/fd").expect("/proc").flatten();
    let is_one = |path: &PathBuf| rustix::fs::statfs(path).is_ok_and(|found| found.f_type == NSFS);
    open.map(|entry| entry.path())
        .filter(is_one)
        .map(|path| format!("{} -> {:?}", path.display(), fs::read_link(&path)))
        .collect()
}

/// Threads of this program in other namespaces than it, but for those that are made for that, and end: the runtime's,
/// a network's and a test's own.
fn strayed_threads() -> Vec<String> {
    let mut strayed = Vec::new();
    for entry in fs::read_dir("/proc/self/task").expect("/proc").flatten() {
        let thread = entry.path();
        // One may end meanwhile.
        let Ok(name) = fs::read_to_string(thread.join("comm")) else {
            continue;
        };
        for kind in ["ipc", "mnt", "net", "pid", "uts"] {
            let own = fs::read_link(Path::new("/proc/self/ns").join(kind)).expect("one's own");
            let is = fs::read_link(thread.join("ns").join(kind));
            let passing = ["orch-oci-aside", "orch-podnet", AT_MACHINE].contains(&name.trim());
            if is.is_ok_and(|is| is != own) && !passing {
                strayed.push(format!("{} {kind}", name.trim()));
            }
        }
    }
    strayed
}

fn find(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

/// The control groups of this name, in any hierarchy.
pub(crate) fn groups_called(name: &str) -> Vec<PathBuf> {
    let mut places: BTreeSet<PathBuf> = [Path::new("/sys/fs/cgroup").to_owned()].into();
    places.extend(
        fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    let groups = places.into_iter().map(|place| place.join(name));
    groups.filter(|group| group.exists()).collect()
}

/// Children of this process that nobody has waited for. Of all its tests, so for a program with one.
pub(crate) fn zombies() -> Vec<String> {
    let ended = rustix::process::waitid(
        rustix::process::WaitId::All,
        rustix::process::WaitIdOptions::EXITED
            | rustix::process::WaitIdOptions::NOHANG
            | rustix::process::WaitIdOptions::NOWAIT,
    );
    match ended {
        Ok(Some(_)) => vec!["a child that has ended and was not waited for".into()],
        _ => Vec::new(),
    }
}

#[async_trait::async_trait]
impl Harness for Oci {
    async fn open(&self) -> Arc<dyn Runtime> {
        Arc::new(
            OciRuntime::open(self.options())
                .await
                .expect("opening the runtime"),
        )
    }

    fn image(&self) -> String {
        "host".into()
    }

    fn missing_image(&self) -> Option<String> {
        Some("registry.invalid/missing:1".into())
    }

    #[cfg(feature = "pull")]
    fn pullable_image(&self) -> Option<String> {
        static IMAGE: OnceLock<Option<(images::Registry, String)>> = OnceLock::new();
        let image = IMAGE.get_or_init(|| {
            let (image, registry) = (
                images::shell(&Default::default())?,
                images::Registry::start(false)?,
            );
            // The caller is within a runtime, where none may wait for another.
            let name = std::thread::scope(|scope| {
                let pushing = scope.spawn(|| {
                    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
                    tokio.block_on(registry.push("conformance/busybox:1", &image))
                });
                pushing.join().expect("pushing")
            });
            Some((registry, name))
        });
        image.as_ref().map(|(_, name)| name.clone())
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
