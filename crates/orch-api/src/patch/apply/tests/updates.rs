//! Writes that are no applies: who writes owns what changed.

use serde_json::{Value, json};

use super::super::FieldSet;
use super::{World, config_map, data};

#[test]
fn who_updates_owns_what_changed() {
    config_map()
        .update("alice", |map| *map = data(json!({ "a": "1", "b": "1" })))
        .owned(&["\"alice\" using v1: .data .data.a .data.b"])
        .update("bob", |map| {
            map["data"]["a"] = json!("2");
            map["data"]["c"] = json!("2");
        })
        .owned(&[
            "\"alice\" using v1: .data .data.b",
            "\"bob\" using v1: .data.a .data.c",
        ])
        .update("bob", |map| map["data"] = json!({ "a": "2" }))
        .owned(&["\"alice\" using v1: .data", "\"bob\" using v1: .data.a"]);
}

#[test]
fn who_changes_nothing_leaves_the_record_as_it_is() {
    let mut world = config_map();
    world
        .apply("alice", data(json!({ "a": "1" })))
        .update("bob", |map| map["data"]["b"] = json!("1"));
    let before = world.object.clone();
    let forget = |map: &mut Value| map["metadata"] = json!({});
    let of_an_hour_ago =
        |map: &mut Value| map["metadata"]["managedFields"][1]["time"] = json!("2025-01-01T00:00:00Z");
    assert_eq!(world.update("carol", |_| ()).object, before);
    assert_eq!(
        world.update("carol", forget).object,
        before,
        "who leaves it out does not know of it"
    );
    world.update("carol", of_an_hour_ago);
    assert_ne!(world.object, before, "who says otherwise is heard");
    world
        .update("carol", |map| map["metadata"]["managedFields"] = json!([]))
        .owned(&[]);
}

#[test]
fn who_creates_does_not_own_what_every_object_of_the_kind_has() {
    let template = json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "dnsPolicy": "Default", "containers": [{ "name": "a" }] } });
    let spec = json!({ "replicas": 1, "template": template, "strategy": { "type": "Recreate" } });
    let owned = ".spec.replicas .spec.strategy.type .spec.template.metadata.labels \
        .spec.template.metadata.labels.a .spec.template.spec.dnsPolicy \
        .spec.template.spec.containers[name=\"a\"] .spec.template.spec.containers[name=\"a\"].name";
    World::new("apps/v1", "Deployment")
        .update("alice", |deployment| *deployment = json!({ "spec": spec }))
        .owned(&[&format!("\"alice\" using apps/v1: {owned}")]);
    // Of a kind of which nothing is known it is the writer's that there is a specification at all.
    World::untyped()
        .update("alice", |object| *object = json!({ "spec": { "a": 1 } }))
        .owned(&["\"alice\" using v1: .spec .spec.a"]);
}

#[test]
fn to_apply_over_what_was_updated_is_a_conflict() {
    config_map()
        .update("kubectl-edit", |map| *map = data(json!({ "a": "1" })))
        .refuse(
            "alice",
            data(json!({ "a": "2" })),
            "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .data.a",
        )
        .apply("alice", data(json!({ "a": "1" })))
        .owned(&["\"alice\": .data.a", "\"kubectl-edit\" using v1: .data .data.a"])
        // What one who updated owns does not go when an applier leaves it out.
        .apply("alice", json!({}))
        .holds(&data(json!({ "a": "1" })));
}

#[test]
fn to_update_what_is_applied_takes_it() {
    World::new("apps/v1", "Deployment")
        .apply("alice", json!({ "spec": { "replicas": 1, "paused": false } }))
        .update("autoscaler/scale", |deployment| deployment["spec"]["replicas"] = json!(3))
        .owned(&["\"alice\": .spec.paused", "\"autoscaler\" with subresource \"scale\" using apps/v1: .spec.replicas"])
        .refuse(
            "alice",
            json!({ "spec": { "replicas": 1 } }),
            "Apply failed with 1 conflict: conflict with \"autoscaler\" with subresource \"scale\" using apps/v1: .spec.replicas",
        )
        .apply("alice", json!({ "spec": { "paused": false } }))
        .holds(&json!({ "spec": { "replicas": 3, "paused": false } }));
}

#[test]
fn objects_from_before_are_their_first_appliers() {
    let mut world = config_map();
    world.object = data(json!({ "a": "1", "b": "1" }))
        .as_object()
        .expect("a map")
        .clone();
    // Nobody is noted as long as nobody applies.
    world
        .update("alice", |map| map["data"]["a"] = json!("2"))
        .owned(&[]);
    world.refuse(
        "bob",
        data(json!({ "b": "2" })),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.b",
    );
    world.apply("bob", data(json!({ "c": "1" }))).owned(&[
        "\"before-first-apply\" using v1: .data .data.a .data.b",
        "\"bob\": .data.c",
    ]);
}

#[test]
fn who_does_not_know_of_managed_fields_does_not_remove_them() {
    let mut world = config_map();
    world
        .apply("alice", data(json!({ "a": "1" })))
        .apply("bob", data(json!({ "b": "1" })));
    let owners = world.owners();
    world.update("old", |map| {
        map["metadata"]
            .as_object_mut()
            .expect("a map")
            .remove("managedFields");
    });
    assert_eq!(world.owners(), owners);
    world.update("old", |map| {
        map["metadata"]["managedFields"] = json!([{ "nonsense": 1 }]);
    });
    assert_eq!(world.owners(), owners);
    // Who does may forget one, or all.
    world.update("new", |map| {
        map["metadata"]["managedFields"]
            .as_array_mut()
            .expect("a list")
            .truncate(1);
    });
    assert_eq!(world.owners(), owners[..1]);
    // Not through a subresource.
    world.update("new/status", |map| map["metadata"]["managedFields"] = json!([]));
    assert_eq!(world.owners(), owners[..1]);
    world.update("new", |map| map["metadata"]["managedFields"] = json!([]));
    assert!(world.owners().is_empty());
}

#[test]
fn what_a_write_cannot_change_it_does_not_own() {
    let mut world = World::new("v1", "Pod");
    let mut status = FieldSet::new();
    status.insert(&[super::super::PathElement::field("status")]);
    let config = json!({ "spec": { "nodeName": "a" }, "status": { "phase": "Running" } });
    let config = config.as_object().expect("a map").clone();
    world.object = world.request("alice", |request, live| {
        super::Request {
            ignored: &status,
            ..*request
        }
        .apply(live, &config, false)
        .expect("there are no conflicts")
    });
    world.owned(&["\"alice\": .spec.nodeName"]);
}

#[test]
fn of_many_who_update_the_oldest_are_joined() {
    let mut world = config_map();
    world.apply("alice", data(json!({ "a": "1" })));
    for number in 0..12 {
        world.update(&format!("m{number:02}"), |map| {
            map["data"][format!("k{number:02}")] = json!("1");
        });
    }
    let owners = world.owners();
    assert_eq!(owners.len(), 11, "{owners:?}");
    assert_eq!(
        owners[..2],
        [
            "\"alice\": .data.a",
            "\"ancient-changes\" using v1: .data.k00 .data.k01 .data.k02"
        ]
    );
    assert_eq!(owners[2], "\"m03\" using v1: .data.k03");
}
