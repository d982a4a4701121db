//! Services: their defaults, and what Kubernetes refuses of them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use super::endpoints::PROTOCOLS;
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_or_new, default_text, default_value, is_unset, items_mut, text};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
/// The longest that a client may be bound to a pod, in seconds.
const AFFINITY_LIMIT: i32 = 86_400;
/// Where kubelets listen: no load balancer may offer it to the world.
const KUBELET_PORT: i32 = 10_250;

/// Fills a Service: of type ClusterIP, without affinity, its ports of TCP and leading to the same port of its pods.
pub(super) fn default(service: &mut Raw) {
    let Some(spec) = child_or_new(service, "spec") else {
        return;
    };
    default_text(spec, "sessionAffinity", "None");
    default_text(spec, "type", "ClusterIP");
    match text(spec, "sessionAffinity") {
        "None" => drop(spec.remove("sessionAffinityConfig")),
        "ClientIP" => {
            let config = spec.get("sessionAffinityConfig");
            let timeout = config.and_then(|config| config.pointer("/clientIP/timeoutSeconds"));
            if timeout.is_none_or(Value::is_null) {
                let config = json!({"clientIP": {"timeoutSeconds": 10_800}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
        }
        _ => {}
    }
    for port in items_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        let target = port.get("targetPort");
        let is_unset = target.is_none_or(|target| target.is_null() || target == 0 || target == "");
        if let (true, Some(number)) = (is_unset, port.get("port").cloned()) {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let external = spec.get("externalIPs").and_then(Value::as_array);
    let has_external = external.is_some_and(|addresses| !addresses.is_empty());
    let kind = text(spec, "type").to_owned();
    if is_external(&kind, has_external) {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(&*kind, "ClusterIP" | "NodePort" | "LoadBalancer") {
        default_value(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_value(spec, "allocateLoadBalancerNodePorts", true);
    }
    // An address is written in both fields; whoever sends the first alone means both.
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() && is_unset(spec, "clusterIPs") {
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
}

/// Whether it can be reached from outside.
pub(super) fn is_external(kind: &str, has_external: bool) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && has_external)
}

pub(super) fn validate(service: &Service) -> FieldErrors {
    let mut errors = meta::validate(&service.metadata, true, NameRule::Rfc1035Label);
    let at = FieldPath::new("spec");
    match &service.spec {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &ServiceSpec) {
    let kind = spec.type_.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    check::one_of(errors, &at.child("type"), Some(kind), &TYPES);
    if ports.is_empty() && !is_headless && kind != "ExternalName" {
        errors.push(FieldError::required(&at.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(
                &at.child("clusterIPs").index(0),
                "None",
                detail,
            ));
        }
        "ExternalName" => {
            let set = |field: &Option<Vec<String>>| field.as_ref().is_some_and(|list| !list.is_empty());
            if set(&spec.cluster_ips) || spec.cluster_ip.as_deref().is_some_and(|ip| !ip.is_empty()) {
                let detail = "may not be set for ExternalName services";
                errors.push(FieldError::forbidden(&at.child("clusterIPs"), detail));
            }
            // A dot at the end says that the name is whole.
            let name = spec.external_name.as_deref().unwrap_or_default();
            let name = name.strip_suffix('.').unwrap_or(name);
            check::required_name(errors, &at.child("externalName"), name, names::dns_subdomain);
        }
        _ => {}
    }
    validate_ports(errors, &at.child("ports"), kind, ports);
    check::labels(errors, &at.child("selector"), spec.selector.as_ref());
    validate_affinity(errors, at, spec);
    validate_addresses(errors, at, spec);
    validate_traffic(errors, at, spec, kind);
}

fn validate_ports(errors: &mut FieldErrors, at: &FieldPath, kind: &str, ports: &[ServicePort]) {
    let (mut names_seen, mut seen, mut nodes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        let name_at = at.child("name");
        if !name.is_empty() {
            check::format(errors, &name_at, name, names::dns_label(name));
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(&name_at, name));
            }
        } else if ports.len() > 1 {
            errors.push(FieldError::required(&name_at, ""));
        }
        check::port_number(errors, &at.child("port"), port.port);
        let protocol = port.protocol.as_deref();
        check::one_of(errors, &at.child("protocol"), protocol, &PROTOCOLS);
        if let Some(target) = &port.target_port {
            check::port(errors, &at.child("targetPort"), target);
        }
        if let Some(protocol) = port.app_protocol.as_deref() {
            let wrong = names::qualified_name(protocol);
            check::format(errors, &at.child("appProtocol"), protocol, wrong);
        }
        if kind == "LoadBalancer" && port.port == KUBELET_PORT {
            let detail = "may not expose port 10250 externally since it is used by kubelet";
            errors.push(FieldError::invalid(&at, port, detail));
        }
        if !seen.insert((protocol, port.port)) {
            let value = json!({"protocol": protocol, "port": port.port});
            errors.push(FieldError::duplicate(&at, value));
        }
        let node_port = port.node_port.unwrap_or(0);
        let node_at = at.child("nodePort");
        if node_port == 0 {
            continue;
        }
        if kind == "ClusterIP" {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&node_at, detail));
        }
        check::port_number(errors, &node_at, node_port);
        if !nodes.insert((protocol, node_port)) {
            errors.push(FieldError::duplicate(&node_at, node_port));
        }
    }
}

fn validate_affinity(errors: &mut FieldErrors, at: &FieldPath, spec: &ServiceSpec) {
    let affinity = spec.session_affinity.as_deref();
    check::one_of(
        errors,
        &at.child("sessionAffinity"),
        affinity,
        &["ClientIP", "None"],
    );
    let config = spec.session_affinity_config.as_ref();
    let client = config.and_then(|config| config.client_ip.as_ref());
    let at = at.child("sessionAffinityConfig");
    if affinity == Some("ClientIP")
        && let Some(seconds) = client.and_then(|client| client.timeout_seconds)
        && !(1..=AFFINITY_LIMIT).contains(&seconds)
    {
        let detail = format!("must be greater than 0 and less than {AFFINITY_LIMIT}");
        let at = at.child("clientIP").child("timeoutSeconds");
        errors.push(FieldError::invalid(&at, seconds, detail));
    }
}

fn validate_addresses(errors: &mut FieldErrors, at: &FieldPath, spec: &ServiceSpec) {
    let addresses = spec.cluster_ips.as_deref().unwrap_or_default();
    let list_at = at.child("clusterIPs");
    let first = spec.cluster_ip.as_deref().unwrap_or_default();
    if let Some(one) = addresses.first()
        && one != first
    {
        errors.push(FieldError::invalid(
            &list_at,
            addresses,
            "element [0] must match clusterIP",
        ));
    }
    for (index, address) in addresses.iter().enumerate() {
        if address != "None" {
            check::ip_address(errors, &list_at.index(index), address);
        } else if addresses.len() > 1 {
            let detail = "'None' must be the first and only value";
            errors.push(FieldError::invalid(&list_at.index(index), address, detail));
        }
    }
    for (index, address) in spec.external_ips.iter().flatten().enumerate() {
        check::ip_address(errors, &at.child("externalIPs").index(index), address);
    }
    for (index, family) in spec.ip_families.iter().flatten().enumerate() {
        let at = at.child("ipFamilies").index(index);
        check::optional_one_of(errors, &at, Some(family), &["IPv4", "IPv6"]);
    }
    check::optional_one_of(
        errors,
        &at.child("ipFamilyPolicy"),
        spec.ip_family_policy.as_deref(),
        &["SingleStack", "PreferDualStack", "RequireDualStack"],
    );
}

fn validate_traffic(errors: &mut FieldErrors, at: &FieldPath, spec: &ServiceSpec, kind: &str) {
    let policies = ["Cluster", "Local"];
    let has_external = spec.external_ips.as_ref().is_some_and(|list| !list.is_empty());
    let external = spec
        .external_traffic_policy
        .as_deref()
        .filter(|policy| !policy.is_empty());
    let external_at = at.child("externalTrafficPolicy");
    match external {
        Some(policy) if !is_external(kind, has_external) => {
            let detail = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(&external_at, policy, detail));
        }
        policy => check::optional_one_of(errors, &external_at, policy, &policies),
    }
    check::optional_one_of(
        errors,
        &at.child("internalTrafficPolicy"),
        spec.internal_traffic_policy.as_deref(),
        &policies,
    );
    if kind != "LoadBalancer" {
        let ranges = spec.load_balancer_source_ranges.as_ref();
        for (field, is_set) in [
            (
                "loadBalancerSourceRanges",
                ranges.is_some_and(|list| !list.is_empty()),
            ),
            ("loadBalancerClass", spec.load_balancer_class.is_some()),
            (
                "allocateLoadBalancerNodePorts",
                spec.allocate_load_balancer_node_ports.is_some(),
            ),
        ] {
            if is_set {
                let detail = "may only be used when `type` is 'LoadBalancer'";
                errors.push(FieldError::forbidden(&at.child(field), detail));
            }
        }
    }
    let is_local = kind == "LoadBalancer" && external == Some("Local");
    if let Some(port) = spec.health_check_node_port
        && port != 0
        && !is_local
    {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(
            &at.child("healthCheckNodePort"),
            port,
            detail,
        ));
    }
}
