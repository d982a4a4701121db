//! Schemas and objects made to cost much.

use orch_core::object::{DEEPEST, FieldPath};
use serde_json::{Value, json};

use super::{object, of_spec, read, shown};
use crate::custom::schema::Structural;

fn errors(schema: &Value) -> String {
    match Structural::read(schema, &FieldPath::root()) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_schema_is_read_to_the_last_level_that_objects_have_and_no_further() {
    let nested = |levels: usize| {
        let innermost = json!({"type": "object"});
        (1..levels).fold(
            innermost,
            |schema, _| json!({"type": "object", "properties": {"a": schema}}),
        )
    };
    assert_eq!(errors(&nested(DEEPEST)), "");
    assert!(errors(&nested(DEEPEST + 1)).contains("at most 127 levels deep"));
    let mut deep = (0..DEEPEST).fold(json!({}), |inner, _| json!({"a": inner}));
    let schema = read(&nested(DEEPEST));
    let deep = deep.as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut pruned = deep;
    assert_eq!(schema.prune(&mut pruned).len(), 1);
    schema.default(&mut pruned);
    assert!(schema.validate(&pruned).is_empty());
    assert!(schema.validate_update(&pruned, &pruned).is_empty());
}

#[test]
fn a_schema_of_too_many_others_is_refused() {
    let cases: Vec<Value> = (0..70_000).map(|_| json!({})).collect();
    assert!(errors(&json!({"type": "object", "anyOf": cases})).contains("at most 65536 others"));
}

#[test]
fn patterns_that_are_too_large_together_are_refused() {
    let fields: serde_json::Map<String, Value> = (0..5000)
        .map(|n| {
            (
                format!("f{n}"),
                json!({"type": "string", "pattern": format!("^a{n}$")}),
            )
        })
        .collect();
    let schema = json!({"type": "object", "properties": fields});
    assert!(errors(&schema).contains("all patterns of a schema together are too large"));
}

#[test]
fn an_object_that_would_take_too_long_to_look_at_is_refused() {
    let cases: Vec<Value> = (0..20_000).map(|n| json!({"maxLength": n})).collect();
    let schema = read(&of_spec(
        json!({"type": "array", "items": {"type": "string", "allOf": cases}}),
    ));
    let items: Vec<Value> = (0..10_000).map(|_| json!("")).collect();
    let found = shown(&schema.validate(&object(items.into())));
    assert!(
        found
            .last()
            .is_some_and(|last| last.contains("takes more than 10000000 steps")),
        "{found:?}"
    );
}

#[test]
fn what_is_told_of_one_object_is_bounded() {
    let schema = read(&of_spec(json!({"type": "array", "items": {"type": "string"}})));
    let items: Vec<Value> = (0..10_000).map(|_| json!(1)).collect();
    assert_eq!(schema.validate(&object(items.into())).len(), 100);
    let name = "n".repeat(1000);
    let unknown: serde_json::Map<String, Value> =
        (0..1000).map(|n| (format!("{name}{n}"), json!(1))).collect();
    let mut pruned = object(json!([]));
    pruned.extend(unknown);
    assert_eq!(schema.prune(&mut pruned).len(), 66);
}

#[test]
fn defaults_do_not_multiply_without_end() {
    let large = "x".repeat(100_000);
    let item = json!({"type": "object", "properties": {"a": {"type": "string", "default": large}}});
    let schema = read(&of_spec(json!({"type": "array", "items": item})));
    let items: Vec<Value> = (0..10_000).map(|_| json!({})).collect();
    let mut defaulted = object(items.into());
    schema.default(&mut defaulted);
    let filled = defaulted["spec"].as_array().into_iter().flatten();
    assert_eq!(filled.filter(|item| item.get("a").is_some()).count(), 15);
}
