//! Defaulting.

use serde_json::json;

use super::{object, of_spec, read};

#[test]
fn what_is_not_given_is_filled_in() {
    let one = json!({"type": "integer", "default": 1});
    let inner = json!({"type": "object", "properties": {"a": one}});
    for (schema, spec, expected) in [
        (inner.clone(), json!({}), json!({"a": 1})),
        (inner.clone(), json!({"a": 2}), json!({"a": 2})),
        // A null that may not be is as if it were not there.
        (inner.clone(), json!({"a": null}), json!({"a": 1})),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "nullable": true, "default": 1}}}),
            json!({"a": null}),
            json!({"a": null}),
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
            json!({"a": null}),
            json!({}),
        ),
        (
            json!({"type": "object", "properties": {"b": inner}}),
            json!({}),
            json!({}),
        ),
        // What is filled in is filled in itself.
        (
            json!({"type": "object", "properties": {"b": {"type": "object", "default": {}, "properties": {"a": one}}}}),
            json!({}),
            json!({"b": {"a": 1}}),
        ),
        (
            json!({"type": "array", "items": inner}),
            json!([{}, {"a": 2}]),
            json!([{"a": 1}, {"a": 2}]),
        ),
        (
            json!({"type": "array", "items": one}),
            json!([null, 2]),
            json!([1, 2]),
        ),
        (
            json!({"type": "object", "additionalProperties": inner}),
            json!({"x": {}}),
            json!({"x": {"a": 1}}),
        ),
        (
            json!({"type": "object", "additionalProperties": one}),
            json!({"x": null}),
            json!({"x": 1}),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"x": null}),
            json!({}),
        ),
    ] {
        let schema = read(&of_spec(schema));
        let mut defaulted = object(spec.clone());
        schema.default(&mut defaulted);
        assert_eq!(defaulted["spec"], expected, "{spec}");
    }
}

#[test]
fn a_default_is_stored_without_nulls_that_would_be_taken_out_the_next_time() {
    let anything = json!({"x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"b": {
        "type": "object", "properties": {"a": anything}, "default": {"a": null},
    }}});
    let schema = read(&of_spec(schema));
    let mut defaulted = object(json!({}));
    schema.default(&mut defaulted);
    assert_eq!(defaulted["spec"], json!({"b": {}}));
}
