//! Sandboxes: the container that holds a pod's namespaces, and nothing else.

use std::time::Duration;

use bollard::body_full;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use orch_core::runtime::{ContainerState, RuntimeError, Sandbox, SandboxConfig, SandboxFilter, SandboxId};
use orch_core::time;

use crate::NAME;
use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Lane, path, wire};
use crate::labels::{Kind, POD_UID, SANDBOX, SandboxIdentity};
use crate::pause;
use crate::spec;
use crate::state;

/// How often a container whose name is taken, but which cannot be seen yet, is looked for.
const LOOKS: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of a request to create a container under a name.
pub(crate) enum Created {
    /// It was made, under this id.
    New(String),
    /// One of that name was there.
    Existing(Box<wire::Inspected>),
}

impl Driver {
    pub(crate) async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        config.check()?;
        if config.wants_group() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "control groups of pods".into(),
            });
        }
        // An engine has one such namespace for all its containers, or none.
        if config.user_namespace {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "users of a sandbox's own (user_namespace)".into(),
            });
        }
        let identity = SandboxIdentity::wanted(config, time::now());
        let what = format!("sandbox of pod {}/{}", config.namespace, config.name);
        let name = identity.engine_name(self.scope());
        // The first tries out whether the engine can lower OOM scores; others wait to know.
        let mut trial = None;
        if self.protects().is_none() {
            trial = Some(self.trial.lock().await).filter(|_| self.protects().is_none());
        }
        let mut protect = self.protects().unwrap_or(true);
        let mut failed_protected = false;
        loop {
            let created = self.create_sandbox(&name, &identity, config, protect).await;
            let (id, protected) = match created.map_err(|fault| config_fault(fault, &what))? {
                Created::New(id) => (id, protect),
                Created::Existing(found) => {
                    check_identity(&found, &identity, self.scope(), &what)?;
                    if state::container_state(&found.state, identity.created_at) != ContainerState::Created {
                        return Ok(self.told(&found));
                    }
                    // Whoever made it did not come to start it, or is about to.
                    (found.id, found.host_config.oom_score_adj < 0)
                }
            };
            match self.start_sandbox(&id).await {
                Ok(started) => {
                    if protected || failed_protected {
                        self.learnt_protection(protected);
                    }
                    drop(trial.take());
                    return Ok(self.told(&started));
                }
                Err(fault) => {
                    if matches!(fault, Fault::Away(_)) {
                        return Err(fault.during(format!("starting {what}")));
                    }
                    // Nothing is in it yet, and the same name must be free for the next try.
                    self.remove_by_id(&id).await?;
                    // A taken port or a network that is gone say nothing of scores.
                    let by_runtime = fault.message().contains("OCI");
                    if !protected || !by_runtime || self.protects() == Some(true) {
                        return Err(fault.during(format!("starting {what}")));
                    }
                    // runc dies early where it cannot lower the score, and does not say of what.
                    (protect, failed_protected) = (false, true);
                }
            }
        }
    }

    fn told(&self, inspected: &wire::Inspected) -> Sandbox {
        self.known.learn(inspected, self.scope());
        state::sandbox(
            &inspected.id,
            &inspected.config.labels,
            &inspected.state.status,
            &inspected.network_settings,
        )
    }

    async fn create_sandbox(
        &self,
        name: &str,
        identity: &SandboxIdentity,
        config: &SandboxConfig,
        protect: bool,
    ) -> Result<Created, Fault> {
        let own = format!("{}:{}", pause::IMAGE, pause::TAG);
        let image = self.options.sandbox_image.as_deref().unwrap_or(&own);
        let labels = identity.labels(self.scope(), config);
        let body = spec::sandbox(&self.options, config, image, labels, protect);
        match self.create(name, &body).await {
            // Asked for only when missing: looking first would cost every sandbox a call.
            Err(fault) if fault.is_missing() && self.options.sandbox_image.is_none() => {
                self.make_pause_image(&own).await?;
                self.create(name, &body).await
            }
            done => done,
        }
    }

    /// Creates a container, or finds the one of that name.
    pub(crate) async fn create(&self, name: &str, body: &ContainerCreateBody) -> Result<Created, Fault> {
        let path = path("/containers/create", &[("name", name)]);
        let mut looks = 0;
        loop {
            let made: Result<wire::Made, Fault> = self.engine.post(Lane::Heavy, &path, body).await;
            match made {
                Ok(made) => {
                    for warning in &made.warnings {
                        tracing::debug!(name, warning, "the engine warns");
                    }
                    return Ok(Created::New(made.id));
                }
                Err(fault) if fault.is_conflict() => match self.inspect(name).await {
                    Ok(found) => return Ok(Created::Existing(Box::new(found))),
                    // A name is taken a moment before its container can be seen, and freed a moment after.
                    Err(missing) if missing.is_missing() && looks < LOOKS => {
                        looks += 1;
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    Err(other) => return Err(other),
                },
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn start_sandbox(&self, id: &str) -> Result<wire::Inspected, Fault> {
        self.engine
            .call(Lane::Heavy, self.bound(), |docker| {
                docker.start_container(id, None)
            })
            .await?;
        self.inspect(id).await
    }

    async fn make_pause_image(&self, name: &str) -> Result<(), Fault> {
        let _one_at_a_time = self.pause.lock().await;
        let present: Result<wire::Image, Fault> = self.engine.get(&format!("/images/{name}/json")).await;
        match present {
            Ok(_) => return Ok(()),
            Err(fault) if fault.is_missing() => {}
            Err(fault) => return Err(fault),
        }
        let engine = self.engine.hello().await?;
        let archive = pause::archive(&engine.arch).ok_or_else(|| {
            Fault::Version(format!(
                "no built-in sandbox program for the engine's architecture {}; set DockerOptions::sandbox_image",
                engine.arch
            ))
        })?;
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(pause::IMAGE)
            .tag(pause::TAG)
            .changes(vec![format!("ENTRYPOINT [\"{}\"]", pause::PROGRAM)])
            .build();
        tracing::debug!(image = name, "making the sandbox image");
        self.engine
            .call(Lane::Heavy, self.bound(), |docker| {
                let progress = docker.create_image(Some(options), Some(body_full(archive.into())), None);
                progress.try_for_each(|_| std::future::ready(Ok(())))
            })
            .await
    }

    pub(crate) async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let known = match self.known_sandbox(id).await {
            Ok(known) => known,
            Err(RuntimeError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        known.ended();
        let inside = self.list(Kind::Container, &[(SANDBOX, &id.0)]).await?;
        stream::iter(inside)
            .map(async |container| self.kill(&container.id).await)
            .buffer_unordered(self.options.parallelism)
            .try_collect::<()>()
            .await?;
        self.kill(&id.0).await
    }

    pub(crate) async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        match self.known_sandbox(id).await {
            Ok(known) => known.ended(),
            Err(RuntimeError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        // The sandbox goes last: it keeps the rest in view if we are killed in between.
        let inside = self.list(Kind::Container, &[(SANDBOX, &id.0)]).await?;
        stream::iter(inside)
            .map(async |container| self.remove_by_id(&container.id).await)
            .buffer_unordered(self.options.parallelism)
            .try_collect::<()>()
            .await?;
        self.remove_by_id(&id.0).await
    }

    pub(crate) async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let of_pod = |uid: &str| filter.pod_uid.as_ref().is_none_or(|wanted| wanted == uid);
        if let Some(id) = &filter.id {
            let found = self.look_at_sandbox(&id.0).await?;
            return Ok(found.into_iter().filter(|one| of_pod(&one.uid)).collect());
        }
        let labels: Vec<(&str, &str)> = filter.pod_uid.iter().map(|uid| (POD_UID, uid.as_str())).collect();
        let listed = self.list(Kind::Sandbox, &labels).await?;
        let mut sandboxes = Vec::with_capacity(listed.len());
        for one in &listed {
            let known = self.known.sandbox(&one.id);
            if state::is_final(&one.state) {
                known.iter().for_each(|known| known.ended());
            } else if known.is_some_and(|known| !known.is_alive()) {
                sandboxes.extend(self.look_at_sandbox(&one.id).await?);
                continue;
            }
            sandboxes.push(state::sandbox(
                &one.id,
                &one.labels,
                &one.state,
                &one.network_settings,
            ));
        }
        Ok(sandboxes)
    }

    /// One sandbox as an inspection shows it, which waits for an end under way: an engine tells of an end before it
    /// has taken down the network, and its lists call the sandbox running until it has.
    async fn look_at_sandbox(&self, id: &str) -> Result<Option<Sandbox>, RuntimeError> {
        match self.inspect(id).await {
            Ok(found) => {
                let ours =
                    Kind::of(&found.config.labels, self.scope()) == Some(Kind::Sandbox) && found.id == id;
                Ok(ours.then(|| self.told(&found)))
            }
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(fault.during(format!("looking at sandbox {id}"))),
        }
    }
}

/// Refuses a container that merely has a sandbox's name.
fn check_identity(
    found: &wire::Inspected,
    wanted: &SandboxIdentity,
    scope: &str,
    what: &str,
) -> Result<(), RuntimeError> {
    let labels = &found.config.labels;
    let identity = SandboxIdentity::read(labels);
    let same = (&identity.uid, identity.attempt) == (&wanted.uid, wanted.attempt);
    if same && Kind::of(labels, scope) == Some(Kind::Sandbox) {
        return Ok(());
    }
    let why = format!("container {} has its name and is not ours", found.id);
    Err(RuntimeError::failed(format!("creating {what}"), why))
}

/// What the engine will not have is the configuration's fault, and stays so.
pub(crate) fn config_fault(fault: Fault, what: &str) -> RuntimeError {
    match fault {
        Fault::Refused { status: 400, message } => RuntimeError::InvalidConfig {
            field: what.to_owned(),
            reason: message,
        },
        other => other.during(format!("creating {what}")),
    }
}
