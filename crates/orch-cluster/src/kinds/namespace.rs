//! Namespaces: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use orch_core::client::{SubresourceWrite, Wanted};
use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, Members};
use serde_json::Value;

use super::meta::{self, NameRule};
use super::raw::{self, Raw, child_mut, child_or_new, default_value, text};

/// The label by which selectors find a namespace by its name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The finalizer in `spec.finalizers` that holds a namespace until what it contains is gone.
pub const FINALIZER: &str = "kubernetes";

/// Labels a Namespace with its name.
pub fn default(namespace: &mut Raw) {
    let Some(metadata) = child_mut(namespace, "metadata") else {
        return;
    };
    let name = text(metadata, "name").to_owned();
    if name.is_empty() {
        return; // refused for that
    }
    if let Some(labels) = child_or_new(metadata, "labels") {
        labels.insert(NAME_LABEL.to_owned(), Value::String(name));
    }
}

/// Makes a new Namespace active, and holds it by the finalizer [`FINALIZER`].
pub fn prepare_create(namespace: &mut Raw) {
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

/// Keeps the finalizers, which only the subresource `finalize` writes.
pub fn prepare_update(new: &mut Raw, old: &Raw) {
    let none = Raw::new();
    let old = raw::child(old, "spec").unwrap_or(&none);
    if let Some(spec) = child_or_new(new, "spec") {
        raw::keep(spec, old, "finalizers");
    }
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
        meta::finalizer(&mut errors, &at, finalizer);
    }
    errors
}

/// Validates a status that is to replace that of `old`: a namespace ends exactly when it is being deleted.
pub fn validate_status(status: &NamespaceStatus, old: &Document) -> FieldErrors {
    let phase = status.phase.as_deref().unwrap_or_default();
    let (wanted, detail) = if old.meta().is_deleting() {
        (
            "Terminating",
            "may only be 'Terminating' if `deletionTimestamp` is not empty",
        )
    } else {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    };
    if phase == wanted {
        return FieldErrors::default();
    }
    FieldError::invalid(&FieldPath::new("status").child("phase"), phase, detail).into()
}

/// Whether what a Namespace contains must still go before it may.
pub fn blocks_removal(namespace: &Document) -> bool {
    let finalizers = namespace.lookup("spec.finalizers");
    finalizers.is_some_and(|finalizers| finalizers.as_array().is_some_and(|list| !list.is_empty()))
}

/// Writes the subresource `finalize`: `spec.finalizers`, and nothing else.
pub fn finalize(wanted: Wanted<'_>, old: &Document) -> SubresourceWrite {
    let finalizers = wanted.value("spec.finalizers", old);
    let at = FieldPath::new("spec").child("finalizers");
    let names: Option<Vec<String>> = serde_json::from_value(finalizers.clone()).map_err(|error| {
        FieldErrors::from(FieldError::invalid(
            &at,
            finalizers.to_string(),
            error.to_string(),
        ))
    })?;
    let mut errors = FieldErrors::default();
    for finalizer in names.unwrap_or_default() {
        meta::finalizer(&mut errors, &at, &finalizer);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if old.lookup("spec.finalizers").unwrap_or_default() == finalizers {
        return Ok(Vec::new());
    }
    let spec = Members::parse(old.field("spec").unwrap_or("{}"));
    let spec = spec.and_then(|spec| spec.with("finalizers", &finalizers));
    let spec = spec.map_err(|error| FieldError::invalid(&FieldPath::new("spec"), "", error.to_string()))?;
    Ok(vec![("spec", spec)])
}
