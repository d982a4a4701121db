//! Validation, keyword by keyword.

use serde_json::{Value, json};

use super::errors;

#[test]
fn each_keyword_takes_what_it_says_and_refuses_the_rest_in_kubernetes_words() {
    let object_of = |fields: Value| json!({"type": "object", "properties": fields});
    for (schema, good, bad, expected) in [
        (
            json!({"type": "string"}),
            json!("a"),
            json!(1),
            r#"spec: Invalid value: "integer": spec in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer"}),
            json!(2.0),
            json!(1.5),
            r#"spec: Invalid value: "number": spec in body must be of type integer: "number""#,
        ),
        (
            json!({"type": "integer"}),
            json!(1),
            json!("a"),
            r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "number"}),
            json!(1),
            json!(true),
            r#"spec: Invalid value: "boolean": spec in body must be of type number: "boolean""#,
        ),
        (
            json!({"type": "boolean"}),
            json!(false),
            json!([]),
            r#"spec: Invalid value: "array": spec in body must be of type boolean: "array""#,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a"]),
            json!({}),
            r#"spec: Invalid value: "object": spec in body must be of type array: "object""#,
        ),
        (
            json!({"type": "object"}),
            json!({}),
            json!(null),
            r#"spec: Invalid value: "null": spec in body must be of type object: "null""#,
        ),
        (
            json!({"type": "object", "nullable": true}),
            json!(null),
            json!("a"),
            r#"spec: Invalid value: "string": spec in body must be of type object: "string""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!("80%"),
            json!(true),
            r#"spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(1),
            json!(0),
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!(2),
            json!(1),
            "spec: Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            json!({"type": "number", "maximum": 1.5}),
            json!(1.5),
            json!(1.6),
            "spec: Invalid value: 1.6: spec in body should be less than or equal to 1.5",
        ),
        (
            json!({"type": "integer", "maximum": 3, "exclusiveMaximum": true}),
            json!(2),
            json!(3),
            "spec: Invalid value: 3: spec in body should be less than 3",
        ),
        (
            json!({"type": "integer", "multipleOf": 5}),
            json!(10),
            json!(11),
            "spec: Invalid value: 11: spec in body should be a multiple of 5",
        ),
        (
            json!({"type": "number", "multipleOf": 0.1}),
            json!(0.3),
            json!(0.35),
            "spec: Invalid value: 0.35: spec in body should be a multiple of 0.1",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("äö"),
            json!("abc"),
            "spec: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("ab"),
            json!("ä"),
            r#"spec: Invalid value: "ä": spec in body should be at least 2 chars long"#,
        ),
        (
            json!({"type": "string", "pattern": "^a"}),
            json!("ab"),
            json!("b"),
            r#"spec: Invalid value: "b": spec in body should match '^a'"#,
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("a"),
            json!("x"),
            r#"spec: Unsupported value: "x": supported values: "a", "b""#,
        ),
        (
            json!({"type": "number", "enum": [1, 2.5]}),
            json!(1.0),
            json!(3),
            r#"spec: Unsupported value: 3: supported values: "1", "2.5""#,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a"]),
            json!(["a", "b"]),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!(["a"]),
            json!([]),
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a"]),
            json!(["a", 1]),
            r#"spec[1]: Invalid value: "integer": spec[1] in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            json!({"a": "b", "c": "d"}),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            json!({}),
            "spec: Invalid value: 0: spec in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            json!({"a": 1}),
            r#"spec.a: Invalid value: "integer": spec.a in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "object", "additionalProperties": false}),
            json!({}),
            json!({"a": 1}),
            r#"spec: Invalid value: "a": spec.a in body is a forbidden property"#,
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({"a": ""}),
            json!({}),
            "spec.a: Required value",
        ),
        (
            object_of(json!({"a": {"type": "string"}})),
            json!({"a": "b"}),
            json!({"a": 1}),
            r#"spec.a: Invalid value: "integer": spec.a in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("2024-01-02T03:04:05Z"),
            json!("x"),
            r#"spec: Invalid value: "x": spec in body must be of type date-time: "x""#,
        ),
        (
            json!({"type": "string", "format": "whatever"}),
            json!("x"),
            json!(1),
            r#"spec: Invalid value: "integer": spec in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(2_147_483_647),
            json!(2_147_483_648_u32),
            r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec"#,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(1),
            json!(true),
            r#"spec: Invalid value: "": spec in body must be of type int32: """#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b"]),
            json!(["a", "b", "a", "a"]),
            r#"spec[2]: Duplicate value: "a""#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
                "type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}}),
            json!([{"k": "a"}, {"k": "b"}]),
            json!([{"k": "a", "v": "x"}, {"k": "a"}]),
            r#"spec[1]: Duplicate value: {"k":"a"}"#,
        ),
    ] {
        assert!(
            errors(&schema, &good).is_empty(),
            "{schema}: {good}: {:?}",
            errors(&schema, &good)
        );
        let found = errors(&schema, &bad);
        assert!(
            found.iter().any(|error| error == expected),
            "{schema}: {found:#?}"
        );
    }
}
