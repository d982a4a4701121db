//! From applying on the client's side to applying on the server's.

use serde_json::{Value, json};

use super::{World, data};

const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object that `kubectl apply` has made.
fn client_side() -> World {
    let mut world = World::new("v1", "ConfigMap");
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1", "b": "1" } });
    world.update("kubectl-client-side-apply", |map| {
        *map = config.clone();
        map["metadata"] = json!({ "annotations": { LAST: format!("{config}\n") } });
    });
    world
}

fn last(world: &World) -> Value {
    let last = world.object["metadata"]["annotations"][LAST]
        .as_str()
        .expect("the annotation is there");
    serde_json::from_str(last).expect("it is JSON")
}

#[test]
fn kubectl_takes_over_what_it_applied_before() {
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "2" } });
    let mut world = client_side();
    world.apply("kubectl", config.clone());
    assert_eq!(world.object["data"], json!({ "a": "2", "b": "1" }));
    // The annotation follows.
    assert_eq!(last(&world), config);
}

#[test]
fn what_others_changed_since_stays_theirs() {
    let mut world = client_side();
    world.update("other", |map| map["data"]["b"] = json!("2"));
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "2", "b": "3" } });
    world.refuse(
        "kubectl",
        config,
        "Apply failed with 1 conflict: conflict with \"other\" using v1: .data.b",
    );
}

#[test]
fn other_managers_take_nothing_over() {
    let mut world = client_side();
    let message =
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a";
    world.refuse("helm", data(json!({ "a": "2" })), message);
    world.force("helm", data(json!({ "a": "2" })));
    assert_eq!(last(&world)["data"]["a"], json!("1"));
}

#[test]
fn an_annotation_that_means_nothing_says_nothing() {
    let message =
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a";
    for annotation in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"apiVersion":"v2","data":{"a":"1"}}"#,
        r#"{"apiVersion":"v1","data":[]}"#,
    ] {
        let mut world = client_side();
        world.object["metadata"]["annotations"][LAST] = json!(annotation);
        let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "2" } });
        world.refuse("kubectl", config, message);
    }
}
