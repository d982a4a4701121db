//! Validates what the node agent writes into the status of a pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, PodSpec, PodStatus};
use orch_core::object::Document;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

/// Validates a status that is to replace that of `old`: a container that ended for good stays ended.
pub fn validate_status(status: &PodStatus, old: &Document) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    for (index, condition) in status.conditions.iter().flatten().enumerate() {
        let at = at.child("conditions").index(index).child("type");
        check::label_key(&mut errors, &at, &condition.type_);
    }
    if let Some(node) = status
        .nominated_node_name
        .as_deref()
        .filter(|node| !node.is_empty())
    {
        let at = at.child("nominatedNodeName");
        check::format(&mut errors, &at, node, names::dns_subdomain(node));
    }
    validate_addresses(&mut errors, &at.child("podIPs"), status);
    let policy = old.lookup("spec.restartPolicy").unwrap_or_default();
    if matches!(policy.as_str(), Some("Never" | "OnFailure")) {
        validate_ends(&mut errors, &at, status, old);
    }
    errors
}

/// What of the stored pod says which containers are not started again.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OldPod {
    spec: PodSpec,
    status: PodStatus,
}

fn validate_ends(errors: &mut FieldErrors, at: &FieldPath, status: &PodStatus, old: &Document) {
    let Ok(old) = serde_json::from_slice::<OldPod>(old.stored()) else {
        return; // it can only get better
    };
    let policy = old.spec.restart_policy.as_deref().unwrap_or_default();
    // A container may have a restart policy of its own (KEP-5307), and a sidecar always has.
    let restarts_by_itself: BTreeSet<&str> = (old.spec.containers.iter())
        .chain(old.spec.init_containers.iter().flatten())
        .filter(|container| container.restart_policy.is_some())
        .map(|container| container.name.as_str())
        .collect();
    for (field, new, old) in [
        (
            "containerStatuses",
            &status.container_statuses,
            &old.status.container_statuses,
        ),
        (
            "initContainerStatuses",
            &status.init_container_statuses,
            &old.status.init_container_statuses,
        ),
    ] {
        let ours = |status: &&ContainerStatus| !restarts_by_itself.contains(status.name.as_str());
        let old = old.iter().flatten().filter(ours);
        validate_transitions(
            errors,
            &at.child(field),
            new.as_deref().unwrap_or_default(),
            old,
            policy,
        );
    }
}

fn validate_transitions<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    new: &[ContainerStatus],
    old: impl Iterator<Item = &'a ContainerStatus>,
    restart_policy: &str,
) {
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
