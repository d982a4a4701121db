//! Stops a container: hook, signal, end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, Pod};
use orch_core::runtime::{ContainerId, RuntimeError};
use tokio::time::Instant;

use super::{Done, container_reference};
use crate::agent::observed::seconds;
use crate::agent::probe::{Check, Outcome, http_check};
use crate::agent::prober;
use crate::agent::shared::Shared;

/// A container to be stopped.
pub(crate) struct Stop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) pod_ip: IpAddr,
    pub(crate) grace: Duration,
    /// Whether the `preStop` hook has yet to run.
    pub(crate) hook: bool,
    pub(crate) generation: u64,
}

/// What a container gets after a `preStop` hook has used up its time (the kubelet's minimum).
const MIN_AFTER_HOOK: Duration = Duration::from_secs(2);

impl Stop {
    pub(crate) async fn run(self) -> Done {
        let begun = Instant::now();
        let spec = self.pod.spec.as_ref();
        let all = spec.into_iter().flat_map(|spec| {
            spec.containers
                .iter()
                .chain(spec.init_containers.iter().flatten())
        });
        let spec = all.into_iter().find(|container| container.name == self.name);
        let hook = spec.and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
        let mut grace = self.grace;
        if let Some((spec, hook)) = hook.filter(|_| self.hook && !self.grace.is_zero()) {
            let outcome = run_hook(&self.shared, &self.id, self.pod_ip, spec, hook, self.grace).await;
            if let Outcome::Failure(said) | Outcome::Unknown(said) = outcome {
                let about = container_reference(&self.pod, &self.name);
                self.shared.recorder.warning(
                    &about,
                    "FailedPreStopHook",
                    format!("PreStopHook failed: {said}"),
                );
            }
            grace = self.grace.saturating_sub(begun.elapsed()).max(MIN_AFTER_HOOK);
        }
        let result = match self.shared.runtime.stop_container(&self.id, grace).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => self.shared.container(&self.id).await,
            Err(error) => Err(error),
        };
        Done::Stopped {
            id: self.id,
            generation: self.generation,
            result,
        }
    }
}

/// Runs a lifecycle hook. Unlike a probe, one that could not be run has failed: it is not tried again.
pub(super) async fn run_hook(
    shared: &Shared,
    id: &ContainerId,
    pod_ip: IpAddr,
    spec: &v1::Container,
    hook: &v1::LifecycleHandler,
    timeout: Duration,
) -> Outcome {
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(seconds(sleep.seconds).min(timeout)).await;
        return Outcome::Success;
    }
    let check = match (&hook.exec, &hook.http_get) {
        (Some(exec), _) => Check::Exec(exec.command.clone().unwrap_or_default()),
        (None, Some(http)) => http_check(http, spec).unwrap_or_else(Check::Impossible),
        // Pods with other hooks are not run.
        (None, None) => Check::Impossible("only exec, httpGet and sleep hooks are supported".to_owned()),
    };
    prober::run(&*shared.runtime, id, pod_ip, &check, timeout).await
}
