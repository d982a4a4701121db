//! One pod's worker: looks, decides, acts and reports, one decision at a time.

mod absorb;
mod act;
mod clock;
mod resize;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use orch_core::runtime::{ContainerId, Sandbox};
use tokio::sync::{Notify, watch};

use super::decide::{decide, end_of};
use super::mailbox::{Letters, Mailbox, Snapshot};
use super::observed::{Observed, View, add, shifted, until};
use super::ops::{self, Done, container_reference};
use super::probe::Probes;
use super::restart::{Next, next};
use super::shared::{Shared, Unconfirmed};
use super::status::{status, status_wake};
use super::support::{Host, Support, support};
use crate::events::reference;
use clock::Clock;

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
    /// Until the store has been found to say what is seen here.
    unconfirmed: Option<Unconfirmed>,
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
    /// Whether the runtime was asked for all that it has of the pod.
    looked: bool,
    /// Whether that must be done first, for an agent before this one worked on the pod.
    unseen: bool,
    /// When a status that could wait no longer waits.
    report_at: Option<Timestamp>,
    write_retry_at: Option<Timestamp>,
    /// Something is known that was not when the last decision was made.
    changed: bool,
    /// When to decide again even if nothing changes.
    wake: Option<Timestamp>,
    /// When the next probe is due. What it finds seldom changes anything, and then nothing is decided.
    probe_at: Option<Timestamp>,
    /// Nothing is done before this: the runtime or the store failed.
    paused: Option<(Timestamp, Duration)>,
    clock: Clock,
    /// Sees when other pods give back what they had of the node.
    freed: watch::Receiver<()>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>, pod: Arc<Pod>, snapshot: Snapshot) -> Self {
        let host_ip = shared.config.host_ip();
        let mut worker = Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            host_ip,
            revision: revision(&pod),
            stored: pod.status.clone().unwrap_or_default(),
            unconfirmed: Some(Unconfirmed::new(&shared)),
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
            looked: snapshot.begun > 0,
            unseen: snapshot.begun == 0 && was_worked_on(&pod),
            report_at: None,
            write_retry_at: None,
            changed: true,
            wake: None,
            probe_at: None,
            paused: None,
            clock: Clock::new(),
            freed: shared.room.freed(),
            shared,
            mailbox,
            pod,
        };
        worker.check_support();
        worker.enter_room();
        worker
    }

    /// Compares the pod with the runtime, once: neither can change its mind.
    fn check_support(&mut self) {
        let terminal = matches!(self.stored.phase.as_deref(), Some("Succeeded" | "Failed"));
        if terminal || self.pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let (runtime, can) = (self.shared.runtime.name(), &self.shared.capabilities);
        let found = support(&self.pod, runtime, can, &Host::of(&self.shared.config));
        if found == Support::default() {
            return;
        }
        let about = reference(&*self.pod);
        for warning in &found.warnings {
            self.shared
                .recorder
                .warning(&about, "Unsupported", warning.to_string());
        }
        let refusal = found.refusal();
        if let Some(refusal) = &refusal {
            self.shared
                .recorder
                .warning(&about, "Unsupported", refusal.message.as_str());
        }
        self.observed.refusal = refusal;
    }

    /// Works until nothing of the pod is left, here or in the store.
    pub(crate) async fn run(mut self) {
        loop {
            let letters = self.mailbox.take();
            self.read(letters);
            let now = self.now();
            let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            if self.changed || is_due(self.wake) {
                self.changed = false;
                self.wake = self.step(now);
                self.probe_at = self.probe(now);
            } else if is_due(self.probe_at) {
                self.probe_at = self.probe(now);
            }
            if self.is_over() {
                break;
            }
            let mut wake = Earliest(self.wake);
            wake.at(self.probe_at);
            let mailbox = self.mailbox.clone();
            let waits_for_room = self.waits_for_room();
            tokio::select! {
                // None can keep another waiting: all that is ready is taken in before the next turn.
                biased;
                () = mailbox.wait() => {}
                Some(done) = self.operations.next() => self.absorb(done),
                // The agent holds the other end.
                _ = self.freed.changed(), if waits_for_room => self.changed = true,
                () = sleep_until(wake.0, now) => {}
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
        self.shared.room.leave(&self.uid);
        if let Some(workers) = &mut *self.shared.workers.lock() {
            workers.swap_remove(&self.uid);
        }
    }

    /// What time it is. If the clock was set, all that is waited for is set with it: in an hour stays in an hour.
    pub(super) fn now(&mut self) -> Timestamp {
        let (now, set) = self.clock.read();
        if let Some(by) = set {
            let waits = [
                &mut self.report_at,
                &mut self.write_retry_at,
                &mut self.wake,
                &mut self.probe_at,
            ];
            let waits = waits.into_iter().flatten();
            let pauses = self.paused.iter_mut().map(|(until, _)| until);
            waits.chain(pauses).for_each(|at| *at = shifted(*at, by));
            self.probes.shift(by);
            self.observed.shift(by);
        }
        now
    }

    fn is_over(&self) -> bool {
        let nothing = self.observed.sandboxes.is_empty() && self.observed.containers.is_empty();
        self.observed.gone && nothing && self.changing == 0 && !self.needs_list && !self.listing
    }

    pub(super) fn view(&self, now: Timestamp) -> View<'_> {
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
        self.changed |= letters.gone;
        self.observed.gone |= letters.gone;
        if let Some(snapshot) = letters.snapshot {
            self.read_snapshot(snapshot);
        }
        for id in letters.containers {
            let known = self
                .observed
                .containers
                .iter()
                .any(|container| container.id == id);
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

    pub(super) fn read_pod(&mut self, pod: Arc<Pod>) {
        let revision = revision(&pod);
        // An older version, or the echo of this worker's own write.
        if revision <= self.revision {
            return;
        }
        // Its status is no word of this worker's: the first version that was seen of the pod was of the past.
        self.unseen |=
            !self.looked && self.sent.is_none() && self.stored.start_time.is_none() && was_worked_on(&pod);
        self.changed = true;
        self.revision = revision;
        self.stored = pod.status.clone().unwrap_or_default();
        self.pod = pod;
    }

    pub(super) fn read_snapshot(&mut self, snapshot: Snapshot) {
        if self.changing > 0 || snapshot.begun <= self.last_change {
            // It may lack what was done meanwhile.
            self.changed = true;
            self.needs_list = true;
            return;
        }
        let news = self.needs_list
            || self.paused.is_some()
            || !same(&snapshot.sandboxes, &self.observed.sandboxes)
            || !same(&snapshot.containers, &self.observed.containers);
        self.changed |= news;
        self.changed |= self.unseen;
        (self.unseen, self.looked) = (false, true);
        self.needs_list = false;
        self.paused = None;
        self.observed.sandboxes = snapshot.sandboxes;
        self.observed.containers = snapshot.containers;
    }

    pub(super) fn push(&self, operation: impl Future<Output = Done> + Send + 'static) {
        self.operations.push(operation.boxed());
    }

    pub(super) fn push_change(&mut self, operation: impl Future<Output = Done> + Send + 'static) {
        self.changing += 1;
        self.last_change = self.shared.tick();
        self.push(operation);
    }

    /// Decides and acts. Returns when to do so again if nothing happens before.
    fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut wake = Earliest(None);
        if self.unseen {
            self.needs_list = true;
            return self.look(now);
        }
        self.observed.note(&self.pod, now);
        self.ask_for_room(now);
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
        if terminal {
            self.shared.room.leave(&self.uid);
        }
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
        self.look(now);
        self.announce_backoff(now);
        if !self.observed.gone {
            wake.at(self.report(computed, now));
        }
        wake.0
    }

    /// Lists what the runtime has of the pod, if that is to be done and nothing is under way. Returns until when that waits.
    fn look(&mut self, now: Timestamp) -> Option<Timestamp> {
        let paused = self.paused.map(|(until, _)| until).filter(|until| *until > now);
        if self.needs_list && self.changing == 0 && !self.listing && paused.is_none() {
            self.listing = true;
            let (shared, uid) = (self.shared.clone(), self.uid.clone());
            self.push(async move { Done::Listed(shared.list_pod(&uid).await) });
        }
        paused
    }

    /// Makes the checks that are due. Returns when the next one is.
    fn probe(&mut self, now: Timestamp) -> Option<Timestamp> {
        if end_of(&self.view(now)).is_some() {
            return None;
        }
        for (key, _, check, timeout) in self.probes.due(now) {
            self.push(ops::probe(
                self.shared.clone(),
                key,
                self.pod_ip(),
                check,
                timeout,
            ));
        }
        self.probes.next_at()
    }

    pub(super) fn pod_ip(&self) -> IpAddr {
        self.view(Timestamp::MIN)
            .sandbox()
            .and_then(Sandbox::ip)
            .unwrap_or(self.host_ip)
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
            let report_at = *self
                .report_at
                .get_or_insert_with(|| add(now, self.shared.config.status_settle));
            if report_at > now {
                return Some(report_at);
            }
        } else {
            self.report_at = None;
        }
        let report = computed.unwrap_or_else(|| status(&self.view(now)));
        if report == self.stored {
            self.unconfirmed = None;
        } else {
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
            let latest = view
                .latest(&spec.name)
                .filter(|latest| latest.state.is_exited())?;
            let waits = matches!(next(&view, role, spec), Next::Start { at: Some(at), .. } if at > now);
            (waits && !self.announced.contains(&latest.id)).then(|| (latest.id.clone(), spec.name.clone()))
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        self.announced.retain(|id| {
            self.observed
                .containers
                .iter()
                .any(|container| container.id == *id)
        });
        for (id, name) in waiting {
            let about = container_reference(&self.pod, &name);
            let message = format!(
                "Back-off restarting failed container {name} in pod {}",
                self.full_name()
            );
            self.shared.recorder.warning(&about, "BackOff", message);
            self.announced.insert(id);
        }
    }

    pub(super) fn full_name(&self) -> String {
        let meta = &self.pod.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}_{}({})", text(&meta.name), text(&meta.namespace), self.uid)
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

async fn sleep_until(at: Option<Timestamp>, now: Timestamp) {
    match at {
        Some(at) => tokio::time::sleep(until(at, now)).await,
        None => std::future::pending().await,
    }
}

/// Whether an agent has said of the pod that it saw it.
fn was_worked_on(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| status.start_time.is_some())
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Whether two lists hold the same, in whatever order.
fn same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|item| other.contains(item))
}
