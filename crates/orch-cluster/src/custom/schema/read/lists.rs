//! What a schema may say of how its lists and maps are made up (`x-kubernetes-list-type` and the like).

use std::collections::BTreeSet;

use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::custom::schema::node::{ListType, MapType, Node, Type};

/// apiextensions' `ValidateCustomResourceDefinitionOpenAPISchema`, as far as it is about lists and maps.
pub(super) fn check(node: &Node, at: &FieldPath, errors: &mut FieldErrors) {
    if node.map_type.is_some() {
        must_be(node, Type::Object, "x-kubernetes-map-type", at, errors);
    }
    if node.list_type.is_some() {
        must_be(node, Type::Array, "x-kubernetes-list-type", at, errors);
    }
    let path = at.child("x-kubernetes-list-type");
    match node.list_type {
        _ if node.list_map_keys.is_empty() => {}
        Some(ListType::Map) => {}
        None => errors.push(FieldError::required(&path, KEYS_ARE_FOR_MAPS)),
        Some(other) => errors.push(FieldError::invalid(&path, other.word(), KEYS_ARE_FOR_MAPS)),
    }
    let items = at.child("items");
    match (node.list_type, node.items.as_deref()) {
        (Some(ListType::Set), Some(item)) => {
            if node.kind == Some(Type::Array) {
                set(item, &items, errors);
            }
            not_nullable(item, "set", &items, errors);
        }
        (Some(ListType::Map), item) => map(node, item, at, errors),
        _ => {}
    }
}

const KEYS_ARE_FOR_MAPS: &str = "must be map if x-kubernetes-list-map-keys is non-empty";

fn must_be(node: &Node, kind: Type, keyword: &str, at: &FieldPath, errors: &mut FieldErrors) {
    let detail = format!("must be {} if {keyword} is specified", kind.word());
    match node.kind {
        None => errors.push(FieldError::required(&at.child("type"), detail)),
        Some(other) if other != kind => {
            errors.push(FieldError::invalid(&at.child("type"), other.word(), detail));
        }
        Some(_) => {}
    }
}

/// Items of a set are compared whole, so they must change whole.
fn set(item: &Node, items: &FieldPath, errors: &mut FieldErrors) {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    match (item.kind, item.list_type, item.map_type) {
        (Some(Type::Array), Some(other @ (ListType::Set | ListType::Map)), _) => {
            let path = items.child("x-kubernetes-list-type");
            errors.push(FieldError::invalid(&path, other.word(), detail));
        }
        (Some(Type::Object), _, None | Some(MapType::Granular)) => {
            let path = items.child("x-kubernetes-map-type");
            let shown = item.map_type.map(MapType::word);
            errors.push(FieldError::invalid(&path, shown, detail));
        }
        _ => {}
    }
}

/// Items of a map are told apart by their keys, so they must have them.
fn map(node: &Node, item: Option<&Node>, at: &FieldPath, errors: &mut FieldErrors) {
    let keys_at = at.child("x-kubernetes-list-map-keys");
    if node.list_map_keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&keys_at, detail));
    }
    let items = at.child("items");
    let Some(item) = item else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&items, detail));
        return;
    };
    if item.kind == Some(Type::Object) {
        let mut seen = BTreeSet::new();
        for key in &node.list_map_keys {
            if !seen.insert(key) {
                let detail = "must not contain duplicate entries";
                errors.push(FieldError::invalid(&keys_at, &node.list_map_keys, detail));
            }
            match item.properties.get(key) {
                None => {
                    let detail = "entries must all be names of item properties";
                    errors.push(FieldError::invalid(&keys_at, &node.list_map_keys, detail));
                }
                Some(field) => {
                    let is_required = item.values.required.contains(key);
                    map_key(
                        field,
                        is_required,
                        &items.child("properties").key(key.clone()),
                        errors,
                    );
                }
            }
        }
    } else {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        let shown = item.kind.map_or("", Type::word);
        errors.push(FieldError::invalid(&items.child("type"), shown, detail));
    }
    not_nullable(item, "map", &items, errors);
}

fn map_key(field: &Node, is_required: bool, at: &FieldPath, errors: &mut FieldErrors) {
    if let Some(kind @ (Type::Array | Type::Object)) = field.kind {
        let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(&at.child("type"), kind.word(), detail));
    }
    if !is_required && field.default.is_none() {
        let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        errors.push(FieldError::required(&at.child("default"), detail));
    }
    if field.nullable {
        let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        errors.push(FieldError::forbidden(&at.child("nullable"), detail));
    }
}

fn not_nullable(item: &Node, list_type: &str, items: &FieldPath, errors: &mut FieldErrors) {
    if item.nullable {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(&items.child("nullable"), detail));
    }
}
