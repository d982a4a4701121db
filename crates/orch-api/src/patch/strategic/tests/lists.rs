//! Lists merge by key, as sets, or are replaced.

use serde_json::json;

use super::{check, refuse};

#[test]
fn lists_are_replaced_unless_they_merge() {
    check([
        (
            "an atomic list of maps",
            json!({ "atomic": [{ "name": "a" }, { "name": "b" }] }),
            json!({ "atomic": [{ "name": "c", "value": null }] }),
            json!({ "atomic": [{ "name": "c" }] }),
        ),
        (
            "an atomic list of scalars",
            json!({ "atomicScalars": ["a", "b"] }),
            json!({ "atomicScalars": ["c"] }),
            json!({ "atomicScalars": ["c"] }),
        ),
        (
            "an atomic list is emptied",
            json!({ "atomicScalars": ["a"] }),
            json!({ "atomicScalars": [] }),
            json!({ "atomicScalars": [] }),
        ),
        (
            "a list is removed",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": null }),
            json!({}),
        ),
        (
            "a list that merges takes nothing from none",
            json!({ "scalars": ["a"] }),
            json!({ "scalars": [] }),
            json!({ "scalars": ["a"] }),
        ),
        (
            "two empty lists",
            json!({ "merging": [] }),
            json!({ "merging": [] }),
            json!({ "merging": [] }),
        ),
    ]);
}

#[test]
fn maps_in_lists_are_merged_by_their_key() {
    check([
        (
            "an item is changed, the others stay",
            json!({ "merging": [{ "name": "a", "value": "1" }, { "name": "b", "value": "2" }] }),
            json!({ "merging": [{ "name": "b", "other": "x" }] }),
            json!({ "merging": [{ "name": "a", "value": "1" }, { "name": "b", "value": "2", "other": "x" }] }),
        ),
        (
            "an item that is new comes first",
            json!({ "merging": [{ "name": "b" }, { "name": "c" }] }),
            json!({ "merging": [{ "name": "a", "value": null }] }),
            json!({ "merging": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] }),
        ),
        (
            "a list is added without what is to be deleted of it",
            json!({}),
            json!({ "merging": [{ "name": "a" }, { "name": "b", "$patch": "delete" }, { "$patch": "replace" }] }),
            json!({ "merging": [{ "name": "a" }] }),
        ),
        (
            "a field of an item is removed",
            json!({ "merging": [{ "name": "a", "value": "1" }] }),
            json!({ "merging": [{ "name": "a", "value": null }] }),
            json!({ "merging": [{ "name": "a" }] }),
        ),
        (
            "lists in items are merged",
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "x", "value": "1" }], "list": ["p"] }] }),
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "y" }], "list": ["q"] }] }),
            json!({ "merging": [{
                "name": "a",
                "merging": [{ "name": "y" }, { "name": "x", "value": "1" }],
                "list": ["q"],
            }] }),
        ),
        (
            "keys are numbers",
            json!({ "byNumber": [{ "port": 80, "name": "web" }, { "port": 443 }] }),
            json!({ "byNumber": [{ "port": 443, "name": "tls" }] }),
            json!({ "byNumber": [{ "port": 80, "name": "web" }, { "port": 443, "name": "tls" }] }),
        ),
        (
            "a number and its text are two keys",
            json!({ "byNumber": [{ "port": 80 }] }),
            json!({ "byNumber": [{ "port": "80" }] }),
            json!({ "byNumber": [{ "port": "80" }, { "port": 80 }] }),
        ),
        (
            "of items with one key the first is merged into",
            json!({ "byNumber": [{ "port": 53, "name": "udp" }, { "port": 53, "name": "tcp" }] }),
            json!({ "byNumber": [{ "port": 53, "name": "dns" }] }),
            json!({ "byNumber": [{ "port": 53, "name": "dns" }, { "port": 53, "name": "tcp" }] }),
        ),
        (
            "of items of the patch with one key the second is merged into the first",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "b", "value": "1", "other": "x" }, { "name": "b", "value": "2" }] }),
            json!({ "merging": [{ "name": "b", "value": "2", "other": "x" }, { "name": "a" }] }),
        ),
    ]);
}

#[test]
fn items_are_deleted_and_lists_replaced() {
    check([
        (
            "an item is deleted",
            json!({ "merging": [{ "name": "a" }, { "name": "b" }] }),
            json!({ "merging": [{ "name": "a", "$patch": "delete" }] }),
            json!({ "merging": [{ "name": "b" }] }),
        ),
        (
            "all items with the key are deleted",
            json!({ "byNumber": [{ "port": 53, "name": "a" }, { "port": 80 }, { "port": 53, "name": "b" }] }),
            json!({ "byNumber": [{ "port": 53, "$patch": "delete" }] }),
            json!({ "byNumber": [{ "port": 80 }] }),
        ),
        (
            "an item that is not there is deleted",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "b", "$patch": "delete" }] }),
            json!({ "merging": [{ "name": "a" }] }),
        ),
        (
            "the last item leaves an empty list",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "a", "$patch": "delete" }] }),
            json!({ "merging": [] }),
        ),
        (
            "an item is deleted and made anew, wherever it says so",
            json!({ "merging": [{ "name": "a", "value": "1" }] }),
            json!({ "merging": [{ "name": "a", "other": "x" }, { "name": "a", "$patch": "delete" }] }),
            json!({ "merging": [{ "name": "a", "other": "x" }] }),
        ),
        (
            "the list is replaced by the other items",
            json!({ "merging": [{ "name": "a", "value": "1" }, { "name": "b" }] }),
            json!({ "merging": [{ "$patch": "replace" }, { "name": "c" }, { "name": "a" }] }),
            json!({ "merging": [{ "name": "c" }, { "name": "a" }] }),
        ),
        (
            "what replaces need not stand first, and deletes nothing",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "b" }, { "$patch": "replace" }, { "name": "b", "$patch": "delete" }] }),
            json!({ "merging": [{ "name": "b" }] }),
        ),
        (
            "the list is emptied",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "$patch": "replace" }] }),
            json!({ "merging": [] }),
        ),
        (
            "in an item of a list",
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "x" }, { "name": "y" }] }] }),
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "x", "$patch": "delete" }] }] }),
            json!({ "merging": [{ "name": "a", "merging": [{ "name": "y" }] }] }),
        ),
    ]);
}

#[test]
fn scalars_merge_as_a_set() {
    check([
        (
            "those that are new come first",
            json!({ "scalars": ["b", "a"] }),
            json!({ "scalars": ["c", "a"] }),
            json!({ "scalars": ["c", "b", "a"] }),
        ),
        (
            "numbers",
            json!({ "numbers": [3, 1] }),
            json!({ "numbers": [2] }),
            json!({ "numbers": [2, 3, 1] }),
        ),
        (
            "none stays twice",
            json!({ "scalars": ["a", "b", "a"] }),
            json!({ "scalars": ["c", "c"] }),
            json!({ "scalars": ["c", "a", "b"] }),
        ),
        (
            "some are removed",
            json!({ "scalars": ["a", "b", "c", "b"] }),
            json!({ "$deleteFromPrimitiveList/scalars": ["b", "x"] }),
            json!({ "scalars": ["a", "c"] }),
        ),
        (
            "some are removed, others added",
            json!({ "scalars": ["a", "b"] }),
            json!({ "$deleteFromPrimitiveList/scalars": ["a"], "scalars": ["c"] }),
            json!({ "scalars": ["c", "b"] }),
        ),
        (
            "all are removed",
            json!({ "numbers": [1, 2] }),
            json!({ "$deleteFromPrimitiveList/numbers": [2, 1] }),
            json!({ "numbers": [] }),
        ),
        (
            "from nothing",
            json!({}),
            json!({ "$deleteFromPrimitiveList/scalars": ["a"] }),
            json!({}),
        ),
        (
            "from an atomic list",
            json!({ "atomicScalars": ["a", "b"] }),
            json!({ "$deleteFromPrimitiveList/atomicScalars": ["a"] }),
            json!({ "atomicScalars": ["b"] }),
        ),
        (
            "in an item of a list",
            json!({ "merging": [{ "name": "a", "scalars": ["x", "y"] }] }),
            json!({ "merging": [{ "name": "a", "$deleteFromPrimitiveList/scalars": ["x"], "scalars": ["z"] }] }),
            json!({ "merging": [{ "name": "a", "scalars": ["z", "y"] }] }),
        ),
    ]);
}

#[test]
fn lists_that_cannot_be_merged_are_refused() {
    let by_name = |at: &str, of: &str| {
        let text = format!(
            "{at}: has no \"name\", by which items of this list are told apart: add it to this item of {of}"
        );
        &*Box::leak(text.into_boxed_str())
    };
    let mixed = "merging: holds items of several types, those of the patch and of the object taken together: \
                 give it one type of items";
    let deletes_maps = "$deleteFromPrimitiveList/merging: removes scalars, but the list holds maps: name them in the \
                        list itself, with $patch: delete";
    refuse([
        (
            "an item of the patch without the key",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "b" }, { "value": "1" }] }),
            by_name("merging[1]", "the patch"),
        ),
        (
            "an item to delete without the key",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "$patch": "delete" }] }),
            by_name("merging[0]", "the patch"),
        ),
        (
            "an item that replaces without the key",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "$patch": "replace" }, { "value": "1" }] }),
            by_name("merging[1]", "the patch"),
        ),
        (
            "an item of the object without the key",
            json!({ "merging": [{ "name": "a" }, {}] }),
            json!({ "merging": [{ "name": "a" }] }),
            by_name("merging[1]", "the object, by replacing the list"),
        ),
        (
            "in an item of a list",
            json!({ "merging": [{ "name": "a" }, { "name": "b", "merging": [{ "name": "x" }] }] }),
            json!({ "merging": [{ "name": "b", "merging": [{ "value": "1" }] }] }),
            by_name("merging[0].merging[0]", "the patch"),
        ),
        (
            "a directive that is none",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": [{ "name": "a", "$patch": "merge" }] }),
            "merging[0]: $patch is \"merge\", which is neither \"replace\" nor \"delete\": to merge leave it out",
        ),
        (
            "maps without a known key",
            json!({ "keyless": [{ "name": "a" }] }),
            json!({ "keyless": [{ "name": "b" }] }),
            "keyless: is a list of maps of which the schema says no merge key: replace it with $patch: replace",
        ),
        (
            "scalars where maps are",
            json!({ "merging": ["a"] }),
            json!({ "merging": ["b"] }),
            "merging: holds scalars, which a list that merges cannot: it holds maps",
        ),
        (
            "maps and scalars",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "merging": ["b"] }),
            mixed,
        ),
        (
            "lists in a list",
            json!({ "scalars": [] }),
            json!({ "scalars": [["a"]] }),
            "scalars: holds a list, which a list that merges cannot: it holds maps, or scalars",
        ),
        (
            "nulls in a list",
            json!({ "scalars": ["a"] }),
            json!({ "scalars": [null] }),
            "scalars: holds a null, which a list that merges cannot: it holds maps, or scalars",
        ),
        (
            "scalars to remove from a list of maps",
            json!({ "merging": [{ "name": "a" }] }),
            json!({ "$deleteFromPrimitiveList/merging": [{ "name": "a" }] }),
            deletes_maps,
        ),
        (
            "nothing is removed by a null",
            json!({ "scalars": ["a"] }),
            json!({ "$deleteFromPrimitiveList/scalars": null }),
            "$deleteFromPrimitiveList/scalars: it must be a list",
        ),
        (
            "no list is named",
            json!({ "scalars": ["a"] }),
            json!({ "$deleteFromPrimitiveList": ["a"] }),
            "$deleteFromPrimitiveList: names no list: write $deleteFromPrimitiveList/FIELD",
        ),
    ]);
}
