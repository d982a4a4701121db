//! Conditions that a write must meet before a webhook is asked.

use serde_json::json;

use super::{MUTATING, VALIDATING, World, configuration, map, sees, webhook};

#[tokio::test]
async fn a_webhook_is_asked_where_all_its_conditions_are_met() {
    let failed = "expression 'object.none' resulted in error: no such key: none";
    let refused = format!("configmaps \"a\" in namespace \"default\" is forbidden: {failed}");
    for (conditions, failure, expected) in [
        (
            vec!["object.metadata.name == 'a'", "oldObject == null"],
            "Fail",
            Ok(true),
        ),
        (vec!["true", "request.operation == 'DELETE'"], "Fail", Ok(false)),
        (
            vec!["request.userInfo.username != 'orch:admin'"],
            "Fail",
            Ok(false),
        ),
        (vec!["object.none", "false"], "Fail", Ok(false)),
        (vec!["object.none", "true"], "Fail", Err(refused.clone())),
        (vec!["object.none"], "Ignore", Ok(false)),
        (vec!["namespaceObject != null"], "Fail", Ok(false)),
    ] {
        for kind in [MUTATING, VALIDATING] {
            let world = World::new(|_, _| Some(json!({"allowed": true})));
            let mut webhook = webhook("a");
            webhook["failurePolicy"] = json!(failure);
            let written = conditions.iter().enumerate();
            let written =
                written.map(|(at, expression)| json!({"name": format!("c{at}"), "expression": expression}));
            webhook["matchConditions"] = written.collect();
            world
                .create(configuration(kind, "x", &json!([webhook])))
                .await
                .unwrap();
            let written = world.create(map("a")).await.map_err(|error| error.to_string());
            let asked = written.map(|_| !world.asked().is_empty());
            assert_eq!(asked, expected, "{kind} {conditions:?} {failure}");
        }
    }
}

#[tokio::test]
async fn conditions_are_of_the_object_as_earlier_webhooks_have_made_it() {
    let world = World::new(|webhook, request| Some(sees(webhook, request)));
    let mut later = webhook("b");
    later["matchConditions"] = json!([{"name": "a", "expression": "object.data.seen == 'a'"}]);
    world
        .create(configuration(MUTATING, "x", &json!([webhook("a"), later])))
        .await
        .unwrap();
    world.create(map("a")).await.unwrap();
    assert_eq!(world.asked(), ["a", "b"]);
}
