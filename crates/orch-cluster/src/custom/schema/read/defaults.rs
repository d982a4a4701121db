//! Whether a schema's defaults satisfy it.

use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::META_FIELDS;
use crate::custom::schema::node::{Additional, Node};
use crate::custom::schema::{default, prune, validate};

/// What is wrong with the defaults below a schema (apiextensions' `ValidateDefaults`); of those in order, nulls that
/// are no values are taken out, so that they are filled in as they will be stored.
pub(super) fn check(root: &mut Node, at: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::default();
    below(root, at, Place::Root, &mut errors);
    errors
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Field,
    /// In `apiVersion`, `kind` or `metadata` of an object.
    Meta,
}

fn below(node: &mut Node, at: &FieldPath, place: Place, errors: &mut FieldErrors) {
    if let Some(mut value) = node.default.take() {
        let path = at.child("default");
        let found = default_errors(node, &value, &path, place);
        if found.is_empty() {
            default::drop_nulls(node, &mut value);
        }
        errors.extend(found);
        node.default = Some(value);
    }
    let place_below = if place == Place::Meta {
        Place::Meta
    } else {
        Place::Field
    };
    if let Some(items) = &mut node.items {
        below(items, &at.child("items"), place_below, errors);
    }
    let is_object = place == Place::Root || node.is_embedded;
    for (name, field) in &mut node.properties {
        let path = at.child("properties").key(name.clone());
        let is_meta = is_object && META_FIELDS.contains(&name.as_str());
        below(
            field,
            &path,
            if is_meta { Place::Meta } else { place_below },
            errors,
        );
    }
    // Kubernetes does not look at those of the schema of other fields, which are filled in for nulls alone. Here they
    // are looked at, for what is filled in must satisfy the schema.
    if let Some(Additional::Schema(others)) = &mut node.additional {
        below(others, &at.child("additionalProperties"), place_below, errors);
    }
}

fn default_errors(node: &Node, value: &Value, at: &FieldPath, place: Place) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if place != Place::Meta {
        let mut pruned = value.clone();
        prune::value(node, &mut pruned, place == Place::Root);
        if pruned != *value {
            errors.push(FieldError::invalid(at, value, "must not have unknown fields"));
        }
    }
    if errors.is_empty() {
        errors.extend(validate::value(node, value, at));
    }
    errors
}
