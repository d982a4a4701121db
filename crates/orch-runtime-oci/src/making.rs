//! Making containers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use orch_core::runtime::{ContainerConfig, ContainerId, RuntimeError, SandboxId};
use orch_core::time;

use crate::container::Cell;
use crate::driver::{Driver, not_found, not_ready};
use crate::image::Rootfs;
use crate::record::ContainerRecord;
use crate::runtime::blocking;
use crate::sandbox::Pod;
use crate::spec;
use crate::{bundle, defaults, invalid, users};

impl Driver {
    pub(crate) async fn create_container(
        self: &Arc<Self>,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        config.check()?;
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
            users::check_container(&config, pod.record.users)?;
            if !pod.is_ready() {
                return Err(RuntimeError::failed(
                    format!("creating container {}", config.name),
                    not_ready(&sandbox),
                ));
            }
            for mount in &config.mounts {
                if let Err(error) = mount.source.metadata() {
                    let reason = format!(
                        "{:?}: {error}; the source of a mount must be there, on this machine, before its container is made",
                        mount.source
                    );
                    return Err(invalid("mounts", reason));
                }
                // A container has a file of its own there, for which another file can stand alone.
                let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
                if files.iter().any(|file| mount.target == Path::new(file)) && mount.source.is_dir() {
                    let reason = format!(
                        "{:?} to {:?}: it is a directory, and a file is there; mount a file",
                        mount.source, mount.target
                    );
                    return Err(invalid("mounts", reason));
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
        let limits = self.limiter.settle(&config.resources)?.in_force();
        let (confinement, filter) = self.filters.confine(&config.security, &self.machine)?;
        let app_armor = self.app_armor.profile(&config.security)?;
        let record = ContainerRecord {
            sandbox: pod.id.clone(),
            pod_uid: pod.record.config.uid.clone(),
            cgroup_parent: pod.record.config.cgroup_parent.clone(),
            config,
            image_id: root.id,
            image_signal: root.defaults.stop_signal,
            created_at: time::now(),
        };
        let dir = self.dir.container(&id.0);
        let made = self.dir.make(dir.kept(), |draft| {
            let made = bundle::Made {
                program,
                base: self.skeleton.below(root.base),
                confinement,
                filter,
                app_armor,
                limits: limits.clone(),
            };
            bundle::fill(self, draft, id, &record, made, pod)
        });
        made.map_err(|error| {
            RuntimeError::failed(format!("creating container {}", record.config.name), error)
        })?;
        let cell = Cell::new(id.clone(), dir, record, limits, self.ground.clone());
        cell.is_new.store(true, Ordering::Release);
        Ok(cell)
    }
}
