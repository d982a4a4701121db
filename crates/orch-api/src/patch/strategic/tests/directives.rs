//! `$patch` and `$retainKeys` in maps.

use serde_json::json;

use super::{check, refuse};

#[test]
fn a_directive_replaces_or_empties_a_map() {
    check([
        (
            "the object is replaced",
            json!({ "name": "a", "value": "1" }),
            json!({ "$patch": "replace", "other": "b" }),
            json!({ "other": "b" }),
        ),
        (
            "the object is emptied",
            json!({ "name": "a" }),
            json!({ "$patch": "delete", "other": "b" }),
            json!({}),
        ),
        (
            "a field is replaced",
            json!({ "name": "a", "item": { "name": "b", "value": "1" } }),
            json!({ "item": { "$patch": "replace", "other": "c" } }),
            json!({ "name": "a", "item": { "other": "c" } }),
        ),
        (
            "a field is emptied",
            json!({ "item": { "name": "b", "map": { "a": "1" } } }),
            json!({ "item": { "$patch": "delete" } }),
            json!({ "item": {} }),
        ),
        (
            "an entry of a map of scalars is replaced",
            json!({ "map": { "a": "1", "b": "2" } }),
            json!({ "map": { "$patch": "replace", "c": "3" } }),
            json!({ "map": { "c": "3" } }),
        ),
        (
            "for a map that is not there nothing is made",
            json!({}),
            json!({ "item": { "$patch": "delete" } }),
            json!({}),
        ),
        (
            "nor of what was to replace it",
            json!({}),
            json!({ "item": { "$patch": "replace", "name": "a" } }),
            json!({}),
        ),
        (
            "what replaces brings no directives and nulls along",
            json!({ "item": { "name": "a" } }),
            json!({ "item": {
                "$patch": "replace",
                "value": null,
                "map": { "$retainKeys": ["a"], "a": "1" },
                "merging": [{ "name": "a", "$patch": "delete" }, { "name": "b" }],
                "$setElementOrder/merging": [{ "name": "b" }],
            } }),
            json!({ "item": { "map": { "a": "1" }, "merging": [{ "name": "b" }] } }),
        ),
    ]);
}

#[test]
fn what_is_no_directive_is_refused() {
    refuse([
        (
            "merge",
            json!({ "item": { "name": "a" } }),
            json!({ "item": { "$patch": "merge", "name": "b" } }),
            "item: $patch is \"merge\", which is neither \"replace\" nor \"delete\": to merge leave it out",
        ),
        (
            "a number, for the whole object",
            json!({}),
            json!({ "$patch": 1 }),
            "$patch is 1, which is neither \"replace\" nor \"delete\": to merge leave it out",
        ),
    ]);
}

#[test]
fn retain_keys_removes_all_other_fields() {
    check([
        (
            "fields not named are removed, the others merged",
            json!({ "item": { "name": "a", "value": "1", "map": { "x": "1" } } }),
            json!({ "item": { "$retainKeys": ["name", "map"], "map": { "y": "2" } } }),
            json!({ "item": { "name": "a", "map": { "x": "1", "y": "2" } } }),
        ),
        (
            "a field named and set is added",
            json!({ "item": { "value": "1" } }),
            json!({ "item": { "$retainKeys": ["other"], "other": "b" } }),
            json!({ "item": { "other": "b" } }),
        ),
        (
            "a field that is removed need not be named",
            json!({ "item": { "name": "a", "value": "1" } }),
            json!({ "item": { "$retainKeys": ["name"], "value": null } }),
            json!({ "item": { "name": "a" } }),
        ),
        (
            "nor do lists of what to remove and of an order",
            json!({ "item": { "name": "a", "scalars": ["x", "y"], "merging": [{ "name": "b" }] } }),
            json!({ "item": {
                "$retainKeys": ["scalars"],
                "$deleteFromPrimitiveList/scalars": ["x"],
                "$setElementOrder/merging": [{ "name": "b" }],
            } }),
            json!({ "item": { "scalars": ["y"] } }),
        ),
        (
            "in an item of a list",
            json!({ "retaining": [{ "name": "a", "value": "1" }, { "name": "b", "value": "2" }] }),
            json!({ "retaining": [{ "name": "a", "other": "c", "$retainKeys": ["name", "other"] }] }),
            json!({ "retaining": [{ "name": "a", "other": "c" }, { "name": "b", "value": "2" }] }),
        ),
        (
            "in a map that is new it says nothing, and is left out",
            json!({}),
            json!({ "item": { "$retainKeys": ["name"], "name": "a" } }),
            json!({ "item": { "name": "a" } }),
        ),
        (
            "in an item that is new likewise",
            json!({ "retaining": [{ "name": "a" }] }),
            json!({ "retaining": [{ "name": "b", "value": "2", "$retainKeys": ["name", "value"] }] }),
            json!({ "retaining": [{ "name": "b", "value": "2" }, { "name": "a" }] }),
        ),
    ]);
    refuse([
        (
            "a field that is set must be named",
            json!({ "item": { "name": "a" } }),
            json!({ "item": { "$retainKeys": ["name"], "value": "1" } }),
            "item.value: is set, but $retainKeys beside it does not name it: name it there, or leave it out",
        ),
        (
            "no list",
            json!({ "item": { "name": "a" } }),
            json!({ "item": { "$retainKeys": "name" } }),
            "item.$retainKeys: must be a list of names of fields",
        ),
        (
            "no names",
            json!({ "item": { "name": "a" } }),
            json!({ "item": { "$retainKeys": [{ "name": "a" }] } }),
            "item.$retainKeys: must be a list of names of fields",
        ),
    ]);
}
