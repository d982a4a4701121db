//! Making sandboxes and containers, and unmaking sandboxes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orch_core::runtime::{ContainerConfig, ContainerId, RuntimeError, Sandbox, SandboxConfig, SandboxId};
use orch_core::time;

use crate::container::Cell;
use crate::driver::{Driver, not_found};
use crate::image::Rootfs;
use crate::record::{ContainerRecord, SandboxRecord};
use crate::runtime::blocking;
use crate::sandbox::{self, Pod};
use crate::spec;
use crate::{bundle, defaults, invalid};

impl Driver {
    pub(crate) async fn run_sandbox(
        self: &Arc<Self>,
        config: SandboxConfig,
    ) -> Result<Sandbox, RuntimeError> {
        let driver = self.clone();
        blocking(move || {
            let _one = driver.making.lock();
            let same = |pod: &&Arc<Pod>| {
                let other = &pod.record.config;
                (&other.uid, other.attempt) == (&config.uid, config.attempt)
            };
            if let Some(pod) = driver.pods().iter().find(same) {
                return Ok(pod.seen());
            }
            sandbox::check(&config)?;
            let id = SandboxId(driver.dir.new_id());
            let place = driver.dir.sandbox(&id.0);
            let record = SandboxRecord {
                config,
                created_at: time::now(),
            };
            let made = driver.dir.make(&place, |draft| sandbox::fill(draft, &record));
            made.map_err(|error| {
                RuntimeError::failed(format!("making sandbox {}", record.config.name), error)
            })?;
            let pod = Arc::new(Pod::new(id, place, record));
            driver.index.lock().pods.insert(pod.id.clone(), pod.clone());
            driver.pod_changed(&pod);
            Ok(pod.seen())
        })
        .await?
    }

    pub(crate) async fn stop_sandbox(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        let pod = self.pod(id).ok_or_else(|| not_found("sandbox", id))?;
        let driver = self.clone();
        blocking(move || {
            // Nothing is being made in it then, or later.
            let _one = driver.making.lock();
            driver.pod(&pod.id).ok_or_else(|| not_found("sandbox", &pod.id))?;
            let stopped = pod.stop();
            stopped.map_err(|error| RuntimeError::failed(format!("stopping sandbox {}", pod.id), error))?;
            driver.pod_changed(&pod);
            Ok::<_, RuntimeError>(())
        })
        .await??;
        let cells = self.cells(|cell| cell.record.sandbox == *id);
        let stopping = cells.iter().map(|cell| self.stop_cell(cell, Duration::ZERO));
        join_all(stopping).await.into_iter().collect()
    }

    pub(crate) async fn remove_sandbox(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        let Some(pod) = self.pod(id) else { return Ok(()) };
        match self.stop_sandbox(id).await {
            // Removed by another meanwhile.
            Err(RuntimeError::NotFound { .. }) => return Ok(()),
            stopped => stopped?,
        }
        let cells = self.cells(|cell| cell.record.sandbox == *id);
        let removing = cells.iter().map(|cell| self.remove_cell(cell));
        join_all(removing).await.into_iter().collect::<Result<(), _>>()?;
        let driver = self.clone();
        blocking(move || {
            let _one = driver.making.lock();
            let discarded = driver.dir.discard(&pod.dir);
            discarded.map_err(|error| RuntimeError::failed(format!("removing sandbox {}", pod.id), error))?;
            driver.index.lock().pods.remove(&pod.id);
            driver.pod_changed(&pod);
            Ok(())
        })
        .await?
    }

    pub(crate) async fn create_container(
        self: &Arc<Self>,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let (driver, sandbox) = (self.clone(), sandbox.clone());
        blocking(move || {
            let _one = driver.making.lock();
            let pod = driver
                .pod(&sandbox)
                .ok_or_else(|| not_found("sandbox", &sandbox))?;
            let same = driver.cells(|cell| {
                let other = &cell.record;
                other.sandbox == sandbox
                    && (&other.config.name, other.config.attempt) == (&config.name, config.attempt)
            });
            if let Some(cell) = same.first() {
                return Ok(cell.id.clone());
            }
            spec::check(&config)?;
            if pod.stopped() {
                return Err(RuntimeError::failed(
                    format!("creating container {}", config.name),
                    format!("sandbox {sandbox} is not ready"),
                ));
            }
            for mount in &config.mounts {
                if let Err(error) = mount.source.metadata() {
                    return Err(invalid("mounts", format!("{}: {error}", mount.source.display())));
                }
            }
            let id = ContainerId(driver.dir.new_id());
            let root = driver.images.hold(&config.image, &id.0)?;
            let made = driver.make_container(&id, &pod, config, root);
            if made.is_err()
                && let Err(error) = driver.images.let_go(&id.0)
            {
                tracing::warn!(container = %id, %error, "an image stays held until the runtime is opened again");
            }
            let cell = Arc::new(made?);
            driver.index.lock().cells.insert(cell.id.clone(), cell.clone());
            driver.changed(&cell);
            Ok(cell.id.clone())
        })
        .await?
    }

    /// Writes a new container down. Its image is held.
    fn make_container(
        &self,
        id: &ContainerId,
        pod: &Pod,
        config: ContainerConfig,
        root: Rootfs,
    ) -> Result<Cell, RuntimeError> {
        let program = defaults::program(&config, &pod.record.config, &root)?;
        let limits = self.limiter.settle(&config.resources)?;
        let (confinement, filter) = self.filters.confine(&config.security, &self.machine)?;
        let record = ContainerRecord {
            sandbox: pod.id.clone(),
            pod_uid: pod.record.config.uid.clone(),
            config,
            image_id: root.id,
            image_signal: root.defaults.stop_signal,
            created_at: time::now(),
        };
        let dir = self.dir.container(&id.0);
        let made = self.dir.make(&dir.0, |draft| {
            let made = bundle::Made {
                program,
                base: root.base,
                confinement,
                filter,
                limits: limits.clone(),
            };
            bundle::fill(self, draft, id, &record, made, pod)
        });
        made.map_err(|error| {
            RuntimeError::failed(format!("creating container {}", record.config.name), error)
        })?;
        Ok(Cell::new(id.clone(), dir, record, limits, self.ground.clone()))
    }
}
