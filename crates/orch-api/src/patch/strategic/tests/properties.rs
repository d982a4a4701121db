//! What holds of all patches.

use orch_core::object::DEEPEST;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::apply;
use super::{patched, schema};
use crate::schema::Schema;

/// Names that mean something, and one that does not.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "name",
        "value",
        "map",
        "item",
        "replaced",
        "merging",
        "byNumber",
        "port",
        "keyless",
        "scalars",
        "numbers",
        "atomic",
        "strange",
        "$patch",
        "$retainKeys",
        "$setElementOrder/merging",
        "$setElementOrder/scalars",
        "$setElementOrder",
        "$deleteFromPrimitiveList/scalars",
        "$deleteFromPrimitiveList/merging",
    ])
    .prop_map(str::to_owned)
}

/// Any JSON, of names and scalars that often meet.
fn anything() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "c", "name", "replace", "delete", "merge"]).prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(name(), anything(), 0..6).prop_map(|map| map.into_iter().collect())
}

/// Items of lists that merge by name, with further lists in them.
fn items(depth: u32) -> BoxedStrategy<Value> {
    let inner = if depth == 0 {
        Just(json!([])).boxed()
    } else {
        items(depth - 1)
    };
    let item = (0..5_u8, 0..3_u8, inner).prop_map(|(name, value, inner): (u8, u8, Value)| {
        json!({ "name": name.to_string(), "value": value.to_string(), "merging": inner })
    });
    prop::collection::vec(item, 0..5)
        .prop_map(|items| {
            let mut seen = std::collections::HashSet::new();
            items
                .into_iter()
                .filter(|item| seen.insert(item["name"].to_string()))
                .collect()
        })
        .boxed()
}

/// Objects that a server may hold: no directives, each key once.
fn object() -> impl Strategy<Value = Value> {
    let scalars = prop::collection::vec(0..6, 0..5);
    let map = prop::collection::btree_map("[a-d]", "[0-9]", 0..3);
    (items(1), scalars, map).prop_map(|(items, numbers, map)| {
        let scalars: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let numbers: std::collections::BTreeSet<i32> = numbers.into_iter().collect();
        json!({ "merging": items, "item": { "merging": items }, "atomicScalars": scalars, "numbers": numbers, "map": map })
    })
}

/// Whether a value has `$patch` or another directive in it.
fn has_directives(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| name.starts_with('$') || has_directives(value)),
        Value::Array(items) => items.iter().any(has_directives),
        _ => false,
    }
}

proptest! {
    #[test]
    fn whatever_a_patch_and_an_object_are_nothing_panics(original in map(), patch in map()) {
        let clean = !has_directives(&Value::Object(original.clone()));
        for schema in [schema(), Schema::untyped(), Schema::scalar()] {
            if let Ok(patched) = apply(&schema, original.clone(), &patch) {
                // Directives say what to do; none is left in what it was done to.
                prop_assert!(!clean || !has_directives(&Value::Object(patched)));
            }
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing(original in map()) {
        prop_assert_eq!(apply(&schema(), original.clone(), &Map::new()), Ok(original));
    }

    #[test]
    fn a_patch_without_directives_twice_is_as_once(original in object(), patch in object()) {
        let schema = schema();
        let once = patched(&schema, &original, &patch).expect("it merges");
        prop_assert_eq!(patched(&schema, &once, &patch), Ok(once));
    }

    #[test]
    fn an_object_patched_with_itself_is_itself(original in object()) {
        prop_assert_eq!(patched(&schema(), &original, &original), Ok(original));
    }

    #[test]
    fn all_that_a_patch_says_is_so_afterwards(original in object(), patch in object()) {
        let patched = patched(&schema(), &original, &patch).expect("it merges");
        prop_assert_eq!(&patched["atomicScalars"], &patch["atomicScalars"]);
        for (key, value) in patch["map"].as_object().into_iter().flatten() {
            prop_assert_eq!(&patched["map"][key], value);
        }
        let find = |of: &Value, name: &Value| {
            of["merging"].as_array().into_iter().flatten().find(|item| item["name"] == *name).cloned()
        };
        for item in patch["merging"].as_array().into_iter().flatten() {
            let found = find(&patched, &item["name"]).unwrap_or_default();
            prop_assert_eq!(&found["value"], &item["value"]);
        }
        for item in original["merging"].as_array().into_iter().flatten() {
            prop_assert!(find(&patched, &item["name"]).is_some(), "{} is gone", item);
        }
    }
}

#[test]
fn what_nests_too_deeply_is_refused() {
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "item": inner }));
    let schema = schema();
    assert_eq!(
        patched(&schema, &nested(DEEPEST), &nested(DEEPEST)),
        Ok(nested(DEEPEST))
    );
    for (original, patch, what) in [
        (nested(1), nested(DEEPEST + 1), "patch"),
        (nested(DEEPEST + 1), nested(1), "object"),
    ] {
        let message = format!("the {what} nests more than {DEEPEST} levels of maps and lists");
        assert_eq!(patched(&schema, &original, &patch), Err(message));
    }
}
