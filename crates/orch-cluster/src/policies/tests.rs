//! Policies that are stored, and a client's writes that they judge.

use std::sync::Arc;

use orch_core::client::{ApiError, Client, Collection, DeleteParams, Part, Target, WriteParams, Written};
use orch_core::object::{ObjectKey, RawObject};
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

use super::Policies;
use crate::kinds::{find_kind, teach};

const VERSION: &str = "admissionregistration.k8s.io/v1";

struct World(Client);

impl World {
    async fn new() -> Self {
        let builder = Client::builder(Arc::new(MemoryStore::new())).admission(Policies::new());
        let world = Self(teach(builder).build());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "default", "labels": {"team": "blue"}}});
        world.create(namespace).await.unwrap();
        world
    }

    /// One with a policy of this specification, and a binding.
    async fn judged(spec: Value, binding: Value) -> Self {
        let world = Self::new().await;
        world.create(policy("p", spec)).await.unwrap();
        world.create(bound("b", "p", binding)).await.unwrap();
        world
    }

    async fn create(&self, object: Value) -> Result<Written, ApiError> {
        self.create_with(object, WriteParams::default()).await
    }

    async fn create_with(&self, object: Value, params: WriteParams) -> Result<Written, ApiError> {
        let target = target(&object);
        let collection = Collection {
            namespace: target.key.namespace().map(str::to_owned),
            resource: target.resource,
        };
        let backend = self.0.backend();
        backend.create(&collection, raw(object), &params).await
    }

    async fn update(&self, object: Value) -> Result<Written, ApiError> {
        let backend = self.0.backend();
        backend
            .update(
                &target(&object),
                Part::Whole,
                raw(object),
                &WriteParams::default(),
            )
            .await
    }

    async fn delete(&self, object: &Value) -> Result<(), ApiError> {
        let backend = self.0.backend();
        backend
            .delete(&target(object), &DeleteParams::default())
            .await
            .map(drop)
    }
}

fn target(object: &Value) -> Target {
    let of = |field: &str| object[field].as_str().unwrap();
    let resource = find_kind(&of("apiVersion"), &of("kind"))
        .unwrap()
        .resource
        .clone();
    let namespace = resource.is_namespaced().then_some("default");
    Target {
        key: ObjectKey::new(namespace, object["metadata"]["name"].as_str().unwrap()),
        resource: Arc::new(resource),
    }
}

fn raw(object: Value) -> RawObject {
    serde_json::from_value(object).unwrap()
}

/// A policy about maps and namespaces, but for what `spec` says.
fn policy(name: &str, spec: Value) -> Value {
    let mut policy = json!({"apiVersion": VERSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": {"resourceRules": [
            {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps", "namespaces"]}]}}});
    policy["spec"].as_object_mut().unwrap().extend(raw(spec));
    policy
}

/// A binding that denies, but for what `spec` says.
fn bound(name: &str, policy: &str, spec: Value) -> Value {
    let mut binding = json!({"apiVersion": VERSION, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    binding["spec"].as_object_mut().unwrap().extend(raw(spec));
    binding
}

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}}, "data": {"size": value}})
}

fn expressions(expressions: &[&str]) -> Value {
    let all = expressions
        .iter()
        .map(|expression| json!({"expression": expression}));
    json!({"validations": all.collect::<Vec<_>>()})
}

/// A constraint to maps but for what `more` says.
fn maps_but(more: Value) -> Value {
    let mut constraints = json!({"resourceRules": [
        {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]});
    constraints.as_object_mut().unwrap().extend(raw(more));
    json!({"matchConstraints": constraints, "validations": [{"expression": "false"}]})
}

/// What is said of the write: of a refusal what comes after the names, of others nothing.
fn said(result: Result<Written, ApiError>) -> String {
    match result {
        Ok(written) => written.warnings.join("; "),
        Err(ApiError::RefusedByPolicy { message, .. }) => {
            let start = "ValidatingAdmissionPolicy 'p' ";
            message.strip_prefix(start).unwrap_or(&message).to_owned()
        }
        Err(error) => panic!("{error}"),
    }
}

const DENIED: &str = "with binding 'b' denied request: ";

#[tokio::test]
async fn what_a_policy_says_must_be_true_of_what_is_written() {
    let cases = [
        (expressions(&["object.data.size == '2'"]), ""),
        (
            expressions(&["true", " object.data.size == '1' "]),
            "failed expression: object.data.size == '1'",
        ),
        (
            expressions(&["oldObject == null && request.operation == 'CREATE'"]),
            "",
        ),
        (
            expressions(&[
                "request.userInfo.username == 'orch:admin' && 'system:masters' in request.userInfo.groups",
            ]),
            "",
        ),
        (
            expressions(&[
                "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps' \
                && request.name == 'a' && request.namespace == 'default' && !request.dryRun && !has(request.subResource)",
            ]),
            "",
        ),
        (
            expressions(&["namespaceObject.metadata.labels.team == 'blue'"]),
            "",
        ),
        (
            json!({"validations": [{"expression": "false", "message": " too much "}]}),
            "too much",
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no", "messageExpression": "'size ' + object.data.size"}]}),
            "size 2",
        ),
        // A message that is none is not told.
        (
            json!({"validations": [{"expression": "false", "message": "no", "messageExpression": "object.data.none"}]}),
            "no",
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no", "messageExpression": "'a\\nb'"}]}),
            "no",
        ),
        // What is no boolean is not true.
        (
            expressions(&["object.data.size"]),
            "failed expression: object.data.size",
        ),
        (
            json!({"variables": [
                    {"name": "size", "expression": "int(object.data.size)"},
                    {"name": "twice", "expression": "variables.size * 2"},
                    {"name": "never", "expression": "object.none"}],
                "validations": [{"expression": "variables.twice == 4"}, {"expression": "variables.twice == 5"}]}),
            "failed expression: variables.twice == 5",
        ),
        (
            json!({"variables": [{"name": "never", "expression": "object.none"}],
                "validations": [{"expression": "variables.never == 1"}]}),
            "expression 'variables.never == 1' resulted in error: composited variable \"never\" fails to evaluate: no such \
             key: none",
        ),
        (
            expressions(&["object.none == 1"]),
            "expression 'object.none == 1' resulted in error: no such key: none",
        ),
        (
            json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.none == 1"}]}),
            "",
        ),
        // Only what cannot be told is let pass.
        (
            json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.none == 1"}, {"expression": "1 == 2"}]}),
            "failed expression: 1 == 2",
        ),
        (
            json!({"matchConditions": [{"name": "a", "expression": "object.data.size == '1'"}],
                "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            json!({"matchConditions": [{"name": "a", "expression": "object.none"}, {"name": "b", "expression": "false"}],
                "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            json!({"matchConditions": [{"name": "a", "expression": "object.none"}], "validations": [{"expression": "true"}]}),
            "expression 'object.none' resulted in error: no such key: none",
        ),
        (
            json!({"matchConditions": [{"name": "a", "expression": "object.none"}], "failurePolicy": "Ignore",
                "validations": [{"expression": "false"}]}),
            "",
        ),
        // Conditions are told of no namespace.
        (
            json!({"matchConditions": [{"name": "a", "expression": "namespaceObject != null"}],
                "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            json!({"auditAnnotations": [{"key": "a", "valueExpression": "object.data.size"}]}),
            "",
        ),
        (
            json!({"auditAnnotations": [{"key": "a", "valueExpression": "1 + 1"}]}),
            "valueExpression '1 + 1' resulted in unsupported return type: int. Return type must be either string or null.",
        ),
        (maps_but(json!({})), "failed expression: false"),
        (
            maps_but(json!({"objectSelector": {"matchLabels": {"app": "b"}}})),
            "",
        ),
        (
            maps_but(json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}})),
            "failed expression: false",
        ),
        (
            maps_but(json!({"namespaceSelector": {"matchLabels": {"team": "red"}}})),
            "",
        ),
        (
            maps_but(
                json!({"excludeResourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
                "resources": ["configmaps"], "resourceNames": ["a"]}]}),
            ),
            "",
        ),
        (
            maps_but(
                json!({"excludeResourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
                "resources": ["configmaps"], "resourceNames": ["b"]}]}),
            ),
            "failed expression: false",
        ),
    ];
    for (spec, expected) in cases {
        let world = World::judged(spec.clone(), json!({})).await;
        let expected = match expected {
            "" => String::new(),
            why => format!("{DENIED}{why}"),
        };
        assert_eq!(said(world.create(map("a", "2")).await), expected, "{spec}");
    }
}

#[tokio::test]
async fn a_binding_says_for_what_a_policy_counts_and_what_becomes_of_what_breaks_it() {
    let failed = "failed expression: false";
    let warned = format!("Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': {failed}");
    let cases = [
        (json!({}), format!("{DENIED}{failed}")),
        (json!({"policyName": "other"}), String::new()),
        (json!({"validationActions": ["Warn"]}), warned.clone()),
        (json!({"validationActions": ["Audit"]}), String::new()),
        (json!({"validationActions": ["Audit", "Warn"]}), warned),
        (
            json!({"matchResources": {"objectSelector": {"matchLabels": {"app": "b"}}}}),
            String::new(),
        ),
        (
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"team": "blue"}}}}),
            format!("{DENIED}{failed}"),
        ),
        (
            json!({"matchResources": {"resourceRules": [
                {"operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}}),
            String::new(),
        ),
    ];
    for (binding, expected) in cases {
        let world = World::judged(expressions(&["false"]), binding.clone()).await;
        assert_eq!(said(world.create(map("a", "2")).await), expected, "{binding}");
    }
}

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
async fn the_reason_decides_the_code() {
    for (reason, expected) in [
        (None, (422, "Invalid")),
        (Some("Invalid"), (422, "Invalid")),
        (Some("Forbidden"), (403, "Forbidden")),
        (Some("RequestEntityTooLarge"), (413, "RequestEntityTooLarge")),
    ] {
        let mut spec = expressions(&["false"]);
        spec["validations"][0]["reason"] = json!(reason);
        let world = World::judged(spec, json!({})).await;
        let refused = world.create(map("a", "2")).await.unwrap_err();
        let ApiError::RefusedByPolicy { code, reason, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!((*code, reason.as_str()), expected);
        assert_eq!(
            refused.to_string(),
            format!(
                "configmaps \"a\" in namespace \"default\" is forbidden: ValidatingAdmissionPolicy 'p' {DENIED}failed \
                     expression: false"
            )
        );
    }
}

#[tokio::test]
async fn updates_and_deletions_are_judged_with_what_was_there() {
    let grows = "request.operation == 'DELETE' ? oldObject.data.size == '3' : oldObject == null \
                 || object.data.size >= oldObject.data.size";
    let world = World::judged(
        expressions(&[grows, "request.operation != 'DELETE' || object == null"]),
        json!({}),
    )
    .await;
    world.create(map("a", "2")).await.unwrap();
    let failed = format!("{DENIED}failed expression: {grows}");
    assert_eq!(said(world.update(map("a", "1")).await), failed);
    let refused = world.delete(&map("a", "")).await.unwrap_err().to_string();
    assert!(refused.ends_with(&failed), "{refused}");
    world.update(map("a", "3")).await.unwrap();
    world.delete(&map("a", "")).await.unwrap();
}

#[tokio::test]
async fn a_policy_counts_from_the_write_that_stores_it_until_it_is_gone() {
    let world = World::new().await;
    let binding = bound("b", "p", json!({}));
    world.create(binding.clone()).await.unwrap();
    assert_eq!(said(world.create(map("a", "2")).await), "");
    world.create(policy("p", expressions(&["false"]))).await.unwrap();
    assert_eq!(
        said(world.create(map("b", "2")).await),
        format!("{DENIED}failed expression: false")
    );
    world.update(policy("p", expressions(&["1 == 2"]))).await.unwrap();
    assert_eq!(
        said(world.create(map("b", "2")).await),
        format!("{DENIED}failed expression: 1 == 2")
    );
    world.delete(&binding).await.unwrap();
    assert_eq!(said(world.create(map("b", "2")).await), "");
}

#[tokio::test]
async fn policies_are_judged_by_none() {
    let mut spec = expressions(&["false"]);
    spec["matchConstraints"] = json!({"resourceRules": [
        {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]});
    let world = World::judged(spec, json!({})).await;
    world.create(policy("q", expressions(&["true"]))).await.unwrap();
    world.delete(&policy("p", json!({}))).await.unwrap();
    world.create(map("a", "2")).await.unwrap();
}

#[tokio::test]
async fn of_several_that_refuse_the_first_by_name_is_told_of() {
    let world = World::new().await;
    for name in ["q", "p"] {
        world.create(policy(name, expressions(&["false"]))).await.unwrap();
        for binding in ["c", "b"] {
            let name_of = format!("{name}-{binding}");
            world.create(bound(&name_of, name, json!({}))).await.unwrap();
        }
    }
    assert_eq!(
        said(world.create(map("a", "2")).await),
        "with binding 'p-b' denied request: failed expression: false"
    );
}

#[tokio::test]
async fn an_expression_that_takes_too_long_is_given_up() {
    let many: Vec<u32> = (0..200).collect();
    let dear = format!("{many:?}.all(a, {many:?}.all(b, {many:?}.all(c, a + b + c >= 0)))");
    for (failure, expected) in [
        (
            "Fail",
            format!(
                "{DENIED}validation failed due to running out of cost budget, no further validation rules will be run"
            ),
        ),
        ("Ignore", String::new()),
    ] {
        let mut spec = expressions(&[&dear, "false"]);
        spec["failurePolicy"] = json!(failure);
        let world = World::judged(spec, json!({})).await;
        assert_eq!(said(world.create(map("a", "2")).await), expected, "{failure}");
    }
}

#[tokio::test]
async fn what_is_not_written_in_the_end_is_judged_too() {
    let world = World::judged(expressions(&["!request.dryRun"]), json!({})).await;
    let dry = WriteParams::default().dry_run(true);
    let refused = world.create_with(map("a", "2"), dry).await;
    assert_eq!(
        said(refused),
        format!("{DENIED}failed expression: !request.dryRun")
    );
    assert_eq!(said(world.create(map("a", "2")).await), "");
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
        resource: Arc::new(orch_core::object::ApiResource::new(
            "example.com",
            "v1",
            "Limit",
            "limits",
            orch_core::object::Scope::Cluster,
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
