//! IPAddresses and ServiceCIDRs, which say what addresses services may have and whose each is.

use k8s_openapi::api::networking::v1::{IPAddress, IPAddressSpec, ParentReference, ServiceCIDR};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::network::{Range, canonical_address};

pub(super) fn validate_address(address: &IPAddress) -> FieldErrors {
    let mut errors = meta::validate(&address.metadata, false, NameRule::PathSegment);
    let at = FieldPath::new("metadata");
    for (field, name) in [
        ("generateName", &address.metadata.generate_name),
        ("name", &address.metadata.name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            canonical_address(&mut errors, &at.child(field), name);
        }
    }
    let at = FieldPath::new("spec").child("parentRef");
    match parent(address) {
        Some(parent) => validate_parent(&mut errors, &at, parent),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates an IPAddress that replaces `old`: it stays whose it is.
pub(super) fn validate_address_update(new: &IPAddress, old: &IPAddress) -> FieldErrors {
    let mut errors = validate_address(new);
    let at = FieldPath::new("spec").child("parentRef");
    check::immutable(&mut errors, &at, &parent(new), &parent(old));
    errors
}

fn parent(address: &IPAddress) -> Option<&ParentReference> {
    let spec = check::given::<IPAddressSpec>(&address.spec);
    spec.and_then(|spec| check::given::<ParentReference>(&spec.parent_ref))
}

fn validate_parent(errors: &mut FieldErrors, at: &FieldPath, parent: &ParentReference) {
    // The group of services has no name.
    if let Some(group) = parent.group.as_deref().filter(|group| !group.is_empty()) {
        check::format(errors, &at.child("group"), group, names::dns_subdomain(group));
    }
    for (field, value) in [("resource", &parent.resource), ("name", &parent.name)] {
        check::required_name(errors, &at.child(field), value, names::path_segment);
    }
    if let Some(namespace) = &parent.namespace {
        check::format(
            errors,
            &at.child("namespace"),
            namespace,
            names::path_segment(namespace),
        );
    }
}

pub(super) fn validate_range(range: &ServiceCIDR) -> FieldErrors {
    let mut errors = meta::validate(&range.metadata, false, NameRule::Subdomain);
    validate_cidrs(&mut errors, range);
    errors
}

/// Validates a ServiceCIDR that replaces `old`: what it has stays, and one of the other family may be added.
pub(super) fn validate_range_update(new: &ServiceCIDR, old: &ServiceCIDR) -> FieldErrors {
    let mut errors = meta::validate(&new.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("spec").child("cidrs");
    let (listed, before) = (cidrs(new), cidrs(old));
    let is_added = (before.len(), listed.len()) == (1, 2);
    if listed.len() != before.len() && !is_added {
        errors.push(FieldError::invalid(&at, listed, check::IMMUTABLE));
        return errors;
    }
    for (index, (new, old)) in listed.iter().zip(before).enumerate() {
        check::immutable(&mut errors, &at.index(index), new, old);
    }
    if is_added {
        validate_cidrs(&mut errors, new);
    }
    errors
}

fn cidrs(range: &ServiceCIDR) -> &[String] {
    let spec = range.spec.as_ref();
    spec.and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default()
}

fn validate_cidrs(errors: &mut FieldErrors, range: &ServiceCIDR) {
    let at = FieldPath::new("spec").child("cidrs");
    let cidrs = cidrs(range);
    match cidrs.len() {
        0 => errors.push(FieldError::required(&at, "at least one CIDR required")),
        1 | 2 => {
            let parsed = cidrs.iter().enumerate();
            let parsed: Vec<_> = parsed
                .map(|(index, cidr)| Range::parse_canonical(errors, &at.index(index), cidr))
                .collect();
            if let [Some(one), Some(other)] = *parsed
                && one.is_ipv4 == other.is_ipv4
            {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(FieldError::invalid(&at, cidrs, detail));
            }
        }
        _ => {
            let detail = "may only hold up to 2 values";
            errors.push(FieldError::invalid(&at, &range.spec, detail));
        }
    }
}
