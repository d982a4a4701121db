//! Lists: items owned by what tells them apart, and their order.

use serde_json::{Value, json};

use super::World;

fn containers(containers: Value) -> Value {
    json!({ "spec": { "containers": containers } })
}

fn named(names: &str) -> Value {
    names
        .split_whitespace()
        .map(|name| json!({ "name": name }))
        .collect()
}

#[test]
fn items_are_owned_by_their_keys() {
    World::new("v1", "Pod")
        .apply("alice", containers(json!([{ "name": "web", "image": "a", "env": [{ "name": "A", "value": "1" }] }])))
        .apply("bob", containers(json!([{ "name": "log", "image": "b" }])))
        .apply("carol", containers(json!([{ "name": "web", "env": [{ "name": "B", "value": "2" }] }])))
        .refuse(
            "bob",
            containers(json!([{ "name": "web", "image": "c" }])),
            "Apply failed with 1 conflict: conflict with \"alice\": .spec.containers[name=\"web\"].image",
        )
        // What alice leaves out goes, but not what carol has of it.
        .apply("alice", containers(json!([])))
        .holds(&containers(json!([{ "name": "web", "env": [{ "name": "B", "value": "2" }] }, { "name": "log", "image": "b" }])))
        .apply("carol", json!({}))
        .holds(&containers(json!([{ "name": "log", "image": "b" }])));
}

#[test]
fn ports_are_told_apart_by_number_and_protocol() {
    let ports = |ports: Value| containers(json!([{ "name": "web", "ports": ports }]));
    World::new("v1", "Pod")
        .apply(
            "alice",
            ports(json!([{ "containerPort": 53, "protocol": "UDP", "name": "udp" }])),
        )
        // Left out it is TCP.
        .apply("bob", ports(json!([{ "containerPort": 53, "name": "tcp" }])))
        .holds(&ports(json!([
            { "containerPort": 53, "protocol": "UDP", "name": "udp" },
            { "containerPort": 53, "name": "tcp" },
        ])))
        .refuse(
            "carol",
            ports(json!([{ "containerPort": 53, "protocol": "TCP", "name": "dns" }])),
            "Apply failed with 1 conflict: conflict with \"bob\": \
             .spec.containers[name=\"web\"].ports[containerPort=53,protocol=\"TCP\"].name",
        );
}

#[test]
fn sets_are_owned_by_value() {
    let finalizers = |names: &[&str]| json!({ "metadata": { "finalizers": names } });
    World::new("v1", "ConfigMap")
        .apply("alice", finalizers(&["a/a", "a/b"]))
        .apply("bob", finalizers(&["b/b", "a/b"]))
        .owned(&[
            "\"alice\": .metadata.finalizers[=\"a/a\"] .metadata.finalizers[=\"a/b\"]",
            "\"bob\": .metadata.finalizers[=\"a/b\"] .metadata.finalizers[=\"b/b\"]",
        ])
        .apply("alice", json!({}))
        .holds(&finalizers(&["b/b", "a/b"]));
}

#[test]
fn items_stand_as_they_are_applied_and_the_others_where_they_were() {
    let cases = [
        // the object's, what is applied, the outcome
        ("a b c", "a b c", "a b c"),
        ("a b c", "c b a", "c b a"),
        ("a b c", "b", "a b c"),
        ("a b c", "d", "a b c d"),
        ("a b c", "c d", "a b c d"),
        ("a b c", "d c", "a b d c"),
        ("a b c", "c a", "b c a"),
        ("a b c d", "d x b", "a c d x b"),
        ("", "b a", "b a"),
        ("b a", "", "b a"),
    ];
    for (before, applied, expected) in cases {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", containers(named(before)));
        world.apply("bob", containers(named(applied)));
        let names: Vec<&str> = world.object["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|container| container["name"].as_str())
            .collect();
        assert_eq!(names.join(" "), expected, "{applied:?} into {before:?}");
    }
}

#[test]
fn several_items_with_one_key_are_owned_together() {
    let mut world = World::new("v1", "Pod");
    // Who writes in another way may do so.
    world.update("old", |pod| {
        *pod = containers(json!([{ "name": "a", "image": "1" }, { "name": "a", "image": "2" }]));
    });
    world.owned(&["\"old\" using v1: .spec.containers[name=\"a\"]"]);
    world
        .force("alice", containers(json!([{ "name": "a", "image": "3" }])))
        .holds(&containers(json!([{ "name": "a", "image": "3" }])))
        .owned(&["\"alice\": .spec.containers[name=\"a\"] .spec.containers[name=\"a\"].image .spec.containers[name=\"a\"].name"]);
}

#[test]
fn items_that_nothing_tells_apart_are_not_lost() {
    let mut world = World::new("v1", "Pod");
    world.update("old", |pod| {
        *pod = containers(json!([{ "image": "1" }, { "name": "a", "image": "2" }]));
    });
    world
        .apply("alice", containers(json!([{ "name": "b" }])))
        .apply("alice", containers(json!([{ "name": "c" }])))
        .holds(&containers(
            json!([{ "name": "a", "image": "2" }, { "name": "c" }, { "image": "1" }]),
        ));
}
