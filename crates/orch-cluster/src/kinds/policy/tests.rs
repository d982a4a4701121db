//! PodDisruptionBudgets: what is refused.

use serde_json::json;

use crate::kinds::testkit::refuses;

#[test]
fn a_budget_says_one_thing_of_how_many_pods_there_must_be() {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1},
    });
    refuses(
        &budget,
        &[
            (
                "/spec/maxUnavailable",
                json!(1),
                "spec: Invalid value: 1: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                "/spec/minAvailable",
                json!(-1),
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/minAvailable",
                json!("110%"),
                "spec.minAvailable: Invalid value: \"110%\": must not be greater than 100%",
            ),
            (
                "/spec/unhealthyPodEvictionPolicy",
                json!("Never"),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ),
        ],
    );
}
