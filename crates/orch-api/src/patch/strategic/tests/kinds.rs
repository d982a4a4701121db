//! Patches of real kinds, as kubectl makes them.

use serde_json::{Value, json};

use super::patched;
use crate::schema::built_in;

#[track_caller]
fn check(
    api_version: &str,
    kind: &str,
    cases: impl IntoIterator<Item = (&'static str, Value, Value, Value)>,
) {
    let schema = built_in(api_version, kind).expect("the kind is built in");
    for (name, original, patch, expected) in cases {
        assert_eq!(patched(schema, &original, &patch), Ok(expected), "{name}");
    }
}

fn container(more: Value) -> Value {
    let mut container = json!({ "name": "web", "image": "nginx:1" });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        container[name] = value;
    }
    json!({ "spec": { "containers": [container] } })
}

#[test]
fn a_pods_containers_merge_by_name() {
    check(
        "v1",
        "Pod",
        [
            (
                "a sidecar is added, an image changed",
                container(json!({ "args": ["-v"] })),
                json!({ "spec": { "containers": [{ "name": "web", "image": "nginx:2" }, { "name": "log" }] } }),
                json!({ "spec": { "containers": [{ "name": "web", "image": "nginx:2", "args": ["-v"] }, { "name": "log" }] } }),
            ),
            (
                "arguments are replaced",
                container(json!({ "args": ["-v", "-x"] })),
                container(json!({ "args": ["-q"] })),
                container(json!({ "args": ["-q"] })),
            ),
            (
                "ports merge by number alone, whatever their protocol",
                container(
                    json!({ "ports": [{ "containerPort": 53, "protocol": "UDP" }, { "containerPort": 80 }] }),
                ),
                container(json!({ "ports": [{ "containerPort": 53, "protocol": "TCP" }] })),
                container(
                    json!({ "ports": [{ "containerPort": 53, "protocol": "TCP" }, { "containerPort": 80 }] }),
                ),
            ),
            (
                "variables merge by name, and one is deleted",
                container(json!({ "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] })),
                container(
                    json!({ "env": [{ "name": "A", "$patch": "delete" }, { "name": "B", "value": "3" }] }),
                ),
                container(json!({ "env": [{ "name": "B", "value": "3" }] })),
            ),
            (
                "a variable gets its value from elsewhere",
                container(json!({ "env": [{ "name": "A", "value": "1" }] })),
                container(json!({ "env": [{
                "name": "A",
                "value": null,
                "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } },
            }] })),
                container(
                    json!({ "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }] }),
                ),
            ),
            (
                "mounts merge by path",
                container(json!({ "volumeMounts": [{ "mountPath": "/a", "name": "x" }] })),
                container(json!({ "volumeMounts": [{ "mountPath": "/b", "name": "x" }] })),
                container(
                    json!({ "volumeMounts": [{ "mountPath": "/b", "name": "x" }, { "mountPath": "/a", "name": "x" }] }),
                ),
            ),
            (
                "resources merge as maps",
                container(json!({ "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } })),
                container(json!({ "resources": { "limits": { "cpu": "2" }, "requests": { "cpu": "1" } } })),
                container(
                    json!({ "resources": { "limits": { "cpu": "2", "memory": "1Gi" }, "requests": { "cpu": "1" } } }),
                ),
            ),
            (
                "what kubectl set env sends",
                container(json!({ "env": [{ "name": "A", "value": "1" }] })),
                json!({ "spec": {
                "$setElementOrder/containers": [{ "name": "web" }],
                "containers": [{
                    "name": "web",
                    "$setElementOrder/env": [{ "name": "B" }, { "name": "A" }],
                    "env": [{ "name": "B", "value": "2" }],
                }],
            } }),
                container(json!({ "env": [{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }] })),
            ),
        ],
    );
}

#[test]
fn of_a_pods_lists_some_are_replaced() {
    let volume = |more: Value| json!({ "spec": { "volumes": [more] } });
    check(
        "v1",
        "Pod",
        [
            (
                "tolerations are replaced",
                json!({ "spec": { "tolerations": [{ "key": "a", "operator": "Exists" }] } }),
                json!({ "spec": { "tolerations": [{ "key": "b", "operator": "Exists" }] } }),
                json!({ "spec": { "tolerations": [{ "key": "b", "operator": "Exists" }] } }),
            ),
            (
                "a volume keeps one source alone",
                volume(json!({ "name": "v", "emptyDir": { "medium": "Memory" } })),
                volume(
                    json!({ "name": "v", "$retainKeys": ["name", "configMap"], "configMap": { "name": "c" } }),
                ),
                volume(json!({ "name": "v", "configMap": { "name": "c" } })),
            ),
            (
                "items of a volume are replaced",
                volume(json!({ "name": "v", "configMap": { "items": [{ "key": "a", "path": "a" }] } })),
                volume(json!({ "name": "v", "configMap": { "items": [{ "key": "b", "path": "b" }] } })),
                volume(json!({ "name": "v", "configMap": { "items": [{ "key": "b", "path": "b" }] } })),
            ),
            (
                "a node selector merges",
                json!({ "spec": { "nodeSelector": { "a": "1" } } }),
                json!({ "spec": { "nodeSelector": { "b": "2" } } }),
                json!({ "spec": { "nodeSelector": { "a": "1", "b": "2" } } }),
            ),
            (
                "pull secrets and host aliases merge",
                json!({ "spec": { "imagePullSecrets": [{ "name": "a" }], "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["x"] }] } }),
                json!({ "spec": { "imagePullSecrets": [{ "name": "b" }], "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["y"] }] } }),
                json!({ "spec": {
                "imagePullSecrets": [{ "name": "b" }, { "name": "a" }],
                "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["y"] }],
            } }),
            ),
            (
                "conditions merge by type",
                json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }, { "type": "Initialized", "status": "True" }] } }),
                json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }),
                json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Initialized", "status": "True" }] } }),
            ),
        ],
    );
}

#[test]
fn metadata_merges_in_every_kind() {
    let owner = |uid: &str, controller: bool| json!({ "uid": uid, "kind": "Job", "name": "j", "controller": controller });
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("rbac.authorization.k8s.io/v1", "Role"),
    ] {
        check(
            api_version,
            kind,
            [
                (
                    "labels merge",
                    json!({ "metadata": { "labels": { "a": "1", "b": "2" } } }),
                    json!({ "metadata": { "labels": { "a": null, "c": "3" } } }),
                    json!({ "metadata": { "labels": { "b": "2", "c": "3" } } }),
                ),
                (
                    "a finalizer goes, another comes",
                    json!({ "metadata": { "finalizers": ["a/x", "b/y"] } }),
                    json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a/x"], "finalizers": ["c/z"] } }),
                    json!({ "metadata": { "finalizers": ["c/z", "b/y"] } }),
                ),
                (
                    "owners merge by uid",
                    json!({ "metadata": { "ownerReferences": [owner("1", true), owner("2", false)] } }),
                    json!({ "metadata": { "ownerReferences": [{ "uid": "1", "$patch": "delete" }, { "uid": "2", "controller": true }] } }),
                    json!({ "metadata": { "ownerReferences": [owner("2", true)] } }),
                ),
            ],
        );
    }
}

#[test]
fn workloads_and_services_merge() {
    check(
        "apps/v1",
        "Deployment",
        [
            (
                "a strategy keeps its type's fields alone",
                json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } } }),
                json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } }),
                json!({ "spec": { "strategy": { "type": "Recreate" } } }),
            ),
            (
                "the template is merged as a pod is",
                json!({ "spec": { "replicas": 3, "template": container(json!({})) } }),
                json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:2" }] } } } }),
                json!({ "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:2" }] } } } }),
            ),
            (
                "expressions of a selector are replaced",
                json!({ "spec": { "selector": { "matchLabels": { "a": "1" }, "matchExpressions": [{ "key": "x", "operator": "Exists" }] } } }),
                json!({ "spec": { "selector": { "matchExpressions": [{ "key": "y", "operator": "Exists" }] } } }),
                json!({ "spec": { "selector": { "matchLabels": { "a": "1" }, "matchExpressions": [{ "key": "y", "operator": "Exists" }] } } }),
            ),
        ],
    );
    check(
        "v1",
        "Service",
        [(
            "ports merge by number",
            json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8080 }, { "port": 443 }] } }),
            json!({ "spec": {
            "$setElementOrder/ports": [{ "port": 443 }, { "port": 80 }],
            "ports": [{ "port": 80, "targetPort": "http" }],
        } }),
            json!({ "spec": { "ports": [{ "port": 443 }, { "port": 80, "targetPort": "http" }] } }),
        )],
    );
    check(
        "policy/v1",
        "PodDisruptionBudget",
        [(
            "a selector is replaced",
            json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "a": "1" } } } }),
            json!({ "spec": { "selector": { "matchLabels": { "b": "2" } } } }),
            json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "b": "2" } } } }),
        )],
    );
    check(
        "v1",
        "Node",
        [(
            "taints are replaced",
            json!({ "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }], "podCIDRs": ["10.0.0.0/24"] } }),
            json!({ "spec": { "taints": [{ "key": "b", "effect": "NoSchedule" }], "podCIDRs": ["fd00::/64"] } }),
            json!({ "spec": { "taints": [{ "key": "b", "effect": "NoSchedule" }], "podCIDRs": ["fd00::/64", "10.0.0.0/24"] } }),
        )],
    );
}
