//! A pod, a clock and a runtime in a few fields, for tests of the pure parts.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use orch_core::runtime::{
    Container, ContainerId, ContainerState, ExitReason, Sandbox, SandboxId, SandboxState,
};

use super::config::{AgentConfig, Backoff};
use super::decide::{Action, Decision, StopReason, decide};
use super::observed::{Observed, View, add};
use super::status::status;
use super::translate::{Making, container_config};

pub(crate) fn pod(name: &str) -> Pod {
    let mut pod = pod_with(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
    pod.metadata.name = Some(name.to_owned());
    pod
}

pub(crate) fn pod_with(spec: &str) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some("web".to_owned()),
            namespace: Some("default".to_owned()),
            uid: Some("u-1".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(serde_json::from_str(spec).expect("the test's spec parses")),
        status: None,
    }
}

/// The world of one pod: every action succeeds at once.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) pod: Pod,
    pub(crate) status: PodStatus,
    pub(crate) observed: Observed,
    pub(crate) now: Timestamp,
    pub(crate) deleted: bool,
    backoff: Backoff,
    made: u32,
    /// What stopped containers end with.
    pub(crate) stop_code: i32,
}

impl Model {
    pub(crate) fn new(spec: &str) -> Self {
        Self {
            pod: pod_with(spec),
            status: PodStatus::default(),
            observed: Observed::default(),
            now: "2030-01-01T00:00:00Z".parse().expect("a date"),
            deleted: false,
            backoff: AgentConfig::new("n").crash_backoff,
            made: 0,
            stop_code: 143,
        }
    }

    /// With everything started that can be.
    pub(crate) fn running(spec: &str) -> Self {
        let mut model = Self::new(spec);
        model.settle();
        model
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            pod: &self.pod,
            status: &self.status,
            observed: &self.observed,
            crash_backoff: &self.backoff,
            host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            runtime: "model",
            now: self.now,
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.view())
    }

    pub(crate) fn report(&mut self) {
        self.status = status(&self.view());
        self.observed.reported = true;
    }

    /// Decides, acts and reports until there is nothing to do but wait. Returns when to go on.
    pub(crate) fn settle(&mut self) -> Option<Timestamp> {
        for _ in 0..1000 {
            let decision = self.decide();
            for action in &decision.actions {
                self.apply(action);
            }
            let (before, reported) = (self.status.clone(), self.observed.reported);
            self.report();
            if decision.actions.is_empty() && before == self.status && reported {
                return decision.wake_at;
            }
            self.check();
        }
        panic!("no steady state: {:?} for {:#?}", self.decide(), self.observed);
    }

    /// Settles and lets time pass until it has nothing left to wait for, or `rounds` waits are over.
    pub(crate) fn settle_over_time(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let Some(at) = self.settle() else { return };
            assert!(at > self.now, "a wake-up lies in the future");
            self.now = at;
        }
    }

    /// What must hold at every moment.
    pub(crate) fn check(&self) {
        let running: Vec<_> = self
            .observed
            .containers
            .iter()
            .filter(|container| container.state.is_running())
            .collect();
        for container in &running {
            let same = running
                .iter()
                .filter(|other| other.name == container.name)
                .count();
            assert_eq!(same, 1, "two containers {} run", container.name);
        }
        for container in &self.observed.containers {
            let named = self
                .observed
                .containers
                .iter()
                .filter(|other| other.name == container.name);
            let same = named.filter(|other| other.attempt == container.attempt).count();
            assert_eq!(
                same, 1,
                "two containers {} have the attempt {}",
                container.name, container.attempt
            );
        }
    }

    pub(crate) fn apply(&mut self, action: &Action) {
        match action {
            Action::RunSandbox { attempt } => self.run_sandbox(*attempt),
            Action::StopSandbox(id) => {
                for index in 0..self.observed.containers.len() {
                    if self.observed.containers[index].sandbox == *id {
                        self.end(index, 137);
                    }
                }
                self.sandbox_mut(id).state = SandboxState::NotReady;
            }
            Action::RemoveSandbox(id) => {
                self.observed
                    .containers
                    .retain(|container| container.sandbox != *id);
                self.observed.sandboxes.retain(|sandbox| sandbox.id != *id);
            }
            Action::StartContainer {
                name,
                attempt,
                backoff,
            } => {
                self.create(name, *attempt, *backoff);
                let now = self.now;
                let created = self.observed.containers.last_mut().expect("it was just created");
                created.state = ContainerState::Running { started_at: now };
            }
            Action::CancelStart => self.observed.busy.start = None,
            Action::StopContainer { id, reason, .. } => {
                if matches!(reason, StopReason::Unhealthy(_)) {
                    self.observed.unhealthy.insert(id.clone());
                }
                let index = self
                    .observed
                    .containers
                    .iter()
                    .position(|container| container.id == *id);
                self.end(index.expect("only what exists is stopped"), self.stop_code);
            }
            Action::Resize(containers) => {
                for id in containers {
                    let container = self.observed.containers.iter().find(|one| one.id == *id);
                    let name = &container.expect("only what runs is resized").name;
                    let spec = self.pod.spec.as_ref().expect("a pod has a spec");
                    let wanted = spec.containers.iter().find(|one| one.name == *name);
                    let wanted = wanted.and_then(|wanted| wanted.resources.clone());
                    self.observed.given.insert(id.clone(), wanted.unwrap_or_default());
                }
            }
            Action::RemoveContainer(id) => self.observed.containers.retain(|container| container.id != *id),
            Action::DeletePod => {
                assert!(self.observed.sandboxes.is_empty() && self.observed.containers.is_empty());
                self.deleted = true;
                self.observed.gone = true;
            }
        }
    }

    fn run_sandbox(&mut self, attempt: u32) {
        self.observed.sandboxes.push(Sandbox {
            id: SandboxId(format!("s{attempt}")),
            name: "web".into(),
            namespace: "default".into(),
            uid: "u-1".into(),
            attempt,
            state: SandboxState::Ready,
            ips: vec!["10.0.0.7".parse().expect("an address")],
            created_at: self.now,
            labels: Default::default(),
            annotations: Default::default(),
        });
    }

    /// Makes a container without starting it.
    pub(crate) fn create(&mut self, name: &str, attempt: u32, backoff: Duration) {
        let view = self.view();
        let sandbox = view.sandbox().expect("a container needs a sandbox").id.clone();
        let spec = view
            .specs()
            .find(|(_, spec)| spec.name == name)
            .expect("only the pod's containers")
            .1;
        let config = container_config(
            &self.pod,
            spec,
            Making {
                attempt,
                backoff,
                ..Making::default()
            },
        );
        self.observed.containers.retain(|other| {
            (&other.name, other.attempt, &other.sandbox) != (&config.name, attempt, &sandbox)
        });
        self.made += 1;
        self.observed.containers.push(Container {
            id: ContainerId(format!("c{}", self.made)),
            sandbox,
            pod_uid: "u-1".into(),
            name: name.to_owned(),
            attempt,
            image: config.image,
            image_id: "sha256:1".into(),
            state: ContainerState::Created,
            paused: false,
            created_at: self.now,
            resources: config.resources,
            labels: config.labels.into(),
            annotations: config.annotations.into(),
        });
    }

    /// Ends the container at `index`, if it runs.
    pub(crate) fn end(&mut self, index: usize, code: i32) {
        let now = self.now;
        let Some(container) = self.observed.containers.get_mut(index) else {
            return;
        };
        if let ContainerState::Running { started_at } = container.state {
            container.state = ContainerState::Exited {
                started_at: Some(started_at),
                finished_at: now,
                exit_code: Some(code),
                reason: if code == 0 {
                    ExitReason::Completed
                } else {
                    ExitReason::Error
                },
                message: None,
            };
        }
    }

    /// Ends the running container of that name.
    pub(crate) fn end_named(&mut self, name: &str, code: i32) {
        let mut all = self.observed.containers.iter();
        let index = all.position(|container| container.name == name && container.state.is_running());
        self.end(index.expect("it runs"), code);
    }

    fn sandbox_mut(&mut self, id: &SandboxId) -> &mut Sandbox {
        self.observed
            .sandboxes
            .iter_mut()
            .find(|sandbox| sandbox.id == *id)
            .expect("it exists")
    }

    /// The sandboxes die, and what runs in them.
    pub(crate) fn lose_sandboxes(&mut self) {
        for index in 0..self.observed.containers.len() {
            self.end(index, 137);
        }
        for sandbox in &mut self.observed.sandboxes {
            sandbox.state = SandboxState::NotReady;
        }
    }

    /// Someone deletes the pod.
    pub(crate) fn delete(&mut self, grace: u64) {
        self.pod.metadata.deletion_timestamp = Some(Time(add(self.now, Duration::from_secs(grace))));
        self.pod.metadata.deletion_grace_period_seconds = i64::try_from(grace).ok();
        self.observed.reported = false;
        self.observed.note(&self.pod, self.now);
    }

    /// The state of the container in the status last reported, in one word.
    pub(crate) fn word(&self, name: &str) -> String {
        let status = self.view().reported(name).expect("it is reported").clone();
        let state = status.state.expect("it has a state");
        if state.running.is_some() {
            return if status.ready {
                "Ready".into()
            } else {
                "Running".into()
            };
        }
        let waiting = state.waiting.and_then(|waiting| waiting.reason);
        waiting
            .or_else(|| state.terminated.and_then(|ended| ended.reason))
            .expect("a reason")
    }
}

/// A client with Kubernetes' rules.
pub(crate) fn client(store: std::sync::Arc<dyn orch_core::store::Store>) -> orch_core::client::ClientBuilder {
    crate::kinds::kinds().fold(
        orch_core::client::Client::builder(store),
        orch_core::client::ClientBuilder::kind,
    )
}
