//! Objects: their metadata, and those inside of others.

use serde_json::json;

use super::{errors, object, read, shown};

#[test]
fn of_metadata_its_name_alone_is_judged() {
    let schema = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}},
    }});
    let schema = read(&schema);
    let mut named = object(json!({}));
    assert!(schema.validate(&named).is_empty());
    named["metadata"] = json!({"name": "long", "labels": 5});
    let found = shown(&schema.validate(&named));
    assert_eq!(found, ["metadata.name: Too long: may not be more than 3 bytes"]);
}

#[test]
fn an_embedded_object_must_say_what_it_is() {
    let schema = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    for (spec, expected) in [
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}, "spec": {}}),
            "",
        ),
        (json!({"kind": "Pod"}), "spec.apiVersion: Required value"),
        (
            json!({"apiVersion": "v1", "kind": 1}),
            "spec.kind: Invalid value: 1: must be a string",
        ),
        (
            json!({"apiVersion": "a/b/c", "kind": "Pod"}),
            r#"spec.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#,
        ),
        (
            json!({"apiVersion": "v1", "kind": ""}),
            r#"spec.kind: Invalid value: "": must not be empty"#,
        ),
    ] {
        let expected: Vec<&str> = Some(expected)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        assert_eq!(errors(&schema, &spec), expected, "{spec}");
    }
    let labels = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b c"}}});
    let found = errors(&schema, &labels);
    assert!(
        found[0].starts_with(r#"spec.metadata.labels: Invalid value: "b c": a valid label"#),
        "{found:?}"
    );
}
