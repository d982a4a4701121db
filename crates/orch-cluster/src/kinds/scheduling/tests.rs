//! PriorityClasses: what is filled in, what is refused.

use serde_json::json;

use crate::kinds::testkit::{created, refuses, replaces};

#[test]
fn a_class_keeps_its_priority_which_is_below_the_systems() {
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000,
    });
    let made = created("scheduling.k8s.io/v1", class.clone()).unwrap();
    assert_eq!(made["preemptionPolicy"], "PreemptLowerPriority");
    refuses(
        &class,
        &[
            (
                "/value",
                json!(1_000_000_001),
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            ),
            (
                "/preemptionPolicy",
                json!("Always"),
                "preemptionPolicy: Unsupported value: \"Always\": supported values: \"Never\", \"PreemptLowerPriority\"",
            ),
        ],
    );
    replaces(
        &class,
        &[
            ("/description", json!("for what cannot wait"), ""),
            (
                "/value",
                json!(1),
                "value: Forbidden: may not be changed in an update.",
            ),
            (
                "/preemptionPolicy",
                json!("Never"),
                "preemptionPolicy: Invalid value: \"Never\": field is immutable",
            ),
        ],
    );
    let reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: ";
    for (name, value, wrong) in [
        ("system-node-critical", 2_000_001_000, None),
        (
            "system-node-critical",
            1,
            Some("value of system-node-critical PriorityClass must be 2000001000"),
        ),
        (
            "system-mine",
            1,
            Some("system-mine is not a known system priority class"),
        ),
    ] {
        let mut class = class.clone();
        class["metadata"]["name"] = json!(name);
        class["value"] = json!(value);
        let refused = created("scheduling.k8s.io/v1", class).err();
        let expected = wrong.map(|wrong| format!("{reserved}{wrong}"));
        assert_eq!(
            refused.map(|errors| errors.to_string()),
            expected,
            "{name} {value}"
        );
    }
}
