//! What a pod asks of a node, from its spec (Kubernetes' `PodSpec` and `PodRequests`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use orch_core::scheduler::{
    Condition, Effect, Group, HostPort, Operator, Preference, Protocol, Requirements, Resources, Taint, Term,
    Toleration,
};
use serde::Deserialize;

use super::amounts::{Amounts, Rounding, pairs, resources};
use super::taints::toleration;
use crate::kinds::pod::{Sum, is_policy_of_sidecars, together};

/// The parts of a pod's spec that decide where it may go.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec<'a> {
    #[serde(borrow)]
    pub(super) node_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) scheduler_name: Option<Cow<'a, str>>,
    pub(super) priority: Option<i32>,
    pub(super) scheduling_gates: Option<Vec<serde::de::IgnoredAny>>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    tolerations: Option<Vec<v1::Toleration>>,
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    overhead: Option<Amounts<'a>>,
    #[serde(borrow)]
    resources: Option<ContainerResources<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container<'a> {
    #[serde(borrow)]
    resources: Option<ContainerResources<'a>>,
    ports: Option<Vec<Port>>,
    #[serde(borrow)]
    restart_policy: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerResources<'a> {
    #[serde(borrow)]
    requests: Option<Amounts<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    host_port: Option<u16>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
    preferred_during_scheduling_ignored_during_execution: Option<Vec<Preferred>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    node_selector_terms: Vec<WireTerm>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Preferred {
    weight: u32,
    preference: WireTerm,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerm {
    match_expressions: Option<Vec<Expression>>,
    match_fields: Option<Vec<Expression>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl Spec<'_> {
    /// The spec in the scheduler's words. `group` is whose replica the pod is.
    pub(super) fn requirements(&self, group: Option<Group>) -> Requirements {
        let affinity = self
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let preferred = affinity.and_then(|affinity| {
            affinity
                .preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let tolerations: Vec<Toleration> = self.tolerations.iter().flatten().filter_map(toleration).collect();
        let cordon = Taint::new("node.kubernetes.io/unschedulable", "", Effect::NoSchedule);
        Requirements {
            resources: self.resources(),
            selector: self.node_selector.clone().unwrap_or_default(),
            affinity: required.map_or_else(Vec::new, |required| {
                required.node_selector_terms.iter().map(term).collect()
            }),
            preferences: preferred
                .into_iter()
                .flatten()
                .map(|preferred| Preference {
                    weight: preferred.weight,
                    term: term(&preferred.preference),
                })
                .collect(),
            tolerates_unschedulable: tolerations.iter().any(|toleration| toleration.tolerates(&cordon)),
            tolerations,
            host_ports: self.host_ports(),
            group,
            ..Requirements::default()
        }
    }

    /// What the pod takes of a node: what its containers take together, plus the overhead.
    fn resources(&self) -> Resources {
        let inits = self.init_containers.iter().flatten();
        let mut sum = together(
            self.containers.iter().flatten().map(Container::requests),
            inits.map(|container| (container.requests(), container.is_sidecar())),
        );
        // Requests of the pod as a whole come before those of its containers (KEP-2837).
        let mut whole = Sum::default();
        whole.add(pairs(
            self.resources
                .as_ref()
                .and_then(|resources| resources.requests.as_ref()),
        ));
        sum.0.extend(whole.0);
        sum.add(pairs(self.overhead.as_ref()));
        // No node measures or offers it: who asks for it is warned, and placed by the rest.
        sum.0.remove("ephemeral-storage");
        resources(&sum, Rounding::Up).slots(1)
    }

    fn host_ports(&self) -> Vec<HostPort> {
        let init = self.init_containers.iter().flatten();
        // An ordinary init container is gone before the pod's ports matter.
        let sidecars = init.filter(|container| container.is_sidecar());
        let ports = self.containers.iter().flatten().chain(sidecars);
        ports
            .flat_map(|container| container.ports.iter().flatten())
            .filter_map(|port| {
                Some(HostPort {
                    ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
                    protocol: match port.protocol.as_deref() {
                        Some("UDP") => Protocol::Udp,
                        Some("SCTP") => Protocol::Sctp,
                        _ => Protocol::Tcp,
                    },
                    port: port.host_port.filter(|port| *port > 0)?,
                })
            })
            .collect()
    }
}

impl<'a> Container<'a> {
    fn requests(&self) -> impl Iterator<Item = (&str, &str)> + Clone + use<'_, 'a> {
        let resources = self.resources.as_ref();
        pairs(resources.and_then(|resources| resources.requests.as_ref()))
    }

    fn is_sidecar(&self) -> bool {
        is_policy_of_sidecars(self.restart_policy.as_deref())
    }
}

fn term(wire: &WireTerm) -> Term {
    let labels = wire.match_expressions.iter().flatten();
    let fields = wire.match_fields.iter().flatten();
    let labels = labels.map(|expression| Condition::label(expression.key.clone(), operator(expression)));
    // `metadata.name` is the only field that Kubernetes allows.
    Term::new(labels.chain(fields.map(|expression| Condition::name(operator(expression)))))
}

fn operator(expression: &Expression) -> Operator {
    let values = expression.values.clone().unwrap_or_default();
    let number = || values.first().and_then(|value| value.parse().ok());
    match expression.operator.as_str() {
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        // A bound that is no number matches no node, as in Kubernetes.
        "Gt" => number().map_or(Operator::In(Vec::new()), Operator::Gt),
        "Lt" => number().map_or(Operator::In(Vec::new()), Operator::Lt),
        _ => Operator::In(values),
    }
}
