//! Pruning.

use serde_json::json;

use super::{object, of_spec, read};

#[test]
fn what_the_schema_does_not_have_is_taken_out_and_told() {
    let string = json!({"type": "string"});
    let item = json!({"type": "object", "properties": {"a": string}});
    for (schema, spec, kept, told) in [
        (
            item.clone(),
            json!({"a": "x", "b": 1}),
            json!({"a": "x"}),
            vec!["spec.b"],
        ),
        (
            json!({"type": "array", "items": item}),
            json!([{"a": "x"}, {"c": 1, "b": 1}, 5]),
            json!([{"a": "x"}, {}, 5]),
            vec!["spec[1].b", "spec[1].c"],
        ),
        (
            json!({"type": "object", "additionalProperties": item}),
            json!({"x": {"a": "x", "b": {}}}),
            json!({"x": {"a": "x"}}),
            vec!["spec.x.b"],
        ),
        // Fields of any name are kept, but nothing is known of what is in them.
        (
            json!({"type": "object", "additionalProperties": true}),
            json!({"x": {"b": {}}, "y": [{"z": 1}]}),
            json!({"x": {}, "y": [{}]}),
            vec!["spec.x.b", "spec.y[0].z"],
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            json!({"a": {"b": [{"c": 1}]}}),
            json!({"a": {"b": [{"c": 1}]}}),
            vec![],
        ),
        // What is specified in something that is kept is pruned again.
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": item}}),
            json!({"a": {"b": 1}, "known": {"b": 1}}),
            json!({"a": {"b": 1}, "known": {}}),
            vec!["spec.known.b"],
        ),
        (
            json!({"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": item}),
            json!([{"b": 1}]),
            json!([{"b": 1}]),
            vec![],
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": item}}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"x": {"y": 1}}, "status": {}, "spec": {"b": 1}}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"x": {"y": 1}}, "spec": {}}),
            vec!["spec.spec.b", "spec.status"],
        ),
    ] {
        let schema = read(&of_spec(schema));
        let mut pruned = object(spec.clone());
        assert_eq!(schema.prune(&mut pruned), told, "{spec}");
        assert_eq!(pruned, object(kept), "{spec}");
    }
}

#[test]
fn what_every_object_has_stays_and_the_rest_of_its_top_level_does_not() {
    let schema = read(&of_spec(json!({"type": "object"})));
    let mut pruned = object(json!({}));
    pruned.insert("other".to_owned(), json!({"a": 1}));
    assert_eq!(schema.prune(&mut pruned), ["other"]);
    assert_eq!(pruned, object(json!({})));
}
