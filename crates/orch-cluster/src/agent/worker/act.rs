//! Carries out what was decided about a pod.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, Abortable};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_core::runtime::ContainerId;
use tokio::sync::Notify;

use super::Worker;
use crate::agent::decide::{Action, StopReason};
use crate::agent::observed::add;
use crate::agent::ops::{self, Done, Start, Stop, container_reference};
use crate::agent::qos::pod_group;
use crate::agent::resize;

impl Worker {
    pub(super) fn perform(&mut self, action: Action, now: Timestamp) {
        let shared = self.shared.clone();
        match action {
            Action::RunSandbox { attempt } => {
                self.observed.busy.sandbox = true;
                self.push_change(ops::run_sandbox(shared, self.pod.clone(), attempt));
            }
            Action::StopSandbox(id) => {
                self.observed.busy.sandboxes.insert(id.clone());
                self.push_change(ops::stop_sandbox(shared, id));
            }
            Action::RemoveSandbox(id) => {
                self.observed.busy.sandboxes.insert(id.clone());
                self.push_change(ops::remove_sandbox(shared, id));
            }
            Action::StartContainer {
                name,
                attempt,
                backoff,
            } => self.start(&name, attempt, backoff, now),
            Action::CancelStart => {
                if let Some(cancel) = self.cancel_start.take() {
                    cancel.notify_one();
                }
            }
            Action::StopContainer {
                id,
                name,
                grace,
                reason,
            } => self.stop(id, name, grace, reason, now),
            Action::Resize(containers) => self.resize(&containers, now),
            Action::RemoveContainer(id) => {
                self.observed.busy.removing.insert(id.clone());
                self.push_change(ops::remove_container(shared, id));
            }
            Action::DeletePod => {
                self.observed.busy.delete = true;
                let (pod, volumes) = (self.pod.clone(), self.take_volumes());
                self.push(async move {
                    if let Some(uid) = volumes {
                        shared.remove_volumes(&uid).await;
                    }
                    Done::Deleted(shared.delete_pod(&pod).await)
                });
            }
        }
    }

    /// The pod's uid, if it has volumes to be removed.
    pub(super) fn take_volumes(&self) -> Option<String> {
        let volumes = self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        volumes
            .is_some_and(|volumes| !volumes.is_empty())
            .then(|| self.uid.clone())
    }

    fn start(&mut self, name: &str, attempt: u32, backoff: Duration, now: Timestamp) {
        let view = self.view(now);
        // Both are what the decision was about.
        let Some((_, spec)) = view.specs().find(|(_, spec)| spec.name == name) else {
            return;
        };
        let Some(sandbox) = view.sandbox() else { return };
        let cancel = Arc::new(Notify::new());
        let start = Start {
            shared: self.shared.clone(),
            pod: self.pod.clone(),
            spec: spec.clone(),
            sandbox: sandbox.clone(),
            attempt,
            backoff,
            grace: view.grace(),
            cancel: cancel.clone(),
        };
        self.cancel_start = Some(cancel);
        self.observed.busy.start = Some(name.to_owned());
        self.push_change(start.run());
    }

    fn resize(&mut self, containers: &[ContainerId], now: Timestamp) {
        let view = self.view(now);
        // Both are what the decision was about.
        let Some(sandbox) = view.sandbox().map(|sandbox| sandbox.id.clone()) else {
            return;
        };
        let changes = resize::changed(&view)
            .into_iter()
            .filter(|change| containers.contains(&change.container.id));
        let changes = changes.map(|change| (change.container.id.clone(), change.spec.clone()));
        let changes = changes.collect();
        let before = Pod {
            metadata: self.pod.metadata.clone(),
            spec: Some(resize::as_given(&self.pod, &self.observed)),
            status: None,
        };
        let groups = [&before, &*self.pod].map(|pod| pod_group(pod, None).1);
        self.observed.busy.resize = true;
        self.push_change(ops::resize(self.shared.clone(), sandbox, groups, changes));
    }

    fn stop(&mut self, id: ContainerId, name: String, grace: Duration, reason: StopReason, now: Timestamp) {
        let message = match reason {
            StopReason::Unhealthy(probe) => {
                format!("Container {name} failed {probe} probe, will be restarted")
            }
            StopReason::ImageChanged => format!("Container {name} definition changed, will be restarted"),
            StopReason::Resized => format!("Container {name} resize requires restart"),
            _ => format!("Stopping container {name}"),
        };
        if matches!(reason, StopReason::Unhealthy(_)) {
            let listed = |id: &ContainerId| self.observed.containers.iter().any(|known| known.id == *id);
            self.observed.unhealthy.retain(listed);
            self.observed.unhealthy.insert(id.clone());
        }
        // A stop under way is replaced by one with less grace; its hook has begun already.
        let replaced = self.stops.remove(&id);
        if let Some((running, _)) = &replaced {
            running.abort();
        } else {
            self.shared
                .recorder
                .normal(&container_reference(&self.pod, &name), "Killing", message);
        }
        self.generation += 1;
        let stop = Stop {
            shared: self.shared.clone(),
            pod: self.pod.clone(),
            id: id.clone(),
            name,
            pod_ip: self.pod_ip(),
            grace,
            hook: replaced.is_none(),
            generation: self.generation,
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.stops.insert(id.clone(), (handle, self.generation));
        self.observed.busy.stopping.insert(id, add(now, grace));
        let running = Abortable::new(stop.run(), registration);
        self.push_change(async move { running.await.unwrap_or(Done::Aborted) });
    }
}
