//! The kind CustomResourceDefinition, by whose objects kinds of a user's own are defined.
//!
//! Sources: apiextensions-apiserver's `pkg/apis/apiextensions/v1/defaults.go`, `validation/validation.go` and
//! `pkg/registry/customresourcedefinition/strategy.go`. What Kubernetes' controllers say of a definition a moment later
//! (`pkg/controller/{status,establish}`) is said with the write: the kind is served from then on.

#[cfg(test)]
mod tests;
mod validate;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use orch_core::object::{Document, FieldErrors};
use orch_core::time;
use serde_json::{Value, json};

use super::raw::{
    self, Raw, child_mut, child_or_new, default_number, default_text, default_value, items, text,
};
use super::table::{BuiltIn, one, stored, two};

/// The finalizer by which a definition waits until the objects of its kind are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        has_status: true,
        is_acted_on: true,
        prepare_create,
        prepare_update,
        default,
        ..stored::<CustomResourceDefinition>(
            "customresourcedefinition",
            |new| with_rest(one::<CustomResourceDefinition>(new, validate::definition), new),
            |new, old| with_rest(two::<CustomResourceDefinition>(new, old, validate::update), new),
        )
    }]
}

fn with_rest(mut errors: FieldErrors, definition: &Document) -> FieldErrors {
    errors.extend(validate::metadata_and_schemas(definition));
    errors
}

fn default(definition: &mut Raw) {
    let Some(spec) = child_or_new(definition, "spec") else {
        return;
    };
    if let Some(names) = child_mut(spec, "names") {
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            default_text(names, "singular", &kind.to_lowercase());
            default_text(names, "listKind", &format!("{kind}List"));
        }
    }
    default_value(spec, "conversion", json!({"strategy": "None"}));
    let service = child_mut(spec, "conversion")
        .and_then(|conversion| child_mut(conversion, "webhook"))
        .and_then(|webhook| child_mut(webhook, "clientConfig"))
        .and_then(|client| child_mut(client, "service"));
    if let Some(service) = service {
        default_number(service, "port", 443);
    }
}

/// Establishes a new definition, and has it wait for its objects when it is deleted.
fn prepare_create(definition: &mut Raw) {
    definition.remove("status");
    if let Some(metadata) = child_mut(definition, "metadata") {
        default_value(metadata, "finalizers", Vec::<Value>::new());
        if let Some(Value::Array(finalizers)) = metadata.get_mut("finalizers")
            && !finalizers.iter().any(|finalizer| finalizer == CLEANUP)
        {
            finalizers.push(CLEANUP.into());
        }
    }
    default(definition);
    establish(definition);
}

/// The status says what is in force now.
fn prepare_update(new: &mut Raw, _: &Raw) {
    default(new);
    establish(new);
}

/// Says that the names are accepted and the kind is served, and adds the version that objects are stored in from now on.
fn establish(definition: &mut Raw) {
    let Some(spec) = raw::child(definition, "spec") else {
        return;
    };
    let names = spec.get("names").cloned().unwrap_or_default();
    let stored = items(spec, "versions").find(|version| version.get("storage") == Some(&json!(true)));
    let stored = stored.map(|version| text(version, "name").to_owned());
    let Some(status) = child_or_new(definition, "status") else {
        return;
    };
    status.insert("acceptedNames".to_owned(), names);
    default_value(status, "storedVersions", Vec::<Value>::new());
    if let (Some(Value::Array(versions)), Some(stored)) = (status.get_mut("storedVersions"), stored)
        && !versions.iter().any(|version| *version == stored)
    {
        versions.push(stored.into());
    }
    if raw::is_unset(status, "conditions") {
        let now = jiff::Timestamp::from_second(time::now().as_second()).unwrap_or_default();
        let condition = |type_, reason, message| {
            json!({
                "type": type_, "status": "True", "lastTransitionTime": now.to_string(),
                "reason": reason, "message": message,
            })
        };
        let conditions = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted"
            ),
        ]);
        status.insert("conditions".to_owned(), conditions);
    }
}
