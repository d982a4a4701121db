//! RuntimeClasses: what is filled in, what is refused.

use serde_json::json;

use crate::kinds::testkit::{created, refuses, replaces};

#[test]
fn a_class_names_what_runs_its_pods_and_where() {
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "small"}, "handler": "kata",
        "overhead": {"podFixed": {"cpu": 1}},
    });
    let made = created("node.k8s.io/v1", class.clone()).unwrap();
    assert_eq!(made["overhead"]["podFixed"]["cpu"], "1");
    let toleration = json!({"key": "vm", "operator": "Exists"});
    refuses(
        &class,
        &[
            (
                "/handler",
                json!("kata.v2"),
                "handler: Invalid value: \"kata.v2\": must not contain dots",
            ),
            (
                "/overhead/podFixed",
                json!({"pods": "1"}),
                "overhead.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ),
            (
                "/scheduling",
                json!({"tolerations": [toleration, toleration]}),
                "scheduling.tolerations[1]: Duplicate value: {\"key\":\"vm\",\"operator\":\"Exists\"}",
            ),
            (
                "/scheduling",
                json!({"tolerations": [{"operator": "Equal"}]}),
                "scheduling.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ),
        ],
    );
    replaces(
        &class,
        &[
            ("/scheduling", json!({"nodeSelector": {"vm": "yes"}}), ""),
            (
                "/handler",
                json!("runc"),
                "handler: Invalid value: \"runc\": field is immutable",
            ),
        ],
    );
}
