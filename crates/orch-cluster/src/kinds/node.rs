//! Nodes: their defaults, and what Kubernetes refuses of them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::meta::{self, NameRule};
use super::pod::placement::validate_taints;
use super::pod::resource::validate_quantity;
use super::raw::{self, Raw, child_mut, is_unset};

/// Fills a Node: all of its capacity can be given to pods unless it says otherwise.
pub fn default(node: &mut Raw) {
    let Some(status) = child_mut(node, "status") else {
        return;
    };
    raw::quantities_as_text(status, "capacity");
    raw::quantities_as_text(status, "allocatable");
    if is_unset(status, "allocatable")
        && let Some(capacity) = status
            .get("capacity")
            .filter(|capacity| !capacity.is_null())
            .cloned()
    {
        status.insert("allocatable".to_owned(), capacity);
    }
}

/// Validates a new Node, its defaults filled.
pub fn validate(node: &Node) -> FieldErrors {
    let mut errors = meta::validate(&node.metadata, false, NameRule::Subdomain);
    if let Some(status) = &node.status {
        check_status(&mut errors, status);
    }
    if let Some(spec) = &node.spec {
        let at = FieldPath::new("metadata").child("taints");
        validate_taints(&mut errors, &at, spec.taints.as_deref().unwrap_or_default());
        validate_pod_ranges(&mut errors, spec.pod_cidrs.as_deref().unwrap_or_default());
    }
    errors
}

/// Validates a Node that replaces `old`: of its spec only taints and `unschedulable` change, and what was not
/// yet known of it may be filled in.
pub fn validate_update(new: &Node, old: &Node) -> FieldErrors {
    let mut errors = validate(new);
    let none = NodeSpec::default();
    let (new, old) = (
        new.spec.as_ref().unwrap_or(&none),
        old.spec.as_ref().unwrap_or(&none),
    );
    let at = FieldPath::new("spec");
    let ranges = |spec: &NodeSpec| spec.pod_cidrs.clone().unwrap_or_default();
    if !ranges(old).is_empty() && ranges(new) != ranges(old) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden(&at.child("podCIDRs"), detail));
    }
    let provider = |spec: &NodeSpec| spec.provider_id.clone().unwrap_or_default();
    if !provider(old).is_empty() && provider(new) != provider(old) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden(&at.child("providerID"), detail));
    }
    errors
}

/// Validates a status that is to replace another.
pub fn validate_status(status: &NodeStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    check_status(&mut errors, status);
    let addresses = status.addresses.as_deref().unwrap_or_default();
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            let at = FieldPath::new("status").child("addresses").index(index);
            errors.push(FieldError::duplicate(&at, address));
        }
    }
    errors
}

fn check_status(errors: &mut FieldErrors, status: &NodeStatus) {
    let at = FieldPath::new("status");
    for (field, list) in [
        ("capacity", &status.capacity),
        ("allocatable", &status.allocatable),
    ] {
        for (name, amount) in list.iter().flatten() {
            validate_quantity(errors, &at.child(field).child(name.clone()), name, &amount.0);
        }
    }
}

/// A node has at most one range of pod addresses of each family.
fn validate_pod_ranges(errors: &mut FieldErrors, ranges: &[String]) {
    let at = FieldPath::new("spec").child("podCIDRs");
    let mut families = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        match family(range) {
            Some(family) => families.push(family),
            None => {
                let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                errors.push(FieldError::invalid(&at.index(index), range, detail));
            }
        }
        if ranges[..index].contains(range) {
            errors.push(FieldError::duplicate(&at.index(index), range));
        }
    }
    let count = |wanted: bool| families.iter().filter(|is_v6| **is_v6 == wanted).count();
    if count(false) > 1 || count(true) > 1 {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(&at, ranges, detail));
    }
}

/// Whether an address range is of IPv6; `None` if it is none.
fn family(range: &str) -> Option<bool> {
    let (address, bits) = range.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    (bits <= most).then_some(address.is_ipv6())
}
