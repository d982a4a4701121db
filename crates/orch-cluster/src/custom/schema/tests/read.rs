//! What is read as a schema, and why the rest is not.

use orch_core::object::FieldPath;
use serde_json::{Value, json};

use super::{of_spec, read, shown};
use crate::custom::schema::Structural;

/// What is wrong with a schema.
fn errors(schema: &Value) -> Vec<String> {
    match Structural::read(schema, &FieldPath::new("s")) {
        Ok(_) => Vec::new(),
        Err(errors) => shown(&errors),
    }
}

#[test]
fn a_schema_that_is_not_structural_is_refused() {
    for (schema, expected) in [
        (json!({}), "s.type: Required value: must not be empty at the root"),
        (
            json!({"type": "string"}),
            "s.type: Invalid value: \"string\": must be object at the root",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "s.additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            json!({"type": "object", "nullable": true}),
            "s.nullable: Forbidden: nullable cannot be true at the root",
        ),
        (
            of_spec(json!({})),
            "s.properties[spec].type: Required value: must not be empty for specified object fields",
        ),
        (
            of_spec(json!({"type": "array"})),
            "s.properties[spec].items: Required value: must be specified",
        ),
        (
            of_spec(json!({"type": "array", "items": {}})),
            "s.properties[spec].items.type: Required value: must not be empty for specified array items",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ),
        (
            json!({"type": "object", "properties": {"kind": {"type": "integer"}}}),
            "s.properties[kind].type: Invalid value: \"integer\": must be string",
        ),
        (
            of_spec(json!({"type": "object", "anyOf": [{"type": "object"}]})),
            "s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            of_spec(json!({"type": "object", "not": {"nullable": true}})),
            "s.properties[spec].not.nullable: Forbidden: must be false to be structural",
        ),
        (
            json!({"type": "object", "oneOf": [{"required": ["a"], "properties": {"a": {}}}]}),
            "s.properties[a]: Required value: because it is defined in s.oneOf[0].properties[a]",
        ),
        (
            json!({"type": "object", "allOf": [{"items": {"minimum": 1}}]}),
            "s.items: Required value: because it is defined in s.allOf[0].items",
        ),
        (
            json!({"type": "object", "allOf": [{"properties": {"metadata": {}}}], "properties": {"metadata": {"type": "object"}}}),
            "s.allOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
        ),
        (
            of_spec(
                json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
            ),
            "s.properties[spec].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ),
        (
            of_spec(json!({"x-kubernetes-embedded-resource": true, "type": "object"})),
            "s.properties[spec].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ),
        (
            of_spec(json!({"type": "string", "pattern": "a("})),
            "s.properties[spec].pattern: Invalid value: \"a(\": must be a valid regular expression, but isn't: unclosed group",
        ),
    ] {
        assert_eq!(errors(&schema), [expected], "{schema}");
    }
}

#[test]
fn keywords_that_kubernetes_does_not_have_are_refused() {
    for (keyword, value, expected) in [
        (
            "type",
            json!("float"),
            r#"type: Unsupported value: "float": supported values: "array", "boolean", "integer", "number", "object", "string""#,
        ),
        ("$ref", json!("#/x"), "$ref: Forbidden: $ref is not supported"),
        (
            "patternProperties",
            json!({"a": {}}),
            "patternProperties: Forbidden: patternProperties is not supported",
        ),
        (
            "definitions",
            json!({"a": {}}),
            "definitions: Forbidden: definitions is not supported",
        ),
        (
            "dependencies",
            json!({"a": ["b"]}),
            "dependencies: Forbidden: dependencies is not supported",
        ),
        (
            "additionalItems",
            json!(true),
            "additionalItems: Forbidden: additionalItems is not supported",
        ),
        (
            "items",
            json!([{}]),
            "items: Forbidden: items must be a schema object and not an array",
        ),
        (
            "uniqueItems",
            json!(true),
            "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            "x-kubernetes-preserve-unknown-fields",
            json!(false),
            "x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            "x-kubernetes-list-type",
            json!("bag"),
            r#"x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map""#,
        ),
        (
            "x-kubernetes-map-type",
            json!("bag"),
            r#"x-kubernetes-map-type: Unsupported value: "bag": supported values: "atomic", "granular""#,
        ),
        (
            "maxLength",
            json!("3"),
            "maxLength: Invalid value: \"3\": must be an integer",
        ),
        (
            "required",
            json!([1]),
            "required: Invalid value: \"a list\": must be a list of strings",
        ),
        (
            "properties",
            json!({"a": 1}),
            "properties[a]: Invalid value: must be an object",
        ),
    ] {
        let mut schema = json!({"type": "object"});
        schema[keyword] = value;
        let expected = format!("s.properties[spec].{expected}");
        let found = errors(&of_spec(schema));
        assert!(found.contains(&expected), "{keyword}: {found:?}");
    }
}

#[test]
fn sets_and_maps_must_be_made_of_what_can_be_told_apart() {
    let key = json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}});
    let list = |kind: &str, keys: Value, items: Value| json!({"type": "array", "x-kubernetes-list-type": kind, "x-kubernetes-list-map-keys": keys, "items": items});
    for (schema, expected) in [
        (list("map", json!(["k"]), key.clone()), ""),
        (list("set", json!([]), json!({"type": "string"})), ""),
        (
            json!({"type": "string", "x-kubernetes-list-type": "set"}),
            r#"type: Invalid value: "string": must be array if x-kubernetes-list-type is specified"#,
        ),
        (
            json!({"type": "string", "x-kubernetes-map-type": "atomic"}),
            r#"type: Invalid value: "string": must be object if x-kubernetes-map-type is specified"#,
        ),
        (
            list("set", json!(["k"]), key.clone()),
            r#"x-kubernetes-list-type: Invalid value: "set": must be map if x-kubernetes-list-map-keys is non-empty"#,
        ),
        (
            list("set", json!([]), key.clone()),
            "items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        (
            list("set", json!([]), json!({"type": "string", "nullable": true})),
            "items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
        ),
        (
            list("map", json!([]), key.clone()),
            "x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            list("map", json!(["a"]), key.clone()),
            r#"x-kubernetes-list-map-keys: Invalid value: ["a"]: entries must all be names of item properties"#,
        ),
        (
            list("map", json!(["k", "k"]), key.clone()),
            r#"x-kubernetes-list-map-keys: Invalid value: ["k","k"]: must not contain duplicate entries"#,
        ),
        (
            list("map", json!(["k"]), json!({"type": "string"})),
            r#"items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map"#,
        ),
        (
            list(
                "map",
                json!(["k"]),
                json!({"type": "object", "properties": {"k": {"type": "string"}}}),
            ),
            "items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
        (
            list(
                "map",
                json!(["k"]),
                json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "object"}}}),
            ),
            r#"items.properties[k].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map"#,
        ),
    ] {
        let found = errors(&of_spec(schema));
        let expected = if expected.is_empty() {
            Vec::new()
        } else {
            vec![format!("s.properties[spec].{expected}")]
        };
        let set_with_keys = found.len() == 2 && found.contains(&expected[0]);
        assert!(found == expected || set_with_keys, "{found:?}, not {expected:?}");
    }
}

#[test]
fn defaults_must_satisfy_the_schema() {
    for (schema, expected) in [
        (json!({"type": "integer", "default": 1}), ""),
        (
            json!({"type": "integer", "default": "a"}),
            r#"default: Invalid value: "string":  in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "string", "enum": ["a"], "default": "b"}),
            r#"default: Unsupported value: "b": supported values: "a""#,
        ),
        (
            json!({"type": "object", "default": {"a": 1}}),
            r#"default: Invalid value: {"a":1}: must not have unknown fields"#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer"}}, "default": {"a": "x"}}),
            r#"default.a: Invalid value: "string": a in body must be of type integer: "string""#,
        ),
    ] {
        let found = errors(&of_spec(schema));
        let expected = Some(expected).filter(|text| !text.is_empty());
        let expected: Vec<String> = expected
            .map(|text| format!("s.properties[spec].{text}"))
            .into_iter()
            .collect();
        assert_eq!(found, expected);
    }
    let in_metadata =
        json!({"type": "object", "properties": {"metadata": {"type": "object", "default": {}}}});
    assert_eq!(
        errors(&in_metadata),
        ["s.properties[metadata].default: Forbidden: must not be set in top-level metadata"],
    );
}

#[test]
fn what_operators_write_is_read() {
    for schema in [
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": r"^[0-9]+(\.[0-9]+)?%?$"}),
        json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"maxLength": 3}]}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "additionalProperties": {"type": "string"}, "description": "labels", "title": "t"}),
        json!({"type": "object", "additionalProperties": true, "properties": {"a": {"type": "string"}}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}], "example": {}, "externalDocs": {}}),
        json!({"type": "string", "nullable": null, "default": null}),
    ] {
        read(&of_spec(schema));
    }
}
