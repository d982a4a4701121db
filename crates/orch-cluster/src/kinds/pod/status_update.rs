//! Validates what the node agent writes into the status of a pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use orch_core::object::field::{FieldError, FieldErrors, FieldPath};
use orch_core::object::names;

use crate::kinds::{check, meta};

/// Validates a status that is about to replace `old`'s: a container that ended for good stays ended.
pub fn validate_status_update(new: &Pod, old: &Pod) -> FieldErrors {
    let mut errors = meta::validate_update(&new.metadata, &old.metadata);
    let at = FieldPath::new("status");
    let none = PodStatus::default();
    let (status, old_status) = (
        new.status.as_ref().unwrap_or(&none),
        old.status.as_ref().unwrap_or(&none),
    );
    for (index, condition) in status.conditions.iter().flatten().enumerate() {
        check::label_key(
            &mut errors,
            &at.child("conditions").index(index).child("type"),
            &condition.type_,
        );
    }
    if let Some(node) = status
        .nominated_node_name
        .as_deref()
        .filter(|node| !node.is_empty())
    {
        check::format(
            &mut errors,
            &at.child("nominatedNodeName"),
            node,
            names::dns_subdomain(node),
        );
    }
    validate_addresses(&mut errors, &at.child("podIPs"), status);
    let policy = old
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        .unwrap_or("Always");
    // A container may have a restart policy of its own (KEP-5307), and a sidecar always has.
    let restarts_by_itself: BTreeSet<&str> = (old.spec.iter())
        .flat_map(|spec| {
            spec.containers
                .iter()
                .chain(spec.init_containers.iter().flatten())
        })
        .filter(|container| container.restart_policy.is_some())
        .map(|container| container.name.as_str())
        .collect();
    for (field, new, old) in [
        (
            "containerStatuses",
            &status.container_statuses,
            &old_status.container_statuses,
        ),
        (
            "initContainerStatuses",
            &status.init_container_statuses,
            &old_status.init_container_statuses,
        ),
    ] {
        let old = old
            .iter()
            .flatten()
            .filter(|status| !restarts_by_itself.contains(status.name.as_str()));
        validate_transitions(
            &mut errors,
            &at.child(field),
            new.as_deref().unwrap_or_default(),
            old,
            policy,
        );
    }
    errors
}

fn validate_transitions<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    new: &[ContainerStatus],
    old: impl Iterator<Item = &'a ContainerStatus>,
    restart_policy: &str,
) {
    if restart_policy == "Always" {
        return;
    }
    for (index, old) in old.enumerate() {
        let Some(ended) = old.state.as_ref().and_then(|state| state.terminated.as_ref()) else {
            continue;
        };
        if ended.exit_code != 0 && restart_policy == "OnFailure" {
            continue;
        }
        let goes_on = |new: &&ContainerStatus| {
            new.name == old.name && new.state.as_ref().is_none_or(|state| state.terminated.is_none())
        };
        if new.iter().any(|new| goes_on(&new)) {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(&at.index(index).child("state"), detail));
        }
    }
}

/// A pod has at most one address of each family.
fn validate_addresses(errors: &mut FieldErrors, at: &FieldPath, status: &PodStatus) {
    let addresses = status.pod_ips.as_deref().unwrap_or_default();
    for (index, address) in addresses.iter().enumerate() {
        check::ip_address(errors, &at.index(index), &address.ip);
        if addresses[..index].contains(address) {
            errors.push(FieldError::duplicate(&at.index(index), address));
        }
    }
    let of_v6 = addresses
        .iter()
        .filter(|address| address.ip.contains(':'))
        .count();
    if of_v6 > 1 || addresses.len() - of_v6 > 1 {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(at, addresses, detail));
    }
}
