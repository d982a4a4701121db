//! NetworkPolicies: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use crate::kinds::check;
use crate::kinds::core::PROTOCOLS;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::network::Range;
use crate::kinds::raw::{Raw, child_or_new, default_value, items_mut};

/// Fills a NetworkPolicy: its ports are of TCP, and it is of what comes in, and of what goes out if it says anything of that.
pub(super) fn default(policy: &mut Raw) {
    let Some(spec) = child_or_new(policy, "spec") else {
        return;
    };
    let is_empty = |field| {
        let list = spec.get(field).and_then(Value::as_array);
        list.is_none_or(Vec::is_empty)
    };
    if is_empty("policyTypes") {
        let types = if is_empty("egress") {
            json!(["Ingress"])
        } else {
            json!(["Ingress", "Egress"])
        };
        spec.insert("policyTypes".to_owned(), types);
    }
    for direction in ["ingress", "egress"] {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                default_value(port, "protocol", "TCP");
            }
        }
    }
}

pub(super) fn validate(policy: &NetworkPolicy) -> FieldErrors {
    let mut errors = meta::validate(&policy.metadata, true, NameRule::Subdomain);
    if let Some(spec) = &policy.spec {
        validate_spec(&mut errors, &FieldPath::new("spec"), spec);
    }
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &NetworkPolicySpec) {
    check::label_selector(errors, &at.child("podSelector"), spec.pod_selector.as_ref());
    let incoming = spec.ingress.iter().flatten();
    let incoming = incoming.map(|rule| ("ingress", &rule.ports, "from", &rule.from));
    let outgoing = spec.egress.iter().flatten();
    let outgoing = outgoing.map(|rule| ("egress", &rule.ports, "to", &rule.to));
    for (index, (direction, ports, field, peers)) in incoming.enumerate().chain(outgoing.enumerate()) {
        let at = at.child(direction).index(index);
        for (index, port) in ports.iter().flatten().enumerate() {
            validate_port(errors, &at.child("ports").index(index), port);
        }
        for (index, peer) in peers.iter().flatten().enumerate() {
            validate_peer(errors, &at.child(field).index(index), peer);
        }
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let at = at.child("policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid(&at, types, detail));
        return;
    }
    for (index, type_) in types.iter().enumerate() {
        check::optional_one_of(errors, &at.index(index), Some(type_), &["Ingress", "Egress"]);
    }
}

fn validate_port(errors: &mut FieldErrors, at: &FieldPath, port: &NetworkPolicyPort) {
    let protocol = port.protocol.as_deref();
    check::optional_one_of(errors, &at.child("protocol"), protocol, &PROTOCOLS);
    if let Some(port) = &port.port {
        check::port(errors, &at.child("port"), port);
    }
    let Some(end) = port.end_port else { return };
    let at = at.child("endPort");
    match &port.port {
        Some(IntOrString::Int(begin)) => {
            if end < *begin {
                let detail = "must be greater than or equal to `port`";
                errors.push(FieldError::invalid(&at, end, detail));
            }
            check::port_number(errors, &at, end);
        }
        Some(IntOrString::String(_)) => {
            let detail = "may not be specified when `port` is non-numeric";
            errors.push(FieldError::invalid(&at, end, detail));
        }
        None => {
            let detail = "may not be specified when `port` is not specified";
            errors.push(FieldError::invalid(&at, end, detail));
        }
    }
}

fn validate_peer(errors: &mut FieldErrors, at: &FieldPath, peer: &NetworkPolicyPeer) {
    let selectors = [
        ("podSelector", &peer.pod_selector),
        ("namespaceSelector", &peer.namespace_selector),
    ];
    for (field, selector) in selectors {
        check::label_selector(errors, &at.child(field), selector.as_ref());
    }
    let selects = selectors.iter().any(|(_, selector)| selector.is_some());
    match &peer.ip_block {
        Some(block) => {
            validate_block(errors, &at.child("ipBlock"), block);
            if selects {
                let detail = "may not specify both ipBlock and another peer";
                errors.push(FieldError::forbidden(at, detail));
            }
        }
        None if !selects => errors.push(FieldError::required(at, "must specify a peer")),
        None => {}
    }
}

fn validate_block(errors: &mut FieldErrors, at: &FieldPath, block: &IPBlock) {
    let cidr_at = at.child("cidr");
    if block.cidr.is_empty() {
        errors.push(FieldError::required(&cidr_at, ""));
        return;
    }
    let Some(range) = Range::parse(errors, &cidr_at, &block.cidr) else {
        return;
    };
    for (index, except) in block.except.iter().flatten().enumerate() {
        let at = at.child("except").index(index);
        let without = Range::parse(errors, &at, except);
        if without.is_some_and(|without| !range.is_wider_than(without)) {
            let detail = "must be a strict subset of `cidr`";
            errors.push(FieldError::invalid(&at, except, detail));
        }
    }
}
