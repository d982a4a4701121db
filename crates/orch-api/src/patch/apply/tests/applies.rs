//! Applying: conflicts, force, shared ownership, and what goes.

use orch_core::object::DEEPEST;
use serde_json::json;

use super::{World, config_map, data};

#[test]
fn who_applies_owns_what_it_says_and_no_more() {
    config_map()
        .apply(
            "alice",
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": "c", "namespace": "d", "labels": { "app": "x" } },
                "data": { "a": "1" },
            }),
        )
        .owned(&["\"alice\": .data.a .metadata.labels.app"])
        .apply("bob", data(json!({ "b": "2" })))
        .holds(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "c", "namespace": "d", "labels": { "app": "x" } },
            "data": { "a": "1", "b": "2" },
        }))
        .owned(&["\"alice\": .data.a .metadata.labels.app", "\"bob\": .data.b"]);
}

#[test]
fn to_change_what_another_owns_is_a_conflict() {
    config_map()
        .apply("alice", data(json!({ "a": "1", "b": "1", "c": "1" })))
        .apply("carol", data(json!({ "d": "1" })))
        .refuse("bob", data(json!({ "a": "2", "x": "1" })), "Apply failed with 1 conflict: conflict with \"alice\": .data.a")
        .refuse(
            "bob",
            data(json!({ "a": "2", "b": "2", "d": "2" })),
            "Apply failed with 3 conflicts: conflicts with \"alice\":\n- .data.a\n- .data.b\nconflicts with \"carol\":\n- .data.d",
        )
        .holds(&data(json!({ "a": "1", "b": "1", "c": "1", "d": "1" })));
}

#[test]
fn who_forces_takes_it_over() {
    config_map()
        .apply("alice", data(json!({ "a": "1", "b": "1" })))
        .force("bob", data(json!({ "a": "2" })))
        .holds(&data(json!({ "a": "2", "b": "1" })))
        .owned(&["\"alice\": .data.b", "\"bob\": .data.a"])
        // It is not alice's any more, and so does not go with her.
        .apply("alice", data(json!({ "b": "1" })))
        .holds(&data(json!({ "a": "2", "b": "1" })))
        .refuse(
            "alice",
            data(json!({ "a": "1" })),
            "Apply failed with 1 conflict: conflict with \"bob\": .data.a",
        );
}

#[test]
fn to_apply_the_same_is_to_own_it_together() {
    config_map()
        .apply("alice", data(json!({ "a": "1" })))
        .apply("bob", data(json!({ "a": "1" })))
        .owned(&["\"alice\": .data.a", "\"bob\": .data.a"])
        .refuse(
            "alice",
            data(json!({ "a": "2" })),
            "Apply failed with 1 conflict: conflict with \"bob\": .data.a",
        )
        // What one leaves out stays the other's.
        .apply("alice", data(json!({ "b": "1" })))
        .holds(&data(json!({ "a": "1", "b": "1" })))
        .owned(&["\"alice\": .data.b", "\"bob\": .data.a"])
        // And goes with the last.
        .apply("bob", data(json!({ "c": "1" })))
        .holds(&data(json!({ "b": "1", "c": "1" })));
}

#[test]
fn what_is_applied_no_more_goes() {
    config_map()
        .apply(
            "alice",
            json!({ "metadata": { "labels": { "x": "1", "y": "1" } }, "data": { "a": "1", "b": "1" } }),
        )
        .apply(
            "alice",
            json!({ "metadata": { "labels": { "x": "1" } }, "data": { "b": "2" } }),
        )
        .holds(&json!({ "metadata": { "labels": { "x": "1" } }, "data": { "b": "2" } }))
        .apply("alice", json!({ "metadata": { "labels": { "x": "1" } } }))
        .holds(&json!({ "metadata": { "labels": { "x": "1" } } }))
        .apply("alice", json!({}))
        .holds(&json!({}))
        .owned(&[]);
}

#[test]
fn a_struct_goes_with_its_last_field() {
    World::new("apps/v1", "Deployment")
        .apply(
            "alice",
            json!({ "spec": { "replicas": 1, "strategy": { "rollingUpdate": { "maxSurge": 1 } } } }),
        )
        .owned(&["\"alice\": .spec.replicas .spec.strategy.rollingUpdate.maxSurge"])
        .apply("alice", json!({ "spec": { "replicas": 1 } }))
        .holds(&json!({ "spec": { "replicas": 1 } }));
}

#[test]
fn fields_that_are_owned_as_a_whole_are_replaced() {
    World::new("apps/v1", "Deployment")
        .apply(
            "alice",
            json!({ "spec": { "selector": { "matchLabels": { "a": "1" } } } }),
        )
        .owned(&["\"alice\": .spec.selector"])
        .force(
            "bob",
            json!({ "spec": { "selector": { "matchLabels": { "b": "1" } } } }),
        )
        .holds(&json!({ "spec": { "selector": { "matchLabels": { "b": "1" } } } }))
        .owned(&["\"bob\": .spec.selector"]);
    World::new("v1", "Pod")
        .apply(
            "alice",
            json!({ "spec": { "nodeSelector": { "a": "1" }, "tolerations": [{ "key": "a" }] } }),
        )
        .owned(&["\"alice\": .spec.nodeSelector .spec.tolerations"])
        .refuse(
            "bob",
            json!({ "spec": { "tolerations": [{ "key": "a" }, { "key": "b" }] } }),
            "Apply failed with 1 conflict: conflict with \"alice\": .spec.tolerations",
        )
        .apply("alice", json!({ "spec": { "nodeSelector": { "b": "1" } } }))
        .holds(&json!({ "spec": { "nodeSelector": { "b": "1" } } }));
}

#[test]
fn empty_maps_and_nulls_are_something_that_is_applied() {
    World::new("v1", "Pod")
        .apply("alice", json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } }))
        .holds(&json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } }))
        .owned(&["\"alice\": .spec.volumes[name=\"v\"] .spec.volumes[name=\"v\"].emptyDir .spec.volumes[name=\"v\"].name"]);
    config_map()
        .apply("alice", data(json!({ "a": "1" })))
        .refuse(
            "bob",
            data(json!({ "a": null })),
            "Apply failed with 1 conflict: conflict with \"alice\": .data.a",
        )
        .force("bob", data(json!({ "a": null, "b": "1" })))
        .holds(&data(json!({ "b": "1" })));
}

#[test]
fn the_time_is_that_of_the_last_change() {
    let mut world = config_map();
    let times = |world: &World| -> Vec<String> {
        world
            .managed()
            .0
            .values()
            .map(|owned| owned.time.clone().unwrap_or_default())
            .collect()
    };
    world.apply("alice", data(json!({ "a": "1" })));
    assert_eq!(times(&world), ["2026-01-01T00:00:01Z"]);
    world.apply("alice", data(json!({ "a": "1" })));
    assert_eq!(times(&world), ["2026-01-01T00:00:01Z"]);
    world.apply("alice", data(json!({ "a": "2" })));
    assert_eq!(times(&world), ["2026-01-01T00:00:03Z"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let failed = "failed to create typed patch object (d/c; v1, Kind=Pod): ";
    let cases = [
        (json!({ "size": 1 }), ".spec.size: field not declared in schema"),
        (
            json!({ "containers": { "name": "a" } }),
            ".spec.containers: expected a list, got a map",
        ),
        (
            json!({ "nodeName": ["a"] }),
            ".spec.nodeName: expected a scalar, got a list",
        ),
        (
            json!({ "securityContext": 1 }),
            ".spec.securityContext: expected a map, got a scalar",
        ),
        (
            json!({ "containers": [{ "image": "a" }] }),
            ".spec.containers[0]: has none of the fields that tell items of this list apart: [\"name\"]",
        ),
        (
            json!({ "containers": [{ "name": "a" }, { "name": "a" }] }),
            ".spec.containers[name=\"a\"]: stands in the list twice: leave one out",
        ),
        (
            json!({ "containers": [1] }),
            ".spec.containers[0]: is in a list of maps, and is none",
        ),
        (
            json!({ "tolerations": [{ "x": 1, "y": 1 }] }),
            "errors:\n  .spec.tolerations[0].x: field not declared in schema\n  .spec.tolerations[0].y: field not declared in schema",
        ),
    ];
    for (spec, message) in cases {
        let config = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "c", "namespace": "d" }, "spec": spec,
        });
        World::new("v1", "Pod").refuse("alice", config, &format!("{failed}{message}"));
    }
    let config = json!({ "metadata": { "managedFields": [] } });
    config_map().refuse("alice", config, "metadata.managedFields must be nil");
    let mut world = config_map();
    world.object = json!({ "metadata": { "managedFields": [{ "operation": "Guess" }] } })
        .as_object()
        .expect("a map")
        .clone();
    let message =
        "failed to decode managed fields: metadata.managedFields[0]: operation must be `Apply` or `Update`";
    world.refuse("alice", json!({}), message);
}

#[test]
fn what_nests_too_deeply_is_refused() {
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "data": inner }));
    let mut world = World::untyped();
    let refused = |what| format!("the {what} nests more than {DEEPEST} levels of maps and lists");
    world
        .apply("alice", nested(DEEPEST - 4))
        .holds(&nested(DEEPEST - 4));
    world.refuse(
        "alice",
        nested(DEEPEST - 3),
        &refused("object with who owns what of it"),
    );
    world.refuse("alice", nested(DEEPEST + 1), &refused("configuration"));
}
