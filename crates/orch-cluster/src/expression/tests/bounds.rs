//! What costs much is told to cost too much, before it has.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{read, told};
use crate::custom::schema::node::{ListType, Node};
use crate::expression::MOST_STEPS;

const TOO_DEAR: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

fn texts(count: usize, order: impl Fn(usize) -> usize) -> Vec<Value> {
    (0..count)
        .map(|at| format!("item-{}", order(at)).into())
        .collect()
}

/// What an expression makes of an object, which takes no longer than all steps that one may take.
fn soon(source: &str, object: &Value, node: Option<&Node>) -> String {
    let begun = Instant::now();
    let made = told(source, object, node, &mut MOST_STEPS.clone());
    // Some 50 ms of a program that is optimized.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{source}: {:?}",
        begun.elapsed()
    );
    made
}

#[test]
fn large_sets_are_compared_as_they_are_written() {
    let set = Node {
        list_type: Some(ListType::Set),
        ..Node::default()
    };
    let lists = Node {
        items: Some(Box::new(set)),
        ..Node::default()
    };
    let count = 100_000;
    let mut object = json!([texts(count, |at| at), texts(count, |at| count - 1 - at)]);
    assert_eq!(soon("self[0] == self[1]", &object, Some(&lists)), "true");
    object[1][7] = json!("another");
    assert_eq!(soon("self[0] == self[1]", &object, Some(&lists)), "false");
    // Whatever is no set by its schema is compared one by one.
    let half = json!([texts(5_000, |at| at), texts(5_000, |at| 4_999 - at)]);
    assert_eq!(soon("sets.equivalent(self[0], self[1])", &half, None), TOO_DEAR);
    assert_eq!(soon("self[0].all(x, x in self[1])", &half, None), TOO_DEAR);
    assert_eq!(
        soon("self[0].all(x, self[1].indexOf(x) >= 0)", &half, None),
        TOO_DEAR
    );
}

#[test]
fn items_are_found_without_a_look_at_the_others() {
    let object = json!({"list": texts(50_000, |at| at), "map": {"key": texts(50_000, |at| at)}});
    for source in [
        "self.list.all(x, self.list[0] == 'item-0')",
        "self.list.all(x, 'key' in self.map)",
        "self.list.all(x, size(self.list) > 1 && self.list.size() > 1)",
        "self.list.all(x, self.?map.hasValue())",
    ] {
        assert_eq!(soon(source, &object, None), "true", "{source}");
    }
}

#[test]
fn strings_are_not_copied_by_being_named() {
    let object = json!({"text": "x".repeat(500_000), "list": texts(100_000, |at| at)});
    for source in [
        "[self.text + 'a'].map(t, self.list.map(y, t).size())[0]",
        "[self.text.upperAscii()].map(t, self.list.map(y, t.substring(0)).size())[0]",
    ] {
        let made = soon(source, &object, None);
        assert!([TOO_DEAR, "100000"].contains(&made.as_str()), "{source}: {made}");
    }
    let literal = format!("self.list.map(y, '{}').size()", "x".repeat(4_000));
    assert_eq!(soon(&literal, &object, None), "100000");
    assert_eq!(
        soon("self.list.map(y, self.text + y).size()", &object, None),
        TOO_DEAR
    );
}

#[test]
fn patterns_are_compiled_once() {
    let object = json!({"list": vec![""; 5_000], "large": r"\pL{4}"});
    assert_eq!(
        soon(r"self.list.exists(x, x.matches('\\pL{4}'))", &object, None),
        "false"
    );
    assert_eq!(
        soon("self.list.exists(x, x.matches(self.large))", &object, None),
        "false"
    );
    assert_eq!(
        soon(
            r"self.list.exists(x, x.matches('\\pL{' + string(size(self)) + '}'))",
            &object,
            None
        ),
        "false"
    );
    // Of those that differ there may be only so many.
    let many = json!({"list": texts(5_000, |at| at)});
    assert_eq!(
        soon(r"self.list.exists(x, x.matches('\\pL{4}' + x))", &many, None),
        TOO_DEAR
    );
    let why = read("self.matches('[a')").unwrap_err();
    assert!(why.contains("error parsing regexp: "), "{why}");
}
