//! What the agent knows of one pod: the material of every decision.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{self, Pod, PodStatus, ResourceRequirements};
use orch_core::runtime::{Container, ContainerId, Sandbox, SandboxId, SandboxState};

use super::config::Backoff;
use super::resize::Wait;
use super::support::Refusal;
use crate::kinds::pod::is_sidecar;

/// One moment of one pod: what is wanted, what was last reported, what is, and when.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The pod as last read.
    pub pod: &'a Pod,
    /// Its status as last reported by this agent, or as read.
    pub status: &'a PodStatus,
    /// What runs.
    pub observed: &'a Observed,
    /// How long a container that keeps ending waits.
    pub crash_backoff: &'a Backoff,
    /// The machine's address.
    pub host_ip: IpAddr,
    /// The name that containers' ids begin with.
    pub runtime: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What the agent has seen of a pod, and what it is doing about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The pod's sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// The pod's containers, of all sandboxes and attempts.
    pub containers: Vec<Container>,
    /// Probe results, by container.
    pub health: BTreeMap<ContainerId, Health>,
    /// Containers that were stopped because a probe failed. The kubelet starts such a one again whatever it ended
    /// with, unless the policy is `Never`; and like the kubelet, an agent that is replaced forgets.
    pub unhealthy: BTreeSet<ContainerId>,
    /// The resources that containers run with, as far as the pod says of any.
    pub given: BTreeMap<ContainerId, ResourceRequirements>,
    /// Why they are not given those that the pod says.
    pub wait: Option<Wait>,
    /// Why the last try to give them those came to nothing.
    pub resize_failure: Option<Failure>,
    /// What went wrong short of a container, by container name.
    pub failures: BTreeMap<String, Failure>,
    /// Why the pod has no sandbox.
    pub sandbox_failure: Option<Failure>,
    /// Why the pod cannot run on this node at all; nothing of it is started.
    pub refusal: Option<Refusal>,
    /// What is being done and has not come back yet.
    pub busy: Busy,
    /// When each container that has ended was first seen to have, by this machine's clock: the runtime may be on another.
    pub ended: BTreeMap<ContainerId, Timestamp>,
    /// How long the pod has to end, since its deletion was seen.
    pub deletion: Option<Deletion>,
    /// The object is no longer in the store.
    pub gone: bool,
    /// The status this state leads to is in the store. Known only of pods that end.
    pub reported: bool,
}

/// A deletion as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The object's `deletionTimestamp`, of whatever clock; another is another deletion, with less grace.
    pub stamp: Timestamp,
    /// By when the containers are to have ended, by this machine's clock.
    pub by: Timestamp,
}

impl Observed {
    /// Takes note of what is seen for the first time.
    pub(crate) fn note(&mut self, pod: &Pod, now: Timestamp) {
        let (ended, containers) = (&mut self.ended, &self.containers);
        let is_ended = |container: &&Container| container.state.is_exited();
        ended.retain(|id, _| {
            containers
                .iter()
                .filter(is_ended)
                .any(|container| container.id == *id)
        });
        for container in containers.iter().filter(is_ended) {
            ended.entry(container.id.clone()).or_insert(now);
        }
        let meta = &pod.metadata;
        let Some(stamp) = meta.deletion_timestamp.as_ref().map(|stamp| stamp.0) else {
            return;
        };
        if self.deletion.is_none_or(|seen| seen.stamp != stamp) {
            // An agent that was started anew gives what is left; and none more than was given, whatever the clock says.
            let given = meta.deletion_grace_period_seconds.map_or(Duration::MAX, seconds);
            let by = add(now, until(stamp, now).min(given));
            self.deletion = Some(Deletion { stamp, by });
        }
    }

    /// Keeps the time until whatever is waited for, though the clock was set.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        let failures = self.failures.values_mut().chain(&mut self.sandbox_failure);
        let failures = failures.chain(&mut self.resize_failure);
        let failed = failures.map(|failure| &mut failure.at);
        failed
            .chain(self.busy.stopping.values_mut())
            .chain(self.ended.values_mut())
            .chain(self.deletion.iter_mut().map(|deletion| &mut deletion.by))
            .for_each(|at| *at = shifted(*at, by));
    }
}

/// Operations under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// A sandbox is being made.
    pub sandbox: bool,
    /// The container of this name is being started.
    pub start: Option<String>,
    /// Containers being stopped, with the time by which they will be killed.
    pub stopping: BTreeMap<ContainerId, Timestamp>,
    /// Containers being removed.
    pub removing: BTreeSet<ContainerId>,
    /// Sandboxes being stopped or removed.
    pub sandboxes: BTreeSet<SandboxId>,
    /// Containers are being given other resources.
    pub resize: bool,
    /// The object is being deleted.
    pub delete: bool,
}

impl Busy {
    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// What the probes of a container say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The startup probe has succeeded; none: there is none.
    pub started: Option<bool>,
    /// The readiness probe's word; none: there is none.
    pub ready: Option<bool>,
    /// The startup or liveness probe has failed for good, and this is what it said.
    pub failed: Option<Unhealthy>,
}

/// A probe's verdict that costs the container its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// `liveness` or `startup`.
    pub probe: &'static str,
    /// The probe's own grace period, where it has one.
    pub grace: Option<Duration>,
}

/// Something that failed and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word, as the container's `waiting.reason` shows it.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// When it last failed.
    pub at: Timestamp,
    /// The delay before the next try.
    pub delay: Duration,
    /// The image it was about: a changed image is tried at once.
    pub image: String,
}

impl Failure {
    /// When to try again.
    pub fn retry_at(&self) -> Timestamp {
        add(self.at, self.delay)
    }
}

/// The part a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside the others (KEP-753).
    Sidecar,
    /// What the pod is for.
    Main,
}

/// What is known of the last container of a name.
#[derive(Clone, Copy, Debug)]
pub enum Past<'a> {
    /// There never was one.
    None,
    /// The runtime has it.
    Listed(&'a Container),
    /// Only the pod's status tells of it, and that it had ended.
    Ended(&'a v1::ContainerStateTerminated),
    /// Only the pod's status tells of it; how it ended nobody knows.
    Lost,
}

impl<'a> View<'a> {
    /// The pod's containers in the order in which they start.
    pub fn specs(&self) -> impl DoubleEndedIterator<Item = (Role, &'a v1::Container)> + 'a {
        let spec = self.pod.spec.as_ref();
        let init = spec
            .and_then(|spec| spec.init_containers.as_ref())
            .into_iter()
            .flatten();
        let main = spec.map(|spec| &spec.containers).into_iter().flatten();
        init.map(|container| (role_of_init(container), container))
            .chain(main.map(|main| (Role::Main, main)))
    }

    /// The sandbox that containers can run in: the newest that is ready; if none is, the newest whose state nobody
    /// knows (somebody paused it, say). In such a one nothing is started, and what runs in it is left alone, until
    /// it is known again.
    pub fn sandbox(&self) -> Option<&'a Sandbox> {
        let newest = |state: SandboxState| {
            let all = self.observed.sandboxes.iter();
            all.filter(|sandbox| sandbox.state == state)
                .max_by_key(|sandbox| sandbox.attempt)
        };
        newest(SandboxState::Ready).or_else(|| newest(SandboxState::Unknown))
    }

    /// The newest container of that name.
    pub fn latest(&self, name: &str) -> Option<&'a Container> {
        let named = self
            .observed
            .containers
            .iter()
            .filter(|container| container.name == name);
        named.max_by_key(|container| container.attempt)
    }

    /// The newest container of that name in the current sandbox.
    pub fn latest_here(&self, name: &str) -> Option<&'a Container> {
        let here = self.sandbox()?;
        self.latest(name).filter(|container| container.sandbox == here.id)
    }

    /// What was last reported of the container of that name.
    pub fn reported(&self, name: &str) -> Option<&'a v1::ContainerStatus> {
        let of = |list: &'a Option<Vec<v1::ContainerStatus>>| list.iter().flatten();
        of(&self.status.container_statuses)
            .chain(of(&self.status.init_container_statuses))
            .find(|status| status.name == name)
    }

    /// What is known of the last container of that name.
    pub fn past(&self, name: &str) -> Past<'a> {
        if let Some(container) = self.latest(name) {
            return Past::Listed(container);
        }
        let Some(status) = self.reported(name) else {
            return Past::None;
        };
        let state = status.state.as_ref();
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            return Past::Ended(ended);
        }
        if state.is_some_and(|state| state.running.is_some()) {
            return Past::Lost;
        }
        // Waiting to be started again: what ended is in the last state.
        match status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
        {
            Some(ended) => Past::Ended(ended),
            None if status.container_id.is_some() => Past::Lost,
            None => Past::None,
        }
    }

    /// The number of the next container of that name.
    pub fn next_attempt(&self, name: &str) -> u32 {
        let listed = self.latest(name).map(|container| container.attempt + 1);
        let existed = self.reported(name).filter(|status| {
            status.container_id.is_some()
                || status.last_state.as_ref().is_some_and(|l| l.terminated.is_some())
        });
        let reported = existed.map(|status| u32::try_from(status.restart_count).unwrap_or(0) + 1);
        listed.max(reported).unwrap_or(0)
    }

    /// Whether the pod's first stage is over: a main container was made in the current sandbox.
    pub fn initialized(&self) -> bool {
        self.specs()
            .any(|(role, spec)| role == Role::Main && self.latest_here(&spec.name).is_some())
    }

    /// How long containers get to end by themselves (`terminationGracePeriodSeconds`, 30 s).
    pub fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        seconds(
            spec.and_then(|spec| spec.termination_grace_period_seconds)
                .unwrap_or(30),
        )
    }

    /// The container's restart policy: its own, else the pod's.
    pub fn restart_policy(&self, role: Role, spec: &'a v1::Container) -> RestartPolicy {
        let pod = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.restart_policy.as_deref());
        let policy = match (role, spec.restart_policy.as_deref().or(pod)) {
            (Role::Sidecar, _) => RestartPolicy::Always,
            (_, Some("Never")) => RestartPolicy::Never,
            (_, Some("OnFailure")) => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        };
        // An init container that succeeded has done its work.
        if role == Role::Init && policy == RestartPolicy::Always {
            RestartPolicy::OnFailure
        } else {
            policy
        }
    }

    /// Whether the container counts as started: running, its startup probe, if any, has succeeded.
    pub fn is_started(&self, container: &Container) -> bool {
        let health = self.observed.health.get(&container.id);
        container.state.is_running() && health.and_then(|health| health.started).unwrap_or(true)
    }
}

/// When a container that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Each time.
    Always,
    /// If it failed.
    OnFailure,
    /// Not.
    Never,
}

fn role_of_init(container: &v1::Container) -> Role {
    if is_sidecar(container) {
        Role::Sidecar
    } else {
        Role::Init
    }
}

/// Seconds as a manifest writes them; below zero counts as none.
pub(crate) fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

/// `at` plus `delay`, at most the end of time.
pub(crate) fn add(at: Timestamp, delay: Duration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// `at` by a clock that was set forward by this, or back.
pub(crate) fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

/// From `now` until `at`; zero if that is past.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
