//! The kind of discovery.k8s.io/v1, which nothing acts on yet: slices of the endpoints of a service.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::core::{PROTOCOLS, reachable};
use super::meta::{self, NameRule};
use super::raw::{Raw, default_value, items_mut};
use super::table::{BuiltIn, one, stored, two};
use super::{check, network};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_HINTS: usize = 8;

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        prepare_create: without_topology,
        prepare_update: |new, _| without_topology(new),
        default,
        ..stored::<EndpointSlice>(
            "endpointslice",
            |new| one::<EndpointSlice>(new, validate),
            |new, old| two::<EndpointSlice>(new, old, validate_update),
        )
    }]
}

/// What said where an endpoint is before version 1 did so in fields of its own.
fn without_topology(slice: &mut Raw) {
    for endpoint in items_mut(slice, "endpoints") {
        endpoint.remove("deprecatedTopology");
    }
}

/// Fills an EndpointSlice: its ports are of TCP and have no name.
fn default(slice: &mut Raw) {
    for port in items_mut(slice, "ports") {
        default_value(port, "name", "");
        default_value(port, "protocol", "TCP");
    }
}

fn validate(slice: &EndpointSlice) -> FieldErrors {
    let mut errors = meta::validate(&slice.metadata, true, NameRule::Subdomain);
    let type_at = FieldPath::new("addressType");
    check::one_of(
        &mut errors,
        &type_at,
        Some(&slice.address_type),
        &["FQDN", "IPv4", "IPv6"],
    );
    let endpoints = check::given::<Vec<Endpoint>>(&slice.endpoints).map_or(&[][..], Vec::as_slice);
    let at = FieldPath::new("endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(FieldError::too_many(&at, endpoints.len(), MAX_ENDPOINTS));
    } else {
        for (index, endpoint) in endpoints.iter().enumerate() {
            validate_endpoint(&mut errors, &at.index(index), endpoint, &slice.address_type);
        }
    }
    let ports = slice.ports.as_deref().unwrap_or_default();
    validate_ports(&mut errors, &FieldPath::new("ports"), ports);
    errors
}

/// Validates an EndpointSlice that replaces `old`: its addresses stay of their type.
fn validate_update(new: &EndpointSlice, old: &EndpointSlice) -> FieldErrors {
    let mut errors = validate(new);
    let at = FieldPath::new("addressType");
    check::immutable(&mut errors, &at, &new.address_type, &old.address_type);
    errors
}

fn validate_endpoint(errors: &mut FieldErrors, at: &FieldPath, endpoint: &Endpoint, type_: &str) {
    let addresses_at = at.child("addresses");
    if endpoint.addresses.is_empty() {
        let detail = "must contain at least 1 address";
        errors.push(FieldError::required(&addresses_at, detail));
    } else if endpoint.addresses.len() > MAX_ADDRESSES {
        let count = endpoint.addresses.len();
        errors.push(FieldError::too_many(&addresses_at, count, MAX_ADDRESSES));
    }
    for (index, address) in endpoint.addresses.iter().enumerate() {
        let at = addresses_at.index(index);
        match type_ {
            "IPv4" | "IPv6" => validate_address(errors, &at, address, type_),
            "FQDN" => network::full_name(errors, &at, address),
            _ => {}
        }
    }
    if let Some(node) = &endpoint.node_name {
        check::format(errors, &at.child("nodeName"), node, names::dns_subdomain(node));
    }
    if let Some(name) = &endpoint.hostname {
        check::format(errors, &at.child("hostname"), name, names::dns_label(name));
    }
    if let Some(hints) = &endpoint.hints {
        validate_hints(errors, &at.child("hints"), hints);
    }
}

fn validate_address(errors: &mut FieldErrors, at: &FieldPath, text: &str, type_: &str) {
    check::ip_address(errors, at, text);
    let Ok(address) = text.parse::<IpAddr>() else {
        return;
    };
    if address.is_ipv4() != (type_ == "IPv4") {
        errors.push(FieldError::invalid(
            at,
            text,
            format!("must be an {type_} address"),
        ));
    }
    reachable(errors, at, address);
}

/// For whom an endpoint is meant first.
fn validate_hints(errors: &mut FieldErrors, at: &FieldPath, hints: &EndpointHints) {
    let zones = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str());
    let nodes = hints.for_nodes.iter().flatten().map(|node| node.name.as_str());
    let rules: [(_, Vec<&str>, fn(&str) -> Vec<String>); 2] = [
        ("forZones", zones.collect(), names::label_value),
        ("forNodes", nodes.collect(), names::dns_subdomain),
    ];
    for (field, hints, rule) in rules {
        let at = at.child(field);
        if hints.len() > MAX_HINTS {
            errors.push(FieldError::too_many(&at, hints.len(), MAX_HINTS));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (index, name) in hints.into_iter().enumerate() {
            let at = at.index(index).child("name");
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&at, name));
            }
            check::format(errors, &at, name, rule(name));
        }
    }
}

fn validate_ports(errors: &mut FieldErrors, at: &FieldPath, ports: &[EndpointPort]) {
    if ports.len() > MAX_PORTS {
        errors.push(FieldError::too_many(at, ports.len(), MAX_PORTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        let name_at = at.child("name");
        if !name.is_empty() {
            check::format(errors, &name_at, name, names::dns_label(name));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&name_at, name));
        }
        let protocol = port.protocol.as_deref();
        check::one_of(errors, &at.child("protocol"), protocol, &PROTOCOLS);
        if let Some(protocol) = &port.app_protocol {
            let wrong = names::qualified_name(protocol);
            check::format(errors, &at.child("appProtocol"), protocol, wrong);
        }
    }
}
