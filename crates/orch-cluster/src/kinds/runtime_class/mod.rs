//! The kind of node.k8s.io/v1, which nothing acts on yet: RuntimeClasses.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::api::node::v1::RuntimeClass;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;
use super::meta::{self, NameRule};
use super::pod::placement::validate_tolerations;
use super::pod::resource::validate_requirements;
use super::raw::{Raw, child_mut, quantities_as_text};
use super::table::{BuiltIn, one, stored, two};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        default,
        ..stored::<RuntimeClass>(
            "runtimeclass",
            |new| one::<RuntimeClass>(new, validate),
            |new, old| two::<RuntimeClass>(new, old, validate_update),
        )
    }]
}

/// Writes what its pods use beside their containers as Kubernetes stores amounts.
fn default(class: &mut Raw) {
    if let Some(overhead) = child_mut(class, "overhead") {
        quantities_as_text(overhead, "podFixed");
    }
}

fn validate(class: &RuntimeClass) -> FieldErrors {
    let mut errors = meta::validate(&class.metadata, false, NameRule::Subdomain);
    let wrong = names::dns_label(&class.handler);
    check::format(&mut errors, &FieldPath::new("handler"), &class.handler, wrong);
    if let Some(overhead) = &class.overhead {
        let limits = ResourceRequirements {
            limits: overhead.pod_fixed.clone(),
            ..ResourceRequirements::default()
        };
        validate_requirements(&mut errors, &FieldPath::new("overhead"), &limits);
    }
    if let Some(scheduling) = &class.scheduling {
        let at = FieldPath::new("scheduling");
        let selector = scheduling.node_selector.as_ref();
        check::labels(&mut errors, &at.child("nodeSelector"), selector);
        let tolerations = scheduling.tolerations.as_deref().unwrap_or_default();
        let at = at.child("tolerations");
        validate_tolerations(&mut errors, &at, tolerations);
        let mut seen = HashSet::new();
        for (index, toleration) in tolerations.iter().enumerate() {
            if !seen.insert(taints(toleration)) {
                errors.push(FieldError::duplicate(&at.index(index), toleration));
            }
        }
    }
    errors
}

/// Which taints are tolerated: all but for how long.
fn taints(toleration: &Toleration) -> [&Option<String>; 4] {
    [
        &toleration.key,
        &toleration.operator,
        &toleration.value,
        &toleration.effect,
    ]
}

/// Validates a RuntimeClass that replaces `old`: what runs its pods stays.
fn validate_update(new: &RuntimeClass, old: &RuntimeClass) -> FieldErrors {
    let mut errors = validate(new);
    let at = FieldPath::new("handler");
    check::immutable(&mut errors, &at, &new.handler, &old.handler);
    errors
}
