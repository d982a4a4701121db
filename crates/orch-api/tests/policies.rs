//! ValidatingAdmissionPolicies, by which requests to the API are judged.

mod common;

use common::{Http, MAPS};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use orch_api::ApiOptions;
use orch_cluster::cluster::Cluster;
use serde_json::{Value, json};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// A policy about maps, but for what `spec` says.
fn policy(spec: &Value) -> Value {
    let mut policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "keys.example.com"},
        "spec": {"matchConstraints": {"resourceRules": [
            {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}}});
    extend(&mut policy, spec);
    policy
}

/// A binding that denies, but for what `spec` says.
fn binding(spec: &Value) -> Value {
    let mut binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "everywhere"},
        "spec": {"policyName": "keys.example.com", "validationActions": ["Deny"]}});
    extend(&mut binding, spec);
    binding
}

fn extend(object: &mut Value, spec: &Value) {
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
}

/// A cluster in which a policy is in force.
async fn judged(spec: &Value, bound: &Value) -> (Cluster, Http) {
    let (cluster, api) = common::cluster(ApiOptions::default()).await;
    enforce(&api, spec, bound).await;
    (cluster, api)
}

async fn enforce(api: &Http, spec: &Value, bound: &Value) {
    for (path, object) in [(POLICIES, policy(spec)), (BINDINGS, binding(bound))] {
        let (code, made) = api.post(path, &object).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
    }
}

fn is_one() -> Value {
    json!({"validations": [{"expression": "object.data.key == '1'"}]})
}

/// What becomes of a map of a value, and of what its writer is warned.
async fn made(api: &Http, name: &str, value: &str) -> (StatusCode, Value, HeaderMap) {
    let request = Request::post(MAPS).header("Content-Type", "application/json");
    let body = Full::from(common::map(name, value).to_string());
    let answer = api.send(request.body(body).unwrap()).await;
    let (code, headers) = (answer.status(), answer.headers().clone());
    (code, common::json(answer).await, headers)
}

#[tokio::test]
async fn what_breaks_a_policy_is_refused_in_kubernetes_words() {
    for (reason, expected) in [
        (None, (StatusCode::UNPROCESSABLE_ENTITY, "Invalid")),
        (Some("Forbidden"), (StatusCode::FORBIDDEN, "Forbidden")),
        (
            Some("RequestEntityTooLarge"),
            (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
        ),
    ] {
        let mut spec = is_one();
        spec["validations"][0]["reason"] = json!(reason);
        let (_cluster, api) = judged(&spec, &json!({})).await;
        let (code, said, _) = made(&api, "a", "2").await;
        let message = "ValidatingAdmissionPolicy 'keys.example.com' with binding 'everywhere' denied request: failed \
                       expression: object.data.key == '1'";
        let details = json!({"name": "a", "kind": "configmaps", "causes": [{"message": message}]});
        assert_eq!((code, said["reason"].as_str().unwrap()), expected);
        assert_eq!(
            said["message"],
            format!("configmaps \"a\" is forbidden: {message}")
        );
        assert_eq!(said["details"], details);
        let (code, _) = api.get(&format!("{MAPS}/a")).await;
        assert_eq!(code, StatusCode::NOT_FOUND);
        let (code, said, _) = made(&api, "a", "1").await;
        assert_eq!(code, StatusCode::CREATED, "{said}");
    }
}

#[tokio::test]
async fn who_breaks_a_policy_that_only_warns_is_warned() {
    let (_cluster, api) = judged(&is_one(), &json!({"validationActions": ["Warn", "Audit"]})).await;
    let (code, _, headers) = made(&api, "a", "2").await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(
        headers["Warning"],
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'keys.example.com' with binding 'everywhere': failed \
         expression: object.data.key == '1'\""
    );
    let (_, _, headers) = made(&api, "b", "1").await;
    assert_eq!(headers.get("Warning"), None);
}

#[tokio::test]
async fn policies_have_params_and_variables() {
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "not-exempt", "expression": "object.metadata.name != params.data.exempt"}],
        "variables": [
            {"name": "size", "expression": "int(object.data.key)"},
            {"name": "room", "expression": "int(params.data.key) - variables.size"}],
        "validations": [{"expression": "variables.room >= 0",
            "messageExpression": "string(-variables.room) + ' too many in ' + namespaceObject.metadata.name"}],
    });
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let mut limit = common::map("limit", "3");
    limit["data"]["exempt"] = json!("big");
    api.post(MAPS, &limit).await;
    let reference = json!({"paramRef": {"name": "limit", "parameterNotFoundAction": "Deny"}});
    enforce(&api, &spec, &reference).await;
    for (name, value, expected) in [
        ("a", "3", None),
        ("b", "5", Some("2 too many in default")),
        ("big", "5", None),
    ] {
        let (code, said, _) = made(&api, name, value).await;
        match expected {
            None => assert_eq!(code, StatusCode::CREATED, "{said}"),
            Some(why) => assert!(said["message"].as_str().unwrap().ends_with(why), "{said}"),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_refused_unless_failures_are_ignored() {
    let refused = "expression 'object.none == 1' resulted in error: no such key: none";
    for (failure, expected) in [("Fail", Some(refused)), ("Ignore", None)] {
        let spec = json!({"failurePolicy": failure, "validations": [{"expression": "object.none == 1"}]});
        let (_cluster, api) = judged(&spec, &json!({})).await;
        let (code, said, _) = made(&api, "a", "1").await;
        match expected {
            None => assert_eq!(code, StatusCode::CREATED, "{said}"),
            Some(why) => {
                assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
                assert!(said["message"].as_str().unwrap().ends_with(why), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_applied_patched_or_only_tried_is_judged_too() {
    let (_cluster, api) = judged(&is_one(), &json!({})).await;
    let one = format!("{MAPS}/a");
    let applied = |value: &str| common::map("a", value).to_string();
    let tried = format!("{MAPS}?dryRun=All");
    let apply = format!("{one}?fieldManager=me");
    let (yaml, merge) = ("application/apply-patch+yaml", "application/merge-patch+json");
    for (method, path, form, body, expected) in [
        (
            "POST",
            &tried,
            "application/json",
            applied("2"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "POST",
            &tried,
            "application/json",
            applied("1"),
            StatusCode::CREATED,
        ),
        (
            "PATCH",
            &apply,
            yaml,
            applied("2"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("PATCH", &apply, yaml, applied("1"), StatusCode::CREATED),
        (
            "PATCH",
            &apply,
            yaml,
            applied("2"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "PATCH",
            &one,
            merge,
            r#"{"data": {"key": "2"}}"#.to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "PATCH",
            &one,
            merge,
            r#"{"data": {"other": "2"}}"#.to_owned(),
            StatusCode::OK,
        ),
        (
            "PUT",
            &one,
            "application/json",
            applied("2"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let (code, said) = api.ask(method, path, Some((form, &body))).await;
        assert_eq!(code, expected, "{method} {path} {body}: {said}");
    }
}

#[tokio::test]
async fn an_expression_that_cannot_be_read_is_refused_by_its_field() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let spec = json!({"validations": [{"expression": "true"}, {"expression": "objekt == null"}]});
    let (code, said) = api.post(POLICIES, &policy(&spec)).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        said["details"]["causes"],
        json!([{"field": "spec.validations[1].expression", "reason": "FieldValueInvalid",
            "message": "Invalid value: \"objekt == null\": compilation failed: ERROR: <input>:1:1: undeclared reference to \
                        'objekt' (in container '')"}])
    );
}
