//! Updates: what was wrong already is let be (KEP-4008).

use serde_json::{Value, json};

use super::{object, of_spec, read, shown};

#[test]
fn what_was_wrong_and_is_as_it_was_is_let_be() {
    let item = json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "n": {"type": "integer", "maximum": 5}}});
    let list = |kind: Option<&str>| {
        let mut list = json!({"type": "array", "items": item, "maxItems": 3});
        if let Some(kind) = kind {
            list["x-kubernetes-list-type"] = kind.into();
        }
        if kind == Some("map") {
            list["x-kubernetes-list-map-keys"] = json!(["k"]);
        }
        list
    };
    let fields = json!({"type": "object", "required": ["c"], "properties": {
        "a": {"type": "string", "maxLength": 1}, "b": {"type": "integer"}, "c": {"type": "string"}}});
    let wrong = r"spec[0].n: Invalid value: 9: spec[0].n in body should be less than or equal to 5";
    let moved = r"spec[1].n: Invalid value: 9: spec[1].n in body should be less than or equal to 5";
    let (bad, good) = (json!({"k": "bad", "n": 9}), json!({"k": "good", "n": 1}));
    for (schema, old, new, expected) in [
        // The field is as it was, the object around it is not.
        (
            fields.clone(),
            json!({"a": "long", "c": ""}),
            json!({"a": "long", "b": 1, "c": ""}),
            vec![],
        ),
        (
            fields.clone(),
            json!({"a": "long", "c": ""}),
            json!({"a": "longer", "c": ""}),
            vec!["spec.a: Too long: may not be more than 1 byte"],
        ),
        // What is missing belongs to the object around it.
        (fields.clone(), json!({"a": "long"}), json!({"a": "long"}), vec![]),
        (
            fields.clone(),
            json!({}),
            json!({"b": 1}),
            vec!["spec.c: Required value"],
        ),
        (list(None), json!([bad]), json!([bad, good]), vec![]),
        (list(None), json!([bad]), json!([good, bad]), vec![moved]),
        (list(Some("map")), json!([bad]), json!([good, bad]), vec![]),
        (list(Some("map")), json!([good]), json!([bad]), vec![wrong]),
        (
            list(Some("atomic")),
            json!([bad]),
            json!([bad, good]),
            vec![wrong],
        ),
    ] as [(Value, Value, Value, Vec<&str>); 9]
    {
        let schema = read(&of_spec(schema));
        let found = schema.validate_update(&object(new.clone()), &object(old.clone()));
        assert_eq!(shown(&found), expected, "{old} to {new}");
    }
}

#[test]
fn items_given_twice_are_let_be_while_the_old_object_has_some() {
    let schema = read(&of_spec(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
    ));
    let (once, twice, thrice) = (
        object(json!(["a"])),
        object(json!(["a", "a"])),
        object(json!(["a", "a", "a"])),
    );
    assert_eq!(schema.validate_update(&twice, &once).len(), 1);
    assert_eq!(schema.validate_update(&thrice, &twice).len(), 0);
}
