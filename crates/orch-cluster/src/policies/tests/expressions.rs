//! What expressions are told, and what becomes of what they say.

use orch_core::client::ApiError;
use serde_json::json;

use super::{DENIED, World, expressions, map, maps_but, said};

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
