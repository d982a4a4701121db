//! `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::{Value, json};

use super::errors;

#[test]
fn junctors_tell_what_did_not_fit_and_what_came_nearest() {
    let schema = |junctors: Value| {
        let mut schema =
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        for (name, value) in junctors.as_object().into_iter().flatten() {
            schema[name] = value.clone();
        }
        schema
    };
    let either = json!([{"required": ["a"]}, {"required": ["b"]}]);
    for (junctors, spec, expected) in [
        (json!({"oneOf": either}), json!({"a": ""}), vec![]),
        (
            json!({"oneOf": either}),
            json!({}),
            vec![
                r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#,
                "spec.a: Required value",
            ],
        ),
        (
            json!({"oneOf": either}),
            json!({"a": "", "b": ""}),
            vec![
                r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
            ],
        ),
        (json!({"anyOf": either}), json!({"a": "", "b": ""}), vec![]),
        (
            json!({"anyOf": either}),
            json!({}),
            vec![
                r#"<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)"#,
                "spec.a: Required value",
            ],
        ),
        (
            json!({"allOf": either}),
            json!({}),
            vec![
                "spec.a: Required value",
                "spec.b: Required value",
                r#"<nil>: Invalid value: "": "spec" must validate all the schemas (allOf). None validated"#,
            ],
        ),
        (json!({"not": {"required": ["a"]}}), json!({"b": ""}), vec![]),
        (
            json!({"not": {"required": ["a"]}}),
            json!({"a": ""}),
            vec![r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#],
        ),
    ] {
        assert_eq!(
            errors(&schema(junctors.clone()), &spec),
            expected,
            "{junctors}: {spec}"
        );
    }
}
