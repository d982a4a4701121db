//! Which writes webhooks are asked about.

use orch_core::client::Operation;
use orch_core::object::{ApiResource, Scope};
use serde_json::json;

use super::super::webhook::Webhook;
use super::{VALIDATING, World, configuration, map, webhook};

#[tokio::test]
async fn a_configuration_counts_from_the_write_that_makes_it_until_it_is_gone() {
    let world = World::new(|_, _| Some(json!({"allowed": false})));
    world.create(map("before")).await.unwrap();
    // It asks about everything, but is never asked about configurations itself.
    let mut all = webhook("a");
    all["rules"] =
        json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]);
    world
        .create(configuration(VALIDATING, "a", &json!([all])))
        .await
        .unwrap();
    world.create(map("one")).await.unwrap_err();
    world.delete("configmap", "before").await.unwrap_err();
    assert_eq!(world.asked(), ["a", "a"]);
    world.delete(VALIDATING, "a").await.unwrap();
    world.create(map("one")).await.unwrap();
    world.delete("configmap", "before").await.unwrap();
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn selectors_choose_what_a_webhook_is_asked_about() {
    let world = World::new(|_, _| Some(json!({"allowed": false})));
    for (name, labels) in [("default", json!({"env": "prod"})), ("dev", json!({}))] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        world.create(namespace).await.unwrap();
    }
    let (mut by_namespace, mut by_object) = (webhook("namespace"), webhook("object"));
    by_namespace["namespaceSelector"] = json!({"matchLabels": {"env": "dev"}});
    by_object["objectSelector"] = json!({"matchLabels": {"watched": "yes"}});
    world
        .create(configuration(VALIDATING, "a", &json!([by_namespace, by_object])))
        .await
        .unwrap();
    world.create(map("plain")).await.unwrap();
    let mut watched = map("watched");
    watched["metadata"]["labels"] = json!({"watched": "yes"});
    world.create(watched).await.unwrap_err();
    assert_eq!(world.asked(), ["object"]);

    by_namespace["namespaceSelector"] = json!({"matchLabels": {"env": "prod"}});
    world
        .create(configuration(VALIDATING, "b", &json!([by_namespace])))
        .await
        .unwrap();
    world.create(map("other")).await.unwrap_err();
    assert_eq!(world.asked(), ["namespace"]);
}

#[test]
fn rules_say_which_writes_a_webhook_is_asked_about() {
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]});
    for (field, value, kind, is_asked) in [
        ("scope", json!("*"), "deployment", true),
        ("scope", json!("*"), "replicaset", false),
        ("operations", json!(["*"]), "deployment", true),
        (
            "operations",
            json!(["UPDATE", "DELETE", "CONNECT"]),
            "deployment",
            false,
        ),
        ("apiGroups", json!([""]), "deployment", false),
        ("apiGroups", json!(["*"]), "deployment", true),
        ("apiVersions", json!(["v1beta1"]), "deployment", false),
        (
            "apiGroups",
            json!(["autoscaling"]),
            "horizontalpodautoscaler",
            true,
        ),
        ("apiGroups", json!(["events.k8s.io"]), "event", true),
        ("apiVersions", json!(["*"]), "deployment", true),
        ("resources", json!(["*"]), "replicaset", true),
        ("resources", json!(["*/*"]), "replicaset", true),
        ("resources", json!(["deployments/*"]), "deployment", true),
        ("resources", json!(["deployments/status"]), "deployment", false),
        ("resources", json!(["*/status"]), "deployment", false),
        ("scope", json!("Cluster"), "deployment", false),
        ("scope", json!("Namespaced"), "deployment", true),
    ] {
        let mut spec = webhook("a");
        spec["rules"] = json!([rule]);
        spec["rules"][0][field] = value.clone();
        if !matches!(kind, "deployment" | "replicaset") {
            spec["rules"][0]["resources"] = json!([format!("{kind}s")]);
        }
        let webhook = Webhook::new(serde_json::from_value(spec).unwrap()).unwrap();
        let resource = &crate::kinds::find(kind).unwrap().resource;
        assert_eq!(
            webhook.has_rule_for(resource, Operation::Create),
            is_asked,
            "{field} {value} {kind}"
        );
    }
    // Of a kind of a user's own it may be asked about other versions, but for who wants none.
    let tab = ApiResource::new("example.com", "v1alpha1", "Tab", "tabs", Scope::Namespaced);
    for (policy, is_asked) in [("Equivalent", true), ("Exact", false)] {
        let mut spec = webhook("a");
        spec["matchPolicy"] = json!(policy);
        spec["rules"] = json!([{"operations": ["*"], "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["tabs"]}]);
        let webhook = Webhook::new(serde_json::from_value(spec).unwrap()).unwrap();
        assert_eq!(
            webhook.has_rule_for(&tab, Operation::Create),
            is_asked,
            "{policy}"
        );
    }
}
