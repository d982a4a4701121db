//! Values that fit their types, and all that is told of those that do not.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only decoded")]
struct Shape {
    required: i32,
    sides: Option<Vec<Side>>,
    flag: Option<bool>,
    ratio: Option<f64>,
    color: Option<Color>,
    names: Option<BTreeMap<String, String>>,
    small: Option<u8>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only decoded")]
struct Side {
    length: u32,
}

#[derive(Deserialize)]
enum Color {
    Red,
    Green,
}

fn told(value: &Value) -> Vec<String> {
    let faults = check::<Shape>(value).faults;
    faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect()
}

#[test]
fn what_fits_is_not_complained_of() {
    let value = json!({
        "required": 1, "sides": [{"length": 1}], "flag": null, "ratio": 1, "color": "Red", "names": {"a": "b"},
    });
    assert!(told(&value).is_empty());
}

#[test]
fn all_that_does_not_fit_is_told_with_what_is_allowed() {
    let value = json!({
        "required": "1",
        "sides": [{"length": 1}, {"length": -1}, {}, 5, {"length": 2, "lenght": 3}, [1]],
        "flag": "true",
        "ratio": "x",
        "color": "Blue",
        "names": {"a": 1, "b": null, "c": {}},
        "small": 300,
        "Flag": true,
        "other": [],
    });
    let expected = [
        r#"color: expected Red or Green, got "Blue""#,
        r#"flag: expected true or false, got "true""#,
        "names.a: expected a string, got 1; put it in quotes to make it one",
        r#"names.b: expected a string, got null; "" is the empty one"#,
        "names.c: expected a string, got an object",
        r#"ratio: expected a number, got "x""#,
        r#"required: expected an integer, got the string "1"; leave the quotes out to make it one"#,
        "sides[1].length: expected an integer from 0 to 4294967295, got -1",
        "sides[2].length: required, but not given",
        "sides[3]: expected an object, got 5",
        "sides[5]: expected an object, got a list",
        "small: expected an integer from 0 to 255, got 300",
        r#"Flag: unknown field; did you mean "flag"?"#,
        "other: unknown field; allowed are required, sides, flag, ratio, color, names, small",
        r#"sides[4].lenght: unknown field; did you mean "length"?"#,
    ];
    let mut told = told(&value);
    // What is wrong comes in the order of the value, unknown fields after it.
    let (wrong, unknown) = told.split_at_mut(12);
    wrong.sort();
    unknown.sort();
    assert_eq!(told, expected);
}

#[test]
fn a_value_of_another_form_is_told_once() {
    assert_eq!(told(&json!([])), [": expected an object, got a list"]);
    assert_eq!(told(&json!(null)), [": expected an object, got null"]);
    assert_eq!(
        told(&json!({"sides": {}, "required": 1})),
        ["sides: expected a list, got an object"]
    );
}

#[test]
fn no_more_than_a_hundred_faults_are_told() {
    let sides: Vec<Value> = (0..1000).map(|_| json!({"length": "x"})).collect();
    assert_eq!(told(&json!({"required": 1, "sides": sides})).len(), MAX_FAULTS);
}
