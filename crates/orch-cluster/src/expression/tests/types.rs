//! Types as values, and which values are the same.

use serde_json::json;

use super::{check, read, told};
use crate::expression::MOST_STEPS;

#[test]
fn types_are_values_of_their_own() {
    check(
        &json!({"n": 1, "text": "99%", "list": [1], "map": {"a": null}}),
        &[
            ("type(self.n) == int", "true"),
            (
                "type(self.text) == string ? self.text == '99%' : self.text == 42",
                "true",
            ),
            (
                "[type(1u), type(1.0), type(true), type(self.list), type(self.map)]",
                "[uint, double, bool, list, map]",
            ),
            ("type(self.map.a) == null_type", "true"),
            ("type(duration('1s')) == google.protobuf.Duration", "true"),
            (
                "type(timestamp('2024-01-02T03:04:05Z')) == google.protobuf.Timestamp",
                "true",
            ),
            ("type(optional.of(1)) == optional_type", "true"),
            ("type(string) == type", "true"),
            ("type(self.n) == 'int'", "false"),
            ("type(self.n) in [int, double]", "true"),
            // A variable of that name is what it stands for.
            ("[1].all(string, type(string) == int)", "true"),
        ],
    );
    for (source, name) in [
        ("type(self) == text", "text"),
        ("type(self) == google.Duration", "google"),
    ] {
        let why = read(source).unwrap_err();
        assert!(
            why.contains(&format!("undeclared reference to '{name}'")),
            "{why}"
        );
    }
}

#[test]
fn maps_have_keys_of_any_type() {
    check(
        &json!({"map": {"1": "a"}}),
        &[
            ("{1: 'a', true: 'b', 2u: 'c'}[1]", "\"a\""),
            ("{1: 'a', true: 'b', 2u: 'c'}[true]", "\"b\""),
            ("{1: 'a'}[3]", "no such key: 3"),
            ("{1: 'a'} == {1: 'a'} && {1: 'a'} != {2: 'a'}", "true"),
            ("1 in {1: 'a'} && !(2 in {1: 'a'}) && '1' in self.map", "true"),
            (
                "self.map == {'1': 'a'} && {'1': 'a'} == self.map && self.map != {'1': 'b'}",
                "true",
            ),
        ],
    );
}

#[test]
fn sets_are_the_same_in_whatever_order() {
    use crate::custom::schema::node::{ListType, Node};
    let set = Node {
        list_type: Some(ListType::Set),
        ..Node::default()
    };
    let lists = Node {
        items: Some(Box::new(set)),
        ..Node::default()
    };
    for (object, expected) in [
        (json!([["a", "b"], ["b", "a"]]), "true"),
        (json!([["a", "b"], ["b", "c"]]), "false"),
        (json!([["a", "b", "c"], ["c", "a"]]), "false"),
        (json!([[{"k": 1}, {"k": 2}], [{"k": 2}, {"k": 1}]]), "true"),
        (json!([[1, 2], [2.0, 1]]), "true"),
    ] {
        let made = told(
            "self[0] == self[1]",
            &object,
            Some(&lists),
            &mut MOST_STEPS.clone(),
        );
        assert_eq!(made, expected, "{object}");
    }
}
