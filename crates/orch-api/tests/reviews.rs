//! Questions of who asks and what they may do.

mod common;

use orch_api::ApiOptions;
use serde_json::{Value, json};

const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn review(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn who_has_the_api_may_do_everything_and_nobody_else_anything() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let who = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (code, answer) = api.post(WHO, &who).await;
    assert_eq!(code, 201, "{answer}");
    let user = &answer["status"]["userInfo"]["username"];
    let pods = json!({"verb": "create", "resource": "pods", "namespace": "default"});
    for (path, kind, spec, allowed) in [
        (
            "selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            json!({"resourceAttributes": pods}),
            true,
        ),
        (
            "selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            json!({"nonResourceAttributes": {"verb": "get", "path": "/version"}}),
            true,
        ),
        (
            "subjectaccessreviews",
            "SubjectAccessReview",
            json!({"user": user, "resourceAttributes": pods}),
            true,
        ),
        (
            "subjectaccessreviews",
            "SubjectAccessReview",
            json!({"groups": ["system:masters"], "resourceAttributes": pods}),
            true,
        ),
        (
            "subjectaccessreviews",
            "SubjectAccessReview",
            json!({"user": "bob", "resourceAttributes": pods}),
            false,
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            "LocalSubjectAccessReview",
            json!({"user": "bob", "resourceAttributes": pods}),
            false,
        ),
    ] {
        let (code, answer) = api
            .post(&format!("{AUTHORIZATION}/{path}"), &review(kind, spec.clone()))
            .await;
        assert_eq!(code, 201, "{answer}");
        assert_eq!(answer["status"]["allowed"], allowed, "{kind} {spec}");
        let reason = answer["status"]["reason"].as_str().unwrap();
        assert!(
            reason.ends_with("who may call this API may do everything in it"),
            "{reason}"
        );
    }
    let rules = review("SelfSubjectRulesReview", json!({"namespace": "default"}));
    let (_, answer) = api
        .post(&format!("{AUTHORIZATION}/selfsubjectrulesreviews"), &rules)
        .await;
    let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
    assert_eq!(answer["status"]["resourceRules"], all);
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_wrong_are_refused() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (own, local) = (
        "selfsubjectaccessreviews",
        "namespaces/default/localsubjectaccessreviews",
    );
    let elsewhere = json!({"verb": "get", "resource": "pods", "namespace": "other"});
    for (path, asked, code, words) in [
        (
            own,
            review("SelfSubjectAccessReview", json!({})),
            422,
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            own,
            review(
                "SelfSubjectAccessReview",
                json!({"resourceAttributes": {}, "nonResourceAttributes": {}}),
            ),
            422,
            "spec.nonResourceAttributes: Invalid value: {}: cannot be specified in combination with resourceAttributes",
        ),
        (
            "subjectaccessreviews",
            review("SubjectAccessReview", json!({"resourceAttributes": {}})),
            422,
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ),
        (
            local,
            review(
                "LocalSubjectAccessReview",
                json!({"user": "bob", "resourceAttributes": elsewhere}),
            ),
            422,
            "spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace",
        ),
        (
            "selfsubjectrulesreviews",
            review("SelfSubjectRulesReview", json!({})),
            400,
            "no namespace on request",
        ),
        (
            own,
            review("SubjectAccessReview", json!({})),
            400,
            "kind: expected \"SelfSubjectAccessReview\", got \"SubjectAccessReview\"",
        ),
    ] {
        let (found, refused) = api.post(&format!("{AUTHORIZATION}/{path}"), &asked).await;
        let message = refused["message"].as_str().unwrap();
        assert_eq!(found, code, "{message}");
        assert!(message.ends_with(words), "{message}");
    }
    let mut named = review("SelfSubjectAccessReview", json!({"resourceAttributes": {}}));
    named["metadata"] = json!({"name": "mine"});
    let (_, refused) = api.post(&format!("{AUTHORIZATION}/{own}"), &named).await;
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with(": must be empty"), "{message}");
    assert_eq!(
        api.get(&format!("{AUTHORIZATION}/{own}")).await.0,
        405,
        "nothing is stored"
    );
}

#[tokio::test(start_paused = true)]
async fn questions_are_discovered_as_what_can_only_be_made() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (_, list) = api.get(AUTHORIZATION).await;
    let kinds = list["resources"].as_array().unwrap();
    assert_eq!(kinds.len(), 4);
    for kind in kinds {
        assert_eq!(kind["verbs"], json!(["create"]), "{kind}");
    }
    let (_, group) = api.get("/apis/authentication.k8s.io").await;
    assert_eq!(group["preferredVersion"]["version"], "v1");
}
