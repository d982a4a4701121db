//! What is true of all schemas and objects.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{object, of_spec, read};
use crate::custom::schema::Structural;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A value of any shape, made of few names so that it meets schemas often.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..5).prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            fields(inner).prop_map(Value::from),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let field = (prop::sample::select(&NAMES[..]).prop_map(str::to_owned), inner);
    prop::collection::vec(field, 0..3).prop_map(|fields| fields.into_iter().collect())
}

/// A structural schema, often with defaults, which may not fit.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "string", "default": "b", "maxLength": 2})),
        Just(json!({"type": "integer", "minimum": 1, "default": 3})),
        Just(json!({"type": "boolean", "nullable": true})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let keeps = prop::option::of(Just(true));
        let of_fields = (
            fields(inner.clone()),
            keeps,
            prop::option::of(value()),
            any::<bool>(),
        );
        prop_oneof![
            of_fields.prop_map(|(fields, keeps, default, nullable)| json!({
                "type": "object", "properties": fields, "default": default, "nullable": nullable,
                "x-kubernetes-preserve-unknown-fields": keeps,
            })),
            inner
                .clone()
                .prop_map(|items| json!({"type": "array", "items": items})),
            inner.prop_map(|others| json!({"type": "object", "additionalProperties": others})),
        ]
    })
}

/// A schema that was read, of one that need not be in order.
fn structural() -> impl Strategy<Value = Structural> {
    schema().prop_map(|schema| {
        let path = orch_core::object::FieldPath::root();
        Structural::read(&of_spec(schema), &path)
            .unwrap_or_else(|_| read(&of_spec(json!({"type": "object"}))))
    })
}

proptest! {
    #[test]
    fn pruning_and_defaulting_twice_is_once(schema in structural(), spec in value()) {
        let mut once = object(spec);
        schema.prune(&mut once);
        prop_assert!(schema.prune(&mut once.clone()).is_empty());
        schema.default(&mut once);
        let mut twice = once.clone();
        schema.default(&mut twice);
        prop_assert_eq!(&twice, &once);
    }

    #[test]
    fn an_object_pruned_and_defaulted_has_no_unknown_fields(schema in structural(), spec in value()) {
        let mut made = object(spec);
        schema.prune(&mut made);
        schema.default(&mut made);
        prop_assert!(schema.prune(&mut made.clone()).is_empty());
    }

    #[test]
    fn an_object_that_is_in_order_stays_so_when_defaulted(schema in structural(), spec in value()) {
        let mut made = object(spec);
        schema.prune(&mut made);
        schema.default(&mut made);
        let errors = schema.validate(&made);
        let again = {
            schema.default(&mut made);
            schema.validate(&made)
        };
        prop_assert_eq!(errors, again);
    }

    #[test]
    fn an_update_that_changes_nothing_is_never_refused(schema in structural(), spec in value()) {
        let made = object(spec);
        prop_assert!(schema.validate_update(&made, &made).is_empty());
    }

    #[test]
    fn whatever_is_read_as_a_schema_panics_nowhere(schema in value(), spec in value()) {
        let _ = Structural::read(&schema, &orch_core::object::FieldPath::root());
        let _ = Structural::read(&of_spec(schema), &orch_core::object::FieldPath::root())
            .map(|schema| schema.validate(&object(spec)));
    }
}
