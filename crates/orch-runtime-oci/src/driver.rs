//! What the runtime's calls are made of: the index of what the state directory holds, and what happens to it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use orch_core::runtime::{
    Container, ContainerConfig, ContainerId, EventHub, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig,
    SandboxId,
};
use orch_core::time;
use parking_lot::Mutex;

use crate::cgroup::Hierarchies;
use crate::container::{Cell, Ground};
use crate::dir::StateDir;
use crate::launch::{self, Process, Program};
use crate::options::OciOptions;
use crate::record::{self, ContainerRecord, SandboxRecord};
use crate::runtime::{HOST, blocking};
use crate::sandbox::{self, Pod};
use crate::spec::{self, Machine};
use crate::{NAME, bundle, invalid};

pub(crate) struct Driver {
    pub(crate) hub: EventHub,
    pub(crate) options: OciOptions,
    pub(crate) machine: Machine,
    pub(crate) ground: Arc<Ground>,
    pub(crate) dir: StateDir,
    pub(crate) program: Program,
    index: Mutex<Index>,
    /// One sandbox or container is made at a time, so that five who ask for the same get one.
    making: Mutex<()>,
}

#[derive(Default)]
struct Index {
    pods: BTreeMap<SandboxId, Arc<Pod>>,
    cells: BTreeMap<ContainerId, Arc<Cell>>,
}

pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::NotFound {
        what: format!("{what} {id}"),
    }
}

impl Driver {
    pub(crate) async fn open(options: OciOptions) -> Result<Arc<Self>, RuntimeError> {
        if !rustix::process::geteuid().is_root() {
            let reason = "it runs as root only; run the program as root, or use another runtime".into();
            return Err(RuntimeError::Unavailable {
                runtime: NAME,
                reason,
            });
        }
        let parent = &options.cgroup_parent;
        if parent.is_empty() || parent.starts_with('.') || parent.contains(['/', '\0', '\n']) {
            return Err(invalid("cgroup_parent", format!("{parent:?} is no plain name")));
        }
        let program = Program::find(options.shim.as_deref()).await?;
        let driver = blocking(move || Self::read(options, program)).await??;
        let driver = Arc::new(driver);
        for cell in driver.cells(|_| true) {
            driver.adopt(&cell)?;
        }
        Ok(driver)
    }

    /// Opens the directory and removes what belongs to nothing.
    fn read(options: OciOptions, program: Program) -> Result<Self, RuntimeError> {
        let dir = StateDir::open(&options.root)?;
        let failed =
            |error: io::Error| RuntimeError::failed(format!("opening {}", dir.root().display()), error);
        launch::reap();
        dir.empty_trash().map_err(failed)?;
        let hierarchies = Hierarchies::find().map_err(failed)?;
        let machine = Machine::find(hierarchies.unified).map_err(failed)?;
        let group = format!("/{}/{}", options.cgroup_parent, dir.name());
        let boot = record::boot().map_err(failed)?;
        let ground = Arc::new(Ground {
            hierarchies,
            boot,
            group,
        });
        let index = Index::read(&dir, &ground).map_err(failed)?;
        for name in ground.hierarchies.children(&ground.group) {
            let id = ContainerId(name);
            if ground.group_of(&id) != ground.shims() && !index.cells.contains_key(&id) {
                tracing::warn!(container = %id, "sweeping the control group of a container that is gone");
                ground.hierarchies.sweep(&ground.group_of(&id)).map_err(failed)?;
            }
        }
        Ok(Self {
            hub: EventHub::default(),
            options,
            machine,
            ground,
            dir,
            program,
            index: Mutex::new(index),
            making: Mutex::default(),
        })
    }

    /// Why containers cannot be run now, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        let empty = self.ground.hierarchies.is_empty();
        empty.then(|| "no control groups are mounted below /sys/fs/cgroup; mount them as systemd does".into())
    }

    pub(crate) fn cell(&self, id: &ContainerId) -> Result<Arc<Cell>, RuntimeError> {
        self.index
            .lock()
            .cells
            .get(id)
            .cloned()
            .ok_or_else(|| not_found("container", id))
    }

    pub(crate) fn cells(&self, wanted: impl Fn(&Cell) -> bool) -> Vec<Arc<Cell>> {
        self.index
            .lock()
            .cells
            .values()
            .filter(|cell| wanted(cell))
            .cloned()
            .collect()
    }

    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        self.index.lock().pods.values().cloned().collect()
    }

    pub(crate) fn pod(&self, id: &SandboxId) -> Option<Arc<Pod>> {
        self.index.lock().pods.get(id).cloned()
    }

    pub(crate) fn forget(&self, id: &ContainerId) {
        self.index.lock().cells.remove(id);
    }

    pub(crate) async fn seen(&self, cell: Arc<Cell>) -> Result<Container, RuntimeError> {
        let seen = blocking({
            let cell = cell.clone();
            move || cell.seen()
        });
        let seen = seen.await?;
        // Its files may have been half removed when they were read.
        self.cell(&cell.id)?;
        seen.map_err(|error| cell.failed("looking at", error))
    }

    pub(crate) fn changed(&self, cell: &Cell) {
        self.hub.send(&RuntimeEvent::Container {
            id: cell.id.clone(),
            sandbox: cell.record.sandbox.clone(),
            pod_uid: cell.record.pod_uid.clone(),
        });
    }

    fn pod_changed(&self, pod: &Pod) {
        let (id, pod_uid) = (pod.id.clone(), pod.record.config.uid.clone());
        self.hub.send(&RuntimeEvent::Sandbox { id, pod_uid });
    }

    /// Finds out about a container that was there before.
    fn adopt(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<(), RuntimeError> {
        let failed = |error| cell.failed("adopting", error);
        match cell.holder().map_err(failed)? {
            Some(shim) => self.watch(cell, shim),
            None => {
                let state = cell.look_settled(Duration::ZERO)?;
                cell.ended.send_replace(state.is_exited());
            }
        }
        Ok(())
    }

    /// Tells everyone when a container's shim has ended, and with it the container.
    pub(crate) fn watch(self: &Arc<Self>, cell: &Arc<Cell>, shim: Process) {
        let (driver, watched) = (Arc::downgrade(self), cell.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = shim.ended().await {
                tracing::error!(container = %watched.id, %error, "cannot wait for a container's end");
                return;
            }
            let looked = watched.clone();
            let looking = blocking(move || {
                launch::reap();
                looked.look().err()
            });
            if let Ok(Some(error)) = looking.await {
                tracing::warn!(container = %watched.id, %error, "cannot sweep what a shim left");
            }
            watched.ended.send_replace(true);
            if let Some(driver) = Weak::upgrade(&driver) {
                driver.changed(&watched);
            }
        });
        *cell.watcher.lock() = Some(task.abort_handle());
    }

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
            if config.image != HOST {
                return Err(RuntimeError::ImageNotFound { image: config.image });
            }
            spec::check(&config)?;
            let failed = format!("creating container {}", config.name);
            if pod.stopped() {
                return Err(RuntimeError::failed(
                    failed,
                    format!("sandbox {sandbox} is not ready"),
                ));
            }
            for mount in &config.mounts {
                if let Err(error) = mount.source.metadata() {
                    return Err(invalid("mounts", format!("{}: {error}", mount.source.display())));
                }
            }
            let pod_uid = pod.record.config.uid.clone();
            let record = ContainerRecord {
                sandbox,
                pod_uid,
                config,
                created_at: time::now(),
            };
            let id = ContainerId(driver.dir.new_id());
            let dir = driver.dir.container(&id.0);
            let made = driver
                .dir
                .make(&dir.0, |draft| bundle::fill(&driver, draft, &id, &record, &pod));
            made.map_err(|error| RuntimeError::failed(failed, error))?;
            let cell = Arc::new(Cell::new(id, dir, record, driver.ground.clone()));
            driver.index.lock().cells.insert(cell.id.clone(), cell.clone());
            driver.changed(&cell);
            Ok(cell.id.clone())
        })
        .await?
    }

    pub(crate) async fn start_container(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let (driver, cell) = (self.clone(), self.cell(id)?);
        // Goes on if the caller gives up: a container half started would be nobody's.
        let starting = tokio::spawn(async move { driver.start_cell(&cell).await });
        match starting.await {
            Ok(started) => started,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(RuntimeError::Unavailable {
                    runtime: NAME,
                    reason: "the program is ending".into(),
                }),
            },
        }
    }
}

impl Index {
    fn read(dir: &StateDir, ground: &Arc<Ground>) -> io::Result<Self> {
        let mut index = Self::default();
        for name in dir.names("sandboxes")? {
            let place = dir.sandbox(&name);
            match record::read(&place.join("sandbox.json")) {
                Ok(Some(record)) => {
                    let id = SandboxId(name);
                    index
                        .pods
                        .insert(id.clone(), Arc::new(Pod::new(id, place, record)));
                }
                unreadable => odd(dir, &place, unreadable)?,
            }
        }
        for name in dir.names("containers")? {
            let place = dir.container(&name);
            match record::read::<ContainerRecord>(&place.record()) {
                Ok(Some(record)) if index.pods.contains_key(&record.sandbox) => {
                    let id = ContainerId(name);
                    index
                        .cells
                        .insert(id.clone(), Arc::new(Cell::new(id, place, record, ground.clone())));
                }
                unreadable => {
                    ground.hierarchies.sweep(&ground.group_of(&ContainerId(name)))?;
                    odd(dir, &place.0, unreadable)?;
                }
            }
        }
        Ok(index)
    }
}

/// Removes what the machine's sudden end has left without a record.
fn odd<T>(dir: &StateDir, place: &std::path::Path, read: io::Result<Option<T>>) -> io::Result<()> {
    let error = read
        .err()
        .map(|error| error.to_string())
        .unwrap_or_else(|| "it belongs to nothing".into());
    tracing::warn!(place = %place.display(), error, "removing what cannot be read");
    dir.discard(place)
}

impl Drop for Driver {
    fn drop(&mut self) {
        for cell in self.cells(|_| true) {
            if let Some(watcher) = cell.watcher.lock().take() {
                watcher.abort();
            }
        }
        launch::reap();
        self.ground.hierarchies.remove_empty(&self.ground.shims());
        self.ground.hierarchies.remove_empty(&self.ground.group);
        self.ground
            .hierarchies
            .remove_empty(&format!("/{}", self.options.cgroup_parent));
    }
}
