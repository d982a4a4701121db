//! Readying sandboxes, stopping and removing them, and finding them again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orch_core::runtime::{RuntimeError, Sandbox, SandboxConfig, SandboxId};
use orch_core::time;

use crate::driver::{Driver, not_found};
use crate::readying::Ground;
use crate::record::SandboxRecord;
use crate::runtime::{blocking, going_on};
use crate::sandbox::{self, Pod};
use crate::{namespaces, pause, users};

/// How long a network may take for one pod, or to answer, before who asked goes on without.
const PATIENCE: Duration = Duration::from_secs(5);

impl Driver {
    pub(crate) async fn run_sandbox(
        self: &Arc<Self>,
        config: SandboxConfig,
    ) -> Result<Sandbox, RuntimeError> {
        config.check()?;
        let driver = self.clone();
        let pod = blocking(move || {
            let pod = driver.made(config)?;
            driver.group(&pod)?;
            Ok::<_, RuntimeError>(pod)
        })
        .await??;
        let ground = Ground {
            program: self.program.clone(),
            shims: self.ground.shims(),
            state: self.dir.root().to_owned(),
            users: self.users.clone(),
        };
        // It is written down, and half ready would be nobody's.
        let readying = going_on(pod.clone().set_up(Arc::downgrade(&self.hub), ground));
        let bound = self.options.start_timeout;
        let readied = tokio::time::timeout(bound, readying).await;
        readied.map_err(|_| RuntimeError::Timeout {
            what: format!("readying sandbox {}", pod.id),
            after: bound,
        })??;
        Ok(pod.seen())
    }

    /// The sandbox of this identity, written down if it was not there.
    fn made(&self, config: SandboxConfig) -> Result<Arc<Pod>, RuntimeError> {
        let _one = self.making.lock();
        let same = |pod: &Arc<Pod>| {
            let other = &pod.record.config;
            (&other.uid, other.attempt) == (&config.uid, config.attempt)
        };
        if let Some(pod) = self.pods().into_iter().find(same) {
            return Ok(pod);
        }
        let network = self.options.network.as_ref();
        let network = network.filter(|_| !config.host_network);
        sandbox::check(&config, network.is_some())?;
        users::check(&config, &self.users)?;
        self.check_group(&config)?;
        let failed = |name: &str, error| RuntimeError::failed(format!("making sandbox {name}"), error);
        let users = config.user_namespace.then(|| {
            let others: Vec<_> = self.pods().iter().filter_map(|pod| pod.record.users).collect();
            self.options.users.allot(&others)
        });
        let users = users.transpose()?;
        let id = SandboxId(self.dir.new_id());
        let place = self.dir.sandbox(&id.0);
        let record = SandboxRecord {
            config,
            network: network.map(|network| network.name().into()),
            users,
            created_at: time::now(),
        };
        let made = self.dir.make(&place, |draft| sandbox::fill(draft, &record));
        made.map_err(|error| failed(&record.config.name, error))?;
        let pod = Pod::read(id.clone(), place, record, &self.dir.namespaces(), network);
        let pod = Arc::new(pod.map_err(|error| failed(&id.0, error))?);
        self.index.lock().pods.insert(id, pod.clone());
        Ok(pod)
    }

    pub(crate) async fn stop_sandbox(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        let pod = self.pod(id).ok_or_else(|| not_found("sandbox", id))?;
        let (driver, stopped) = (self.clone(), pod.clone());
        blocking(move || {
            // Nothing is being made in it then, or later.
            let _one = driver.making.lock();
            let id = &stopped.id;
            driver.pod(id).ok_or_else(|| not_found("sandbox", id))?;
            stopped
                .stop()
                .and_then(|()| driver.weigh_above(&stopped))
                .map_err(|error| stopped.failed("stopping", error))?;
            driver.pod_changed(&stopped);
            Ok::<_, RuntimeError>(())
        })
        .await??;
        let cells = self.cells(|cell| cell.record.sandbox == *id);
        let stopping = cells.iter().map(|cell| self.stop_cell(cell, Duration::ZERO));
        join_all(stopping).await.into_iter().collect::<Result<(), _>>()?;
        let taken_down = tokio::time::timeout(PATIENCE, going_on(pod.clone().take_down())).await;
        taken_down.unwrap_or_else(|_| {
            let after = PATIENCE.as_secs();
            tracing::warn!(sandbox = %id, "its network has not let go of it after {after} s; that goes on");
            Ok(())
        })
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
            // The network may still be at it.
            let cleared = pod.release().and_then(|()| driver.ungroup(&pod));
            let discarded = cleared.and_then(|()| driver.dir.discard(&pod.dir));
            discarded.map_err(|error| pod.failed("removing", error))?;
            driver.index.lock().pods.remove(&pod.id);
            driver.pod_changed(&pod);
            Ok(())
        })
        .await?
    }

    /// Finds out what is left of what the pods share, and lets go of what belongs to none.
    pub(crate) fn find_shared(&self) -> io::Result<()> {
        namespaces::keep_only(&self.dir.namespaces(), |id| self.pod(id).is_some())?;
        for pod in self.pods() {
            if !pod.is_ready() {
                // Nothing runs in it, and whoever readies it begins anew.
                pod.release()?;
            } else if pod.has_processes() && pause::find(&pod.dir)?.is_none() {
                tracing::warn!(sandbox = %pod.id, "its first process has ended");
                pod.lose();
            } else if !pod.shared.is_whole()? {
                match self.bind_again(&pod) {
                    Ok(true) => continue,
                    Ok(false) => tracing::warn!(sandbox = %pod.id, "its namespaces are gone"),
                    Err(error) => tracing::warn!(sandbox = %pod.id, %error, "its namespaces are gone"),
                }
                pod.lose();
            }
        }
        Ok(())
    }

    /// Waits for the ends of the pods' first processes.
    pub(crate) fn watch_pods(&self) -> io::Result<()> {
        for pod in self.pods() {
            if pod.is_ready()
                && pod.has_processes()
                && let Some(first) = pause::find(&pod.dir)?
            {
                pod.watch(first, Arc::downgrade(&self.hub));
            }
        }
        Ok(())
    }

    /// Has the network let go of what an earlier program has left.
    pub(crate) async fn retain(&self) {
        let Some(network) = &self.options.network else {
            return;
        };
        let connected = |pod: &Arc<Pod>| pod.network.is_some() && pod.is_ready();
        let pods = self.pods().into_iter().filter(connected);
        let live: Vec<_> = pods.map(|pod| pod.id.clone()).collect();
        if let Err(error) = network.retain(&live).await {
            let network = network.name();
            tracing::warn!(network, %error, "addresses of pods that are gone stay taken until the runtime is opened again");
        }
    }

    /// Why pods cannot be connected now, if so.
    pub(crate) async fn network_trouble(&self) -> Option<String> {
        let network = self.options.network.as_ref()?;
        let told = tokio::time::timeout(PATIENCE, network.status()).await;
        let told = told.unwrap_or_else(|_| Err("does not answer".into()));
        told.err().map(|why| format!("network {}: {why}", network.name()))
    }

    /// Binds a pod's namespaces again, if a container of it lives, or its first process; says whether one did.
    fn bind_again(&self, pod: &Pod) -> io::Result<bool> {
        let (marks, mut refused) = (pod.marks()?, None);
        for cell in self.cells(|cell| cell.record.sandbox == pod.id) {
            let Some(first) = cell.first()? else { continue };
            match pod.shared.bind_again(&first.into(), true, &marks) {
                Ok(()) => return Ok(true),
                // Another may be where it was.
                Err(error) => refused = Some(error),
            }
        }
        match (pause::find(&pod.dir)?, refused) {
            // Nobody is left who could miss what was in memory.
            (Some(first), None) => pod.shared.bind_again(&first, false, &marks).map(|()| true),
            (_, Some(refused)) => Err(refused),
            (None, None) => Ok(false),
        }
    }
}
