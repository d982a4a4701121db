//! What the runtime's calls work with: what is open, what there is, and who is told when that changes.

use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use orch_core::runtime::{Container, ContainerId, EventHub, RuntimeError, SandboxId};
use parking_lot::Mutex;

use crate::apparmor::AppArmor;
use crate::cgroup::{Hierarchies, can_confine_devices};
use crate::confine::Filters;
use crate::container::{Cell, Ground, SHIMS};
use crate::dir::StateDir;
use crate::image::Images;
use crate::index::Index;
use crate::launch::{self, Process, Program};
use crate::nursery::Nursery;
use crate::options::OciOptions;
use crate::record::Started;
use crate::resources::Limiter;
use crate::runtime::blocking;
use crate::sandbox::Pod;
use crate::skeleton::Skeleton;
use crate::spec::Machine;
use crate::users::Support;
use crate::{NAME, groups, invalid, kernel, volatile};

/// Of the file system for what containers have in memory, some tens of kilobytes each.
const RUN_OPTIONS: &CStr = c"mode=0700";

pub(crate) struct Driver {
    pub(crate) hub: Arc<EventHub>,
    pub(crate) options: OciOptions,
    pub(crate) machine: Machine,
    /// Whether pods can have users of their own.
    pub(crate) users: Arc<Support>,
    pub(crate) filters: Filters,
    pub(crate) app_armor: AppArmor,
    pub(crate) limiter: Limiter,
    pub(crate) ground: Arc<Ground>,
    pub(crate) dir: StateDir,
    pub(crate) images: Images,
    pub(crate) skeleton: Skeleton,
    pub(crate) program: Program,
    pub(crate) nursery: Nursery,
    pub(crate) index: Mutex<Index>,
    /// One sandbox or container is made at a time, so that five who ask for the same get one.
    pub(crate) making: Mutex<()>,
}

pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::NotFound {
        what: format!("{what} {id}"),
    }
}

/// Why nothing can be done in a sandbox.
pub(crate) fn not_ready(id: &SandboxId) -> String {
    format!("sandbox {id} is not ready: it has ended, or never came up; run the pod's next attempt")
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
            let reason = format!(
                "{parent:?}: must be the name of one control group: not empty, not beginning with a dot, and without `/`, NUL or \
                 the end of a line"
            );
            return Err(invalid("cgroup_parent", reason));
        }
        if options.start_timeout.is_zero() {
            return Err(invalid(
                "start_timeout",
                "0s: must be more than that; a minute is usual",
            ));
        }
        options.users.check()?;
        let program = Program::find(options.shim.as_deref()).await?;
        let root = options.root.clone();
        let dir = blocking(move || StateDir::open(&root)).await??;
        let images = Images::open(dir.root().join("images"), options.images.clone()).await?;
        let driver = blocking(move || Self::read(options, program, dir, images)).await??;
        let driver = Arc::new(driver);
        let watched = driver.watch_pods();
        watched.map_err(|error| RuntimeError::failed("finding the first processes of pods", error))?;
        driver.retain().await;
        for cell in driver.cells(|_| true) {
            driver.adopt(&cell)?;
        }
        Ok(driver)
    }

    /// Opens the directory and removes what belongs to nothing.
    fn read(
        options: OciOptions,
        program: Program,
        dir: StateDir,
        images: Images,
    ) -> Result<Self, RuntimeError> {
        let failed =
            |error: io::Error| RuntimeError::failed(format!("opening {}", dir.root().display()), error);
        launch::reap();
        let mut hierarchies = Hierarchies::find().map_err(failed)?;
        hierarchies.hand_down().map_err(failed)?;
        let group = format!("/{}/{}", options.cgroup_parent, dir.name());
        let shims = hierarchies.processes(&format!("{group}/{SHIMS}"));
        volatile::find(&dir.run(), &shims).map_err(failed)?;
        volatile::open(&dir.run(), RUN_OPTIONS).map_err(failed)?;
        dir.empty_trash().map_err(failed)?;
        let skeleton = Skeleton::make(dir.skeleton()).map_err(failed)?;
        let any_device = match hierarchies.unified {
            true => !can_confine_devices(),
            false => !hierarchies.has("devices"),
        };
        let machine = Machine::find(any_device).map_err(failed)?;
        let users = Arc::new(Support::find(machine.has_users, options.users));
        let limiter = Limiter::find(&hierarchies, machine.capabilities).map_err(failed)?;
        let ground = Arc::new(Ground { hierarchies, group });
        let index = Index::read(&dir, &ground, options.network.as_ref()).map_err(failed)?;
        groups::sweep_strays(&ground, &index).map_err(failed)?;
        let held = index.cells.values();
        let held = held.map(|cell| (cell.id.0.clone(), cell.record.image_id.clone()));
        images.hold_only(&held.collect(), &dir.root().join("containers"))?;
        let driver = Self {
            hub: Arc::default(),
            images,
            skeleton,
            options,
            machine,
            users,
            filters: Filters::default(),
            app_armor: AppArmor::of(Path::new("/")),
            limiter,
            nursery: Nursery::new(program.clone(), dir.root().join("nursery.err"), ground.shims()),
            ground,
            dir,
            program,
            index: Mutex::new(index),
            making: Mutex::default(),
        };
        driver
            .find_shared()
            .map_err(|error| RuntimeError::failed("looking for the pods' namespaces", error))?;
        driver
            .weigh_all()
            .map_err(|error| RuntimeError::failed("sharing processor time among pods", error))?;
        Ok(driver)
    }

    /// Why containers cannot be run now, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.ground.hierarchies.is_empty() {
            return Some(
                "no control groups are mounted below /sys/fs/cgroup; mount them as systemd does".into(),
            );
        }
        kernel::trouble()
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
        if let Some(known) = cell.known() {
            return Ok(cell.seen_as(known));
        }
        let seen = blocking({
            let cell = cell.clone();
            move || cell.seen()
        });
        match seen.await? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found("container", &cell.id)),
            seen => seen.map_err(|error| cell.failed("looking at", error)),
        }
    }

    pub(crate) fn changed(&self, cell: &Cell) {
        self.hub.send(&cell.event());
    }

    pub(crate) fn pod_changed(&self, pod: &Pod) {
        self.hub.send(&pod.event());
    }

    /// Finds out about a container that was there before.
    fn adopt(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<(), RuntimeError> {
        let failed = |error| cell.failed("adopting", error);
        match cell.holder().map_err(failed)? {
            Some(shim) => {
                cell.look_paused().map_err(failed)?;
                self.watch(cell, shim, None);
            }
            None => {
                let state = cell.look_settled(Duration::ZERO)?;
                cell.ended.send_replace(state.is_exited());
            }
        }
        Ok(())
    }

    /// Tells everyone when a container's shim has ended, and with it the container, which has started as it is told here.
    pub(crate) fn watch(self: &Arc<Self>, cell: &Arc<Cell>, shim: Process, started: Option<Started>) {
        // Not the runtime itself, which must be gone once its owner has let go of it.
        let (hub, watched) = (Arc::downgrade(&self.hub), cell.clone());
        let shim = Arc::new(shim);
        *cell.held.lock() = started.map(|started| (shim.clone(), started.at));
        let task = tokio::spawn(async move {
            if let Err(error) = shim.ended().await {
                tracing::error!(container = %watched.id, %error, "cannot wait for a container's end");
                return;
            }
            watched.held.lock().take();
            let looked = watched.clone();
            let looking = blocking(move || {
                launch::reap();
                looked.look().err()
            });
            if let Ok(Some(error)) = looking.await {
                tracing::warn!(container = %watched.id, %error, "cannot sweep what a shim left");
            }
            watched.ended.send_replace(true);
            if let Some(hub) = Weak::upgrade(&hub) {
                hub.send(&watched.event());
            }
        });
        *cell.watcher.lock() = Some(task.abort_handle());
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for cell in self.cells(|_| true) {
            if let Some(watcher) = cell.watcher.lock().take() {
                watcher.abort();
            }
        }
        self.nursery.end();
        launch::reap();
        for place in [self.dir.namespaces(), self.dir.run()] {
            if let Err(error) = volatile::close(&place) {
                tracing::warn!(place = %place.display(), %error, "what the runtime keeps in memory stays mounted");
            }
        }
        self.ground.hierarchies.remove_empty(&self.ground.shims());
        self.ground.hierarchies.remove_empty(&self.ground.group);
        self.ground
            .hierarchies
            .remove_empty(&format!("/{}", self.options.cgroup_parent));
    }
}
