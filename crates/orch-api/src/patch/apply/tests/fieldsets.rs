//! Sets of fields, and their wire form.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{FieldSet, PathElement};

fn set(fields: &Value) -> FieldSet {
    FieldSet::from_json(fields).expect("the fields are well formed")
}

#[test]
fn the_wire_form_is_kubernetes_own() {
    let cases = [
        (json!({}), vec![]),
        (json!({ "f:spec": {} }), vec![".spec"]),
        (json!({ "f:spec": { "f:replicas": {} } }), vec![".spec.replicas"]),
        (
            json!({ "f:spec": { ".": {}, "f:replicas": {} } }),
            vec![".spec", ".spec.replicas"],
        ),
        (
            json!({ "f:metadata": { "f:labels": { ".": {}, "f:app": {} }, "f:finalizers": { "v:\"a/b\"": {} } } }),
            vec![
                ".metadata.labels",
                ".metadata.finalizers[=\"a/b\"]",
                ".metadata.labels.app",
            ],
        ),
        (
            json!({ "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {} } } }),
            vec![
                ".ports[containerPort=80,protocol=\"TCP\"]",
                ".ports[containerPort=80,protocol=\"TCP\"].name",
            ],
        ),
        (
            json!({ "f:list": { "i:3": {}, "v:1": {}, "v:true": {}, "v:null": {} } }),
            { vec![".list[=1]", ".list[=true]", ".list[=null]", ".list[3]"] },
        ),
        (
            json!({ "f:": { "f:a:b": {}, "f:a.b/c": {} } }),
            vec!["..a.b/c", "..a:b"],
        ),
    ];
    for (fields, paths) in cases {
        let set = set(&fields);
        assert_eq!(set.paths(), paths, "{fields}");
        assert_eq!(set.len(), paths.len(), "{fields}");
        assert_eq!(set.to_json(), fields);
    }
}

#[test]
fn what_is_read_is_what_kubernetes_reads() {
    let cases = [
        (
            "an unknown kind of step",
            json!({ "x:a": { "f:b": {} }, "f:c": {} }),
            json!({ "f:c": {} }),
        ),
        (
            "with nothing else below a field it is a leaf",
            json!({ "f:a": { "x:b": {} } }),
            json!({ "f:a": {} }),
        ),
        ("a null is a leaf", json!({ "f:a": null }), json!({ "f:a": {} })),
        (
            "a dot alone is a leaf",
            json!({ "f:a": { ".": {} } }),
            json!({ "f:a": {} }),
        ),
        (
            "of the object itself nothing is kept",
            json!({ ".": {} }),
            json!({}),
        ),
        (
            "keys are sorted",
            json!({ "k:{\"b\":1, \"a\":2}": {} }),
            json!({ "k:{\"a\":2,\"b\":1}": {} }),
        ),
    ];
    for (name, fields, expected) in cases {
        assert_eq!(set(&fields).to_json(), expected, "{name}");
    }
    let cases = [
        (
            json!({ "a": {} }),
            r#""a" is no path element: it must begin with a letter and a colon"#,
        ),
        (
            json!({ "": {} }),
            r#""" is no path element: it must begin with a letter and a colon"#,
        ),
        (
            json!({ "f:a": { "k:name": {} } }),
            r#""k:name" is no path element: after k: must come a JSON object"#,
        ),
        (
            json!({ "v:": {} }),
            r#""v:" is no path element: after v: must come a JSON value"#,
        ),
        (
            json!({ "v:1 2": {} }),
            r#""v:1 2" is no path element: after v: must come a JSON value"#,
        ),
        (
            json!({ "i:x": {} }),
            r#""i:x" is no path element: after i: must come a number"#,
        ),
        (
            json!({ "f:a": 1 }),
            r#"fields must be JSON objects, down to the empty ones of leaves, and below "f:a" is none"#,
        ),
    ];
    for (fields, message) in cases {
        let error = FieldSet::from_json(&fields).expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn sets_are_joined_and_parted() {
    let tree = json!({ "f:a": { ".": {}, "f:b": { "f:c": {} }, "f:d": {} } });
    let cases = [
        (
            "a leaf",
            json!({ "f:a": { "f:d": {} } }),
            json!({ "f:a": { ".": {}, "f:b": { "f:c": {} } } }),
            None,
        ),
        (
            "what is below a field that goes",
            json!({ "f:a": {} }),
            json!({ "f:a": { "f:b": { "f:c": {} }, "f:d": {} } }),
            Some(json!({})),
        ),
        (
            "a field of which only what is below is there",
            json!({ "f:a": { "f:b": {} } }),
            tree.clone(),
            Some(json!({ "f:a": { ".": {}, "f:d": {} } })),
        ),
        ("all", tree.clone(), json!({}), Some(json!({}))),
        ("nothing", json!({ "f:x": {} }), tree.clone(), None),
    ];
    for (name, other, difference, recursive) in cases {
        let (one, other) = (set(&tree), set(&other));
        assert_eq!(one.difference(&other).to_json(), difference, "{name}");
        assert_eq!(
            one.recursive_difference(&other).to_json(),
            recursive.unwrap_or(difference),
            "{name}"
        );
    }
}

#[test]
fn steps_stand_in_the_order_of_structured_merge_diff() {
    let ordered = [
        PathElement::field("a"),
        PathElement::field("b"),
        PathElement::key([("name", json!("a"))]),
        PathElement::key([("name", json!("a")), ("port", json!(1))]),
        PathElement::key([("name", json!("b"))]),
        PathElement::key([("port", json!(1))]),
        PathElement::Value(json!(-1)),
        PathElement::Value(json!(1.5)),
        PathElement::Value(json!(2)),
        PathElement::Value(json!("1")),
        PathElement::Value(json!(false)),
        PathElement::Value(json!([1])),
        PathElement::Value(json!({ "a": 1 })),
        PathElement::Value(json!(null)),
        PathElement::Index(0),
        PathElement::Index(1),
    ];
    for (place, one) in ordered.iter().enumerate() {
        for (other_place, other) in ordered.iter().enumerate() {
            assert_eq!(one.cmp(other), place.cmp(&other_place), "{one} and {other}");
        }
    }
    assert_eq!(PathElement::Value(json!(1)), PathElement::Value(json!(1.0)));
}

fn element() -> impl Strategy<Value = PathElement> {
    prop_oneof![
        prop::sample::select(vec!["a", "b", ".", "f:a"]).prop_map(PathElement::field),
        (0..3_i64).prop_map(|number| PathElement::key([
            ("name", json!(number.to_string())),
            ("port", json!(number))
        ])),
        (0..2_i64).prop_map(|number| PathElement::Value(json!(number))),
        (0..2_i64).prop_map(PathElement::Index),
    ]
}

fn any_set() -> impl Strategy<Value = FieldSet> {
    let path = prop::collection::vec(element(), 0..4);
    prop::collection::vec(path, 0..8).prop_map(|paths| {
        let mut set = FieldSet::new();
        paths.iter().for_each(|path| set.insert(path));
        set
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(set in any_set()) {
        prop_assert_eq!(FieldSet::from_json(&set.to_json()), Ok(set));
    }

    #[test]
    fn sets_obey_the_laws_of_sets(a in any_set(), b in any_set(), c in any_set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert_eq!(a.intersection(&a), a.clone());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.difference(&b).len() + a.intersection(&b).len(), a.len());
        // A recursive difference takes what a difference takes, and more.
        let recursive = a.recursive_difference(&b);
        prop_assert_eq!(recursive.intersection(&a.difference(&b)), recursive);
    }

    #[test]
    fn what_was_put_in_is_there(paths in prop::collection::vec(prop::collection::vec(element(), 1..4), 0..8)) {
        let mut set = FieldSet::new();
        for path in &paths {
            set.insert(path);
        }
        prop_assert!(paths.iter().all(|path| set.contains(path)));
        let distinct: std::collections::BTreeSet<_> = paths.iter().collect();
        prop_assert_eq!(set.len(), distinct.len());
    }
}
