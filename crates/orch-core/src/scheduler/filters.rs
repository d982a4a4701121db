//! The shipped filters: what a node must satisfy, and the words for a node that does not.

use std::collections::BTreeMap;

use super::{Cause, Effect, Filter, NodeState, Reads, Reason, Requirements, Taint, format_amount};

/// A number's verb: `1 lacks`, `2 lack`.
fn verb(count: usize, one: &str, many: &str) -> String {
    if count == 1 { one } else { many }.to_owned()
}

fn cause(reason: Reason, nodes: usize, detail: String) -> Vec<Cause> {
    vec![Cause {
        reason,
        nodes,
        detail,
    }]
}

/// Only the node asked for by name (Kubernetes: `NodeName`).
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeNameFilter;

impl Filter for NodeNameFilter {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn applies(&self, needs: &Requirements) -> bool {
        needs.node.is_some()
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        needs.node.as_ref().is_none_or(|name| name == node.name())
    }

    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let name = needs.node.as_deref().unwrap_or_default();
        let verb = verb(failed.len(), "is", "are");
        cause(
            Reason::NodeName,
            failed.len(),
            format!("{verb} not node {name:?}"),
        )
    }
}

/// Not on a cordoned node (Kubernetes: `NodeUnschedulable`).
#[derive(Clone, Copy, Debug, Default)]
pub struct CordonFilter;

impl Filter for CordonFilter {
    fn name(&self) -> &'static str {
        "Cordon"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn applies(&self, needs: &Requirements) -> bool {
        !needs.tolerates_unschedulable
    }

    fn check(&self, _: &Requirements, node: &NodeState) -> bool {
        !node.unschedulable()
    }

    fn explain(&self, _: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let verb = verb(failed.len(), "is", "are");
        cause(Reason::Cordoned, failed.len(), format!("{verb} cordoned"))
    }
}

/// Only nodes with the selector's labels (Kubernetes: `nodeSelector`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SelectorFilter;

impl Filter for SelectorFilter {
    fn name(&self) -> &'static str {
        "Selector"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn applies(&self, needs: &Requirements) -> bool {
        !needs.selector.is_empty()
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        needs
            .selector
            .iter()
            .all(|(key, value)| node.label(key) == Some(value))
    }

    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let wanted: Vec<_> = needs
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let verb = verb(failed.len(), "does", "do");
        let detail = format!("{verb} not match the node selector {}", wanted.join(","));
        cause(Reason::Selector, failed.len(), detail)
    }
}

/// Only nodes that match one of the required terms (Kubernetes: required node affinity).
#[derive(Clone, Copy, Debug, Default)]
pub struct AffinityFilter;

impl Filter for AffinityFilter {
    fn name(&self) -> &'static str {
        "Affinity"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn applies(&self, needs: &Requirements) -> bool {
        !needs.affinity.is_empty()
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        needs.affinity.iter().any(|term| term.matches(node))
    }

    fn explain(&self, _: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let verb = verb(failed.len(), "does", "do");
        let detail = format!("{verb} not match the node affinity");
        cause(Reason::Affinity, failed.len(), detail)
    }
}

/// Not on a node with a taint that keeps the request away (Kubernetes: `TaintToleration`).
#[derive(Clone, Copy, Debug, Default)]
pub struct TaintFilter;

impl TaintFilter {
    fn repelled_by<'a>(needs: &Requirements, node: &'a NodeState) -> Option<&'a Taint> {
        node.taints()
            .iter()
            .find(|taint| taint.effect != Effect::PreferNoSchedule && !needs.tolerates(taint))
    }
}

impl Filter for TaintFilter {
    fn name(&self) -> &'static str {
        "Taint"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        Self::repelled_by(needs, node).is_none()
    }

    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for node in failed {
            let taint = Self::repelled_by(needs, node).map(Taint::to_string);
            *counts.entry(taint.unwrap_or_default()).or_default() += 1;
        }
        let causes = counts.into_iter().map(|(taint, nodes)| Cause {
            detail: format!("{} the untolerated taint {taint}", verb(nodes, "has", "have")),
            reason: Reason::Taint(taint),
            nodes,
        });
        causes.collect()
    }
}

/// Not where a host port is taken (Kubernetes: `NodePorts`).
#[derive(Clone, Copy, Debug, Default)]
pub struct HostPortFilter;

impl Filter for HostPortFilter {
    fn name(&self) -> &'static str {
        "HostPort"
    }

    fn reads(&self) -> Reads {
        Reads::Usage
    }

    fn applies(&self, needs: &Requirements) -> bool {
        !needs.host_ports.is_empty()
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        let mut wanted = needs.host_ports.iter();
        !wanted.any(|port| node.host_ports().iter().any(|held| held.conflicts(port)))
    }

    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let ports: Vec<_> = needs.host_ports.iter().map(ToString::to_string).collect();
        let verb = verb(failed.len(), "has", "have");
        let (ports, noun) = (ports.join(", "), verb_noun(needs.host_ports.len()));
        cause(
            Reason::HostPort,
            failed.len(),
            format!("{verb} no free {noun} {ports}"),
        )
    }
}

fn verb_noun(ports: usize) -> &'static str {
    if ports == 1 { "host port" } else { "host ports" }
}

/// Only where enough is left of every resource (Kubernetes: `NodeResourcesFit`).
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceFilter;

impl Filter for ResourceFilter {
    fn name(&self) -> &'static str {
        "Resource"
    }

    fn reads(&self) -> Reads {
        Reads::Usage
    }

    fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
        node.lacking(needs).is_none()
    }

    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let mut counts: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for node in failed {
            let resource = node.lacking(needs).unwrap_or_default();
            let (nodes, most) = counts.entry(resource).or_default();
            *nodes += 1;
            *most = (*most).max(node.free(resource));
        }
        let causes = counts.into_iter().map(|(resource, (nodes, most))| Cause {
            reason: Reason::Resource(resource.to_owned()),
            nodes,
            detail: Self::detail(needs, resource, nodes, most),
        });
        causes.collect()
    }
}

impl ResourceFilter {
    fn detail(needs: &Requirements, resource: &str, nodes: usize, most: u64) -> String {
        let resources = &needs.resources;
        let need = match resource {
            "cpu" => resources.cpu_millis,
            "memory" => resources.memory_bytes,
            "slots" => resources.slots,
            name => resources.named.get(name).copied().unwrap_or_default(),
        };
        let verb = verb(nodes, "lacks", "lack");
        let texts = (format_amount(resource, need), format_amount(resource, most));
        // Rounded to the same, they would say nothing.
        let (need, most) = match texts {
            (need_text, most_text) if need_text == most_text => (need.to_string(), most.to_string()),
            texts => texts,
        };
        format!("{verb} {resource} (need {need}, most free {most})")
    }
}
