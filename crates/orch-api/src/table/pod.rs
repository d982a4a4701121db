//! Pods: how many of their containers are ready, and how they are in a word.

use jiff::Timestamp;
use orch_core::object::Document;
use serde::Deserialize;
use serde_json::json;

use super::read::{self, Condition, Container, List, Or, Text, Time};
use super::{Column, NONE, Printer, Row, age, or};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: List<Container>,
    init_containers: List<Container>,
    node_name: Text,
    readiness_gates: List<Gate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Gate {
    condition_type: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Text,
    reason: Text,
    conditions: List<Condition>,
    init_container_statuses: List<ContainerStatus>,
    container_statuses: List<ContainerStatus>,
    #[serde(rename = "podIPs")]
    pod_ips: List<Ip>,
    nominated_node_name: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    ip: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: Text,
    ready: Or<bool>,
    started: Or<bool>,
    restart_count: Or<i64>,
    state: Or<State>,
    last_state: Or<State>,
}

impl ContainerStatus {
    /// When it ended before it was started again.
    fn last_ended(&self) -> Option<Timestamp> {
        self.last_state.terminated.as_ref()?.finished_at.get()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: Text,
}

#[derive(Debug, Default, Deserialize)]
struct Running {}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    exit_code: Or<i64>,
    signal: Or<i64>,
    reason: Text,
    finished_at: Time,
}

impl Terminated {
    fn why(&self) -> String {
        match (self.reason.as_str(), *self.signal) {
            ("", 0) => format!("ExitCode:{}", *self.exit_code),
            ("", signal) => format!("Signal:{signal}"),
            (reason, _) => reason.to_owned(),
        }
    }
}

pub(super) static POD: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many of its containers are ready."),
        Column::text("Status", "How it is, in a word."),
        Column::text(
            "Restarts",
            "How often its containers were started again, and when last.",
        ),
        Column::AGE,
        Column::text("IP", "Its address.").wide(),
        Column::text("Node", "Where it runs.").wide(),
        Column::text("Nominated Node", "Where it is to run once others have made room.").wide(),
        Column::text("Readiness Gates", "How many of its further conditions hold.").wide(),
    ],
    row,
};

fn row(pod: &Document, now: Timestamp) -> Row {
    let spec: Spec = read::field(pod, "spec");
    let status: Status = read::field(pod, "status");
    let shown = Shown::of(&spec, &status, pod.meta().is_deleting());
    let restarts = match shown.restarted {
        Some(last) if shown.restarts != 0 => {
            format!("{} ({} ago)", shown.restarts, age::since(Some(last), now))
        }
        _ => shown.restarts.to_string(),
    };
    let sidecars = spec.init_containers.iter().filter(|one| is_sidecar(one)).count();
    let ip = status.pod_ips.first().map_or("", |ip| ip.ip.as_str());
    let cells = vec![
        json!(pod.meta().name),
        json!(format!("{}/{}", shown.ready, spec.containers.len() + sidecars)),
        json!(shown.word),
        json!(restarts),
        json!(age::of(pod, now)),
        json!(or(ip, NONE)),
        json!(or(&spec.node_name, NONE)),
        json!(or(&status.nominated_node_name, NONE)),
        json!(gates(&spec, &status)),
    ];
    let ended = ["Succeeded", "Failed"];
    Row {
        cells,
        ended: ended.into_iter().find(|phase| *status.phase == *phase),
    }
}

/// What the states of a pod's containers come to.
#[derive(Default)]
struct Shown {
    word: String,
    ready: usize,
    restarts: i64,
    /// When a container that was started again had ended last.
    restarted: Option<Timestamp>,
    /// The same two of sidecars alone.
    of_sidecars: (i64, Option<Timestamp>),
}

impl Shown {
    fn of(spec: &Spec, status: &Status, is_deleting: bool) -> Self {
        let mut shown = Self {
            word: or(&status.reason, &status.phase).to_owned(),
            ..Self::default()
        };
        let gated = |one: &Condition| *one.type_ == "PodScheduled" && *one.reason == "SchedulingGated";
        if status.conditions.iter().any(gated) {
            shown.word = "SchedulingGated".to_owned();
        }
        let initializing = shown.initialize(spec, status);
        if !initializing || Condition::is_true(&status.conditions, "Initialized") == Some(true) {
            shown.run(status);
        }
        if is_deleting && *status.reason == "NodeLost" {
            shown.word = "Unknown".to_owned();
        } else if is_deleting && !matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            shown.word = "Terminating".to_owned();
        }
        shown
    }

    /// Goes through the init containers up to the one that is not done; whether there is one.
    fn initialize(&mut self, spec: &Spec, status: &Status) -> bool {
        for (index, container) in status.init_container_statuses.iter().enumerate() {
            self.count(container);
            let is_sidecar = has_sidecar(spec, container);
            if is_sidecar {
                self.of_sidecars.0 += *container.restart_count;
                self.of_sidecars.1 = self.of_sidecars.1.max(container.last_ended());
            }
            let terminated = container.state.terminated.as_ref();
            if terminated.is_some_and(|ended| *ended.exit_code == 0) {
                continue;
            }
            if is_sidecar && *container.started {
                self.ready += usize::from(*container.ready);
                continue;
            }
            let waiting = container.state.waiting.as_ref().map(|one| one.reason.as_str());
            let how = match (terminated, waiting) {
                (Some(ended), _) => ended.why(),
                (None, Some(reason)) if !matches!(reason, "" | "PodInitializing") => reason.to_owned(),
                _ => format!("{index}/{}", spec.init_containers.len()),
            };
            self.word = format!("Init:{how}");
            return true;
        }
        false
    }

    /// Goes through the containers. Of init containers only the restarts of sidecars count from now on.
    fn run(&mut self, status: &Status) {
        (self.restarts, self.restarted) = self.of_sidecars;
        let mut is_running = false;
        // From the last to the first, whose word so is the one that stays.
        for container in status.container_statuses.iter().rev() {
            self.count(container);
            let state = &container.state;
            match (&state.waiting, &state.terminated) {
                (Some(waiting), _) if !waiting.reason.is_empty() => self.word.clone_from(&waiting.reason),
                (_, Some(ended)) => self.word = ended.why(),
                _ if *container.ready && state.running.is_some() => {
                    is_running = true;
                    self.ready += 1;
                }
                _ => {}
            }
        }
        if self.word == "Completed" && is_running {
            let is_ready = Condition::is_true(&status.conditions, "Ready") == Some(true);
            self.word = if is_ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count(&mut self, container: &ContainerStatus) {
        self.restarts += *container.restart_count;
        self.restarted = self.restarted.max(container.last_ended());
    }
}

fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

fn has_sidecar(spec: &Spec, status: &ContainerStatus) -> bool {
    let mut inits = spec.init_containers.iter();
    inits.any(|one| *one.name == *status.name && is_sidecar(one))
}

fn gates(spec: &Spec, status: &Status) -> String {
    let gates = &spec.readiness_gates;
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let holds = |gate: &&Gate| Condition::is_true(&status.conditions, &gate.condition_type) == Some(true);
    format!("{}/{}", gates.iter().filter(holds).count(), gates.len())
}
