//! Rules in CEL.

use orch_core::object::FieldPath;
use serde_json::{Value, json};

use super::{errors, object, of_spec, read, shown};
use crate::custom::schema::Structural;

/// A schema of a spec with fields of each sort, and one rule.
fn with_rule(rule: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "m": {"type": "integer"},
            "f": {"type": "number"},
            "s": {"type": "string"},
            "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "items": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "time": {"type": "string", "format": "date-time"},
            "wait": {"type": "string", "format": "duration"},
            "any": {"x-kubernetes-int-or-string": true},
            "a-b.c": {"type": "integer"},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        },
        "x-kubernetes-validations": [rule],
    })
}

#[test]
fn expressions_mean_what_they_mean_in_kubernetes() {
    let spec = json!({
        "n": 3, "m": 5, "f": 2, "s": "hello", "list": ["a", "b"], "map": {"x": 1}, "items": [{"a": 1}, {"a": 2}],
        "time": "2024-01-02T03:04:05Z", "wait": "1m30s", "any": "80%", "a-b.c": 7, "set": ["p", "q"],
    });
    for (rule, expected) in [
        ("self.n <= self.m", true),
        ("self.n > self.m", false),
        (
            "self.n + 2 == self.m && self.m - self.n == 2 && self.n * 2 == 6 && self.m / 2 == 2 && self.m % 3 == 2",
            true,
        ),
        ("self.f == 2.0 && self.f < 2.5 && self.n < 3.5", true),
        ("has(self.s) && !has(self.any.x)", true),
        ("has(self.n) ? self.n == 3 : false", true),
        (
            "size(self.list) == 2 && self.list.size() == 2 && 'hello'.size() == 5",
            true,
        ),
        ("self.list.all(x, x in ['a', 'b', 'c'])", true),
        ("self.list.exists(x, x == 'c')", false),
        ("self.list.exists_one(x, x == 'a')", true),
        (
            "self.items.map(i, i.a) == [1, 2] && self.items.filter(i, i.a > 1).size() == 1",
            true,
        ),
        ("self.items.map(i, i.a > 1, i.a * 10) == [20]", true),
        (
            "self.items.map(i, i.a).sum() == 3 && self.items.map(i, i.a).max() == 2",
            true,
        ),
        (
            "'x' in self.map && self.map['x'] == 1 && self.map.all(k, self.map[k] > 0)",
            true,
        ),
        (
            "self.s.startsWith('he') && self.s.endsWith('lo') && self.s.contains('ll') && self.s.matches('^h.*o$')",
            true,
        ),
        (
            "self.s.substring(1, 3) == 'el' && self.s.indexOf('l') == 2 && self.s.upperAscii() == 'HELLO'",
            true,
        ),
        (
            "self.s.replace('l', 'L') == 'heLLo' && 'a,b'.split(',') == self.list && self.list.join('-') == 'a-b'",
            true,
        ),
        ("self.list.isSorted() && ['b', 'a'].isSorted() == false", true),
        ("self.s.find('l+') == 'll'", true),
        (
            "self.time > timestamp('2023-01-01T00:00:00Z') && self.time.getFullYear() == 2024",
            true,
        ),
        ("self.wait == duration('90s') && self.wait < duration('2m')", true),
        ("type(self.any) == string", true),
        ("self.any == 80 || self.any == '80%'", true),
        ("self.a__dash__b__dot__c == 7", true),
        ("self.set == ['q', 'p']", true),
        ("self.list == ['b', 'a']", false),
        (
            "quantity('1Gi').isGreaterThan(quantity('500Mi')) && isQuantity('1') && !isQuantity('x')",
            true,
        ),
        ("isURL('https://a.b/c') && !isURL('a b')", true),
        (
            "sets.contains(self.list, ['a']) && math.greatest(1, 2) == 2",
            true,
        ),
        (
            "self.?s.orValue('x') == 'hello' && self.map[?'y'].hasValue() == false",
            true,
        ),
        (
            "string(self.n) == '3' && int('4') == 4 && double('1.5') == 1.5",
            true,
        ),
        // An error does not matter where the other side decides.
        ("self.map.nope == 1 || true", true),
        ("false && self.map.nope == 1", false),
        ("[1, 2, 3].exists(x, 6 / (x - 1) == 3)", true),
    ] {
        let found = errors(&with_rule(&json!({"rule": rule})), &spec);
        let expected = if expected {
            Vec::new()
        } else {
            vec![format!("spec: Invalid value: failed rule: {rule}")]
        };
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn what_does_not_satisfy_a_rule_is_told_as_the_rule_says() {
    let spec = json!({"n": 3, "m": 1});
    for (rule, expected) in [
        (
            json!({"rule": "self.n <= self.m"}),
            "spec: Invalid value: failed rule: self.n <= self.m",
        ),
        (
            json!({"rule": "self.n <= self.m", "message": " too many "}),
            "spec: Invalid value: too many",
        ),
        (
            json!({"rule": "self.n <= self.m", "messageExpression": "'n is ' + string(self.n)"}),
            "spec: Invalid value: n is 3",
        ),
        (
            json!({"rule": "self.n <= self.m", "message": "m", "messageExpression": "self.s"}),
            "spec: Invalid value: m",
        ),
        (
            json!({"rule": "self.n <= self.m", "message": "m", "reason": "FieldValueForbidden"}),
            "spec: Forbidden: m",
        ),
        (
            json!({"rule": "self.n <= self.m", "message": "m", "reason": "FieldValueRequired"}),
            "spec: Required value: m",
        ),
        (
            json!({"rule": "self.n <= self.m", "message": "m", "fieldPath": ".n"}),
            "spec.n: Invalid value: m",
        ),
        (
            json!({"rule": "self.s == ''"}),
            r#"spec: Invalid value: "object": no such key: s evaluating rule: self.s == ''"#,
        ),
        (
            json!({"rule": "self.n / (self.m - 1) == 0", "message": "m"}),
            r#"spec: Invalid value: "object": division by zero evaluating rule: m"#,
        ),
    ] {
        assert_eq!(errors(&with_rule(&rule), &spec), [expected], "{rule}");
    }
    let scalar =
        json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "message": "m"}]});
    assert_eq!(errors(&scalar, &json!(1)), ["spec: Invalid value: 1: m"]);
    let invalid =
        json!({"type": "object", "required": ["a"], "x-kubernetes-validations": [{"rule": "false"}]});
    assert_eq!(
        errors(&invalid, &json!({})),
        [
            "spec.a: Required value",
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ],
    );
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_its_place() {
    for (rule, at, expected) in [
        (
            json!({"rule": " "}),
            "rule",
            "Required value: rule is not specified",
        ),
        (
            json!({"rule": "self.n >"}),
            "rule",
            "compilation failed: ERROR: <input>:1:",
        ),
        (
            json!({"rule": "self.nope == 1"}),
            "rule",
            "compilation failed: ERROR: <input>:1:1: undefined field 'nope'",
        ),
        (
            json!({"rule": "self.items.all(i, i.b == 1)"}),
            "rule",
            "undefined field 'b'",
        ),
        (
            json!({"rule": "other == 1"}),
            "rule",
            "undeclared reference to 'other' (in container '')",
        ),
        (
            json!({"rule": "self.s.shout() == 'A'"}),
            "rule",
            "undeclared reference to 'shout' (in container '')",
        ),
        (
            json!({"rule": "Thing{a: 1} == 1"}),
            "rule",
            "undeclared reference to 'Thing' (in container '')",
        ),
        (
            json!({"rule": "self.n + 1"}),
            "rule",
            "cel expression must evaluate to a bool",
        ),
        (
            json!({"rule": "true", "messageExpression": "nope"}),
            "messageExpression",
            "messageExpression compilation failed: ",
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            "message",
            "must not contain line breaks",
        ),
        (
            json!({"rule": "true &&\ntrue"}),
            "message",
            "Required value: message must be specified if rule contains line breaks",
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            "reason",
            r#"supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#,
        ),
        (
            json!({"rule": "true", "fieldPath": ".nope"}),
            "fieldPath",
            "must be a valid path",
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            "optionalOldSelf",
            "may not be set if oldSelf is not used in rule",
        ),
    ] {
        let read = Structural::read(&of_spec(with_rule(&rule)), &FieldPath::new("s"));
        let found = read.err().map(|errors| shown(&errors)).unwrap_or_default();
        let start = format!("s.properties[spec].x-kubernetes-validations[0].{at}: ");
        assert!(
            found.len() == 1 && found[0].starts_with(&start) && found[0].contains(expected),
            "{rule}: {found:?}"
        );
    }
    let item = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let read = Structural::read(
        &of_spec(json!({"type": "array", "items": item})),
        &FieldPath::new("s"),
    );
    let found = read.err().map(|errors| errors.to_string()).unwrap_or_default();
    assert!(
        found.contains(
            "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"
        ),
        "{found}"
    );
}

#[test]
fn rules_about_changes_are_for_what_was_there_before() {
    let kept = json!({"rule": "self.n == oldSelf.n", "message": "n may not change"});
    let optional = json!({"rule": "oldSelf.hasValue() || self.n == 0", "optionalOldSelf": true, "message": "begins at 0"});
    for (rule, old, new, expected) in [
        (&kept, Some(1), 1, vec![]),
        (&kept, Some(1), 2, vec!["spec: Invalid value: n may not change"]),
        (&kept, None, 2, vec![]),
        (&optional, None, 2, vec!["spec: Invalid value: begins at 0"]),
        (&optional, None, 0, vec![]),
        (&optional, Some(0), 2, vec![]),
    ] {
        let schema = read(&of_spec(with_rule(rule)));
        let new = object(json!({"n": new}));
        let found = match old {
            Some(old) => schema.validate_update(&new, &object(json!({"n": old}))),
            None => schema.validate(&new),
        };
        assert_eq!(shown(&found), expected, "{rule}: {old:?} to {new:?}");
    }
}

#[test]
fn what_did_not_satisfy_a_rule_before_and_is_as_it_was_is_let_be() {
    let item =
        json!({"type": "string", "x-kubernetes-validations": [{"rule": "self != 'bad'", "message": "m"}]});
    let list = |kind: &str| json!({"type": "array", "items": item, "x-kubernetes-list-type": kind});
    let schema = read(&of_spec(
        json!({"type": "object", "properties": {"list": list("atomic"), "n": {"type": "integer"}}}),
    ));
    let old = object(json!({"list": ["bad"], "n": 1}));
    assert_eq!(
        schema
            .validate_update(&object(json!({"list": ["bad"], "n": 2})), &old)
            .len(),
        0
    );
    let longer = object(json!({"list": ["bad", "good"], "n": 2}));
    assert_eq!(
        shown(&schema.validate_update(&longer, &old)),
        [r#"spec.list[0]: Invalid value: "bad": m"#]
    );
}

#[test]
fn rules_made_to_take_for_ever_do_not() {
    let items: Vec<Value> = (0..1000).map(|n| json!(format!("item {n}"))).collect();
    let many: Vec<Value> = (0..10).flat_map(|_| items.clone()).collect();
    let dear = "validation failed due to running out of cost budget, no further validation rules will be run";
    let long = "x".repeat(100_000);
    for (rule, spec) in [
        (
            "self.list.all(a, self.list.all(b, self.list.all(c, a + b != c)))",
            json!({"list": items}),
        ),
        (
            "self.list.map(a, self.list).map(b, b.map(c, b)).size() == 0",
            json!({"list": items}),
        ),
        ("self.list.all(a, self.list == self.list)", json!({"list": many})),
        ("self.s.replace('', self.s) == ''", json!({"s": long})),
        ("self.list.join(self.s) == ''", json!({"s": long, "list": many})),
        (
            "self.list.all(a, !self.s.matches('(x+x+)+y' + a))",
            json!({"s": long, "list": items}),
        ),
    ] {
        let found = errors(&with_rule(&json!({"rule": rule})), &spec);
        assert!(found.len() == 1 && found[0].ends_with(dear), "{rule}: {found:?}");
    }
    let doubled = format!("[self.s, self.s].{}size() > 0", "map(x, x + x).".repeat(40));
    let found = errors(&with_rule(&json!({"rule": doubled})), &json!({"s": "xx"}));
    assert!(found[0].ends_with(dear), "{found:?}");
    for deep in [
        "(".repeat(1000) + "true",
        "true".to_owned() + &" == true".repeat(500),
        "!".repeat(4000) + "true",
        "[".repeat(2000),
        "a".repeat(5000),
    ] {
        let read = Structural::read(&of_spec(with_rule(&json!({"rule": deep}))), &FieldPath::new("s"));
        assert!(read.is_err());
    }
}
