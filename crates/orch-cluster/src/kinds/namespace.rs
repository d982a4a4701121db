//! Namespaces: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::core::v1::Namespace;
use orch_core::object::field::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::meta::{self, NameRule};
use super::raw::{self, Raw, child_mut, child_or_new, default_text, default_value, text};

/// The label by which selectors find a namespace by its name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The finalizer in `spec.finalizers` that holds a namespace until what it contains is gone.
pub const FINALIZER: &str = "kubernetes";

/// Labels a Namespace with its name, and makes it active.
pub fn default(namespace: &mut Raw) {
    label_with_name(namespace);
    if let Some(status) = child_or_new(namespace, "status") {
        default_text(status, "phase", "Active");
    }
}

/// A name may still have to be generated; what has none yet gets its label when it is prepared.
fn label_with_name(namespace: &mut Raw) {
    let Some(metadata) = child_mut(namespace, "metadata") else {
        return;
    };
    let name = text(metadata, "name").to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = child_or_new(metadata, "labels") {
        labels.insert(NAME_LABEL.to_owned(), Value::String(name));
    }
}

/// Makes a new Namespace active, and holds it by the finalizer [`FINALIZER`].
pub fn prepare_create(namespace: &mut Raw) {
    label_with_name(namespace);
    namespace.insert("status".to_owned(), serde_json::json!({"phase": "Active"}));
    let Some(spec) = child_or_new(namespace, "spec") else {
        return;
    };
    default_value(spec, "finalizers", Vec::<Value>::new());
    if let Some(finalizers) = spec.get_mut("finalizers").and_then(Value::as_array_mut)
        && !finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    {
        finalizers.push(FINALIZER.into());
    }
}

/// Keeps the status, and the finalizers, which only the finalize subresource writes.
pub fn prepare_update(new: &mut Raw, old: &Raw) {
    raw::keep(new, old, "status");
    let none = Raw::new();
    let old = raw::child(old, "spec").unwrap_or(&none);
    if let Some(spec) = child_or_new(new, "spec") {
        raw::keep(spec, old, "finalizers");
    }
}

/// Keeps the spec, for a write of the status.
pub fn prepare_status_update(new: &mut Raw, old: &Raw) {
    raw::keep(new, old, "spec");
}

/// Validates a new Namespace, its defaults filled.
pub fn validate(namespace: &Namespace) -> FieldErrors {
    let mut errors = meta::validate(&namespace.metadata, false, NameRule::Label);
    let at = FieldPath::new("spec").child("finalizers");
    let finalizers = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.as_deref());
    for finalizer in finalizers.unwrap_or_default() {
        meta::finalizer_name(&mut errors, &at, finalizer);
    }
    errors
}

/// Validates a Namespace that replaces `old`.
pub fn validate_update(new: &Namespace, old: &Namespace) -> FieldErrors {
    let mut errors = meta::validate_update(&new.metadata, &old.metadata);
    errors.extend(validate(new));
    errors
}

/// Validates a status that is about to replace `old`'s: a namespace ends exactly when it is being deleted.
pub fn validate_status_update(new: &Namespace, old: &Namespace) -> FieldErrors {
    let mut errors = meta::validate_update(&new.metadata, &old.metadata);
    let phase = new
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    let (wanted, detail) = if new.metadata.deletion_timestamp.is_none() {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    } else {
        (
            "Terminating",
            "may only be 'Terminating' if `deletionTimestamp` is not empty",
        )
    };
    if phase != wanted {
        errors.push(FieldError::invalid(
            &FieldPath::new("status").child("phase"),
            phase,
            detail,
        ));
    }
    errors
}
