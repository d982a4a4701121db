//! In which order items stand, with `$setElementOrder` and without.

use serde_json::{Value, json};

use super::{check, patched, refuse, schema};

/// Items of these names.
fn named(names: &str) -> Value {
    names
        .split_whitespace()
        .map(|name| json!({ "name": name }))
        .collect()
}

#[test]
fn without_an_order_items_stay_where_they_were_and_new_ones_come_first() {
    let schema = schema();
    let cases = [
        // the object's, the patch's, the outcome
        ("a b c", "b", "a b c"),
        ("a b c", "d", "d a b c"),
        ("a b c", "c a", "b c a"),
        ("a b c", "c d b", "a c d b"),
        ("a b c d", "d x a", "b c d x a"),
        ("", "b a", "b a"),
        ("b a", "", "b a"),
    ];
    for (before, patch, expected) in cases {
        let outcome = patched(
            &schema,
            &json!({ "merging": named(before) }),
            &json!({ "merging": named(patch) }),
        );
        assert_eq!(
            outcome,
            Ok(json!({ "merging": named(expected) })),
            "{patch:?} into {before:?}"
        );
        // Scalars stand likewise.
        let words = |text: &str| -> Value { text.split_whitespace().collect() };
        let outcome = patched(
            &schema,
            &json!({ "scalars": words(before) }),
            &json!({ "scalars": words(patch) }),
        );
        assert_eq!(
            outcome,
            Ok(json!({ "scalars": words(expected) })),
            "{patch:?} into {before:?}, scalars"
        );
    }
}

#[test]
fn an_order_arranges_those_that_it_names() {
    let schema = schema();
    let cases = [
        // the object's, the patch's, the order, the outcome
        ("a b c", None, "c a b", "c a b"),
        ("a b c", None, "c a", "b c a"),
        ("a x b y", None, "a b", "a x b y"),
        ("a x b y", None, "b a", "x b a y"),
        ("a b c", Some("d"), "d a c", "d a b c"),
        ("a b c", Some("c d"), "c d a", "b c d a"),
        ("", Some("b a"), "b a", "b a"),
        ("a b", Some(""), "b a", "b a"),
        ("a b", Some("c"), "", "a b c"),
        ("", None, "b a", ""),
        ("a b", None, "x b y a", "b a"),
    ];
    for (before, patch, order, expected) in cases {
        let mut wanted = json!({ "$setElementOrder/merging": named(order) });
        if let Some(patch) = patch {
            wanted["merging"] = named(patch);
        }
        let outcome = patched(&schema, &json!({ "merging": named(before) }), &wanted);
        assert_eq!(
            outcome,
            Ok(json!({ "merging": named(expected) })),
            "{patch:?} as {order:?} into {before:?}"
        );
    }
}

#[test]
fn an_order_goes_with_the_other_directives() {
    check([
        (
            "items to delete need not be named",
            json!({ "merging": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] }),
            json!({
                "$setElementOrder/merging": [{ "name": "c" }, { "name": "a" }],
                "merging": [{ "name": "b", "$patch": "delete" }, { "name": "c", "value": "1" }],
            }),
            json!({ "merging": [{ "name": "c", "value": "1" }, { "name": "a" }] }),
        ),
        (
            "where an item was deleted, a new one comes after those that the order does not name",
            json!({ "merging": [{ "name": "a" }, { "name": "b" }, { "name": "d" }] }),
            json!({
                "$setElementOrder/merging": [{ "name": "b" }, { "name": "c" }],
                "merging": [{ "name": "c" }, { "name": "a", "$patch": "delete" }],
            }),
            json!({ "merging": [{ "name": "b" }, { "name": "d" }, { "name": "c" }] }),
        ),
        (
            "a list that is replaced",
            json!({ "merging": [{ "name": "a" }] }),
            json!({
                "$setElementOrder/merging": [{ "name": "c" }, { "name": "b" }],
                "merging": [{ "$patch": "replace" }, { "name": "c" }, { "name": "b" }],
            }),
            json!({ "merging": [{ "name": "c" }, { "name": "b" }] }),
        ),
        (
            "a list that is new, without what is to be deleted",
            json!({}),
            json!({
                "$setElementOrder/merging": [{ "name": "b" }, { "name": "a" }],
                "merging": [{ "name": "b" }, { "name": "a" }, { "name": "c", "$patch": "delete" }],
            }),
            json!({ "merging": [{ "name": "b" }, { "name": "a" }] }),
        ),
        (
            "a list that nobody has",
            json!({}),
            json!({ "$setElementOrder/merging": [{ "name": "a" }] }),
            json!({}),
        ),
        (
            "scalars removed and added",
            json!({ "scalars": ["a", "b", "c"] }),
            json!({
                "$setElementOrder/scalars": ["d", "c", "a"],
                "$deleteFromPrimitiveList/scalars": ["b"],
                "scalars": ["d"],
            }),
            json!({ "scalars": ["d", "c", "a"] }),
        ),
        (
            "an atomic list is replaced, then ordered",
            json!({ "atomicScalars": ["a", "b"] }),
            json!({ "$setElementOrder/atomicScalars": ["c", "a"], "atomicScalars": ["c", "a"] }),
            json!({ "atomicScalars": ["c", "a"] }),
        ),
        (
            "in items of lists",
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "x" }, { "name": "y" }] }] }),
            json!({
                "$setElementOrder/merging": [{ "name": "a" }],
                "merging": [{
                    "name": "a",
                    "$setElementOrder/merging": [{ "name": "y" }, { "name": "x" }],
                    "merging": [{ "name": "x", "value": "1" }],
                }],
            }),
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "y" }, { "name": "x", "value": "1" }] }] }),
        ),
        (
            "two lists of one map",
            json!({ "merging": [{ "name": "a" }, { "name": "b" }], "scalars": ["x", "y"] }),
            json!({
                "$setElementOrder/merging": [{ "name": "b" }, { "name": "a" }],
                "$setElementOrder/scalars": ["y", "x"],
            }),
            json!({ "merging": [{ "name": "b" }, { "name": "a" }], "scalars": ["y", "x"] }),
        ),
    ]);
}

#[test]
fn an_order_that_does_not_fit_is_refused() {
    let order = "$setElementOrder/merging: does not name the items of the patch's own list in the order in which they \
                 stand there: name each of them, in that order";
    refuse([
        (
            "an item that it does not name",
            json!({ "merging": [] }),
            json!({ "$setElementOrder/merging": [{ "name": "a" }], "merging": [{ "name": "b" }] }),
            order,
        ),
        (
            "items in another order",
            json!({ "merging": [{ "name": "a" }] }),
            json!({
                "$setElementOrder/merging": [{ "name": "a" }, { "name": "b" }],
                "merging": [{ "name": "b" }, { "name": "a" }],
            }),
            order,
        ),
        (
            "an order without keys",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "$setElementOrder/merging": [{ "name": "a" }, { "value": "b" }] }),
            "$setElementOrder/merging[1]: has no \"name\", by which items of this list are told apart: \
             add it to this item of the order",
        ),
        (
            "no list",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "$setElementOrder/merging": "a" }),
            "$setElementOrder/merging: it must be a list",
        ),
        (
            "the list is to be removed",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "$setElementOrder/merging": [], "merging": null }),
            "merging: a field with an order must be a list",
        ),
        (
            "the object has no list there",
            json!({ "merging": "a" }),
            json!({ "$setElementOrder/merging": [{ "name": "a" }] }),
            "merging: the field of the object must be a list",
        ),
        (
            "it names no field",
            json!({}),
            json!({ "$setElementOrder/": [] }),
            "$setElementOrder/: names no list: write $setElementOrder/FIELD",
        ),
    ]);
}
