//! Policies that are stored, and a client's writes that they judge.

mod expressions;
mod params;

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
    let resource = find_kind(of("apiVersion"), of("kind")).unwrap().resource.clone();
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
