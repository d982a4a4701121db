//! What an update of a Service leaves of the one there was.
//!
//! As in Kubernetes' `pkg/registry/core/service` (`patchAllocatedValues`, `dropTypeDependentFields`): writers need not repeat what a
//! Service was given, nor take away what its new type has no use for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::service::{is_external, validate};
use crate::kinds::raw::{Raw, child, child_mut, is_unset, items, items_mut, keep, text};

/// Fields of a type, and which Services have it.
type Dependent = (fn(&Raw) -> bool, &'static [&'static str]);

const DEPENDENT: [Dependent; 7] = [
    (has_address, &["clusterIP", "clusterIPs"]),
    (has_address, &["ipFamilies"]),
    (has_address, &["ipFamilyPolicy"]),
    (is_balanced, &["allocateLoadBalancerNodePorts"]),
    (is_balanced, &["loadBalancerClass"]),
    (has_health_port, &["healthCheckNodePort"]),
    (is_reached_from_outside, &["externalTrafficPolicy"]),
];

/// Carries over what was left out, and drops what the type no longer has unless the writer gave another.
pub(super) fn prepare_update(new: &mut Raw, old: &Raw) {
    let (Some(new), Some(old)) = (child_mut(new, "spec"), child(old, "spec")) else {
        return;
    };
    keep_given(new, old);
    for (applies, fields) in DEPENDENT {
        let is_same = |field: &&str| is_unset(new, field) || new.get(*field) == old.get(*field);
        if applies(old) && !applies(new) && fields.iter().all(is_same) {
            for field in fields {
                new.remove(*field);
            }
        }
    }
    let has_new_ports = || !node_ports(new).is_subset(&node_ports(old));
    if has_node_ports(old) && !has_node_ports(new) && !has_new_ports() {
        for port in items_mut(new, "ports") {
            port.remove("nodePort");
        }
    }
}

fn keep_given(new: &mut Raw, old: &Raw) {
    if has_address(old) && has_address(new) {
        if text(new, "clusterIP").is_empty() {
            keep(new, old, "clusterIP");
        }
        if count(new, "clusterIPs") == 0 && text(new, "clusterIP") == text(old, "clusterIP") {
            keep(new, old, "clusterIPs");
        }
    }
    if has_node_ports(old) && has_node_ports(new) {
        // Ports are known by their names: the writer may have changed all else of one.
        let given: BTreeMap<&str, i64> = items(old, "ports")
            .filter_map(|port| Some((text(port, "name"), node_port(port)?)))
            .collect();
        let mut taken = node_ports(new);
        for port in items_mut(new, "ports") {
            if node_port(port).is_none()
                && let Some(&number) = given.get(text(port, "name"))
                && taken.insert(number)
            {
                port.insert("nodePort".to_owned(), number.into());
            }
        }
    }
    let is_unset = new
        .get("healthCheckNodePort")
        .is_none_or(|port| port.is_null() || port == 0);
    if has_health_port(old) && has_health_port(new) && is_unset {
        keep(new, old, "healthCheckNodePort");
    }
}

fn count(spec: &Raw, field: &str) -> usize {
    spec.get(field).and_then(Value::as_array).map_or(0, Vec::len)
}

fn node_port(port: &Raw) -> Option<i64> {
    port.get("nodePort")
        .and_then(Value::as_i64)
        .filter(|port| *port != 0)
}

fn node_ports(spec: &Raw) -> BTreeSet<i64> {
    items(spec, "ports").filter_map(node_port).collect()
}

/// The type; that of one which says none is filled in.
fn kind(spec: &Raw) -> &str {
    match text(spec, "type") {
        "" => "ClusterIP",
        kind => kind,
    }
}

fn has_address(spec: &Raw) -> bool {
    matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn is_balanced(spec: &Raw) -> bool {
    kind(spec) == "LoadBalancer"
}

/// A load balancer's may be left out on purpose.
fn has_node_ports(spec: &Raw) -> bool {
    match kind(spec) {
        "NodePort" => true,
        "LoadBalancer" => spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    }
}

fn has_health_port(spec: &Raw) -> bool {
    is_balanced(spec) && text(spec, "externalTrafficPolicy") == "Local"
}

fn is_reached_from_outside(spec: &Raw) -> bool {
    is_external(kind(spec), count(spec, "externalIPs") > 0)
}

/// Validates a Service that replaces `old`: its address stays, unless it begins or ceases to be a mere name.
pub(super) fn validate_update(new: &Service, old: &Service) -> FieldErrors {
    let mut errors = validate(new);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else {
        return errors;
    };
    let is_name = |spec: &ServiceSpec| spec.type_.as_deref() == Some("ExternalName");
    let before = old.cluster_ip.as_deref().unwrap_or_default();
    if !is_name(new) && !is_name(old) && !before.is_empty() && new.cluster_ip.as_deref() != Some(before) {
        let at = FieldPath::new("spec").child("clusterIPs").index(0);
        errors.push(FieldError::invalid(
            &at,
            &new.cluster_ips,
            "may not change once set",
        ));
    }
    errors
}
