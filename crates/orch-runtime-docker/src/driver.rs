//! What all parts of the runtime work with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use orch_core::runtime::{ContainerId, RuntimeError, SandboxId};
use tokio::sync::{Mutex, Semaphore};

use crate::engine::fault::Fault;
use crate::engine::{Engine, path, wire};
use crate::known::{Entry, Known, KnownContainer, KnownSandbox};
use crate::labels::{KIND, Kind, SCOPE};
use crate::options::DockerOptions;

/// Pulls at one time; each loads several layers at once by itself.
const PULLS: usize = 4;

/// A runtime on an engine.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) options: DockerOptions,
    pub(crate) engine: Engine,
    pub(crate) known: Known,
    pub(crate) pulls: Semaphore,
    /// Held while the sandbox image is made.
    pub(crate) pause: Mutex<()>,
    /// Whether the engine may lower a process's OOM score: not without CAP_SYS_RESOURCE. Supposed until a
    /// start fails with it.
    protects: AtomicBool,
}

impl Driver {
    pub(crate) fn new(options: DockerOptions) -> Result<Self, RuntimeError> {
        options.validate()?;
        Ok(Self {
            engine: Engine::new(&options)?,
            options,
            known: Known::default(),
            pulls: Semaphore::new(PULLS),
            pause: Mutex::new(()),
            protects: AtomicBool::new(true),
        })
    }

    pub(crate) fn scope(&self) -> &str {
        &self.options.scope
    }

    pub(crate) fn bound(&self) -> Duration {
        self.engine.bound()
    }

    pub(crate) fn protects(&self) -> bool {
        self.protects.load(Ordering::Relaxed)
    }

    /// Whether a failed start was over a lowered OOM score; if so none is lowered from now on.
    pub(crate) fn gave_up_protection(&self, message: &str) -> bool {
        let over_it = message.contains("oom_score_adj") && message.contains("permission denied");
        if over_it && self.protects.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                "the engine cannot lower OOM scores (no CAP_SYS_RESOURCE): negative oom_score_adj is ignored"
            );
        }
        over_it
    }

    /// As the engine shows it, whoever made it. Takes a name as well as an id.
    pub(crate) async fn inspect(&self, id: &str) -> Result<wire::Inspected, Fault> {
        if !is_plain(id) {
            // It would be another path.
            return Err(Fault::Refused {
                status: 404,
                message: format!("No such container: {id}"),
            });
        }
        self.engine.get(&format!("/containers/{id}/json")).await
    }

    /// As the engine lists them: ours of one kind, also with these labels.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        labels: &[(&str, &str)],
    ) -> Result<Vec<wire::Listed>, RuntimeError> {
        let ours = [(SCOPE, self.scope()), (KIND, kind.as_str())];
        let labels: Vec<String> = ours
            .iter()
            .chain(labels)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let filters = serde_json::json!({ "label": labels }).to_string();
        let query = path("/containers/json", &[("all", "true"), ("filters", &filters)]);
        self.engine
            .get(&query)
            .await
            .map_err(|fault| fault.during(format!("listing {}s", kind.as_str())))
    }

    /// The container of this id if it is ours, asking the engine only about one that is not known.
    pub(crate) async fn known_container(
        &self,
        id: &ContainerId,
    ) -> Result<Arc<KnownContainer>, RuntimeError> {
        let what = || format!("container {id}");
        match self.known(&id.0, what()).await? {
            Entry::Container(container) => Ok(container),
            Entry::Sandbox(_) => Err(RuntimeError::NotFound { what: what() }),
        }
    }

    /// The sandbox of this id if it is ours, likewise.
    pub(crate) async fn known_sandbox(&self, id: &SandboxId) -> Result<Arc<KnownSandbox>, RuntimeError> {
        let what = || format!("sandbox {id}");
        match self.known(&id.0, what()).await? {
            Entry::Sandbox(sandbox) => Ok(sandbox),
            Entry::Container(_) => Err(RuntimeError::NotFound { what: what() }),
        }
    }

    async fn known(&self, id: &str, what: String) -> Result<Entry, RuntimeError> {
        if let Some(entry) = self.known.get(id) {
            return Ok(entry);
        }
        let inspected = self
            .inspect(id)
            .await
            .map_err(|fault| fault.about(what.clone(), "inspecting"))?;
        // Only by its full id: the engine also answers to names and beginnings of ids.
        let entry = (inspected.id == id)
            .then(|| self.known.learn(&inspected, self.scope()))
            .flatten();
        entry.ok_or(RuntimeError::NotFound { what })
    }
}

/// Whether it can be a container's id or name, and nothing else in a path.
fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !id.bytes().all(|b| b == b'.')
}
