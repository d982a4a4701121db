//! What a pod asks for that the runtime cannot give: refused where the pod could not work, warned of where
//! it works with less.

mod amounts;
mod mounts;
mod security;

use std::fmt;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Pod, PodSpec, Probe};
use orch_core::object::FieldPath;
use orch_core::runtime::Capabilities;

use super::config::AgentConfig;

/// Why a pod cannot run on a node, ever. Its phase stays `Pending`, and its containers wait with this reason, as
/// Kubernetes has it of containers whose configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word, as the containers' `waiting.reason` shows it.
    pub reason: &'static str,
    /// What is asked for, where, and what to do about it.
    pub message: String,
}

/// What came of comparing a pod with a runtime; see [`Agent::support`](super::Agent::support).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// Why it cannot run; empty if it can.
    pub complaints: Vec<Complaint>,
    /// What it runs without.
    pub warnings: Vec<Complaint>,
}

impl Support {
    /// Why it cannot run, in one.
    pub fn refusal(&self) -> Option<Refusal> {
        let complaints: Vec<_> = self.complaints.iter().map(ToString::to_string).collect();
        (!complaints.is_empty()).then(|| Refusal {
            reason: "CreateContainerConfigError",
            message: complaints.join("; "),
        })
    }
}

/// A field of a pod, and why a runtime cannot do what it asks for; shown as both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The field, from the pod's root: `spec.containers[0].tty`.
    pub field: FieldPath,
    /// What the runtime lacks for it, and what to do about that.
    pub why: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// What the agent's own process adds to what its runtime declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    /// Who containers run as on a runtime that gives them no user of their own.
    pub(crate) user: u32,
    /// Whether pods are to ask a cluster's name servers.
    pub(crate) has_cluster_dns: bool,
}

impl Host {
    pub(crate) fn of(config: &AgentConfig) -> Self {
        Self {
            user: rustix::process::geteuid().as_raw(),
            has_cluster_dns: !config.cluster_dns.is_empty(),
        }
    }
}

/// The image that means the machine's own programs, on a runtime without images.
const MACHINE: &str = "host";

/// Compares what a pod asks for with what a runtime declares.
///
/// Fields that no runtime serves are the manifest reader's to warn of, except those without which the pod cannot work.
pub(crate) fn support(pod: &Pod, runtime: &str, can: &Capabilities, host: &Host) -> Support {
    let Some(spec) = &pod.spec else {
        return Support::default();
    };
    let mut judge = Judge {
        runtime,
        can,
        host,
        found: Support::default(),
    };
    for (field, container) in containers(spec) {
        judge.container(&field, container, spec);
    }
    judge.whole(spec);
    if spec.host_users == Some(false) && !can.user_namespaces {
        judge.refuse(
            of_spec("hostUsers"),
            "cannot give a pod users of its own; set it to true, or run the pod on a runtime that can",
        );
    }
    judge.volumes(spec);
    judge.names(spec);
    if let Some(security) = &spec.security_context {
        judge.pod_security(security, spec);
    }
    judge.app_armor(pod);
    judge.found
}

fn of_spec(field: &'static str) -> FieldPath {
    FieldPath::new("spec").child(field)
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = (FieldPath, &Container)> {
    let of = |list, index| of_spec(list).index(index);
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(move |(index, container)| (of("initContainers", index), container));
    init.chain(
        spec.containers
            .iter()
            .enumerate()
            .map(move |(index, c)| (of("containers", index), c)),
    )
}

struct Judge<'a> {
    runtime: &'a str,
    can: &'a Capabilities,
    host: &'a Host,
    found: Support,
}

impl Judge<'_> {
    /// The pod cannot run: the runtime `lacks` what the field asks for.
    fn refuse(&mut self, field: FieldPath, lacks: impl fmt::Display) {
        let why = format!("the {} runtime {lacks}", self.runtime);
        self.found.complaints.push(Complaint { field, why });
    }

    /// The same, whatever the runtime.
    fn refuse_everywhere(&mut self, field: FieldPath, why: impl Into<String>) {
        let why = why.into();
        self.found.complaints.push(Complaint { field, why });
    }

    /// The pod can run without what the field asks for.
    fn warn(&mut self, field: FieldPath, lacks: impl fmt::Display) {
        let why = format!("the {} runtime {lacks}", self.runtime);
        self.found.warnings.push(Complaint { field, why });
    }

    fn container(&mut self, field: &FieldPath, container: &Container, spec: &PodSpec) {
        let can = self.can;
        if !can.images {
            self.program(field, container);
        }
        self.mounts(field, container);
        if !can.host_ports && !spec.host_network.unwrap_or_default() {
            self.host_ports(field, container);
        }
        self.probes(field, container);
        self.hooks(field, container);
        self.limits(field, container);
        if container.stdin == Some(true) && !can.attach {
            self.refuse(
                field.child("stdin"),
                "cannot attach to containers, so nothing could be written to it; leave it out",
            );
        }
        if container.tty == Some(true) && !can.tty {
            self.refuse(
                field.child("tty"),
                "has no terminals; leave it out, or run the pod on a runtime with images",
            );
        }
        if let Some(security) = &container.security_context {
            self.container_security(&field.child("securityContext"), security);
        }
    }

    fn program(&mut self, field: &FieldPath, container: &Container) {
        if container.command.as_ref().is_none_or(Vec::is_empty) {
            self.refuse(
                field.child("command"),
                "has no images to take a command from; name a program of the machine",
            );
        }
        if container.image.as_deref().is_some_and(|image| image != MACHINE) {
            self.warn(
                field.child("image"),
                format_args!(
                    "has no images; the command runs with the machine's own programs, as {MACHINE:?} says"
                ),
            );
        }
    }

    /// Without a network of its own a container listens on the machine itself: the same number needs nothing, another
    /// cannot be had.
    fn host_ports(&mut self, field: &FieldPath, container: &Container) {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(host_port) = port.host_port.filter(|port| *port != 0) else {
                continue;
            };
            let field = field.child("ports").index(index);
            if host_port != port.container_port {
                let inner = port.container_port;
                self.refuse(
                    field.child("hostPort"),
                    format_args!("cannot lead port {host_port} of the machine to containerPort {inner}; give both the same number"),
                );
            }
            if port.host_ip.as_deref().is_some_and(|ip| !ip.is_empty()) {
                self.warn(
                    field.child("hostIP"),
                    "leaves it to the container which address of the machine it listens on",
                );
            }
        }
    }

    fn probes(&mut self, field: &FieldPath, container: &Container) {
        let probes = [
            ("startupProbe", &container.startup_probe),
            ("livenessProbe", &container.liveness_probe),
            ("readinessProbe", &container.readiness_probe),
        ];
        for (name, probe) in probes {
            let Some(probe) = probe else { continue };
            let field = field.child(name);
            if probe.exec.is_some() && !self.can.exec {
                let lacks = "cannot run commands in containers; use an httpGet or a tcpSocket probe";
                self.refuse(field.child("exec"), lacks);
            }
            if !is_known(probe) {
                self.refuse_everywhere(
                    field.clone(),
                    "only exec, httpGet and tcpSocket probes are supported",
                );
            }
            if is_https(probe.http_get.as_ref()) {
                self.refuse_everywhere(
                    field.child("httpGet").child("scheme"),
                    "HTTPS is not supported; use HTTP or a tcpSocket probe",
                );
            }
        }
    }

    fn hooks(&mut self, field: &FieldPath, container: &Container) {
        let hooks = container.lifecycle.iter();
        let hooks = hooks.flat_map(|hooks| [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)]);
        for (name, hook) in hooks {
            let Some(hook) = hook else { continue };
            let field = field.child("lifecycle").child(name);
            if hook.exec.is_some() && !self.can.exec {
                let lacks = "cannot run commands in containers; use an httpGet hook";
                self.refuse(field.child("exec"), lacks);
            }
            if hook.tcp_socket.is_some() {
                self.refuse_everywhere(
                    field.child("tcpSocket"),
                    "only exec, httpGet and sleep hooks are supported",
                );
            }
            if is_https(hook.http_get.as_ref()) {
                self.refuse_everywhere(
                    field.child("httpGet").child("scheme"),
                    "HTTPS is not supported; use HTTP or an exec hook",
                );
            }
        }
    }

    /// Its own name, and those it can look up. Where containers see the machine's files, they see its names.
    fn names(&mut self, spec: &PodSpec) {
        if self.can.images {
            return;
        }
        let on_host = spec.host_network.unwrap_or_default();
        if !on_host && spec.hostname.as_deref().is_some_and(|name| !name.is_empty()) {
            self.warn(
                of_spec("hostname"),
                "lets containers see the machine's own host name",
            );
        }
        if spec
            .host_aliases
            .as_ref()
            .is_some_and(|aliases| !aliases.is_empty())
        {
            self.warn(
                of_spec("hostAliases"),
                "lets containers see the machine's own /etc/hosts",
            );
        }
        let asks_otherwise = match spec.dns_policy.as_deref() {
            Some("None") => true,
            Some("ClusterFirstWithHostNet") => self.host.has_cluster_dns,
            None | Some("ClusterFirst") => self.host.has_cluster_dns && !on_host,
            Some(_) => false,
        };
        if asks_otherwise {
            self.warn(
                of_spec("dnsPolicy"),
                "lets containers use the machine's own resolver",
            );
        }
        if spec
            .dns_config
            .as_ref()
            .is_some_and(|config| *config != Default::default())
        {
            self.warn(
                of_spec("dnsConfig"),
                "lets containers use the machine's own resolver",
            );
        }
    }
}

fn is_https(http: Option<&HTTPGetAction>) -> bool {
    http.is_some_and(|http| http.scheme.as_deref() == Some("HTTPS"))
}

fn is_known(probe: &Probe) -> bool {
    probe.exec.is_some() || probe.http_get.is_some() || probe.tcp_socket.is_some()
}
