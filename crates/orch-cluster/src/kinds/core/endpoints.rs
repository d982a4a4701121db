//! Endpoints: their defaults, and what Kubernetes refuses of them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, default_text, items_mut};

pub(in crate::kinds) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Fills Endpoints: their ports are of TCP.
pub(super) fn default(endpoints: &mut Raw) {
    for subset in items_mut(endpoints, "subsets") {
        for port in items_mut(subset, "ports") {
            default_text(port, "protocol", "TCP");
        }
    }
}

pub(super) fn validate(endpoints: &Endpoints) -> FieldErrors {
    let mut errors = meta::validate(&endpoints.metadata, true, NameRule::Subdomain);
    for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let at = FieldPath::new("subsets").index(index);
        let ready = subset.addresses.as_deref().unwrap_or_default();
        let unready = subset.not_ready_addresses.as_deref().unwrap_or_default();
        if ready.is_empty() && unready.is_empty() {
            errors.push(FieldError::required(
                &at,
                "must specify `addresses` or `notReadyAddresses`",
            ));
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", unready)] {
            for (index, address) in addresses.iter().enumerate() {
                validate_address(&mut errors, &at.child(field).index(index), address);
            }
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        for (index, port) in ports.iter().enumerate() {
            validate_port(
                &mut errors,
                &at.child("ports").index(index),
                port,
                ports.len() > 1,
            );
        }
    }
    errors
}

fn validate_address(errors: &mut FieldErrors, at: &FieldPath, address: &EndpointAddress) {
    let ip_at = at.child("ip");
    check::ip_address(errors, &ip_at, &address.ip);
    if let Ok(ip) = address.ip.parse() {
        reachable(errors, &ip_at, ip);
    }
    if let Some(name) = address.hostname.as_deref().filter(|name| !name.is_empty()) {
        check::format(errors, &at.child("hostname"), name, names::dns_label(name));
    }
    if let Some(node) = &address.node_name {
        check::format(errors, &at.child("nodeName"), node, names::dns_subdomain(node));
    }
}

/// An address that names another machine, wherever it is read.
pub(in crate::kinds) fn reachable(errors: &mut FieldErrors, at: &FieldPath, ip: IpAddr) {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), matches!(ip.octets(), [224, 0, 0, _])),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    for (is_so, detail) in [
        (ip.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
        (
            ip.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ] {
        if is_so {
            errors.push(FieldError::invalid(at, ip.to_string(), detail));
        }
    }
}

fn validate_port(errors: &mut FieldErrors, at: &FieldPath, port: &EndpointPort, needs_name: bool) {
    let name = port.name.as_deref().unwrap_or_default();
    let name_at = at.child("name");
    if !name.is_empty() {
        check::format(errors, &name_at, name, names::dns_label(name));
    } else if needs_name {
        errors.push(FieldError::required(&name_at, ""));
    }
    check::port_number(errors, &at.child("port"), port.port);
    check::one_of(
        errors,
        &at.child("protocol"),
        port.protocol.as_deref(),
        &PROTOCOLS,
    );
    if let Some(protocol) = &port.app_protocol {
        check::format(
            errors,
            &at.child("appProtocol"),
            protocol,
            names::qualified_name(protocol),
        );
    }
}
