//! Containers: made, started, stopped, removed, listed.

use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures::{StreamExt, TryStreamExt, stream};
use orch_core::runtime::{
    Container, ContainerConfig, ContainerFilter, ContainerId, ContainerState, Resources, RuntimeError,
    SandboxId,
};

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Lane, path, wire, within};
use crate::known::{Entry, KnownContainer};
use crate::labels::{ContainerIdentity, Kind, POD_UID, SANDBOX};
use crate::sandbox::{Created, config_fault};
use crate::spec;
use crate::state;

impl Driver {
    pub(crate) async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        config.check()?;
        let pod = self.known_sandbox(sandbox).await?;
        let what = format!("container {}", config.name);
        if !pod.is_alive() {
            let why = format!("its sandbox {sandbox} has ended");
            return Err(RuntimeError::failed(format!("creating {what}"), why));
        }
        self.check_app_armor(&config.security).await?;
        let image_user = if spec::needs_image_user(config) {
            let image = self.image(&config.image).await?;
            let missing = || RuntimeError::ImageNotFound {
                image: config.image.clone(),
            };
            Some(image.ok_or_else(missing)?.user)
        } else {
            crate::image::check(&config.image)?;
            None
        };
        let identity = ContainerIdentity::wanted(sandbox, &pod.identity.uid, config);
        let engine = spec::Engine {
            protects: self.protects() == Some(true),
            is_docker: self.engine.is_docker(),
        };
        let labels = identity.labels(self.scope(), &pod.identity, config);
        let user = spec::user(config, image_user.as_deref())?;
        let body = spec::container(
            &self.options,
            engine,
            (sandbox, pod.identity.pids),
            config,
            labels,
            user,
        )?;
        let name = identity.engine_name(self.scope(), &pod.identity.name);
        match self.create(&name, &body).await {
            Ok(Created::New(id)) => {
                let known = KnownContainer::new(identity, config.tty, config.stdin, true);
                self.known.add_container(&id, known);
                Ok(ContainerId(id))
            }
            Ok(Created::Existing(found)) => match self.known.learn(&found, self.scope()) {
                Some(Entry::Container(known)) if known.identity.is(&identity) => Ok(ContainerId(found.id)),
                _ => {
                    let why = format!("container {} has its name and is not ours", found.id);
                    Err(RuntimeError::failed(format!("creating {what}"), why))
                }
            },
            Err(fault) if fault.is_missing() => {
                if fault.message().contains("No such container") {
                    self.known.forget(&sandbox.0);
                    return Err(RuntimeError::NotFound {
                        what: format!("sandbox {sandbox}"),
                    });
                }
                Err(RuntimeError::ImageNotFound {
                    image: config.image.clone(),
                })
            }
            Err(fault) => Err(config_fault(fault, &what)),
        }
    }

    pub(crate) async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let known = self.known_container(id).await?;
        let mut fresh = known.fresh.lock().await;
        if !std::mem::replace(&mut *fresh, false) {
            // The engine would run an ended one again.
            match self.container(id).await?.state {
                ContainerState::Created => {}
                ContainerState::Running { .. } => return Ok(()),
                ContainerState::Exited { .. } => {
                    return Err(RuntimeError::Ended {
                        container: id.0.clone(),
                    });
                }
                other => {
                    let why = format!("its state is {other:?}");
                    return Err(RuntimeError::failed(format!("starting container {id}"), why));
                }
            }
        }
        known.forget_seen();
        let started = self
            .engine
            .call(Lane::Heavy, self.bound(), |docker| {
                docker.start_container(&id.0, None)
            })
            .await;
        match started {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_missing() && fault.message().contains("No such container") => {
                Err(self.gone(id))
            }
            Err(Fault::Refused { message, .. }) => Err(RuntimeError::StartFailed {
                container: known.identity.name.clone(),
                reason: message,
            }),
            Err(fault) => Err(fault.during(format!("starting container {id}"))),
        }
    }

    pub(crate) async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let known = self.known_container(id).await?;
        known.forget_seen();
        if grace.is_zero() {
            return self.kill(&id.0).await;
        }
        // The engine counts whole seconds; what it is asked to do it also does if we are gone meanwhile.
        let whole = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(whole).unwrap_or(i32::MAX))
            .build();
        let failed = |fault: Fault| fault.during(format!("stopping container {id}"));
        let bound = grace + self.bound();
        // The grace begins when the engine is asked, which may be later than now.
        let _place = self.engine.turn(Lane::Stop, bound).await.map_err(failed)?;
        let stopping = self.engine.call(Lane::Held, bound, |docker| {
            docker.stop_container(&id.0, Some(options))
        });
        tokio::pin!(stopping);
        let stopped = if grace.subsec_nanos() == 0 {
            stopping.await
        } else {
            tokio::select! {
                stopped = &mut stopping => stopped,
                () = tokio::time::sleep(grace) => {
                    self.signal(&id.0, "SIGKILL").await.map_err(|fault| fault.during(format!("killing container {id}")))?;
                    stopping.await
                }
            }
        };
        match stopped {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_missing() => {
                self.known.forget(&id.0);
                Ok(())
            }
            Err(fault) => Err(failed(fault)),
        }
    }

    /// Kills what runs, and returns when it has ended.
    pub(crate) async fn kill(&self, id: &str) -> Result<(), RuntimeError> {
        let killed = async {
            self.signal(id, "SIGKILL").await?;
            let wait = path(&format!("/containers/{id}/wait"), &[("condition", "not-running")]);
            within(self.bound(), self.engine.wait::<wire::Waited>(&wait)).await?;
            Ok(())
        };
        match killed.await {
            Err(fault) if !Fault::is_missing(&fault) => Err(fault.during(format!("killing container {id}"))),
            _ => Ok(()),
        }
    }

    async fn signal(&self, id: &str, signal: &str) -> Result<(), Fault> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let sent = self
            .engine
            .call(Lane::Light, self.bound(), |docker| {
                docker.kill_container(id, Some(options))
            })
            .await;
        match sent {
            // It does not run.
            Err(fault) if fault.is_conflict() => Ok(()),
            done => done,
        }
    }

    pub(crate) async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        match self.known_container(id).await {
            Ok(_) => self.remove_by_id(&id.0).await,
            Err(RuntimeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes one of ours, whatever it is.
    pub(crate) async fn remove_by_id(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self
            .engine
            .call(Lane::Heavy, self.bound(), |docker| {
                docker.remove_container(id, Some(options))
            })
            .await;
        let done = match removed {
            // Another call removes it already; wait for that one.
            Err(fault) if fault.is_conflict() => {
                let wait = path(&format!("/containers/{id}/wait"), &[("condition", "removed")]);
                within(self.bound(), self.engine.wait::<wire::Waited>(&wait))
                    .await
                    .map(|_| ())
            }
            done => done,
        };
        match done {
            Err(fault) if !fault.is_missing() => Err(fault.during(format!("removing container {id}"))),
            _ => {
                self.known.forget(id);
                Ok(())
            }
        }
    }

    pub(crate) async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        let what = || format!("container {id}");
        let inspected = self.inspect(&id.0).await.map_err(|fault| {
            if fault.is_missing() {
                self.known.forget(&id.0);
            }
            fault.about(what(), "inspecting")
        })?;
        if inspected.id != id.0 || Kind::of(&inspected.config.labels, self.scope()) != Some(Kind::Container) {
            return Err(RuntimeError::NotFound { what: what() });
        }
        self.known.learn(&inspected, self.scope());
        Ok(state::container(&inspected))
    }

    pub(crate) async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        if let Some(id) = &filter.id {
            return match self.container(id).await {
                Ok(container) => {
                    let fits = filter
                        .sandbox
                        .as_ref()
                        .is_none_or(|sandbox| *sandbox == container.sandbox)
                        && filter
                            .pod_uid
                            .as_ref()
                            .is_none_or(|uid| *uid == container.pod_uid);
                    Ok(fits.then_some(container).into_iter().collect())
                }
                Err(RuntimeError::NotFound { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let mut labels = Vec::new();
        if let Some(sandbox) = &filter.sandbox {
            labels.push((SANDBOX, sandbox.0.as_str()));
        }
        if let Some(uid) = &filter.pod_uid {
            labels.push((POD_UID, uid.as_str()));
        }
        let listed = self.list(Kind::Container, &labels).await?;
        // A list does not tell exit codes or exact times; those that changed are looked at one by one.
        let containers = stream::iter(listed)
            .map(async |one| {
                if let Some(Entry::Container(known)) = self.known.get(&one.id)
                    && let Some(container) = known.still(&one.state)
                {
                    return Ok(Some(container));
                }
                match self.container(&ContainerId(one.id)).await {
                    Ok(container) => Ok(Some(container)),
                    Err(RuntimeError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffered(self.options.parallelism * 4)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(containers.into_iter().flatten().collect())
    }

    pub(crate) async fn update_resources(
        &self,
        id: &ContainerId,
        resources: &Resources,
    ) -> Result<(), RuntimeError> {
        let known = self.known_container(id).await?;
        let body = spec::update(resources)?;
        known.forget_seen();
        let updated = self
            .engine
            .call(Lane::Light, self.bound(), |docker| {
                docker.update_container(&id.0, body)
            })
            .await;
        known.forget_seen();
        updated.map_err(|fault| match fault {
            Fault::Refused { status: 400, message } => RuntimeError::InvalidConfig {
                field: format!("container {id}: resources"),
                reason: message,
            },
            fault => fault.about(format!("container {id}"), "changing the limits of"),
        })
    }

    /// Forgets a container that the engine no longer has.
    pub(crate) fn gone(&self, id: &ContainerId) -> RuntimeError {
        self.known.forget(&id.0);
        RuntimeError::NotFound {
            what: format!("container {id}"),
        }
    }
}
