use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces};

const VERSION: &str = "admissionregistration.k8s.io/v1";

fn policy() -> Value {
    json!({"apiVersion": VERSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "replicas.example.com"},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [rule()], "excludeResourceRules": [rule()]},
            "matchConditions": [{"name": "a", "expression": "true"}],
            "variables": [{"name": "a", "expression": "1"}],
            "validations": [{"expression": "object.spec.replicas <= 5"}],
            "auditAnnotations": [{"key": "a", "valueExpression": "'b'"}]}})
}

fn rule() -> Value {
    json!({"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]})
}

fn binding() -> Value {
    json!({"apiVersion": VERSION, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "a"},
        "spec": {"policyName": "replicas.example.com", "validationActions": ["Deny"],
            "paramRef": {"name": "a", "parameterNotFoundAction": "Deny"},
            "matchResources": {"resourceRules": [rule()]}}})
}

#[test]
fn what_a_policy_and_its_binding_do_not_say_is_filled_in() {
    let policy = created(VERSION, policy()).unwrap();
    let binding = created(VERSION, binding()).unwrap();
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    assert_eq!(
        policy["spec"]["matchConstraints"]["excludeResourceRules"][0]["scope"],
        "*"
    );
    for matched in [
        &policy["spec"]["matchConstraints"],
        &binding["spec"]["matchResources"],
    ] {
        assert_eq!(matched["matchPolicy"], "Equivalent");
        assert_eq!(matched["namespaceSelector"], json!({}));
        assert_eq!(matched["objectSelector"], json!({}));
        assert_eq!(matched["resourceRules"][0]["scope"], "*");
    }
}

#[test]
fn a_new_policy_has_no_status() {
    let mut policy = policy();
    policy["status"] = json!({"observedGeneration": 1});
    assert_eq!(created(VERSION, policy).unwrap().get("status"), None);
}

#[test]
fn policies_that_are_wrong_are_refused() {
    let cases = [
        (
            "failurePolicy",
            json!("fail"),
            "failurePolicy: Unsupported value: \"fail\": supported values: \"Fail\", \"Ignore\"",
        ),
        (
            "paramKind",
            json!({"kind": "A"}),
            "paramKind.apiVersion: Required value",
        ),
        (
            "paramKind",
            json!({"apiVersion": "a/b/c", "kind": "A"}),
            "paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
        ),
        (
            "paramKind",
            json!({"apiVersion": "a/", "kind": "A"}),
            "paramKind.apiVersion: Invalid value: \"a/\": version must be specified",
        ),
        (
            "paramKind",
            json!({"apiVersion": "v1"}),
            "paramKind.kind: Required value",
        ),
        (
            "matchConstraints",
            Value::Null,
            "matchConstraints: Required value",
        ),
        (
            "matchConstraints",
            json!({}),
            "matchConstraints.resourceRules: Required value",
        ),
        (
            "matchConstraints/matchPolicy",
            json!("Same"),
            "matchConstraints.matchPolicy: Unsupported value: \"Same\": supported values: \"Equivalent\", \"Exact\"",
        ),
        (
            "matchConstraints/resourceRules/0/operations",
            json!([]),
            "matchConstraints.resourceRules[0].operations: Required value",
        ),
        (
            "matchConstraints/excludeResourceRules/0/resourceNames",
            json!(["a", "a"]),
            "matchConstraints.excludeResourceRules[0].resourceNames[1]: Duplicate value: \"a\"",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": " "}]),
            "matchConditions[0].expression: Required value",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]),
            "matchConditions[1].name: Duplicate value: \"a\"",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "variables.a == 1"}]),
            "matchConditions[0].expression: Invalid value: \"variables.a == 1\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'variables' (in container '')",
        ),
        (
            "variables/0/expression",
            json!("variables.a"),
            "variables[0].expression: Invalid value: \"variables.a\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'variables' (in container '')",
        ),
        (
            "variables",
            json!([{"name": "a", "expression": "1"}, {"name": "b", "expression": "variables.c"}]),
            "variables[1].expression: Invalid value: \"variables.c\": compilation failed: ERROR: <input>:1:1: undefined field 'c'",
        ),
        (
            "validations/0/expression",
            json!("objekt.spec"),
            "validations[0].expression: Invalid value: \"objekt.spec\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'objekt' (in container '')",
        ),
        (
            "validations/0/expression",
            json!("authorizer.path('/').check('get').allowed()"),
            "validations[0].expression: Invalid value: \"authorizer.path('/').check('get').allowed()\": compilation failed: \
             ERROR: <input>:1:1: 'authorizer' cannot be used: all who may write here are one user, who may do everything",
        ),
        (
            "validations/0/expression",
            json!("1 + 1"),
            "validations[0].expression: Invalid value: \"1 + 1\": must evaluate to bool",
        ),
        (
            "validations/0/messageExpression",
            json!("object.frobnicate()"),
            "validations[0].messageExpression: Invalid value: \"object.frobnicate()\": compilation failed: ERROR: <input>:1:1: \
             undeclared reference to 'frobnicate' (in container '')",
        ),
        (
            "auditAnnotations/0/valueExpression",
            json!("nothing"),
            "auditAnnotations[0].valueExpression: Invalid value: \"nothing\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'nothing' (in container '')",
        ),
        (
            "variables/0/name",
            json!("a-b"),
            "variables[0].name: Invalid value: \"a-b\": name is not a valid CEL identifier",
        ),
        (
            "variables/0/name",
            json!("in"),
            "variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
        ),
        (
            "variables/0/expression",
            json!(""),
            "variables[0].expression: Required value: expression is not specified",
        ),
        (
            "validations/0/expression",
            json!(" "),
            "validations[0].expression: Required value: expression is not specified",
        ),
        (
            "validations/0/messageExpression",
            json!(" "),
            "validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified",
        ),
        (
            "validations/0/message",
            json!("a\nb"),
            "validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
        ),
        (
            "validations/0/reason",
            json!("Gone"),
            "validations[0].reason: Unsupported value: \"Gone\": supported values: \"Forbidden\", \"Invalid\", \
             \"RequestEntityTooLarge\"",
        ),
        (
            "auditAnnotations/0/valueExpression",
            json!(""),
            "auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
        ),
        (
            "auditAnnotations/0/valueExpression",
            json!("a".repeat(5121)),
            "auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
        ),
    ];
    refuse_in(&policy(), &cases);
}

#[test]
fn only_a_policy_with_a_kind_of_params_may_name_them() {
    let mut named = policy();
    named["spec"]["validations"][0]["expression"] = json!("params.data.most == '1'");
    created(VERSION, named.clone()).unwrap();
    named["spec"]["paramKind"] = Value::Null;
    let refused = created(VERSION, named).unwrap_err();
    assert_eq!(
        refused.iter().next().unwrap().to_string(),
        "spec.validations[0].expression: Invalid value: \"params.data.most == '1'\": compilation failed: ERROR: <input>:1:1: \
         undeclared reference to 'params' (in container '')"
    );
}

#[test]
fn a_policy_that_says_nothing_is_refused() {
    let mut empty = policy();
    empty["spec"]["validations"] = json!([]);
    empty["spec"]["auditAnnotations"] = json!([]);
    let detail = "Required value: validations or auditAnnotations must contain at least one item";
    let refused = created(VERSION, empty).unwrap_err();
    let told: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            format!("spec.validations: {detail}"),
            format!("spec.auditAnnotations: {detail}")
        ]
    );
}

#[test]
fn bindings_that_are_wrong_are_refused() {
    let cases = [
        ("policyName", json!(""), "policyName: Required value"),
        (
            "paramRef",
            json!({"parameterNotFoundAction": "Deny"}),
            "paramRef: Required value: one of name or selector must be specified",
        ),
        (
            "paramRef",
            json!({"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}),
            "paramRef.name: Forbidden: name and selector are mutually exclusive",
        ),
        (
            "paramRef",
            json!({"name": "a"}),
            "paramRef.parameterNotFoundAction: Required value",
        ),
        (
            "paramRef/parameterNotFoundAction",
            json!("Fail"),
            "paramRef.parameterNotFoundAction: Unsupported value: \"Fail\": supported values: \"Deny\", \"Allow\"",
        ),
        (
            "matchResources/resourceRules/0/scope",
            json!("Node"),
            "matchResources.resourceRules[0].scope: Unsupported value: \"Node\": supported values: \"*\", \"Cluster\", \
             \"Namespaced\"",
        ),
        (
            "validationActions",
            json!([]),
            "validationActions: Required value: at least one validation action is required",
        ),
        (
            "validationActions",
            json!(["Deny", "Deny"]),
            "validationActions[1]: Duplicate value: \"Deny\"",
        ),
        (
            "validationActions",
            json!(["Refuse"]),
            "validationActions[0]: Unsupported value: \"Refuse\": supported values: \"Audit\", \"Deny\", \"Warn\"",
        ),
        (
            "validationActions",
            json!(["Deny", "Warn"]),
            "validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the same \
             validation failure information in the API response and headers serves no purpose)",
        ),
    ];
    refuse_in(&binding(), &cases);
}

#[test]
fn what_replaces_a_policy_or_a_binding_is_judged_like_a_new_one() {
    replaces(
        &policy(),
        &[
            ("/spec/failurePolicy", json!("Ignore"), ""),
            (
                "/spec/matchConstraints",
                Value::Null,
                "spec.matchConstraints: Required value",
            ),
        ],
    );
    replaces(
        &binding(),
        &[
            ("/spec/policyName", json!("other"), ""),
            ("/spec/policyName", json!(""), "spec.policyName: Required value"),
        ],
    );
}

/// Creates `base` with each value in its field of the spec; each is refused, with that first.
fn refuse_in(base: &Value, cases: &[(&str, Value, &str)]) {
    for (field, value, expected) in cases {
        let path = format!("/spec/{field}");
        refuses(base, &[(&path, value.clone(), &format!("spec.{expected}"))]);
    }
}
