//! What Kubernetes asks of any object's metadata: its name, labels, annotations, owners and finalizers.

use std::collections::BTreeMap;

use super::{FieldError, FieldErrors, FieldPath, ObjectMeta, OwnerReference, names};

/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What the names of a kind's objects must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameRule {
    /// A DNS label: a namespace's.
    Label,
    /// A DNS subdomain: that of almost every kind, custom resources among them.
    Subdomain,
    /// A DNS label that begins with a letter: a service's.
    Rfc1035Label,
    /// Whatever has a place in a path: `system:node`, a role's.
    PathSegment,
}

impl NameRule {
    /// What is wrong with a name; `prefix` says that more will be appended to it (`generateName`).
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        // What follows a generated name's prefix is alphanumeric, so the prefix itself may end in a dash.
        let filled;
        let name = match name.strip_suffix('-').filter(|_| prefix) {
            Some(rest) => {
                filled = format!("{rest}a");
                &filled
            }
            None => name,
        };
        match self {
            Self::Label => names::dns_label(name),
            Self::Rfc1035Label => names::dns1035_label(name),
            Self::Subdomain => names::dns_subdomain(name),
            Self::PathSegment => names::path_segment(name),
        }
    }
}

/// Everything that is wrong with the metadata of an object that is about to be stored (apimachinery's
/// `ValidateObjectMeta`).
///
/// ```
/// use orch_core::object::ObjectMeta;
/// use orch_core::object::metadata::{NameRule, validate};
///
/// let meta = ObjectMeta::named("web").label("app", "a b");
/// let errors = validate(&meta, NameRule::Subdomain);
/// assert!(errors.to_string().starts_with("metadata.labels: Invalid value: \"a b\": a valid label must"));
/// ```
pub fn validate(meta: &ObjectMeta, name_rule: NameRule) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("metadata");
    if let Some(prefix) = meta.generate_name.as_deref() {
        name(
            &mut errors,
            &at.child("generateName"),
            Some(prefix),
            name_rule,
            true,
        );
    }
    name(&mut errors, &at.child("name"), Some(&meta.name), name_rule, false);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() {
        format(
            &mut errors,
            &at.child("namespace"),
            namespace,
            names::dns_label(namespace),
        );
    }
    labels(&mut errors, &at.child("labels"), &meta.labels);
    annotations(&mut errors, &at.child("annotations"), &meta.annotations);
    owners(&mut errors, &at.child("ownerReferences"), &meta.owner_references);
    finalizers(&mut errors, &at.child("finalizers"), &meta.finalizers);
    errors
}

/// Validates a name, which must be given, or the beginning of one, which need not.
pub fn name(errors: &mut FieldErrors, at: &FieldPath, name: Option<&str>, rule: NameRule, prefix: bool) {
    match name.unwrap_or_default() {
        "" if prefix => {}
        "" => errors.push(FieldError::required(at, "name or generateName is required")),
        name => format(errors, at, name, rule.check(name, prefix)),
    }
}

/// Validates labels, or a map that must look like labels.
pub fn labels(errors: &mut FieldErrors, at: &FieldPath, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        format(errors, at, key, names::qualified_name(key));
        format(errors, at, value, names::label_value(value));
    }
}

/// Validates annotations: free text under qualified names, bounded together.
pub fn annotations(errors: &mut FieldErrors, at: &FieldPath, annotations: &BTreeMap<String, String>) {
    let mut bytes = 0;
    for (key, value) in annotations {
        // Kubernetes looks at the lower-cased key, and shows it as it was written.
        format(errors, at, key, names::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(at, ANNOTATIONS_LIMIT));
    }
}

/// Validates owner references, of which one at most is the controller's.
pub fn owners(errors: &mut FieldErrors, at: &FieldPath, owners: &[OwnerReference]) {
    let mut controller: Option<&str> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        for (field, value, empty, detail) in [
            (
                "apiVersion",
                &owner.api_version,
                version.is_empty(),
                "version must not be empty",
            ),
            (
                "kind",
                &owner.kind,
                owner.kind.is_empty(),
                "kind must not be empty",
            ),
            (
                "name",
                &owner.name,
                owner.name.is_empty(),
                "name must not be empty",
            ),
            ("uid", &owner.uid, owner.uid.is_empty(), "uid must not be empty"),
        ] {
            if empty {
                errors.push(FieldError::invalid(&at.child(field), value, detail));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(at, owner, detail));
        }
        if !owner.controller {
            continue;
        }
        match controller {
            None => controller = Some(&owner.name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                    owner.name
                );
                errors.push(FieldError::invalid(at, owners, detail));
            }
        }
    }
}

/// Validates finalizers.
pub fn finalizers(errors: &mut FieldErrors, at: &FieldPath, finalizers: &[String]) {
    for name in finalizers {
        format(errors, at, name, names::qualified_name(name));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("foregroundDeletion") && has("orphan") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(at, finalizers, detail));
    }
}

/// Adds an error for each thing a format says against a value.
fn format(errors: &mut FieldErrors, at: &FieldPath, value: &str, wrong: Vec<String>) {
    errors.extend(
        wrong
            .into_iter()
            .map(|detail| FieldError::invalid(at, value, detail)),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_part_of_the_metadata_is_judged() {
        let owner = |name: &str, controller: bool| json!({"apiVersion": "v1", "kind": "Cat", "name": name, "uid": "1", "controller": controller});
        let cases: [(Value, &str); 14] = [
            (json!({"name": "my-cat.v1"}), ""),
            (
                json!({"name": "x", "generateName": "x-", "namespace": "home"}),
                "",
            ),
            (json!({}), "metadata.name: Required value"),
            (
                json!({"name": "My Cat"}),
                "metadata.name: Invalid value: \"My Cat\"",
            ),
            (
                json!({"name": "x", "generateName": "X-"}),
                "metadata.generateName: Invalid value: \"X-\"",
            ),
            (
                json!({"name": "x", "namespace": "a.b"}),
                "metadata.namespace: Invalid value: \"a.b\": must not contain dots",
            ),
            (
                json!({"name": "x", "labels": {"": "x y"}}),
                "metadata.labels: Invalid value",
            ),
            (
                json!({"name": "x", "annotations": {"a b": ""}}),
                "metadata.annotations: Invalid value: \"a b\"",
            ),
            (
                json!({"name": "x", "annotations": {"a": "x".repeat(256 << 10)}}),
                "metadata.annotations: Too long",
            ),
            (
                json!({"name": "x", "finalizers": ["my/own/one"]}),
                "metadata.finalizers: Invalid value: \"my/own/one\": a qualified name",
            ),
            (
                json!({"name": "x", "finalizers": ["orphan", "foregroundDeletion"]}),
                "cannot be both set",
            ),
            (
                json!({"name": "x", "ownerReferences": [{"apiVersion": "a/", "kind": "", "name": "", "uid": ""}]}),
                "ownerReferences.apiVersion",
            ),
            (
                json!({"name": "x", "ownerReferences": [owner("a", true), owner("b", true)]}),
                "references for a and b",
            ),
            (
                json!({"name": "x", "ownerReferences": [owner("a", true), owner("b", false)]}),
                "",
            ),
        ];
        for (meta, wrong) in cases {
            let parsed: ObjectMeta = serde_json::from_value(meta.clone()).unwrap();
            let errors = validate(&parsed, NameRule::Subdomain);
            let as_expected = match wrong {
                "" => errors.is_empty(),
                wrong => errors.to_string().contains(wrong),
            };
            assert!(as_expected, "{:.200}: {errors}", meta.to_string());
        }
        let role = ObjectMeta::named("system:node");
        assert!(validate(&role, NameRule::PathSegment).is_empty());
        assert!(!validate(&role, NameRule::Label).is_empty());
    }
}
