//! The kind of scheduling.k8s.io/v1, which nothing acts on yet: priority classes.

#[cfg(test)]
mod tests;

use k8s_openapi::api::scheduling::v1::PriorityClass;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;
use super::meta::{self, NameRule};
use super::raw::{Raw, default_text};
use super::table::{BuiltIn, one, stored, two};

/// The highest priority of a class that is not the system's own.
const HIGHEST: i32 = 1_000_000_000;
/// What the names of the system's own begin with.
const SYSTEM: &str = "system-";
/// The system's own, and the priorities that they have.
const SYSTEM_CLASSES: [(&str, i32); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["pc"],
        default,
        ..stored::<PriorityClass>(
            "priorityclass",
            |new| one::<PriorityClass>(new, validate),
            |new, old| two::<PriorityClass>(new, old, validate_update),
        )
    }]
}

/// Fills a PriorityClass: its pods may push others away.
fn default(class: &mut Raw) {
    default_text(class, "preemptionPolicy", "PreemptLowerPriority");
}

fn validate(class: &PriorityClass) -> FieldErrors {
    let mut errors = meta::validate(&class.metadata, false, NameRule::Subdomain);
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let value = value(class);
    if name.starts_with(SYSTEM) {
        let known = SYSTEM_CLASSES.iter().find(|(own, _)| *own == name);
        let wrong = match known {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, own)) if *own != value => Some(format!("value of {name} PriorityClass must be {own}")),
            Some(_) if class.global_default == Some(true) => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            let detail = format!(
                "priority class names with '{SYSTEM}' prefix are reserved for system use only. error: {wrong}"
            );
            let at = FieldPath::new("metadata").child("name");
            errors.push(FieldError::forbidden(&at, detail));
        }
    } else if value > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        errors.push(FieldError::forbidden(&FieldPath::new("value"), detail));
    }
    check::optional_one_of(
        &mut errors,
        &FieldPath::new("preemptionPolicy"),
        class.preemption_policy.as_deref(),
        &["Never", "PreemptLowerPriority"],
    );
    errors
}

/// Validates a PriorityClass that replaces `old`: pods that have its priority already keep it.
fn validate_update(new: &PriorityClass, old: &PriorityClass) -> FieldErrors {
    let mut errors = validate(new);
    if value(new) != value(old) {
        let detail = "may not be changed in an update.";
        errors.push(FieldError::forbidden(&FieldPath::new("value"), detail));
    }
    let at = FieldPath::new("preemptionPolicy");
    check::immutable(&mut errors, &at, &new.preemption_policy, &old.preemption_policy);
    errors
}

/// Required in one version of Kubernetes' schema, optional in another.
fn value(class: &PriorityClass) -> i32 {
    check::given::<i32>(&class.value).copied().unwrap_or_default()
}
