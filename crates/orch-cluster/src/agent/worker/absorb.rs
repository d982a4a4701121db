//! Takes in what came of a worker's operations.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::ApiError;
use orch_core::runtime::{
    Container, ContainerId, ContainerState, RuntimeError, Sandbox, SandboxId, SandboxState,
};

use super::Worker;
use crate::agent::decide::may_run;
use crate::agent::observed::{Failure, add};
use crate::agent::ops::{Done, StartError, container_reference, in_words_of_pods};
use crate::agent::probe::{Outcome, ProbeKey};
use crate::events::reference;

impl Worker {
    pub(super) fn absorb(&mut self, done: Done) {
        let now = self.now();
        // What a look or a probe found may be known already; all else changes something, if only what is under way.
        self.changed |= !matches!(done, Done::Inspected { .. } | Done::Probed { .. });
        if !matches!(
            done,
            Done::Inspected { .. }
                | Done::SandboxInspected { .. }
                | Done::Listed(_)
                | Done::Probed { .. }
                | Done::Written(_)
                | Done::Read(_)
                | Done::Deleted(_)
        ) {
            self.changing -= 1;
            self.last_change = self.shared.tick();
        }
        match done {
            Done::Sandbox(result) => self.sandbox_made(result, now),
            Done::Started { name, image, result } => self.container_started(&name, image, result, now),
            Done::Stopped {
                id,
                generation,
                result,
            } => {
                if self
                    .stops
                    .get(&id)
                    .is_some_and(|(_, current)| *current == generation)
                {
                    self.stops.remove(&id);
                    self.observed.busy.stopping.remove(&id);
                    self.looked_at(&id, result, now);
                }
            }
            Done::Aborted => {}
            Done::Resized { given, result } => self.resized(given, result, now),
            Done::Removed { id, result } => {
                self.observed.busy.removing.remove(&id);
                if self.succeeded(result, now).is_some() {
                    self.observed.containers.retain(|container| container.id != id);
                }
            }
            Done::SandboxStopped { id, result } => {
                self.observed.busy.sandboxes.remove(&id);
                if self.succeeded(result, now).is_some() {
                    self.sandbox_ended(&id);
                    self.needs_list |= self.observed.containers.iter().any(may_run);
                }
            }
            Done::SandboxRemoved { id, result } => {
                self.observed.busy.sandboxes.remove(&id);
                if self.succeeded(result, now).is_some() {
                    self.observed.sandboxes.retain(|sandbox| sandbox.id != id);
                    self.observed
                        .containers
                        .retain(|container| container.sandbox != id);
                }
            }
            Done::Inspected { id, result } => {
                self.inspecting.remove(&id);
                if !self.observed.busy.removing.contains(&id) {
                    self.looked_at(&id, result, now);
                }
            }
            Done::SandboxInspected { id, result } => match result {
                Ok(Some(sandbox)) => match self.observed.sandboxes.iter_mut().find(|known| known.id == id) {
                    // One that was ready and is again has nothing new; and an older look never brings one back.
                    Some(known)
                        if sandbox.state != SandboxState::Ready || known.state == SandboxState::Unknown =>
                    {
                        *known = sandbox;
                    }
                    Some(_) => {}
                    None => self.needs_list = true,
                },
                Ok(None) => {
                    let known = self.observed.sandboxes.iter().any(|sandbox| sandbox.id == id);
                    self.needs_list |= known;
                }
                Err(error) => self.failed(&error, now),
            },
            Done::Listed(result) => {
                self.listing = false;
                if let Some(snapshot) = self.succeeded(result, now) {
                    self.read_snapshot(snapshot);
                }
            }
            Done::Probed { key, outcome } => self.probed(&key, &outcome, now),
            Done::Written(result) => self.written(result, now),
            Done::Read(result) => self.reread(result, now),
            Done::Deleted(result) => match result {
                Ok(true) => self.observed.gone = true,
                // Finalizers hold it; it is not asked for again.
                Ok(false) => {}
                Err(error) => {
                    self.observed.busy.delete = false;
                    tracing::warn!(pod = self.full_name(), %error, "the pod could not be deleted");
                    self.pause(now);
                }
            },
        }
    }

    fn sandbox_made(&mut self, result: Result<Sandbox, RuntimeError>, now: Timestamp) {
        self.observed.busy.sandbox = false;
        match result {
            Ok(sandbox) => {
                self.observed.sandbox_failure = None;
                self.observed.sandboxes.retain(|known| known.id != sandbox.id);
                self.observed.sandboxes.push(sandbox);
            }
            Err(error) => {
                let before = self.observed.sandbox_failure.as_ref();
                let delay = self
                    .shared
                    .config
                    .retry_backoff
                    .next(before.map(|failure| failure.delay).unwrap_or_default());
                let message = format!("Failed to create pod sandbox: {}", in_words_of_pods(&error));
                self.shared.recorder.warning(
                    &reference(&*self.pod),
                    "FailedCreatePodSandBox",
                    message.as_str(),
                );
                self.observed.sandbox_failure = Some(Failure {
                    reason: "FailedCreatePodSandBox",
                    message,
                    at: now,
                    delay,
                    image: String::new(),
                });
                // Half of it may be there.
                self.needs_list = true;
            }
        }
    }

    fn container_started(
        &mut self,
        name: &str,
        image: String,
        result: Result<Container, StartError>,
        now: Timestamp,
    ) {
        self.observed.busy.start = None;
        self.cancel_start = None;
        let error = match result {
            Ok(container) => {
                self.observed.failures.remove(name);
                self.merge(container);
                return;
            }
            Err(StartError::Cancelled) => return,
            Err(error) => error,
        };
        let before = self
            .observed
            .failures
            .get(name)
            .filter(|before| before.image == image);
        let before = before.map(|failure| failure.delay).unwrap_or_default();
        let config = &self.shared.config;
        let backoff = if matches!(error, StartError::Pull(_)) {
            config.image_backoff
        } else {
            config.retry_backoff
        };
        let about = container_reference(&self.pod, name);
        let message = error.to_string();
        if matches!(error, StartError::Volume(_)) {
            self.shared
                .recorder
                .warning(&reference(&*self.pod), "FailedMount", message.as_str());
        } else if matches!(error, StartError::Pull(_)) {
            self.shared.recorder.warning(
                &about,
                "Failed",
                format!("Failed to pull image {image:?}: {message}"),
            );
            self.shared
                .recorder
                .warning(&about, "Failed", format!("Error: {}", error.reason()));
        } else {
            self.shared
                .recorder
                .warning(&about, "Failed", format!("Error: {message}"));
        }
        let failure = Failure {
            reason: error.reason(),
            message,
            at: now,
            delay: backoff.next(before),
            image,
        };
        self.observed.failures.insert(name.to_owned(), failure);
        // It may have been made nevertheless, or its sandbox be gone.
        self.needs_list |= matches!(error, StartError::Create(_) | StartError::Start(_));
    }

    /// Takes in how a container was found; none: it is gone.
    fn looked_at(
        &mut self,
        id: &ContainerId,
        result: Result<Option<Container>, RuntimeError>,
        now: Timestamp,
    ) {
        match self.succeeded(result, now) {
            Some(Some(container)) => self.merge(container),
            Some(None) => {
                self.observed.containers.retain(|container| container.id != *id);
                self.changed = true;
            }
            None => self.changed = true,
        }
    }

    /// A container's life has one direction: an older look never replaces a newer one.
    fn merge(&mut self, container: Container) {
        let age = |state: &ContainerState| match state {
            ContainerState::Created => 0,
            ContainerState::Exited { .. } => 2,
            _ => 1,
        };
        let known = self
            .observed
            .containers
            .iter()
            .position(|known| known.id == container.id);
        match known.map(|at| &mut self.observed.containers[at]) {
            Some(known) if age(&known.state) > age(&container.state) || *known == container => return,
            Some(known) => *known = container,
            None => self.observed.containers.push(container),
        }
        // A listing that began before this must not undo it.
        self.last_change = self.shared.tick();
        self.changed = true;
    }

    fn sandbox_ended(&mut self, id: &SandboxId) {
        if let Some(sandbox) = self
            .observed
            .sandboxes
            .iter_mut()
            .find(|sandbox| sandbox.id == *id)
        {
            sandbox.state = SandboxState::NotReady;
        }
    }

    fn probed(&mut self, key: &ProbeKey, outcome: &Outcome, now: Timestamp) {
        let said = match outcome {
            Outcome::Success => None,
            Outcome::Failure(said) => Some(format!("failed: {said}")),
            // The kubelet's words.
            Outcome::Unknown(said) => Some(format!("errored and resulted in unknown state: {said}")),
        };
        if let Some(said) = said
            && let Some(container) = self
                .observed
                .containers
                .iter()
                .find(|container| container.id == key.container)
            && container.state.is_running()
        {
            let kind = match key.kind.as_str() {
                "startup" => "Startup",
                "liveness" => "Liveness",
                _ => "Readiness",
            };
            let about = container_reference(&self.pod, &container.name);
            self.shared
                .recorder
                .warning(&about, "Unhealthy", format!("{kind} probe {said}"));
        }
        if self.probes.record(key, outcome, now) {
            self.observed.health = self.probes.health();
            self.changed = true;
        }
        self.probe_at = self.probes.next_at();
    }

    fn written(&mut self, result: Result<u64, ApiError>, now: Timestamp) {
        let Some(sent) = self.sent.take() else { return };
        match result {
            Ok(revision) => {
                self.write_retry_at = None;
                // A newer version may have been read meanwhile; then that one counts.
                if revision > self.revision {
                    self.revision = revision;
                    self.stored = sent;
                }
            }
            Err(ApiError::NotFound(_)) => self.observed.gone = true,
            Err(ApiError::Conflict { .. }) => {
                let (shared, pod) = (self.shared.clone(), self.pod.clone());
                self.sent = Some(sent);
                self.push(async move { Done::Read(shared.read_pod(&pod).await) });
            }
            Err(error) => {
                tracing::warn!(pod = self.full_name(), %error, "the pod's status could not be written");
                self.write_retry_at = Some(add(now, self.shared.config.retry_backoff.initial));
            }
        }
    }

    /// Somebody else wrote the object between; now it is known as it is.
    fn reread(&mut self, result: Result<Option<Arc<Pod>>, ApiError>, now: Timestamp) {
        self.sent = None;
        match result {
            Ok(Some(pod)) => self.read_pod(pod),
            Ok(None) => self.observed.gone = true,
            Err(error) => {
                tracing::warn!(pod = self.full_name(), %error, "the pod could not be read");
                self.write_retry_at = Some(add(now, self.shared.config.retry_backoff.initial));
            }
        }
    }

    fn succeeded<T>(&mut self, result: Result<T, RuntimeError>, now: Timestamp) -> Option<T> {
        match result {
            Ok(value) => {
                self.paused = None;
                Some(value)
            }
            Err(error) => {
                self.failed(&error, now);
                None
            }
        }
    }

    fn failed(&mut self, error: &RuntimeError, now: Timestamp) {
        tracing::warn!(pod = self.full_name(), %error, "the runtime failed");
        self.needs_list = true;
        self.pause(now);
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        let before = self.paused.map(|(_, delay)| delay).unwrap_or_default();
        let delay = self.shared.config.retry_backoff.next(before);
        self.paused = Some((add(now, delay), delay));
    }
}
