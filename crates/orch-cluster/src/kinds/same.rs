//! Which values are one to Kubernetes: it compares what Go has read of them, by `equality.Semantic.DeepEqual`.
//!
//! A client written in Go sends back what it read without what is empty, and amounts in their shortest form. What a
//! user wrote as `tolerations: []` and `1024Mi` comes back as nothing and `1Gi`, and nothing has changed.

use orch_core::object::Quantity;
use serde::Serialize;
use serde_json::{Map, Value};

/// Whose members are amounts.
const AMOUNTS: [&str; 6] = ["capacity", "hard", "limits", "overhead", "podFixed", "requests"];
/// Which are amounts themselves.
const AMOUNT: [&str; 2] = ["divisor", "sizeLimit"];
/// Whose members have names that users chose: an empty one is another than none.
const CHOSEN: [&str; 9] = [
    "annotations",
    "data",
    "labels",
    "matchLabels",
    "nodeSelector",
    "options",
    "parameters",
    "stringData",
    "volumeAttributes",
];
/// Which Go has no pointer for, so that false is as good as none. Text is like that but for the next.
const FALSE_IS_NONE: [&str; 7] = [
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Which Go has a pointer for, so that one with nothing in it is another than none: it selects everything, or is a source of its own.
const EMPTY_COUNTS: [&str; 6] = [
    "emptyDir",
    "labelSelector",
    "namespaceSelector",
    "podSelector",
    "securityContext",
    "selector",
];
/// Whose empty text is another than none.
const TEXT_COUNTS: [&str; 2] = ["storageClassName", "volumeAttributesClassName"];

/// Whether two values are the same to Kubernetes.
pub(crate) fn are_same<T: PartialEq + Serialize>(one: &T, other: &T) -> bool {
    let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
    one == other || is_same_member("", &value(one), &value(other))
}

/// Whether two values of the member `key` are the same to Kubernetes.
pub(crate) fn is_same_member(key: &str, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(_), Value::Object(_)) if CHOSEN.contains(&key) => one == other,
        (Value::Object(one), Value::Object(other)) => {
            let only_other = other.keys().filter(|name| !one.contains_key(*name));
            one.keys().chain(only_other).all(|name| {
                let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                match AMOUNTS.contains(&key) {
                    true => is_same_amount(&of(one), &of(other)),
                    false => is_same_member(name, &of(one), &of(other)),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut both = one.iter().zip(other);
            both.all(|(one, other)| is_same_member("", one, other))
        }
        (one, other) if AMOUNT.contains(&key) => is_same_amount(one, other),
        (one, other) => one == other || is_none(key, one) && is_none(key, other),
    }
}

fn is_same_amount(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| value.as_str().and_then(|text| text.parse::<Quantity>().ok());
    one == other || amount(one).is_some_and(|one| amount(other) == Some(one))
}

/// Whether Go keeps nothing of a member `key` with this value.
fn is_none(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_set) => !is_set && FALSE_IS_NONE.contains(&key),
        Value::Number(_) => false,
        Value::String(text) => text.is_empty() && !TEXT_COUNTS.contains(&key),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) if EMPTY_COUNTS.contains(&key) => false,
        Value::Object(map) if CHOSEN.contains(&key) => map.is_empty(),
        Value::Object(map) => map.iter().all(|(name, value)| is_none(name, value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_go_reads_alike_is_the_same() {
        for (one, other) in [
            (json!({"tolerations": [], "volumes": null}), json!({})),
            (json!({"resources": {"requests": {}}}), json!({})),
            (
                json!({"env": [{"name": "A", "value": ""}]}),
                json!({"env": [{"name": "A"}]}),
            ),
            (
                json!({"requests": {"storage": "1024Mi"}}),
                json!({"requests": {"storage": "1Gi"}}),
            ),
            (
                json!({"emptyDir": {"sizeLimit": "0.5Gi"}}),
                json!({"emptyDir": {"sizeLimit": "512Mi"}}),
            ),
            (json!({"hostNetwork": false}), json!({})),
        ] {
            assert!(is_same_member("", &one, &other), "{one} {other}");
            assert!(is_same_member("", &other, &one), "{other} {one}");
        }
    }

    #[test]
    fn what_go_reads_otherwise_is_not() {
        for (one, other) in [
            (json!({"args": ["1024Mi"]}), json!({"args": ["1Gi"]})),
            (json!({"args": [""]}), json!({"args": []})),
            (json!({"nodeSelector": {"ssd": ""}}), json!({})),
            (json!({"hostUsers": false}), json!({})),
            (json!({"namespaceSelector": {}}), json!({})),
            (json!({"storageClassName": ""}), json!({})),
            (json!({"replicas": 0}), json!({})),
            (json!({"requests": {"cpu": "0"}}), json!({"requests": {}})),
        ] {
            assert!(!is_same_member("", &one, &other), "{one} {other}");
            assert!(!is_same_member("", &other, &one), "{other} {one}");
        }
    }
}
