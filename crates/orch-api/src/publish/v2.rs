//! One document of all versions, as OpenAPI 2.0 (Swagger) writes it: for kubectl before 1.29.

use serde_json::{Map, Value, json};

use super::v3;
use crate::resources::{self, Served};
use crate::route::GroupVersion;

/// Where it has its types.
const TYPES: &str = "#/definitions/";

pub(super) fn document(all: &[Served]) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    let mut done: Vec<GroupVersion> = Vec::new();
    for one in all {
        let of = GroupVersion::new(&one.resource.group, &one.resource.version);
        if done.contains(&of) {
            continue;
        }
        let mut document = v3::document(&of, &resources::within(&of, all));
        refer(&mut document);
        if let Value::Object(methods) = document["paths"].take() {
            paths.extend(methods.into_iter().map(|(path, methods)| (path, item(methods))));
        }
        if let Value::Object(types) = document["components"]["schemas"].take() {
            definitions.extend(types);
        }
        done.push(of);
    }
    json!({
        "swagger": "2.0",
        "info": {"title": v3::TITLE, "version": v3::VERSION},
        "paths": paths,
        "definitions": definitions,
    })
}

/// Refers to where the types are here; what stands beside a reference stays there, as in Kubernetes.
fn refer(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(refer);
            if let Some(Value::Array(all)) = map.get("allOf")
                && let [Value::Object(only)] = &all[..]
                && let Some(to) = only.get("$ref").cloned()
            {
                map.remove("allOf");
                map.insert("$ref".to_owned(), to);
            }
            if let Some(Value::String(to)) = map.get_mut("$ref")
                && let Some(name) = to.strip_prefix(v3::TYPES)
            {
                *to = format!("{TYPES}{name}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

/// The methods of a path.
fn item(mut methods: Value) -> Value {
    if let Value::Object(methods) = &mut methods {
        for (name, method) in methods.iter_mut() {
            match name.as_str() {
                "parameters" => inline(method),
                _ => operation(method),
            }
        }
    }
    methods
}

fn operation(operation: &mut Value) {
    inline(&mut operation["parameters"]);
    let Value::Object(operation) = operation else {
        return;
    };
    if let Some(body) = operation.remove("requestBody") {
        let forms = body["content"].as_object().cloned().unwrap_or_default();
        let consumes: Vec<&String> = forms.keys().collect();
        let schema = forms.values().next().map(|form| form["schema"].clone());
        let schema = schema
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({"type": "object"}));
        let taken = json!({"name": "body", "in": "body", "required": true, "schema": schema});
        operation.insert("consumes".to_owned(), json!(consumes));
        if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters.push(taken);
        }
    }
    operation.insert("produces".to_owned(), json!(["application/json"]));
    for response in operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let response = response.1;
        let schema = response["content"]["application/json"]["schema"].take();
        if let Value::Object(response) = response {
            response.remove("content");
            if !schema.is_null() {
                response.insert("schema".to_owned(), schema);
            }
        }
    }
}

/// Of parameters that are no body the type stands in the parameter.
fn inline(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        let schema = parameter["schema"].take();
        if let (Value::Object(parameter), Value::Object(schema)) = (parameter, schema) {
            parameter.remove("schema");
            parameter.extend(schema);
        }
    }
}
