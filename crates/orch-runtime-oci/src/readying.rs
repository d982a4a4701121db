//! Brings one sandbox to where containers can run in it, and takes down what they shared.
//!
//! Neither is broken off half way, however long a network takes: who asked waits for a while, and it goes on.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use orch_core::runtime::{EventHub, RuntimeError};

use crate::launch::Program;
use crate::namespaces::Kind;
use crate::runtime::blocking;
use crate::sandbox::{Phase, Pod};
use crate::spec::hostname;
use crate::users::{Maker, Support};
use crate::{etc, pause, sysctl};

/// What a sandbox's first process is started with.
pub(crate) struct Ground {
    pub(crate) program: Program,
    pub(crate) shims: String,
    /// The state directory, which pods with users of their own are shown as theirs.
    pub(crate) state: PathBuf,
    pub(crate) users: Arc<Support>,
}

impl Pod {
    /// Once this returns containers can run in it, unless it was stopped.
    pub(crate) async fn set_up(
        self: Arc<Self>,
        hub: Weak<EventHub>,
        ground: Ground,
    ) -> Result<(), RuntimeError> {
        let _one = self.gate.lock().await;
        if self.phase() != Phase::Made {
            return Ok(());
        }
        let made = self.make(hub.clone(), ground).await;
        if made.is_err() {
            // Whoever tries again begins anew.
            let (pod, clearing) = (self.clone(), self.clone());
            let cleared = blocking(move || clearing.release()).await;
            if let Ok(Err(error)) = cleared {
                tracing::warn!(sandbox = %pod.id, %error, "cannot let go of namespaces");
            }
        }
        made?;
        if let Some(hub) = hub.upgrade() {
            hub.send(&self.event());
        }
        Ok(())
    }

    async fn make(self: &Arc<Self>, hub: Weak<EventHub>, ground: Ground) -> Result<(), RuntimeError> {
        let pod = self.clone();
        let made = blocking(move || {
            let failed = |error| pod.failed("readying", error);
            let maker = pod.record.users.map(|users| {
                let kinds = pod.shared.before_processes();
                Maker::start(&ground.program, &pod.dir, users, kinds)
            });
            let maker = maker.transpose().map_err(failed)?;
            for setting in sysctl::of_users(&pod.record.config) {
                let Some(maker) = &maker else { break };
                let set = maker.set(&setting).map_err(failed)?;
                set.map_err(|error| setting.refused(&error))?;
            }
            pod.shared
                .make(hostname(&pod.record.config), maker.as_ref().map(Maker::process))
                .map_err(failed)?;
            drop(maker);
            if pod.record.users.is_some() {
                let users = File::open(pod.shared.file(Kind::User)).map_err(failed)?;
                ground.users.try_to_show(&ground.state, users)?;
            }
            if !pod.has_processes() {
                return Ok(None);
            }
            let first = pause::start(&ground.program, &pod.dir, &pod.shared, ground.shims);
            let first = first.map_err(failed)?;
            pod.shared.bind_pid(first.as_fd()).map_err(failed)?;
            Ok::<_, RuntimeError>(Some(first))
        });
        let first = made.await??;
        let ips = match &self.network {
            None => Vec::new(),
            Some(network) => {
                let namespace = self.shared.file(Kind::Net);
                let attached = network.attach(&self.id, &namespace, &self.record.config).await?;
                attached.ips
            }
        };
        let pod = self.clone();
        let finished = blocking(move || {
            // Only now, for some are of devices that the network has made.
            sysctl::set(&pod.record.config, &pod.shared)?;
            let failed = |error| pod.failed("readying", error);
            if pod.network.is_some() {
                fs::write(pod.hosts(), etc::hosts(&pod.record.config, &ips)).map_err(failed)?;
            }
            pod.ready(ips).map_err(failed)
        });
        let finished = finished.await?;
        if let (Err(_), Some(network)) = (&finished, &self.network) {
            let namespace = self.shared.file(Kind::Net);
            if let Err(error) = network.detach(&self.id, Some(&namespace)).await {
                tracing::warn!(sandbox = %self.id, %error, "a network keeps a sandbox that did not become ready");
            }
        }
        if finished.is_ok()
            && let Some(first) = first
        {
            self.watch(first, hub);
        }
        finished
    }

    /// Once this returns nothing is left of what its containers shared; none runs any more, or will.
    pub(crate) async fn take_down(self: Arc<Self>) -> Result<(), RuntimeError> {
        let _one = self.gate.lock().await;
        if let Some(network) = &self.network
            && !self.is_detached()
        {
            let namespace = self.shared.file(Kind::Net);
            let namespace = namespace.exists().then_some(&*namespace);
            network.detach(&self.id, namespace).await?;
            self.detached();
        }
        let pod = self.clone();
        let cleared = blocking(move || pod.release());
        cleared.await?.map_err(|error| self.failed("stopping", error))
    }
}
