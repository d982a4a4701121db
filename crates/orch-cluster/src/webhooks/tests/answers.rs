//! What is made of the answers of webhooks.

use std::time::Duration;

use orch_core::client::{ApiError, WriteParams};
use serde_json::{Value, json};

use super::{MUTATING, VALIDATING, World, configuration, map, webhook};

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_webhook() {
    for (status, code, reason, expected) in [
        (json!({"message": "no"}), 400, "", " denied the request: no"),
        (
            json!({"reason": "Forbidden", "code": 403}),
            403,
            "Forbidden",
            " denied the request: Forbidden",
        ),
        (
            json!({"code": 200}),
            400,
            "",
            " denied the request without explanation",
        ),
        (
            json!({"code": 70_000}),
            400,
            "",
            " denied the request without explanation",
        ),
        (Value::Null, 400, "", " denied the request without explanation"),
    ] {
        // Who does not say that it is allowed has denied it.
        let answer = json!({"status": status});
        let world = World::new(move |_, _| Some(answer.clone()));
        let mut lenient = webhook("a");
        lenient["failurePolicy"] = json!("Ignore");
        world
            .create(configuration(VALIDATING, "a", &json!([lenient])))
            .await
            .unwrap();
        let refused = world.create(map("one")).await.unwrap_err();
        let ApiError::Denied {
            code: got,
            reason: said,
            message,
        } = refused
        else {
            panic!("{refused}");
        };
        assert_eq!((got, said.as_str()), (code, reason), "{status}");
        assert_eq!(
            message,
            format!("admission webhook \"a.policy.example.com\"{expected}")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_does_not_answer_refuses_unless_it_is_to_be_ignored() {
    let silent: fn(&str, &Value) -> Option<Value> = |_, _| None;
    let broken: fn(&str, &Value) -> Option<Value> = |_, _| Some(json!({"broken": 1}));
    let strange: fn(&str, &Value) -> Option<Value> =
        |_, _| Some(json!({"allowed": true, "patchType": "JSONPatch"}));
    for (answers, expected) in [
        (
            silent,
            "failed to call webhook: Post \"https://a?timeout=3s\": context deadline exceeded",
        ),
        (broken, "failed to call webhook: Post \"https://a?timeout=3s\": 1"),
        (
            strange,
            "received invalid webhook response: webhook returned response.patchType but not response.patch",
        ),
    ] {
        for kind in [MUTATING, VALIDATING] {
            let expected = match kind {
                VALIDATING => expected.replace(
                    "webhook returned response.patchType but not response.patch",
                    "validating webhook may not return response.patchType",
                ),
                _ => expected.to_owned(),
            };
            let world = World::new(answers);
            let mut hook = webhook("a");
            hook["timeoutSeconds"] = json!(3);
            world
                .create(configuration(kind, "a", &json!([hook])))
                .await
                .unwrap();
            let began = tokio::time::Instant::now();
            let refused = world.create(map("one")).await.unwrap_err().to_string();
            assert_eq!(
                refused,
                format!(
                    "Internal error occurred: failed calling webhook \"a.policy.example.com\": {expected}"
                )
            );
            assert!(began.elapsed() <= Duration::from_secs(3));
            world.delete(kind, "a").await.unwrap();
            hook["failurePolicy"] = json!("Ignore");
            world
                .create(configuration(kind, "a", &json!([hook])))
                .await
                .unwrap();
            world.create(map("one")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_webhook_is_told_of_the_write_and_may_warn() {
    let world = World::new(|_, _| Some(json!({"allowed": true, "warnings": ["mind the gap"]})));
    world
        .create(configuration(MUTATING, "a", &json!([webhook("a")])))
        .await
        .unwrap();
    world
        .create(configuration(VALIDATING, "a", &json!([webhook("b")])))
        .await
        .unwrap();
    let made = world
        .create_with(map("one"), WriteParams::default().dry_run(true))
        .await
        .unwrap();
    assert_eq!(made.warnings, ["mind the gap", "mind the gap"]);
    world.create(map("one")).await.unwrap();
    world.delete("configmap", "one").await.unwrap();
    let asked: Vec<_> = world.asked.lock().drain(..).map(|(_, request)| request).collect();
    let kind = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    let resource = json!({"group": "", "version": "v1", "resource": "configmaps"});
    for (place, (operation, options, dry_run)) in [
        ("CREATE", "CreateOptions", true),
        ("CREATE", "CreateOptions", true),
        ("CREATE", "CreateOptions", false),
        ("CREATE", "CreateOptions", false),
        ("DELETE", "DeleteOptions", false),
        ("DELETE", "DeleteOptions", false),
    ]
    .into_iter()
    .enumerate()
    {
        let request = &asked[place];
        let (is_there, is_not) = match operation {
            "DELETE" => ("oldObject", "object"),
            _ => ("object", "oldObject"),
        };
        assert_eq!(request["operation"], operation);
        assert_eq!(request["options"]["kind"], options);
        assert_eq!(request["dryRun"], dry_run);
        assert_eq!((&request["kind"], &request["requestKind"]), (&kind, &kind));
        assert_eq!(
            (&request["resource"], &request["requestResource"]),
            (&resource, &resource)
        );
        assert_eq!(
            (&request["namespace"], &request["name"]),
            (&json!("default"), &json!("one"))
        );
        assert_eq!(request[is_there]["data"]["seen"], "", "{request}");
        assert_eq!(request[is_not], Value::Null);
    }
    assert_eq!(asked.len(), 6);
}
