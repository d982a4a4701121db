//! ResourceQuotas and LimitRanges: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, raw, refuses, replaces, takes_status};

fn quota() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all", "namespace": "default"},
        "spec": {"hard": {"pods": 4, "requests.cpu": "2"}},
        "status": {"used": {"pods": "1"}},
    })
}

#[test]
fn a_quota_bounds_what_is_known_of_pods_that_there_may_be() {
    let made = created("v1", quota()).unwrap();
    assert_eq!(made["spec"]["hard"], json!({"pods": "4", "requests.cpu": "2"}));
    assert_eq!(made.get("status"), None, "nobody sends a status");
    let scoped = |scope: &str, hard: &str| json!({"hard": {hard: "1"}, "scopes": [scope]});
    let selected = |scope: &str, operator: &str, values: Value| json!({"scopeSelector": {"matchExpressions": [{"scopeName": scope, "operator": operator, "values": values}]}});
    refuses(
        &quota(),
        &[
            (
                "/spec/hard",
                json!({"pods": "-1"}),
                "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                "/spec/hard",
                json!({"pods": "1500m"}),
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
            ),
            (
                "/spec/hard",
                json!({"cats": "1"}),
                "spec.hard[cats]: Invalid value: \"cats\": must be a standard resource type or fully qualified",
            ),
            (
                "/spec/hard",
                json!({"storage": "1"}),
                "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
            ),
            (
                "/spec",
                scoped("Lazy", "pods"),
                "spec.scopes: Invalid value: [\"Lazy\"]: unsupported scope",
            ),
            (
                "/spec",
                scoped("BestEffort", "cpu"),
                "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
            ),
            (
                "/spec",
                scoped("Terminating", "services"),
                "spec.scopes: Invalid value: [\"Terminating\"]: unsupported scope applied to resource",
            ),
            (
                "/spec",
                json!({"scopes": ["BestEffort", "NotBestEffort"]}),
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
            ),
            (
                "/spec",
                selected("Lazy", "Exists", json!([])),
                "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Lazy\": unsupported scope",
            ),
            (
                "/spec",
                selected("PriorityClass", "In", json!([])),
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
            (
                "/spec",
                selected("PriorityClass", "Exists", json!(["high"])),
                "spec.scopeSelector.matchExpressions.values: Invalid value: [\"high\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ),
            (
                "/spec",
                selected("Terminating", "In", json!(["true"])),
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
            ),
        ],
    );
    let all = json!({"count/jobs.batch": "1", "requests.nvidia.com/gpu": "2", "hugepages-2Mi": "2Mi", "limits.memory": "1Gi",
        "services.nodeports": "0", "requests.hugepages-2Mi": "4Mi", "fast.storageclass.storage.k8s.io/requests.storage": "1Ti"});
    let allowed = [
        ("/spec/hard", all, ""),
        ("/spec", json!({}), ""),
        (
            "/spec/scopes",
            json!(["Terminating"]),
            "spec.scopes: Invalid value: [\"Terminating\"]: field is immutable",
        ),
    ];
    replaces(&quota(), &allowed);
    let status = |used: &str| json!({"hard": {"pods": "1"}, "used": {"pods": used}});
    takes_status(
        &quota(),
        &[
            (status("1"), ""),
            (
                status("-1"),
                "status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
        ],
    );
}

fn limits(limit: Value) -> Value {
    let mut range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "some", "namespace": "default"}, "spec": {},
    });
    range["spec"]["limits"] = json!([limit]);
    range
}

#[test]
fn containers_that_say_nothing_get_what_they_may() {
    for (given, expected) in [
        (
            json!({"type": "Container", "max": {"cpu": 2}, "min": {"cpu": "1", "memory": "1Mi"}}),
            json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"},
                "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1Mi"}}),
        ),
        (
            json!({"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}}),
            json!({"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}),
        ),
        (
            json!({"type": "Pod", "max": {"cpu": "2"}}),
            json!({"type": "Pod", "max": {"cpu": "2"}}),
        ),
    ] {
        let made = created("v1", limits(given)).unwrap();
        assert_eq!(made["spec"]["limits"][0], expected);
    }
}

#[test]
fn limits_agree_with_each_other() {
    let container = |rest: Value| {
        let mut limit = json!({"type": "Container"});
        limit.as_object_mut().unwrap().extend(raw(rest));
        json!([limit])
    };
    let pod = json!({"type": "Pod", "max": {"cpu": "2"}});
    let at = "/spec/limits";
    refuses(
        &limits(pod.clone()),
        &[
            (
                at,
                json!([pod, pod]),
                "spec.limits[1].type: Duplicate value: \"Pod\"",
            ),
            (
                at,
                json!([{"type": "Node"}]),
                "spec.limits[0].type: Invalid value: \"Node\": must be a standard limit type or fully qualified",
            ),
            (
                at,
                json!([{"type": "Pod", "default": {"cpu": "1"}}]),
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ),
            (
                at,
                json!([{"type": "PersistentVolumeClaim"}]),
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            ),
            (
                at,
                container(json!({"max": {"pods": "1"}})),
                "spec.limits[0].max[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ),
            (
                at,
                container(
                    json!({"max": {"cpu": "1"}, "min": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}),
                ),
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
            ),
            (
                at,
                container(json!({"min": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}})),
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
            ),
            (
                at,
                container(json!({"max": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}})),
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than max value 1",
            ),
            (
                at,
                container(json!({"default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}})),
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default limit value 1",
            ),
            (
                at,
                container(
                    json!({"default": {"hugepages-2Mi": "4Mi"}, "defaultRequest": {"hugepages-2Mi": "2Mi"}}),
                ),
                "spec.limits[0].defaultRequest[hugepages-2Mi]: Invalid value: \"2Mi\": default value 4Mi must equal to defaultRequest value 2Mi in hugepages-2Mi",
            ),
            (
                at,
                container(json!({"min": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {}})),
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
            ),
            (
                at,
                container(
                    json!({"max": {"cpu": "1"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}),
                ),
                "spec.limits[0].default[cpu]: Invalid value: \"1\": default value 2 is greater than max value 1",
            ),
            (
                at,
                container(json!({"maxLimitRequestRatio": {"cpu": "500m"}})),
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
            ),
            (
                at,
                container(
                    json!({"max": {"cpu": "3"}, "min": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"}}),
                ),
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"2\": ratio 2 is greater than max/min = 1.500000",
            ),
        ],
    );
    let allowed =
        json!([{"type": "PersistentVolumeClaim", "max": {"storage": "1Ti"}}, {"type": "example.com/cat"}]);
    replaces(&limits(pod), &[(at, allowed, "")]);
}
