//! The parameters by which a policy judges.

use std::sync::Arc;

use orch_core::client::{Collection, WriteParams};
use orch_core::object::{ApiResource, Scope};
use serde_json::json;

use super::{DENIED, World, bound, expressions, map, policy, raw, said};

#[tokio::test]
async fn params_are_those_that_the_binding_names() {
    let by_name = |action: &str| json!({"paramRef": {"name": "limits", "parameterNotFoundAction": action}});
    let chosen = |app: &str| json!({"paramRef": {"selector": {"matchLabels": {"app": app}}, "parameterNotFoundAction": "Allow"}});
    let broken = format!("{DENIED}failed expression: params == null || object.data.size <= params.data.size");
    let missing = format!(
        "{DENIED}failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    );
    let cases = [
        ("2", by_name("Deny"), Some("limits"), String::new()),
        ("3", by_name("Deny"), Some("limits"), broken.clone()),
        ("3", by_name("Deny"), None, missing.clone()),
        ("3", by_name("Allow"), None, String::new()),
        ("3", chosen("limits"), Some("limits"), broken),
        ("2", chosen("limits"), Some("limits"), String::new()),
        ("3", chosen("other"), Some("limits"), String::new()),
        // Without a reference there are none, and the policy is to say what that means.
        ("3", json!({}), Some("limits"), String::new()),
        (
            "3",
            json!({"paramRef": {"name": "limits", "namespace": "other", "parameterNotFoundAction": "Deny"}}),
            Some("limits"),
            missing,
        ),
    ];
    for (size, binding, limits, expected) in cases {
        let world = World::new().await;
        if let Some(name) = limits {
            world.create(map(name, "2")).await.unwrap();
        }
        let mut spec = expressions(&["params == null || object.data.size <= params.data.size"]);
        spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        world.create(policy("p", spec)).await.unwrap();
        world.create(bound("b", "p", binding.clone())).await.unwrap();
        assert_eq!(
            said(world.create(map("a", size)).await),
            expected,
            "{size} {binding}"
        );
    }
}

#[tokio::test]
async fn params_that_cannot_be_are_told_of_unless_failures_are_ignored() {
    let reference = json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
    let elsewhere =
        json!({"paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    let cases = [
        (
            "example.com/v1",
            "Limit",
            &reference,
            "denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, \
             Kind=Limit'",
        ),
        (
            "v1",
            "ConfigMap",
            &reference,
            "with binding 'b' denied request: failed to configure binding: no params found for policy binding with `Deny` \
             parameterNotFoundAction",
        ),
        (
            "scheduling.k8s.io/v1",
            "PriorityClass",
            &elsewhere,
            "with binding 'b' denied request: failed to configure binding: paramRef.namespace must not be provided for a \
             cluster-scoped `paramKind`",
        ),
    ];
    for (version, kind, binding, expected) in cases {
        for (failure, expected) in [("Fail", expected), ("Ignore", "")] {
            let mut spec = expressions(&["false"]);
            spec["paramKind"] = json!({"apiVersion": version, "kind": kind});
            spec["failurePolicy"] = json!(failure);
            let world = World::judged(spec, binding.clone()).await;
            assert_eq!(
                said(world.create(map("a", "2")).await),
                expected,
                "{version} {kind} {failure}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_in_no_namespace_has_no_params_that_are_in_one() {
    let mut spec = expressions(&["true"]);
    spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    spec["matchConstraints"] = json!({"resourceRules": [
        {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["priorityclasses"]}]});
    let reference = json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Allow"}});
    let world = World::judged(spec, reference).await;
    let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "a"}, "value": 1});
    assert_eq!(
        said(world.create(class).await),
        format!(
            "{DENIED}failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped \
             resources"
        )
    );
}

#[tokio::test]
async fn params_may_be_of_a_kind_that_is_defined_in_whichever_version() {
    let world = World::new().await;
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "limits.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "versions": [version("v1", true), version("v2", false)],
            "names": {"plural": "limits", "singular": "limit", "kind": "Limit", "listKind": "LimitList"}}});
    world.create(definition).await.unwrap();
    let limits = Collection {
        resource: Arc::new(ApiResource::new(
            "example.com",
            "v1",
            "Limit",
            "limits",
            Scope::Cluster,
        )),
        namespace: None,
    };
    let limit =
        json!({"apiVersion": "example.com/v1", "kind": "Limit", "metadata": {"name": "most"}, "most": "2"});
    let backend = world.0.backend();
    backend
        .create(&limits, raw(limit), &WriteParams::default())
        .await
        .unwrap();

    for version in ["v1", "v2"] {
        let api_version = format!("example.com/{version}");
        let is_this = format!("params.apiVersion == '{api_version}'");
        let mut spec = expressions(&["object.data.size <= params.most", &is_this]);
        spec["paramKind"] = json!({"apiVersion": api_version, "kind": "Limit"});
        let name = format!("p-{version}");
        world.create(policy(&name, spec)).await.unwrap();
        let reference = json!({"paramRef": {"name": "most", "parameterNotFoundAction": "Deny"}});
        world.create(bound(&name, &name, reference)).await.unwrap();
    }
    assert_eq!(said(world.create(map("a", "2")).await), "");
    let refused = said(world.create(map("b", "3")).await);
    assert!(
        refused.ends_with("failed expression: object.data.size <= params.most"),
        "{refused}"
    );
}
