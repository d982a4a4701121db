//! Paths and errors read as Kubernetes writes them.

use serde_json::json;

use super::*;

fn at(name: &'static str) -> FieldPath {
    FieldPath::new(name)
}

#[test]
fn paths_are_written_as_kubernetes_writes_them() {
    let spec = at("spec");
    let cases = [
        (FieldPath::root(), ""),
        (spec.clone(), "spec"),
        (
            spec.child("containers").index(0).child("image"),
            "spec.containers[0].image",
        ),
        (
            at("metadata").child("labels").key("a.b/c"),
            "metadata.labels[a.b/c]",
        ),
        (FieldPath::root().index(1).child("x"), "[1].x"),
    ];
    for (path, written) in cases {
        assert_eq!(path.to_string(), written);
    }
    assert_eq!(spec.child("x").parent(), Some(&spec));
    assert_eq!(spec.last(), Some(&Segment::Field("spec".into())));
}

#[test]
fn a_path_of_a_million_steps_is_dropped_without_recursion() {
    let mut path = FieldPath::root();
    for index in 0..1_000_000 {
        path = path.index(index);
    }
    assert_eq!(path.segments().len(), 1_000_000);
    let kept = path.clone();
    drop(path);
    assert_eq!(kept.last(), Some(&Segment::Index(999_999)));
}

#[test]
fn messages_are_kubernetes_own() {
    let path = at("spec").child("x");
    let cases = [
        (
            FieldError::invalid(&path, -1, "must be positive"),
            "spec.x: Invalid value: -1: must be positive",
        ),
        (
            FieldError::invalid(&path, "a\"b\n", ""),
            r#"spec.x: Invalid value: "a\"b\n""#,
        ),
        (
            FieldError::invalid(&path, json!({"a": [1]}), "no"),
            r#"spec.x: Invalid value: {"a":[1]}: no"#,
        ),
        (
            FieldError::type_invalid(&path, true, "must be a string"),
            "spec.x: Invalid value: true: must be a string",
        ),
        (FieldError::required(&path, ""), "spec.x: Required value"),
        (
            FieldError::required(&path, "name or generateName is required"),
            "spec.x: Required value: name or generateName is required",
        ),
        (
            FieldError::forbidden(&path, "field is immutable"),
            "spec.x: Forbidden: field is immutable",
        ),
        (
            FieldError::duplicate(&path, "web"),
            r#"spec.x: Duplicate value: "web""#,
        ),
        (FieldError::not_found(&path, "web"), r#"spec.x: Not found: "web""#),
        (
            FieldError::not_supported(&path, "x", ["A", "B"]),
            r#"spec.x: Unsupported value: "x": supported values: "A", "B""#,
        ),
        (
            FieldError::not_supported(&path, "x", []),
            r#"spec.x: Unsupported value: "x""#,
        ),
        (
            FieldError::too_long(&path, 63),
            "spec.x: Too long: may not be more than 63 bytes",
        ),
        (
            FieldError::too_long(&path, 1),
            "spec.x: Too long: may not be more than 1 byte",
        ),
        (
            FieldError::too_many(&path, 9, 8),
            "spec.x: Too many: 9: must have at most 8 items",
        ),
        (
            FieldError::internal(&path, "boom"),
            "spec.x: Internal error: boom",
        ),
        (
            FieldError::required(&FieldPath::root(), "an object"),
            "Required value: an object",
        ),
    ];
    for (error, message) in cases {
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn several_errors_stand_in_brackets_and_none_twice() {
    let one = FieldError::required(&at("a"), "");
    let two = FieldError::forbidden(&at("b"), "no");
    assert_eq!(FieldErrors::from(one.clone()).to_string(), "a: Required value");
    let several: FieldErrors = [one.clone(), two, one].into_iter().collect();
    assert_eq!(several.to_string(), "[a: Required value, b: Forbidden: no]");
    assert_eq!(several.len(), 3);
    assert!(FieldErrors::default().into_result().is_ok());
}
