//! What all parts of the runtime work with.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use orch_core::runtime::{AppArmorProfile, ContainerId, RuntimeError, SandboxId, Security};
use tokio::sync::{Mutex, OnceCell, Semaphore};

use crate::engine::fault::Fault;
use crate::engine::{Engine, path, wire};
use crate::known::{Entry, Known, KnownContainer, KnownSandbox};
use crate::labels::{Kind, SCOPE};
use crate::listing::Listing;
use crate::options::DockerOptions;
use crate::spec::invalid;

/// Pulls at one time; each loads several layers at once by itself.
const PULLS: usize = 4;

/// A runtime on an engine.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) options: DockerOptions,
    pub(crate) engine: Engine,
    pub(crate) known: Known,
    listing: Listing,
    pub(crate) pulls: Semaphore,
    /// Held while the sandbox image is made.
    pub(crate) pause: Mutex<()>,
    /// Whether the engine can lower a process's OOM score, once it is known: not without CAP_SYS_RESOURCE.
    protects: OnceLock<bool>,
    /// Held while that is tried out.
    pub(crate) trial: Mutex<()>,
    /// Whether the engine confines by AppArmor, once somebody asked for a profile by name.
    confines: OnceCell<bool>,
}

impl Driver {
    pub(crate) fn new(options: DockerOptions) -> Result<Self, RuntimeError> {
        options.validate()?;
        Ok(Self {
            engine: Engine::new(&options)?,
            options,
            known: Known::default(),
            listing: Listing::default(),
            pulls: Semaphore::new(PULLS),
            pause: Mutex::new(()),
            protects: OnceLock::new(),
            trial: Mutex::new(()),
            confines: OnceCell::new(),
        })
    }

    pub(crate) fn scope(&self) -> &str {
        &self.options.scope
    }

    pub(crate) fn bound(&self) -> Duration {
        self.engine.bound()
    }

    /// Whether the engine can lower a process's OOM score; none if nobody has tried yet.
    pub(crate) fn protects(&self) -> Option<bool> {
        self.protects.get().copied()
    }

    pub(crate) fn learnt_protection(&self, can: bool) {
        if self.protects.set(can).is_ok() && !can {
            tracing::warn!(
                "the engine cannot lower OOM scores (no CAP_SYS_RESOURCE): negative oom_score_adj is ignored"
            );
        }
    }

    /// Refuses an AppArmor profile by name where the engine has no AppArmor: it would take no notice.
    pub(crate) async fn check_app_armor(&self, security: &Security) -> Result<(), RuntimeError> {
        let AppArmorProfile::Localhost(name) = &security.app_armor else {
            return Ok(());
        };
        let ask = async || {
            let info: wire::Info = self.engine.get("/info").await?;
            Ok(info.has_app_armor())
        };
        let told = self.confines.get_or_try_init(ask).await;
        match told.map_err(|fault: Fault| fault.during("asking the engine for AppArmor".to_owned()))? {
            true => Ok(()),
            false => Err(invalid(
                "security.app_armor",
                format!(
                    "{name:?}: Cannot enforce AppArmor: the engine says that it has none on its machine (GET /info)"
                ),
            )),
        }
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
        let list = async || {
            let ours = format!("{SCOPE}={}", self.scope());
            self.labelled(&ours).await
        };
        let told = self.listing.get(list).await;
        let all = told.map_err(|fault| fault.during(format!("listing {}s", kind.as_str())))?;
        let wanted = |one: &&wire::Listed| {
            let has = |(name, value): &(&str, &str)| one.labels.get(*name).is_some_and(|own| own == value);
            Kind::of(&one.labels, self.scope()) == Some(kind) && labels.iter().all(has)
        };
        Ok(all.iter().filter(wanted).cloned().collect())
    }

    /// How many containers each scope has.
    pub(crate) async fn scopes(&self) -> Result<BTreeMap<String, usize>, RuntimeError> {
        let told = self.labelled(SCOPE).await;
        let all = told.map_err(|fault| fault.during("listing scopes".to_owned()))?;
        let mut scopes = BTreeMap::new();
        for mut one in all {
            if let Some(scope) = one.labels.remove(SCOPE) {
                *scopes.entry(scope).or_default() += 1;
            }
        }
        Ok(scopes)
    }

    /// All that have this label, whoever made them.
    async fn labelled(&self, label: &str) -> Result<Vec<wire::Listed>, Fault> {
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let query = path("/containers/json", &[("all", "true"), ("filters", &filters)]);
        self.engine.get(&query).await
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
