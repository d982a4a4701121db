use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::find_kind;
use crate::kinds::testkit::{created, raw, refuses, replaces};

const VERSION: &str = "admissionregistration.k8s.io/v1";

fn configuration(kind: &str, webhooks: &Value) -> Value {
    json!({"apiVersion": VERSION, "kind": kind, "metadata": {"name": "policy"}, "webhooks": webhooks})
}

fn webhook() -> Value {
    json!({"name": "pods.policy.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:8443/pods"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]})
}

#[test]
fn what_a_webhook_does_not_say_is_filled_in() {
    let mut given = webhook();
    given["clientConfig"] = json!({"service": {"namespace": "policy", "name": "judge"}});
    for (kind, reinvocation) in [
        ("MutatingWebhookConfiguration", json!("Never")),
        ("ValidatingWebhookConfiguration", Value::Null),
    ] {
        let made = created(VERSION, configuration(kind, &json!([given]))).unwrap();
        let webhook = &made["webhooks"][0];
        assert_eq!(webhook["failurePolicy"], "Fail", "{kind}");
        assert_eq!(webhook["matchPolicy"], "Equivalent", "{kind}");
        assert_eq!(webhook["namespaceSelector"], json!({}), "{kind}");
        assert_eq!(webhook["objectSelector"], json!({}), "{kind}");
        assert_eq!(webhook["timeoutSeconds"], 10, "{kind}");
        assert_eq!(webhook["rules"][0]["scope"], "*", "{kind}");
        assert_eq!(webhook["clientConfig"]["service"]["port"], 443, "{kind}");
        assert_eq!(webhook["reinvocationPolicy"], reinvocation, "{kind}");
    }
}

#[test]
fn webhooks_that_are_wrong_are_refused() {
    let cases = [
        ("name", json!(""), "name: Required value"),
        (
            "name",
            json!("example.com"),
            "name: Invalid value: \"example.com\": should be a domain with at least three segments separated by dots",
        ),
        (
            "failurePolicy",
            json!("fail"),
            "failurePolicy: Unsupported value: \"fail\": supported values: \"Fail\", \"Ignore\"",
        ),
        (
            "matchPolicy",
            json!("Same"),
            "matchPolicy: Unsupported value: \"Same\": supported values: \"Equivalent\", \"Exact\"",
        ),
        (
            "reinvocationPolicy",
            json!("Always"),
            "reinvocationPolicy: Unsupported value: \"Always\": supported values: \"IfNeeded\", \"Never\"",
        ),
        (
            "sideEffects",
            Value::Null,
            "sideEffects: Required value: must specify one of None, NoneOnDryRun",
        ),
        (
            "sideEffects",
            json!("Some"),
            "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        ),
        (
            "timeoutSeconds",
            json!(31),
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            "timeoutSeconds",
            json!(0),
            "timeoutSeconds: Invalid value: 0: the timeout value must be between 1 and 30 seconds",
        ),
        (
            "objectSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            "objectSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": ""}]),
            "matchConditions[0].expression: Required value",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "params.a"}]),
            "matchConditions[0].expression: Invalid value: \"params.a\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'params' (in container '')",
        ),
        (
            "admissionReviewVersions",
            json!([]),
            "admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            "admissionReviewVersions",
            json!(["v2"]),
            "admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
        ),
        (
            "admissionReviewVersions",
            json!(["v1", "v1"]),
            "admissionReviewVersions[1]: Invalid value: \"v1\": duplicate version",
        ),
    ];
    refuse_in("MutatingWebhookConfiguration", "", &cases);
}

#[test]
fn a_webhook_is_at_a_url_or_a_service() {
    let url = |url: &str| json!({"url": url});
    let service = |path: &str| json!({"service": {"namespace": "a", "name": "b", "path": path}});
    let form = "desired format: https://host[/path]";
    let cases = [
        (
            json!({}),
            ": Required value: exactly one of url or service is required".to_owned(),
        ),
        (
            json!({"url": "https://a", "service": {"namespace": "a", "name": "b"}}),
            ": Required value: exactly one of url or service is required".to_owned(),
        ),
        (
            url("http://a/b"),
            format!(".url: Invalid value: \"http\": 'https' is the only allowed URL scheme; {form}"),
        ),
        (
            url("https:///b"),
            format!(".url: Invalid value: \"\": host must be provided; {form}"),
        ),
        (
            url("https://u:p@a/b"),
            ".url: Invalid value: \"u:p\": user information is not permitted in the URL".to_owned(),
        ),
        (
            url("https://a/b#c"),
            ".url: Invalid value: \"c\": fragments are not permitted in the URL".to_owned(),
        ),
        (
            url("https://a/b?c=d"),
            ".url: Invalid value: \"c=d\": query parameters are not permitted in the URL".to_owned(),
        ),
        (
            url("https://a:b"),
            format!(
                ".url: Required value: url must be a valid URL: parse \"https://a:b\": invalid port \":b\" after host; {form}"
            ),
        ),
        (
            json!({"service": {"namespace": "", "name": "b"}}),
            ".service.namespace: Required value: service namespace is required".to_owned(),
        ),
        (
            json!({"service": {"namespace": "a", "name": "b", "port": 0}}),
            ".service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive"
                .to_owned(),
        ),
        (
            service("a"),
            ".service.path: Invalid value: \"a\": must start with a '/'".to_owned(),
        ),
        (
            service("/a//b"),
            ".service.path: Invalid value: \"/a//b\": segment[1] may not be empty".to_owned(),
        ),
    ];
    let cases = cases.map(|(value, expected)| ("clientConfig", value, format!("clientConfig{expected}")));
    let cases = cases
        .each_ref()
        .map(|(field, value, expected)| (*field, value.clone(), expected.as_str()));
    refuse_in("ValidatingWebhookConfiguration", "", &cases);
    for right in [
        url("https://[::1]:8443"),
        url("https://a.b:1/c"),
        service("/a.b/c/"),
        service("/"),
    ] {
        let mut webhook = webhook();
        webhook["clientConfig"] = right.clone();
        let made = created(
            VERSION,
            configuration("ValidatingWebhookConfiguration", &json!([webhook])),
        );
        assert!(made.is_ok(), "{right}: {made:?}");
    }
}

#[test]
fn rules_that_are_wrong_are_refused() {
    let cases = [
        ("operations", json!([]), "operations: Required value"),
        (
            "operations",
            json!(["*", "CREATE"]),
            "operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
        ),
        (
            "operations",
            json!(["PATCH"]),
            "operations[0]: Unsupported value: \"PATCH\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
        ),
        ("apiGroups", Value::Null, "apiGroups: Required value"),
        (
            "apiVersions",
            json!(["v1", "*"]),
            "apiVersions: Invalid value: [\"v1\",\"*\"]: if '*' is present, must not specify other API versions",
        ),
        ("apiVersions", json!([""]), "apiVersions[0]: Required value"),
        ("resources", json!([""]), "resources[0]: Required value"),
        (
            "resources",
            json!(["*/*", "pods"]),
            "resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
        ),
        (
            "resources",
            json!(["*", "pods"]),
            "resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
        ),
        (
            "resources",
            json!(["pods/*", "pods/status"]),
            "resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
        ),
        (
            "resources",
            json!(["*/status", "pods/status"]),
            "resources[1]: Invalid value: \"pods/status\": if '*/status' is present, must not specify pods/status",
        ),
        (
            "scope",
            json!("Node"),
            "scope: Unsupported value: \"Node\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
        ),
    ];
    refuse_in("ValidatingWebhookConfiguration", "rules[0].", &cases);
}

#[test]
fn two_webhooks_of_a_configuration_have_two_names() {
    let twice = json!([webhook(), webhook()]);
    let refused = created(VERSION, configuration("MutatingWebhookConfiguration", &twice)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "webhooks[1].name: Duplicate value: \"pods.policy.example.com\""
    );
}

#[test]
fn what_replaces_a_configuration_is_judged_like_a_new_one() {
    replaces(
        &configuration("MutatingWebhookConfiguration", &json!([webhook()])),
        &[
            ("/webhooks", json!([]), ""),
            (
                "/webhooks/0/name",
                json!("a"),
                "webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
            ),
        ],
    );
}

/// Creates a configuration of one webhook with each value in its field, or in its rule's; each is refused, with that first.
fn refuse_in(kind: &str, part: &str, cases: &[(&str, Value, &str)]) {
    let base = configuration(kind, &json!([webhook()]));
    let at = part.replace('[', "/").replace("].", "/");
    for (field, value, expected) in cases {
        let path = format!("/webhooks/0/{at}{field}");
        refuses(
            &base,
            &[(&path, value.clone(), &format!("webhooks[0].{part}{expected}"))],
        );
    }
}

#[test]
fn who_configures_what_is_never_asked_is_told() {
    let mut webhook = webhook();
    webhook["rules"] = json!([
        {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods", "pods/*", "pods/eviction"]},
        {"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]},
    ]);
    let configuration = raw(json!({"webhooks": [webhook]}));
    let kind = find_kind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration").unwrap();
    assert_eq!(
        KindRules::warnings(&kind, &configuration),
        [
            "webhooks[0].rules[0]: \"pods/eviction\" is never asked about: webhooks see whole objects here, not subresources",
            "webhooks[0].rules[1]: CONNECT is never asked about here",
        ]
    );
}
