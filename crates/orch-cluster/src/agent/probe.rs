//! Probes: when each is due, and what its results add up to.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::runtime::{ContainerId, ContainerState};

use super::observed::{Health, Unhealthy, View, add, seconds, shifted};

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ProbeKind {
    /// Says that the container has started; until then the others wait.
    Startup,
    /// Its failure kills the container.
    Liveness,
    /// Says whether the container takes work.
    Readiness,
}

impl ProbeKind {
    /// Its name in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

/// What a probe, or a lifecycle hook, does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Runs a command in the container; 0 is success.
    Exec(Vec<String>),
    /// Asks for a page; 200 to 399 is success.
    Http {
        /// Which host; none: the pod.
        host: Option<String>,
        /// Which port.
        port: u16,
        /// Which path.
        path: String,
        /// Further headers, by name and value.
        headers: Vec<(String, String)>,
    },
    /// Opens a connection.
    Tcp {
        /// Which host; none: the pod.
        host: Option<String>,
        /// Which port.
        port: u16,
    },
    /// Cannot be made, and this is why: it stays unknown.
    Impossible(String),
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded.
    Success,
    /// It failed, and this is what it said.
    Failure(String),
    /// It could not be made, for this reason; it counts for nothing.
    Unknown(String),
}

/// One probe of one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProbeKey {
    /// The container.
    pub container: ContainerId,
    /// Which of its probes.
    pub kind: ProbeKind,
}

/// All probes of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    all: BTreeMap<ProbeKey, Probe>,
}

#[derive(Clone, Debug)]
struct Probe {
    container: String,
    check: Check,
    period: Duration,
    timeout: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    grace: Option<Duration>,
    /// Its verdict so far.
    passes: bool,
    /// The last outcome and how often it came in a row.
    streak: (bool, u32),
    next_at: Timestamp,
    under_way: bool,
    /// Nothing more to learn: started, or failed for good.
    settled: bool,
}

impl Probes {
    /// Takes up the probes of containers that run, drops those of others. Returns whether any changed.
    ///
    /// A container that was reported ready or started before (by an earlier process of this agent) stays so
    /// until its probe says otherwise.
    pub(crate) fn sync(&mut self, view: &View<'_>) -> bool {
        let before = self.all.len();
        let running = |id: &ContainerId| {
            view.observed
                .containers
                .iter()
                .any(|container| container.id == *id && container.state.is_running())
        };
        self.all.retain(|key, _| running(&key.container));
        let mut changed = self.all.len() != before;
        for (_, spec) in view.specs() {
            let probes = [
                (ProbeKind::Startup, &spec.startup_probe),
                (ProbeKind::Liveness, &spec.liveness_probe),
                (ProbeKind::Readiness, &spec.readiness_probe),
            ];
            if probes.iter().all(|(_, probe)| probe.is_none()) {
                continue;
            }
            let Some(container) = view.latest_here(&spec.name) else {
                continue;
            };
            let ContainerState::Running { started_at } = container.state else {
                continue;
            };
            let id = format!("{}://{}", view.runtime, container.id);
            let reported = view
                .reported(&spec.name)
                .filter(|status| status.container_id.as_ref() == Some(&id));
            for (kind, wanted) in probes {
                let key = ProbeKey {
                    container: container.id.clone(),
                    kind,
                };
                let Some(wanted) = wanted.as_ref().filter(|_| !self.all.contains_key(&key)) else {
                    continue;
                };
                let check = check(wanted, spec).unwrap_or_else(Check::Impossible);
                // By a clock that was set back since, it has yet to start.
                let mut probe = Probe::new(spec, wanted, check, started_at.min(view.now));
                probe.passes = match kind {
                    ProbeKind::Liveness => true,
                    ProbeKind::Readiness => reported.is_some_and(|status| status.ready),
                    ProbeKind::Startup => reported.is_some_and(|status| status.started == Some(true)),
                };
                probe.settled = kind == ProbeKind::Startup && probe.passes;
                self.all.insert(key, probe);
                changed = true;
            }
        }
        changed
    }

    /// The checks that are due, now under way, with the container's name and the time each may take.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(ProbeKey, String, Check, Duration)> {
        let starting = self.starting();
        let due = self
            .all
            .iter_mut()
            .filter(|(key, probe)| probe.waits(key, &starting) && probe.next_at <= now);
        due.map(|(key, probe)| {
            probe.under_way = true;
            (
                key.clone(),
                probe.container.clone(),
                probe.check.clone(),
                probe.timeout,
            )
        })
        .collect()
    }

    /// When the next check is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let starting = self.starting();
        let waiting = self.all.iter().filter(|(key, probe)| probe.waits(key, &starting));
        waiting.map(|(_, probe)| probe.next_at).min()
    }

    /// Takes in what came of a check. Returns whether the container's health changed.
    pub(crate) fn record(&mut self, key: &ProbeKey, outcome: &Outcome, now: Timestamp) -> bool {
        let Some(probe) = self.all.get_mut(key) else {
            return false;
        };
        probe.under_way = false;
        probe.next_at = add(probe.next_at, probe.period).max(now);
        let success = match outcome {
            Outcome::Success => true,
            Outcome::Failure(_) => false,
            Outcome::Unknown(_) => return false,
        };
        probe.streak = if probe.streak.0 == success {
            (success, probe.streak.1.saturating_add(1))
        } else {
            (success, 1)
        };
        let threshold = if success {
            probe.success_threshold
        } else {
            probe.failure_threshold
        };
        if probe.streak.1 < threshold {
            return false;
        }
        match key.kind {
            ProbeKind::Startup => probe.settled = true,
            ProbeKind::Liveness => probe.settled = !success,
            ProbeKind::Readiness => {}
        }
        let changed = probe.passes != success || (probe.settled && !success);
        probe.passes = success;
        changed
    }

    /// Keeps the time until each check, though the clock was set.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for probe in self.all.values_mut() {
            probe.next_at = shifted(probe.next_at, by);
        }
    }

    /// What the probes say of each container that has any.
    pub(crate) fn health(&self) -> BTreeMap<ContainerId, Health> {
        let mut health = BTreeMap::<ContainerId, Health>::new();
        for (key, probe) in &self.all {
            let of = health.entry(key.container.clone()).or_default();
            match key.kind {
                ProbeKind::Startup => of.started = Some(probe.passes),
                ProbeKind::Readiness => of.ready = Some(probe.passes),
                ProbeKind::Liveness => {}
            }
            if probe.settled && !probe.passes {
                of.failed = Some(Unhealthy {
                    probe: key.kind.as_str(),
                    grace: probe.grace,
                });
            }
        }
        health
    }

    fn starting(&self) -> Vec<ContainerId> {
        let startup = self
            .all
            .iter()
            .filter(|(key, probe)| key.kind == ProbeKind::Startup && !probe.passes);
        startup.map(|(key, _)| key.container.clone()).collect()
    }
}

impl Probe {
    fn new(spec: &v1::Container, wanted: &v1::Probe, check: Check, started_at: Timestamp) -> Self {
        let or = |value: Option<i32>, default: i32| value.filter(|value| *value > 0).unwrap_or(default);
        let count = |value: Option<i32>, default| u32::try_from(or(value, default)).unwrap_or(1);
        let time = |value: Option<i32>, default| seconds(i64::from(or(value, default)));
        Self {
            container: spec.name.clone(),
            check,
            period: time(wanted.period_seconds, 10),
            timeout: time(wanted.timeout_seconds, 1),
            success_threshold: count(wanted.success_threshold, 1),
            failure_threshold: count(wanted.failure_threshold, 3),
            grace: wanted.termination_grace_period_seconds.map(seconds),
            passes: false,
            streak: (true, 0),
            next_at: add(
                started_at,
                seconds(i64::from(wanted.initial_delay_seconds.unwrap_or(0))),
            ),
            under_way: false,
            settled: false,
        }
    }

    fn waits(&self, key: &ProbeKey, starting: &[ContainerId]) -> bool {
        let held = key.kind != ProbeKind::Startup && starting.contains(&key.container);
        !self.under_way && !self.settled && !held
    }
}

fn check(probe: &v1::Probe, container: &v1::Container) -> Result<Check, String> {
    if let Some(exec) = &probe.exec {
        return Ok(Check::Exec(exec.command.clone().unwrap_or_default()));
    }
    if let Some(http) = &probe.http_get {
        return http_check(http, container);
    }
    let tcp = probe.tcp_socket.as_ref();
    let tcp = tcp.ok_or_else(|| "only exec, httpGet and tcpSocket probes are supported".to_owned())?;
    Ok(Check::Tcp {
        host: tcp.host.clone(),
        port: port(&tcp.port, container)?,
    })
}

/// The check of an `httpGet`; an error if its port has a name that no port of the container has.
pub(crate) fn http_check(http: &v1::HTTPGetAction, container: &v1::Container) -> Result<Check, String> {
    let path = http.path.as_deref().unwrap_or("/");
    let headers = http.http_headers.iter().flatten();
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Check::Http {
        host: http.host.clone().filter(|host| !host.is_empty()),
        port: port(&http.port, container)?,
        path: format!("{slash}{path}"),
        headers: headers
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect(),
    })
}

/// The number of a port, which may be given by the name that the container has for it.
pub(crate) fn port(port: &IntOrString, container: &v1::Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut named = container
                .ports
                .iter()
                .flatten()
                .filter(|port| port.name.as_ref() == Some(name));
            let named = named.next().map(|port| port.container_port);
            named.or_else(|| name.parse().ok())
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.filter(|port| *port > 0).ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!(
            "couldn't find port: {name:?} in container {}: give one of its ports that name",
            container.name
        ),
    })
}
