//! The less common kinds of core/v1, and what runs pods.

use serde_json::json;

use super::kinds::check;

#[test]
fn what_came_before_replica_sets_is_told_of_like_them() {
    let template = json!({"metadata": {"labels": {"b": "c", "a": ""}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    check(
        "v1",
        "ReplicationController",
        &[
            "Name",
            "Desired",
            "Current",
            "Ready",
            "Age",
            "Containers",
            "Images",
            "Selector",
        ],
        &[
            (
                json!({"spec": {"replicas": 3, "selector": {"b": "c", "a": ""}, "template": template},
                    "status": {"replicas": 2, "readyReplicas": 1}}),
                &["a", "3", "2", "1", "5m", "c", "i", "a=,b=c"],
            ),
            (json!({}), &["a", "1", "0", "0", "5m", "", "", "<none>"]),
        ],
    );
    check(
        "v1",
        "PodTemplate",
        &["Name", "Containers", "Images", "Pod Labels"],
        &[
            (json!({"template": template}), &["a", "c", "i", "a=,b=c"]),
            (json!({}), &["a", "", "", "<none>"]),
        ],
    );
}

#[test]
fn quotas_say_how_much_is_used() {
    let status = json!({"hard": {"pods": "4", "limits.cpu": "2", "requests.cpu": "1", "limits.memory": "1Gi"},
        "used": {"pods": "3", "limits.cpu": "500m"}});
    check(
        "v1",
        "ResourceQuota",
        &["Name", "Request", "Limit", "Age"],
        &[
            (
                json!({"status": status}),
                &[
                    "a",
                    "pods: 3/4, requests.cpu: 0/1",
                    "limits.cpu: 500m/2, limits.memory: 0/1Gi",
                    "5m",
                ],
            ),
            (json!({}), &["a", "", "", "5m"]),
        ],
    );
    check(
        "v1",
        "LimitRange",
        &["Name", "Created At"],
        &[(json!({}), &["a", "2030-01-01T23:55:00Z"])],
    );
    check(
        "node.k8s.io/v1",
        "RuntimeClass",
        &["Name", "Handler", "Age"],
        &[(json!({"handler": "kata"}), &["a", "kata", "5m"])],
    );
}
