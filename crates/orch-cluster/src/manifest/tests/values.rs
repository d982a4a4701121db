//! What a readable manifest holds.

use orch_core::object::FieldPath;
use serde_json::json;

use super::super::Position;
use super::{data, read};

#[test]
fn documents_are_read_in_order_and_empty_ones_do_not_count() {
    let manifest = read(
        "# a comment\n%YAML 1.2\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n---\n# nothing\n\
         --- # b follows\n{apiVersion: v1, kind: Namespace, metadata: {name: b}}\n...\n---\n",
    );
    let names: Vec<_> = manifest
        .items
        .iter()
        .map(|item| (item.name(), item.document()))
        .collect();
    assert_eq!(names, [("a", 1), ("b", 2)]);
    assert!(manifest.warnings.is_empty());
}

#[test]
fn windows_lines_and_a_byte_order_mark_change_nothing() {
    let manifest = read(
        "\u{feff}---\r\napiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a\r\nspec:\r\n  containers:\r\n  - name: x\r\n",
    );
    assert_eq!(
        manifest.items[0].object()["spec"],
        json!({"containers": [{"name": "x"}]})
    );
}

#[test]
fn json_is_read_too() {
    let manifest = read(
        "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"c\"},\n\
         \t\"data\": {\"a\": \"\\u00e9\\ud83d\\ude00\\n\\/\", \"b\": \"yes\"}\n}\n",
    );
    assert_eq!(
        manifest.items[0].object()["data"],
        json!({"a": "é😀\n/", "b": "yes"})
    );
}

#[test]
fn lists_stand_for_their_items() {
    let manifest = read(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n\
         - apiVersion: apps/v1\n  kind: DeploymentList\n  items:\n  - metadata: {name: b, namespace: a}\n\
         ---\napiVersion: v1\nkind: PodList\nitems:\n",
    );
    let shown: Vec<_> = manifest.items.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["Namespace a", "Deployment a/b"]);
    assert_eq!(manifest.items[1].object()["apiVersion"], "apps/v1");
}

#[test]
fn anchors_aliases_and_merge_keys_are_resolved() {
    let values = data("data: &d\n  a: x\n  b: z\nbinaryData: {}\nimmutable: false\n");
    assert_eq!(values, json!({"a": "x", "b": "z"}));
    let manifest = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - &one\n    name: one\n    image: i\n\
         \x20   env: [{name: A, value: &v 'x'}, {name: B, value: *v}]\n\
         \x20 - <<: *one\n    name: two\n  - <<: [{image: j}, *one]\n    name: three\n",
    );
    let containers = &manifest.items[0].object()["spec"]["containers"];
    assert_eq!(containers[0]["env"][1]["value"], "x");
    assert_eq!(containers[1]["image"], "i");
    assert_eq!(
        (&containers[1]["name"], &containers[2]["name"]),
        (&json!("two"), &json!("three"))
    );
    assert_eq!(
        (&containers[2]["image"], &containers[2]["env"][0]["name"]),
        (&json!("j"), &json!("A"))
    );
}

#[test]
fn scalars_keep_what_their_style_says() {
    let values = data(
        "data:\n  quoted: 'yes'\n  tagged: !!str 5\n  block: |\n    a\n    ---x\n  folded: >-\n    a\n    b\n  on: 'key'\n  5: five\n",
    );
    let expected = json!({
        "quoted": "yes", "tagged": "5", "block": "a\n---x\n", "folded": "a b", "true": "key", "5": "five",
    });
    assert_eq!(values, expected);
}

#[test]
fn a_quantity_given_as_a_number_becomes_a_string() {
    let manifest = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n\
         \x20   resources: {limits: {cpu: 0.5, memory: 1e3}, requests: {cpu: 100m}}\n",
    );
    assert_eq!(
        manifest.items[0].object()["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "0.5", "memory": "1000"}, "requests": {"cpu": "100m"}})
    );
}

#[test]
fn a_field_is_found_by_its_path_or_by_the_nearest_around_it() {
    let manifest = read(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    a.b/c: d\nspec:\n  containers:\n  - name: x\n\
         \x20   image: i\n  - name: z\n",
    );
    let at = |path: FieldPath| {
        let Position { line, column } = manifest.items[0].locate(&path);
        (line, column)
    };
    let containers = FieldPath::new("spec").child("containers");
    assert_eq!(at(FieldPath::root()), (1, 1));
    assert_eq!(at(containers.clone()), (8, 3));
    assert_eq!(at(containers.index(0).child("image")), (10, 5));
    assert_eq!(at(containers.index(1)), (11, 5));
    assert_eq!(at(containers.index(1).child("image")), (11, 5));
    assert_eq!(at(containers.index(7).child("image")), (8, 3));
    assert_eq!(
        at(FieldPath::new("metadata").child("labels").key("a.b/c")),
        (6, 5)
    );
    assert_eq!(at(FieldPath::new("metadata.labels").key("none")), (5, 3));
    assert_eq!(at(FieldPath::new("status").child("x")), (1, 1));
}
