//! Ingresses: what Kubernetes refuses of them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressServiceBackend, IngressSpec, IngressStatus,
};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::kinds::meta::{self, NameRule};
use crate::kinds::{check, network};

/// What named the class before there was a field for it.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Validates a new Ingress, whose class is named once, or twice alike.
pub(super) fn validate_new(ingress: &Ingress) -> FieldErrors {
    let mut errors = validate(ingress);
    let annotations = ingress.metadata.annotations.as_ref();
    let class = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_ref());
    if let Some(value) = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION))
        && class.is_some_and(|class| class != value)
    {
        let at = FieldPath::new("annotations").child(CLASS_ANNOTATION);
        let detail = "must match `ingressClassName` when both are specified";
        errors.push(FieldError::invalid(&at, value, detail));
    }
    errors
}

pub(super) fn validate(ingress: &Ingress) -> FieldErrors {
    let mut errors = meta::validate(&ingress.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match &ingress.spec {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => validate_spec(&mut errors, &at, &IngressSpec::default()),
    }
    errors
}

pub(super) fn validate_status(status: &IngressStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status").child("loadBalancer").child("ingress");
    let balancer = status.load_balancer.as_ref();
    let points = balancer
        .and_then(|balancer| balancer.ingress.as_deref())
        .unwrap_or_default();
    for (index, point) in points.iter().enumerate() {
        let at = at.index(index);
        if let Some(ip) = point.ip.as_deref().filter(|ip| !ip.is_empty()) {
            check::ip_address(&mut errors, &at.child("ip"), ip);
        }
        if let Some(host) = point.hostname.as_deref().filter(|host| !host.is_empty()) {
            let at = at.child("hostname");
            check::format(&mut errors, &at, host, names::dns_subdomain(host));
            not_an_address(&mut errors, &at, host);
        }
    }
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &IngressSpec) {
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(at, Value::Null, detail));
    }
    if let Some(backend) = &spec.default_backend {
        validate_backend(errors, &at.child("defaultBackend"), backend);
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = at.child("rules").index(index);
        if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
            let at = at.child("host");
            not_an_address(errors, &at, host);
            network::host(errors, &at, host);
        }
        let Some(http) = &rule.http else { continue };
        let at = at.child("http").child("paths");
        if http.paths.is_empty() {
            errors.push(FieldError::required(&at, ""));
        }
        for (index, path) in http.paths.iter().enumerate() {
            validate_path(errors, &at.index(index), path);
        }
    }
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        let at = at.child("tls").index(index);
        for (index, host) in tls.hosts.iter().flatten().enumerate() {
            network::host(errors, &at.child("hosts").index(index), host);
        }
        if let Some(secret) = tls.secret_name.as_deref().filter(|secret| !secret.is_empty()) {
            check::format(
                errors,
                &at.child("secretName"),
                secret,
                names::dns_subdomain(secret),
            );
        }
    }
    if let Some(class) = &spec.ingress_class_name {
        let wrong = names::dns_subdomain(class);
        check::format(errors, &at.child("ingressClassName"), class, wrong);
    }
}

fn not_an_address(errors: &mut FieldErrors, at: &FieldPath, host: &str) {
    if host.parse::<IpAddr>().is_ok() {
        let detail = "must be a DNS name, not an IP address";
        errors.push(FieldError::invalid(at, host, detail));
    }
}

fn validate_path(errors: &mut FieldErrors, at: &FieldPath, path: &HTTPIngressPath) {
    if path.path_type.is_empty() {
        errors.push(FieldError::required(
            &at.child("pathType"),
            "pathType must be specified",
        ));
        return;
    }
    let allowed = ["Exact", "ImplementationSpecific", "Prefix"];
    check::optional_one_of(errors, &at.child("pathType"), Some(&path.path_type), &allowed);
    let text = path.path.as_deref().unwrap_or_default();
    let path_at = at.child("path");
    let is_exact = matches!(&*path.path_type, "Exact" | "Prefix");
    let may_lack = path.path_type == "ImplementationSpecific" && text.is_empty();
    if !text.starts_with('/') && allowed.contains(&&*path.path_type) && !may_lack {
        errors.push(FieldError::invalid(&path_at, text, "must be an absolute path"));
    }
    if is_exact {
        for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
            if text.contains(sequence) {
                let detail = format!("must not contain '{sequence}'");
                errors.push(FieldError::invalid(&path_at, text, detail));
            }
        }
        for end in ["/..", "/."] {
            if text.ends_with(end) {
                let detail = format!("cannot end with '{end}'");
                errors.push(FieldError::invalid(&path_at, text, detail));
            }
        }
    }
    validate_backend(errors, &at.child("backend"), &path.backend);
}

/// Where requests go: to a service, or to a resource that some controller knows.
fn validate_backend(errors: &mut FieldErrors, at: &FieldPath, backend: &IngressBackend) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(at, "", detail));
        }
        (None, None) => {
            let detail = "resource or service backend is required";
            errors.push(FieldError::invalid(at, "", detail));
        }
        (None, Some(resource)) => validate_resource(errors, &at.child("resource"), resource),
        (Some(service), None) => validate_service(errors, at, service),
    }
}

fn validate_resource(errors: &mut FieldErrors, at: &FieldPath, resource: &TypedLocalObjectReference) {
    if let Some(group) = &resource.api_group {
        check::format(errors, &at.child("apiGroup"), group, names::dns_subdomain(group));
    }
    for (field, value) in [("kind", &resource.kind), ("name", &resource.name)] {
        check::required_name(errors, &at.child(field), value, names::path_segment);
    }
}

fn validate_service(errors: &mut FieldErrors, at: &FieldPath, service: &IngressServiceBackend) {
    let service_at = at.child("service");
    check::required_name(
        errors,
        &service_at.child("name"),
        &service.name,
        names::dns1035_label,
    );
    let port = service.port.as_ref();
    let name = port.and_then(|port| port.name.as_deref()).unwrap_or_default();
    let number = port.and_then(|port| port.number).unwrap_or(0);
    let port_at = service_at.child("port");
    match (name, number) {
        ("", 0) => errors.push(FieldError::required(at, "port name or number is required")),
        ("", number) => check::port_number(errors, &port_at.child("number"), number),
        (name, 0) => check::format(errors, &port_at.child("name"), name, names::port_name(name)),
        _ => {
            let detail = "cannot set both port name & port number";
            errors.push(FieldError::invalid(at, "", detail));
        }
    }
}
