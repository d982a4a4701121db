//! Maps merge field by field.

use serde_json::json;

use super::check;

#[test]
fn fields_are_added_changed_and_removed() {
    check([
        ("nothing to nothing", json!({}), json!({}), json!({})),
        (
            "an empty patch",
            json!({ "name": "a" }),
            json!({}),
            json!({ "name": "a" }),
        ),
        (
            "a field is added",
            json!({ "name": "a" }),
            json!({ "value": "1" }),
            json!({ "name": "a", "value": "1" }),
        ),
        (
            "a field is changed",
            json!({ "name": "a" }),
            json!({ "name": "b" }),
            json!({ "name": "b" }),
        ),
        (
            "a null removes",
            json!({ "name": "a", "value": "1" }),
            json!({ "value": null }),
            json!({ "name": "a" }),
        ),
        (
            "a null for nothing",
            json!({ "name": "a" }),
            json!({ "value": null }),
            json!({ "name": "a" }),
        ),
        (
            "a map is merged",
            json!({ "map": { "a": "1", "b": "2" } }),
            json!({ "map": { "b": "3", "c": "4" } }),
            json!({ "map": { "a": "1", "b": "3", "c": "4" } }),
        ),
        (
            "an entry of a map is removed",
            json!({ "map": { "a": "1", "b": "2" } }),
            json!({ "map": { "a": null } }),
            json!({ "map": { "b": "2" } }),
        ),
        (
            "the last entry leaves an empty map",
            json!({ "map": { "a": "1" } }),
            json!({ "map": { "a": null } }),
            json!({ "map": {} }),
        ),
        (
            "a map is removed",
            json!({ "map": { "a": "1" } }),
            json!({ "map": null }),
            json!({}),
        ),
        (
            "nulls in a new map are left out",
            json!({}),
            json!({ "item": { "name": "a", "value": null, "map": { "a": null } } }),
            json!({ "item": { "name": "a", "map": {} } }),
        ),
        (
            "another type takes its place",
            json!({ "map": "text" }),
            json!({ "map": { "a": "1" } }),
            json!({ "map": { "a": "1" } }),
        ),
        (
            "a null in the object is as nothing",
            json!({ "map": null }),
            json!({ "map": { "a": "1" } }),
            json!({ "map": { "a": "1" } }),
        ),
        (
            "with the strategy replace a map is replaced",
            json!({ "replaced": { "name": "a", "value": "1" } }),
            json!({ "replaced": { "value": "2" } }),
            json!({ "replaced": { "value": "2" } }),
        ),
        (
            "fields that are not known merge as in a JSON merge patch",
            json!({ "strange": { "a": { "b": 1, "c": 2 }, "list": [1, 2] } }),
            json!({ "strange": { "a": { "b": null, "d": 3 }, "list": [3] } }),
            json!({ "strange": { "a": { "c": 2, "d": 3 }, "list": [3] } }),
        ),
    ]);
}
