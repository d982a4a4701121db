//! The document of one version, as OpenAPI 3.0 writes it with Kubernetes' extensions.

use serde_json::{Map, Value, json};

use super::operations;
use crate::custom::Custom;
use crate::resources::Served;
use crate::route::GroupVersion;
use crate::schema::Definitions;

/// What kube-apiserver's documents are called.
pub(super) const TITLE: &str = "Kubernetes";
pub(super) const VERSION: &str = "unversioned";

/// Where a document has its types.
pub(super) const TYPES: &str = "#/components/schemas/";

pub(super) fn document(of: &GroupVersion, served: &[&Served]) -> Value {
    let mut definitions = Definitions::of(&of.api_version());
    let mut paths = Map::new();
    for one in served {
        let resource = &one.resource;
        let name = match definitions.name(&resource.kind).filter(|_| one.is_built_in()) {
            Some(name) => name.to_owned(),
            None => {
                let name = name_of(of, &resource.kind);
                let type_ = match one.as_custom() {
                    Some(custom) => defined(custom, &definitions.object_meta),
                    None => anything(&resource.kind),
                };
                definitions.types.insert(name.clone(), type_);
                name
            }
        };
        let list = format!("{name}List");
        let gvk = |kind: &str| json!([{"group": of.group, "kind": kind, "version": of.version}]);
        if let Some(definition) = definitions.types.get_mut(&name) {
            definition["x-kubernetes-group-version-kind"] = gvk(&resource.kind);
            // k8s-openapi's own, which Kubernetes does not ask for.
            if let Some(definition) = definition.as_object_mut().filter(|_| one.is_built_in()) {
                definition.remove("required");
            }
        }
        let mut of_list = list_of(&resource.kind, &name, &definitions.list_meta);
        of_list["x-kubernetes-group-version-kind"] = gvk(&one.list_kind());
        definitions.types.insert(list.clone(), of_list);
        operations::add(&mut paths, one, &name, &list);
    }
    definitions.types.values_mut().for_each(apart);
    json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths,
        "components": {"schemas": definitions.types},
    })
}

/// `com.example.stable.v1.CronTab`, as kube-apiserver names types of custom kinds.
fn name_of(of: &GroupVersion, kind: &str) -> String {
    let mut words: Vec<&str> = of.group.split('.').filter(|word| !word.is_empty()).collect();
    words.reverse();
    words.extend([of.version.as_str(), kind]);
    words.join(".")
}

/// A kind of whose fields nothing is known.
fn anything(kind: &str) -> Value {
    json!({
        "description": format!("{kind} is a kind of the program that serves it, which says nothing of its fields."),
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A kind as its definition has it, with what every object has beside (apiextensions-apiserver's `pkg/controller/openapi/builder`).
fn defined(custom: &Custom, object_meta: &str) -> Value {
    let mut type_ = custom.version.open_api.clone();
    let of_every = [
        (
            "apiVersion",
            json!({"type": "string", "description": "The group and version of the object."}),
        ),
        (
            "kind",
            json!({"type": "string", "description": "The kind of the object."}),
        ),
        (
            "metadata",
            json!({"$ref": format!("{TYPES}{object_meta}"), "description": "Standard object's metadata."}),
        ),
    ];
    if let Some(type_) = type_.as_object_mut()
        && let Value::Object(properties) = type_.entry("properties").or_insert_with(|| json!({}))
    {
        properties.extend(of_every.map(|(name, schema)| (name.to_owned(), schema)));
    }
    type_
}

fn list_of(kind: &str, name: &str, list_meta: &str) -> Value {
    json!({
        "description": format!("{kind}List is a list of objects of kind {kind}."),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The group and version of the objects."},
            "items": {
                "type": "array",
                "description": "The objects.",
                "items": {"$ref": format!("{TYPES}{name}")},
            },
            "kind": {"type": "string", "description": "The kind of the list."},
            "metadata": {"$ref": format!("{TYPES}{list_meta}"), "description": "The version of the list, and how to go on with it."},
        },
    })
}

/// What stands beside a reference is not read there (OpenAPI 3.0, "Reference Object"): it goes around it.
fn apart(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(apart);
            if map.len() > 1
                && map.get("$ref").is_some_and(Value::is_string)
                && let Some(to) = map.remove("$ref")
            {
                map.insert("allOf".to_owned(), json!([{"$ref": to}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(apart),
        _ => {}
    }
}
