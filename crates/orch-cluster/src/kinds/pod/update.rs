//! Validates changes of a pod: almost nothing of a running pod can change.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::app_armor;
use super::validate::{deadline, validate_common};
use crate::kinds::same;

/// Changed fields that a refusal names; the first few are enough to find the mistake.
const SHOWN_CHANGES: usize = 8;

/// Validates a pod that replaces `old`, both with their defaults filled.
///
/// What may change is the image of a container, `activeDeadlineSeconds` (to less), `tolerations` (more of them),
/// `schedulingGates` (fewer of them), and the metadata, AppArmor's annotations apart.
pub fn validate_update(new: &Pod, old: &Pod) -> FieldErrors {
    let mut errors = validate_common(new);
    app_armor::validate_update(&mut errors, &new.metadata, &old.metadata);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else {
        return errors;
    };
    let at = FieldPath::new("spec");
    for (field, new, old) in [
        ("containers", new.containers.as_slice(), old.containers.as_slice()),
        (
            "initContainers",
            new.init_containers.as_deref().unwrap_or_default(),
            old.init_containers.as_deref().unwrap_or_default(),
        ),
    ] {
        if new.len() != old.len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&at.child(field), detail));
            return errors;
        }
    }
    let before = errors.len();
    validate_deadline(&mut errors, &at.child("activeDeadlineSeconds"), new, old);
    if errors.len() > before {
        return errors;
    }
    let tolerations = new.tolerations.as_deref().unwrap_or_default();
    let old_tolerations = old.tolerations.as_deref().unwrap_or_default();
    if changes_one(tolerations, old_tolerations) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(&at.child("tolerations"), detail));
    }
    let old_gates = old.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !old_gates.contains(gate) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                gate.name
            );
            errors.push(FieldError::forbidden(
                &at.child("schedulingGates").index(index),
                detail,
            ));
        }
    }
    if let Some(changes) = forbidden_changes(new, old) {
        let detail = format!(
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
             existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative): {changes}"
        );
        errors.push(FieldError::forbidden(&at, detail));
    }
    errors
}

fn validate_deadline(errors: &mut FieldErrors, at: &FieldPath, new: &PodSpec, old: &PodSpec) {
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), old) => {
            let before = errors.len();
            deadline(errors, at, Some(new), 0);
            if errors.len() == before && old.is_some_and(|old| old < new) {
                errors.push(FieldError::invalid(
                    at,
                    new,
                    "must be less than or equal to previous value",
                ));
            }
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(at, Value::Null, detail));
        }
        (None, None) => {}
    }
}

/// Whether one of the old tolerations is not among the new ones, its seconds apart.
fn changes_one(new: &[Toleration], old: &[Toleration]) -> bool {
    let same = |new: &Toleration, old: &Toleration| {
        (&new.key, &new.operator, &new.value, &new.effect)
            == (&old.key, &old.operator, &old.value, &old.effect)
    };
    old.iter().any(|old| !new.iter().any(|new| same(new, old)))
}

/// Says which other fields changed, if any did.
fn forbidden_changes(new: &PodSpec, old: &PodSpec) -> Option<String> {
    let mut munged = new.clone();
    let with_old_images = |containers: &mut [Container], old: &[Container]| {
        for (container, old) in containers.iter_mut().zip(old) {
            container.image.clone_from(&old.image);
        }
    };
    with_old_images(&mut munged.containers, &old.containers);
    if let (Some(containers), Some(old)) = (&mut munged.init_containers, &old.init_containers) {
        with_old_images(containers, old);
    }
    munged.active_deadline_seconds = old.active_deadline_seconds;
    munged.tolerations.clone_from(&old.tolerations);
    munged.scheduling_gates.clone_from(&old.scheduling_gates);
    if munged.termination_grace_period_seconds == Some(1)
        && old
            .termination_grace_period_seconds
            .is_some_and(|seconds| seconds < 0)
    {
        munged.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if munged == *old {
        return None;
    }
    let mut changes = Vec::new();
    let as_json = |spec: &PodSpec| serde_json::to_value(spec).unwrap_or_default();
    differences(
        &FieldPath::new("spec"),
        "spec",
        &as_json(old),
        &as_json(&munged),
        &mut changes,
    );
    // Serialised alike, so no difference that a reader could see: an empty list against none.
    (!changes.is_empty()).then(|| changes.join("; "))
}

/// Names what differs in the member `key`, which is at `at`.
fn differences(at: &FieldPath, key: &str, old: &Value, new: &Value, changes: &mut Vec<String>) {
    if changes.len() >= SHOWN_CHANGES || same::is_same_member(key, old, new) {
        return;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                differences(&at.child(key.clone()), key, &of(old), &of(new), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                differences(&at.index(index), "", old, new, changes);
            }
        }
        (old, new) => changes.push(format!("{at}: {old} -> {new}")),
    }
}
