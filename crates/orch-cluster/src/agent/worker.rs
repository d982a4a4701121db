//! One pod's worker: looks, decides, acts and reports, one decision at a time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use orch_core::client::ApiError;
use orch_core::runtime::{Container, ContainerId, ContainerState, RuntimeError, SandboxId, SandboxState};
use orch_core::time;
use tokio::sync::Notify;

use super::decide::{Action, StopReason, decide, end_of};
use super::mailbox::{Letters, Mailbox, Snapshot};
use super::observed::{Failure, Observed, View, add, until};
use super::ops::{self, Done, Start, StartError, Stop, container_reference};
use super::probe::{Outcome, ProbeKey, Probes};
use super::restart::{Next, next};
use super::shared::Shared;
use super::status::{status, status_wake};
use super::support::support;
use crate::events::reference;

pub(crate) struct Worker {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    uid: String,
    host_ip: IpAddr,
    pod: Arc<Pod>,
    /// The newest version of the object that is known.
    revision: u64,
    /// The status in the store, as far as is known.
    stored: PodStatus,
    /// The status being written.
    sent: Option<PodStatus>,
    observed: Observed,
    probes: Probes,
    operations: FuturesUnordered<BoxFuture<'static, Done>>,
    stops: HashMap<ContainerId, (AbortHandle, u64)>,
    inspecting: HashSet<ContainerId>,
    /// Ended containers whose wait for a restart was told of.
    announced: BTreeSet<ContainerId>,
    cancel_start: Option<Arc<Notify>>,
    generation: u64,
    /// Operations under way that change the runtime.
    changing: usize,
    /// When the last of them began or ended, by the node's counter.
    last_change: u64,
    needs_list: bool,
    listing: bool,
    /// When a status that could wait no longer waits.
    report_at: Option<Timestamp>,
    write_retry_at: Option<Timestamp>,
    /// Nothing is done before this: the runtime or the store failed.
    paused: Option<(Timestamp, Duration)>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>, pod: Arc<Pod>, snapshot: Snapshot) -> Self {
        let host_ip = shared.config.host_ip();
        let mut worker = Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            host_ip,
            revision: revision(&pod),
            stored: pod.status.clone().unwrap_or_default(),
            sent: None,
            observed: Observed {
                sandboxes: snapshot.sandboxes,
                containers: snapshot.containers,
                ..Observed::default()
            },
            probes: Probes::default(),
            operations: FuturesUnordered::new(),
            stops: HashMap::new(),
            inspecting: HashSet::new(),
            announced: BTreeSet::new(),
            cancel_start: None,
            generation: 0,
            changing: 0,
            last_change: 0,
            needs_list: false,
            listing: false,
            report_at: None,
            write_retry_at: None,
            paused: None,
            shared,
            mailbox,
            pod,
        };
        worker.check_support();
        worker
    }

    /// Compares the pod with the runtime, once: neither can change its mind.
    fn check_support(&mut self) {
        let terminal = matches!(self.stored.phase.as_deref(), Some("Succeeded" | "Failed"));
        if terminal || self.pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let found = support(&self.pod, self.shared.runtime.name(), &self.shared.capabilities);
        let about = reference(&*self.pod);
        for warning in &found.warnings {
            self.shared.recorder.warning(&about, "Unsupported", warning.as_str());
        }
        if let Some(refusal) = &found.refusal {
            self.shared.recorder.warning(&about, refusal.reason, refusal.message.as_str());
        }
        self.observed.refusal = found.refusal;
    }

    /// Works until nothing of the pod is left, here or in the store.
    pub(crate) async fn run(mut self) {
        loop {
            let letters = self.mailbox.take();
            self.read(letters);
            let wake = self.step();
            if self.is_over() {
                break;
            }
            let mailbox = self.mailbox.clone();
            tokio::select! {
                () = mailbox.wait() => {}
                Some(done) = self.operations.next() => self.absorb(done),
                () = sleep_until(wake) => {}
            }
            // What is ready is taken in before the next decision.
            while let Some(Some(done)) = self.operations.next().now_or_never() {
                self.absorb(done);
            }
        }
        // Also of one whose object went away before its containers did.
        if let Some(uid) = self.take_volumes() {
            self.shared.remove_volumes(&uid).await;
        }
        self.shared.workers.lock().remove(&self.uid);
    }

    fn is_over(&self) -> bool {
        let nothing = self.observed.sandboxes.is_empty() && self.observed.containers.is_empty();
        self.observed.gone && nothing && self.changing == 0 && !self.needs_list && !self.listing
    }

    fn view(&self, now: Timestamp) -> View<'_> {
        View {
            pod: &self.pod,
            status: self.sent.as_ref().unwrap_or(&self.stored),
            observed: &self.observed,
            crash_backoff: &self.shared.config.crash_backoff,
            host_ip: self.host_ip,
            runtime: self.shared.runtime.name(),
            now,
        }
    }

    fn read(&mut self, letters: Letters) {
        if let Some(pod) = letters.pod {
            self.read_pod(pod);
        }
        self.observed.gone |= letters.gone;
        if let Some(snapshot) = letters.snapshot {
            self.read_snapshot(snapshot);
        }
        for id in letters.containers {
            let known = self.observed.containers.iter().any(|container| container.id == id);
            // A start, stop or removal under way looks for itself when it is done.
            let busy = &self.observed.busy;
            let looked_after = busy.removing.contains(&id) || busy.stopping.contains_key(&id);
            let starting = !known && busy.start.is_some();
            if !looked_after && !starting && self.inspecting.insert(id.clone()) {
                self.push(ops::inspect(self.shared.clone(), id));
            }
        }
        for id in letters.sandboxes {
            if !self.observed.busy.sandbox && !self.observed.busy.sandboxes.contains(&id) {
                self.push(ops::inspect_sandbox(self.shared.clone(), id));
            }
        }
    }

    fn read_pod(&mut self, pod: Arc<Pod>) {
        let revision = revision(&pod);
        // An older version, or the echo of this worker's own write.
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        self.stored = pod.status.clone().unwrap_or_default();
        self.pod = pod;
    }

    fn read_snapshot(&mut self, snapshot: Snapshot) {
        if self.changing > 0 || snapshot.begun <= self.last_change {
            // It may lack what was done meanwhile.
            self.needs_list = true;
            return;
        }
        self.needs_list = false;
        self.paused = None;
        self.observed.sandboxes = snapshot.sandboxes;
        self.observed.containers = snapshot.containers;
    }

    fn push(&self, operation: impl Future<Output = Done> + Send + 'static) {
        self.operations.push(operation.boxed());
    }

    fn push_change(&mut self, operation: impl Future<Output = Done> + Send + 'static) {
        self.changing += 1;
        self.last_change = self.shared.tick();
        self.push(operation);
    }

    /// Decides and acts. Returns when to do so again if nothing happens before.
    fn step(&mut self) -> Option<Timestamp> {
        let now = time::now();
        let mut wake = Earliest(None);
        let view = View {
            pod: &self.pod,
            status: self.sent.as_ref().unwrap_or(&self.stored),
            observed: &self.observed,
            crash_backoff: &self.shared.config.crash_backoff,
            host_ip: self.host_ip,
            runtime: self.shared.runtime.name(),
            now,
        };
        if self.probes.sync(&view) {
            self.observed.health = self.probes.health();
        }
        let mut computed = None;
        let terminal = matches!(self.stored.phase.as_deref(), Some("Succeeded" | "Failed"));
        if (terminal || self.pod.metadata.deletion_timestamp.is_some()) && !self.observed.gone {
            let report = status(&self.view(now));
            self.observed.reported = self.sent.is_none() && report == self.stored;
            computed = Some(report);
        }
        let paused = self.paused.map(|(until, _)| until).filter(|until| *until > now);
        match paused {
            Some(_) => wake.at(paused),
            None => {
                let decision = decide(&self.view(now));
                wake.at(decision.wake_at);
                for action in decision.actions {
                    self.perform(action, now);
                }
            }
        }
        if self.needs_list && self.changing == 0 && !self.listing && paused.is_none() {
            self.listing = true;
            let (shared, uid) = (self.shared.clone(), self.uid.clone());
            self.push(async move { Done::Listed(shared.list_pod(&uid).await) });
        }
        wake.at(self.probe(now));
        self.announce_backoff(now);
        if !self.observed.gone {
            wake.at(self.report(computed, now));
        }
        wake.0
    }

    /// Makes the checks that are due. Returns when the next one is.
    fn probe(&mut self, now: Timestamp) -> Option<Timestamp> {
        if end_of(&self.view(now)).is_some() {
            return None;
        }
        for (key, _, check, timeout) in self.probes.due(now) {
            self.push(ops::probe(self.shared.clone(), key, self.pod_ip(), check, timeout));
        }
        self.probes.next_at()
    }

    fn pod_ip(&self) -> IpAddr {
        self.view(Timestamp::MIN).sandbox().and_then(|sandbox| sandbox.ip()).unwrap_or(self.host_ip)
    }

    /// Writes the status if it differs from what the store has. While work goes on that will change it again,
    /// it may wait a little, so that a pod that starts quickly is written once.
    fn report(&mut self, computed: Option<PodStatus>, now: Timestamp) -> Option<Timestamp> {
        if self.sent.is_some() {
            return None;
        }
        if let Some(retry_at) = self.write_retry_at.filter(|retry_at| *retry_at > now) {
            return Some(retry_at);
        }
        let progressing = self.observed.busy.sandbox || self.observed.busy.start.is_some();
        if progressing {
            let report_at = *self.report_at.get_or_insert_with(|| add(now, self.shared.config.status_settle));
            if report_at > now {
                return Some(report_at);
            }
        } else {
            self.report_at = None;
        }
        let report = computed.unwrap_or_else(|| status(&self.view(now)));
        if report != self.stored {
            let (shared, pod, revision) = (self.shared.clone(), self.pod.clone(), self.revision);
            self.sent = Some(report.clone());
            self.push(async move { Done::Written(shared.write_status(&pod, revision, &report).await) });
        }
        status_wake(&self.view(now))
    }

    /// Tells once for each ended container that its successor has to wait.
    fn announce_backoff(&mut self, now: Timestamp) {
        let view = self.view(now);
        let waiting = view.specs().filter_map(|(role, spec)| {
            let latest = view.latest(&spec.name).filter(|latest| latest.state.is_exited())?;
            let waits = matches!(next(&view, role, spec), Next::Start { at: Some(at), .. } if at > now);
            (waits && !self.announced.contains(&latest.id)).then(|| (latest.id.clone(), spec.name.clone()))
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        self.announced.retain(|id| self.observed.containers.iter().any(|container| container.id == *id));
        for (id, name) in waiting {
            let about = container_reference(&self.pod, &name);
            let message = format!("Back-off restarting failed container {name} in pod {}", self.full_name());
            self.shared.recorder.warning(&about, "BackOff", message);
            self.announced.insert(id);
        }
    }

    fn full_name(&self) -> String {
        let meta = &self.pod.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}_{}({})", text(&meta.name), text(&meta.namespace), self.uid)
    }

    fn perform(&mut self, action: Action, now: Timestamp) {
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
            Action::StartContainer { name, attempt, backoff } => self.start(&name, attempt, backoff, now),
            Action::CancelStart => {
                if let Some(cancel) = self.cancel_start.take() {
                    cancel.notify_one();
                }
            }
            Action::StopContainer { id, name, grace, reason } => self.stop(id, name, grace, reason, now),
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
    fn take_volumes(&self) -> Option<String> {
        let volumes = self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        volumes.is_some_and(|volumes| !volumes.is_empty()).then(|| self.uid.clone())
    }

    fn start(&mut self, name: &str, attempt: u32, backoff: Duration, now: Timestamp) {
        let view = self.view(now);
        // Both are what the decision was about.
        let Some((_, spec)) = view.specs().find(|(_, spec)| spec.name == name) else { return };
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

    fn stop(&mut self, id: ContainerId, name: String, grace: Duration, reason: StopReason, now: Timestamp) {
        let message = match reason {
            StopReason::Unhealthy(probe) => format!("Container {name} failed {probe} probe, will be restarted"),
            StopReason::ImageChanged => format!("Container {name} definition changed, will be restarted"),
            _ => format!("Stopping container {name}"),
        };
        // A stop under way is replaced by one with less grace; its hook has begun already.
        let replaced = self.stops.remove(&id);
        if let Some((running, _)) = &replaced {
            running.abort();
        } else {
            self.shared.recorder.normal(&container_reference(&self.pod, &name), "Killing", message);
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

    fn absorb(&mut self, done: Done) {
        let now = time::now();
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
            Done::Stopped { id, generation, result } => {
                if self.stops.get(&id).is_some_and(|(_, current)| *current == generation) {
                    self.stops.remove(&id);
                    self.observed.busy.stopping.remove(&id);
                    self.looked_at(&id, result, now);
                }
            }
            Done::Aborted => {}
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
                    self.needs_list |= self.observed.containers.iter().any(super::decide::may_run);
                }
            }
            Done::SandboxRemoved { id, result } => {
                self.observed.busy.sandboxes.remove(&id);
                if self.succeeded(result, now).is_some() {
                    self.observed.sandboxes.retain(|sandbox| sandbox.id != id);
                    self.observed.containers.retain(|container| container.sandbox != id);
                }
            }
            Done::Inspected { id, result } => {
                self.inspecting.remove(&id);
                if !self.observed.busy.removing.contains(&id) {
                    self.looked_at(&id, result, now);
                }
            }
            Done::SandboxInspected { id, result } => match result {
                Ok(Some(sandbox)) => {
                    match self.observed.sandboxes.iter_mut().find(|known| known.id == id) {
                        Some(known) if sandbox.state != SandboxState::Ready => *known = sandbox,
                        Some(_) => {}
                        None => self.needs_list = true,
                    }
                }
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

    fn sandbox_made(&mut self, result: Result<orch_core::runtime::Sandbox, RuntimeError>, now: Timestamp) {
        self.observed.busy.sandbox = false;
        match result {
            Ok(sandbox) => {
                self.observed.sandbox_failure = None;
                self.observed.sandboxes.retain(|known| known.id != sandbox.id);
                self.observed.sandboxes.push(sandbox);
            }
            Err(error) => {
                let before = self.observed.sandbox_failure.as_ref();
                let delay = self.shared.config.retry_backoff.next(before.map(|failure| failure.delay).unwrap_or_default());
                let message = format!("Failed to create pod sandbox: {error}");
                self.shared.recorder.warning(&reference(&*self.pod), "FailedCreatePodSandBox", message.as_str());
                self.observed.sandbox_failure =
                    Some(Failure { reason: "FailedCreatePodSandBox", message, at: now, delay, image: String::new() });
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
        let before = self.observed.failures.get(name).filter(|before| before.image == image);
        let before = before.map(|failure| failure.delay).unwrap_or_default();
        let config = &self.shared.config;
        let backoff =
            if matches!(error, StartError::Pull(_)) { config.image_backoff } else { config.retry_backoff };
        let about = container_reference(&self.pod, name);
        let message = error.to_string();
        if matches!(error, StartError::Volume(_)) {
            self.shared.recorder.warning(&reference(&*self.pod), "FailedMount", message.as_str());
        } else if matches!(error, StartError::Pull(_)) {
            self.shared.recorder.warning(&about, "Failed", format!("Failed to pull image {image:?}: {message}"));
            self.shared.recorder.warning(&about, "Failed", format!("Error: {}", error.reason()));
        } else {
            self.shared.recorder.warning(&about, "Failed", format!("Error: {message}"));
        }
        let failure = Failure { reason: error.reason(), message, at: now, delay: backoff.next(before), image };
        self.observed.failures.insert(name.to_owned(), failure);
        // It may have been made nevertheless, or its sandbox be gone.
        self.needs_list |= matches!(error, StartError::Create(_) | StartError::Start(_));
    }

    /// Takes in how a container was found; none: it is gone.
    fn looked_at(&mut self, id: &ContainerId, result: Result<Option<Container>, RuntimeError>, now: Timestamp) {
        match self.succeeded(result, now) {
            Some(Some(container)) => self.merge(container),
            Some(None) => self.observed.containers.retain(|container| container.id != *id),
            None => {}
        }
    }

    /// A container's life has one direction: an older look never replaces a newer one.
    fn merge(&mut self, container: Container) {
        let age = |state: &ContainerState| match state {
            ContainerState::Created => 0,
            ContainerState::Exited { .. } => 2,
            _ => 1,
        };
        match self.observed.containers.iter_mut().find(|known| known.id == container.id) {
            Some(known) if age(&known.state) > age(&container.state) => {}
            Some(known) => *known = container,
            None => self.observed.containers.push(container),
        }
    }

    fn sandbox_ended(&mut self, id: &SandboxId) {
        if let Some(sandbox) = self.observed.sandboxes.iter_mut().find(|sandbox| sandbox.id == *id) {
            sandbox.state = SandboxState::NotReady;
        }
    }

    fn probed(&mut self, key: &ProbeKey, outcome: &Outcome, now: Timestamp) {
        if let Outcome::Failure(said) = outcome
            && let Some(container) = self.observed.containers.iter().find(|container| container.id == key.container)
            && container.state.is_running()
        {
            let kind = match key.kind.as_str() {
                "startup" => "Startup",
                "liveness" => "Liveness",
                _ => "Readiness",
            };
            let about = container_reference(&self.pod, &container.name);
            self.shared.recorder.warning(&about, "Unhealthy", format!("{kind} probe failed: {said}"));
        }
        if self.probes.record(key, outcome, now) {
            self.observed.health = self.probes.health();
        }
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
    fn reread(&mut self, result: Result<Option<Pod>, ApiError>, now: Timestamp) {
        self.sent = None;
        match result {
            Ok(Some(pod)) => self.read_pod(Arc::new(pod)),
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

    fn pause(&mut self, now: Timestamp) {
        let before = self.paused.map(|(_, delay)| delay).unwrap_or_default();
        let delay = self.shared.config.retry_backoff.next(before);
        self.paused = Some((add(now, delay), delay));
    }
}

struct Earliest(Option<Timestamp>);

impl Earliest {
    fn at(&mut self, at: Option<Timestamp>) {
        self.0 = match (self.0, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

async fn sleep_until(at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(until(at, time::now())).await,
        None => std::future::pending().await,
    }
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}
