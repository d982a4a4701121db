//! What webhooks change, and what they do not.

use std::sync::Arc;

use orch_core::client::{Collection, Part, Target, WriteParams};
use orch_core::object::{ApiResource, ObjectKey, Scope};
use serde_json::json;

use super::{MUTATING, VALIDATING, World, configuration, map, patch, raw, sees, webhook};

#[tokio::test]
async fn mutating_webhooks_are_asked_by_name_and_once_more_if_a_later_one_changed_the_object() {
    let world = World::new(|webhook, request| match webhook {
        "c" => Some(json!({"allowed": true})),
        webhook => Some(sees(webhook, request)),
    });
    let again = |name: &str| {
        let mut webhook = webhook(name);
        webhook["reinvocationPolicy"] = json!("IfNeeded");
        webhook
    };
    // "c" is last and changes nothing, so that nobody is asked again for its sake, nor it for that of those before it.
    world
        .create(configuration(MUTATING, "z", &json!([again("c")])))
        .await
        .unwrap();
    world
        .create(configuration(MUTATING, "y", &json!([again("a"), webhook("b")])))
        .await
        .unwrap();
    let made = world.create(map("one")).await.unwrap();
    assert_eq!(made.document.lookup("data.seen"), Some(json!("aba")));
    // What "a" changes when it is asked again has "c" asked again, which comes after it.
    assert_eq!(world.asked(), ["a", "b", "c", "a", "c"]);
}

#[tokio::test]
async fn what_a_webhook_adds_is_filled_in_before_the_next_sees_it() {
    let world = World::new(|webhook, request| {
        let name = request["object"]["metadata"]["name"].as_str();
        Some(match (webhook, name) {
            // Nothing to change is no change, also of what is deleted.
            (_, None) => patch(&json!([])),
            ("a", _) => patch(
                &json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "i"}}]),
            ),
            _ => patch(&json!([
                {"op": "test", "path": "/spec/containers/1/terminationMessagePath", "value": "/dev/termination-log"},
            ])),
        })
    });
    let of = |name: &str| {
        let mut webhook = webhook(name);
        webhook["rules"][0]["resources"] = json!(["pods"]);
        webhook
    };
    world
        .create(configuration(MUTATING, "a", &json!([of("a"), of("b")])))
        .await
        .unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.create(pod).await.unwrap();
    world.delete("pod", "one").await.unwrap();
}

#[tokio::test]
async fn a_patch_changes_neither_which_object_it_is_nor_what_is_not_its_own() {
    let world = World::new(|_, request| {
        let name = request["object"]["metadata"]["name"].as_str().unwrap_or_default();
        let value = match name {
            "renamed" => json!([{"op": "replace", "path": "/metadata/name", "value": "other"}]),
            "broken" => json!([{"op": "remove", "path": "/spec"}]),
            _ => json!([{"op": "replace", "path": "/metadata/uid", "value": "mine"}]),
        };
        Some(patch(&value))
    });
    world
        .create(configuration(MUTATING, "a", &json!([webhook("a")])))
        .await
        .unwrap();
    for (name, expected) in [
        (
            "renamed",
            "attempted to change /metadata/name, which says which object it is",
        ),
        ("broken", "JSON patch: "),
    ] {
        let refused = world.create(map(name)).await.unwrap_err().to_string();
        assert!(refused.starts_with("Internal error occurred: "), "{refused}");
        assert!(
            refused.contains("admission webhook \"a.policy.example.com\""),
            "{refused}"
        );
        assert!(refused.contains(expected), "{refused}");
    }
    let made = world.create(map("kept")).await.unwrap();
    assert_ne!(made.document.meta().uid, "mine");
    let refused = world.delete("configmap", "kept").await.unwrap_err().to_string();
    assert!(
        refused.ends_with("attempted to modify the object, which is not supported for this operation"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_update_is_told_with_what_it_replaces_and_leaves_the_status_alone() {
    let world = World::new(|_, request| {
        assert_eq!(
            (
                &request["oldObject"]["data"]["seen"],
                &request["object"]["data"]["seen"]
            ),
            (&json!(""), &json!("now"))
        );
        Some(json!({"allowed": true}))
    });
    world.create(map("one")).await.unwrap();
    let mut chosen = webhook("a");
    // It had the label, and has it no more.
    chosen["objectSelector"] = json!({"matchLabels": {"asks": "yes"}});
    let mut labelled = map("two");
    labelled["metadata"]["labels"] = json!({"asks": "yes"});
    world.create(labelled).await.unwrap();
    world
        .create(configuration(VALIDATING, "a", &json!([chosen])))
        .await
        .unwrap();
    for (name, asked) in [("one", &[][..]), ("two", &["a"])] {
        let target = Target {
            resource: Arc::new(crate::kinds::find("configmap").unwrap().resource.clone()),
            key: ObjectKey::new(Some("default"), name),
        };
        let mut new = map(name);
        new["data"]["seen"] = json!("now");
        let backend = world.client.backend();
        let params = WriteParams::default();
        backend
            .update(&target, Part::Whole, raw(new), &params)
            .await
            .unwrap();
        assert_eq!(world.asked(), asked, "{name}");
    }
}

#[tokio::test]
async fn of_a_users_own_kind_no_webhook_writes_the_status_or_what_the_kind_does_not_have() {
    let world = World::new(|_, _| {
        Some(patch(&json!([
            {"op": "add", "path": "/status", "value": {"ready": true}},
            {"op": "add", "path": "/spec/colour", "value": "red"},
            {"op": "add", "path": "/spec/size", "value": 3},
        ])))
    });
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer"}, "unit": {"type": "string", "default": "m"}}});
    let status = json!({"type": "object", "properties": {"ready": {"type": "boolean"}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "tabs.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "tabs", "kind": "Tab"}, "versions": [{
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
        }]},
    });
    world.create(definition).await.unwrap();
    let mut of_tabs = webhook("a");
    of_tabs["rules"][0]["apiGroups"] = json!(["example.com"]);
    of_tabs["rules"][0]["resources"] = json!(["tabs"]);
    world
        .create(configuration(MUTATING, "a", &json!([of_tabs])))
        .await
        .unwrap();
    let collection = Collection {
        resource: Arc::new(ApiResource::new(
            "example.com",
            "v1",
            "Tab",
            "tabs",
            Scope::Namespaced,
        )),
        namespace: Some("default".to_owned()),
    };
    let tab =
        raw(json!({"apiVersion": "example.com/v1", "kind": "Tab", "metadata": {"name": "one"}, "spec": {}}));
    let backend = world.client.backend();
    let made = backend
        .create(&collection, tab, &WriteParams::default())
        .await
        .unwrap()
        .document;
    assert_eq!(made.lookup("spec"), Some(json!({"size": 3, "unit": "m"})));
    assert_eq!(made.lookup("status"), None);
}
