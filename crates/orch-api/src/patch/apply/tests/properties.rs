//! What holds of all that is applied.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{FieldSet, Request};
use super::World;
use crate::schema::Schema;

/// Configurations of a Pod that fit its type.
fn config() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let text = prop::sample::select(vec!["1", "2"]);
    let map = prop::collection::btree_map(name.clone(), text.clone(), 0..3);
    let env = prop::collection::btree_map(name.clone(), text.clone(), 0..3).prop_map(|env| {
        env.into_iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect::<Value>()
    });
    let container = (prop::option::of(text.clone()), prop::option::of(env));
    let containers = prop::collection::btree_map(name.clone(), container, 0..3).prop_shuffle_keys();
    let tolerations = prop::option::of(prop::collection::vec(text, 0..2));
    let finalizers = prop::collection::btree_set(name, 0..3);
    (map.clone(), map, containers, tolerations, finalizers).prop_map(
        |(labels, selector, containers, tolerations, finalizers)| {
            let mut config = json!({ "metadata": { "labels": labels, "finalizers": finalizers }, "spec": {
                "nodeSelector": selector,
                "containers": containers,
            } });
            if let Some(keys) = tolerations {
                config["spec"]["tolerations"] = keys.into_iter().map(|key| json!({ "key": key })).collect();
            }
            config
        },
    )
}

/// Containers of names and what they have, in any order.
trait Shuffled {
    fn prop_shuffle_keys(self) -> BoxedStrategy<Vec<Value>>;
}

type Container = (Option<&'static str>, Option<Value>);

impl<S> Shuffled for S
where
    S: Strategy<Value = std::collections::BTreeMap<&'static str, Container>> + 'static,
{
    fn prop_shuffle_keys(self) -> BoxedStrategy<Vec<Value>> {
        let built = self.prop_map(|containers| {
            let built = containers.into_iter().map(|(name, (image, env))| {
                let mut container = json!({ "name": name });
                if let Some(image) = image {
                    container["image"] = json!(image);
                }
                if let Some(env) = env {
                    container["env"] = env;
                }
                container
            });
            built.collect::<Vec<Value>>()
        });
        built.prop_shuffle().boxed()
    }
}

/// Any JSON, of names that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "metadata",
        "spec",
        "containers",
        "name",
        "env",
        "labels",
        "finalizers",
        "managedFields",
        "operation",
        "apiVersion",
        "fieldsType",
        "fieldsV1",
        "f:spec",
        "f:containers",
        "k:{\"name\":\"a\"}",
        ".",
        "tolerations",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
    ]);
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        prop::sample::select(vec!["a", "Apply", "Update", "v1", "FieldsV1", "{}"]).prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    (anything(), anything()).prop_map(|(metadata, spec)| {
        [("metadata".to_owned(), metadata), ("spec".to_owned(), spec)]
            .into_iter()
            .collect()
    })
}

proptest! {
    #[test]
    fn whatever_is_applied_to_whatever_nothing_panics(live in any_map(), config in any_map()) {
        let ignored = FieldSet::new();
        let pod = crate::schema::built_in("v1", "Pod").expect("it is built in");
        for schema in [pod, &Schema::untyped(), &Schema::scalar()] {
            let request = Request {
                schema, api_version: "v1", manager: "kubectl", subresource: "", ignored: &ignored, now: "",
            };
            for force in [false, true] {
                let _ = request.apply(&live, &config, force);
            }
            request.update(&live, config.clone());
        }
    }

    #[test]
    fn to_apply_twice_changes_nothing(first in config(), second in config()) {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", first).force("bob", second.clone());
        let once = world.object.clone();
        prop_assert!(world.is_in_force("bob", &second));
        world.apply("bob", second);
        prop_assert_eq!(&world.object, &once);
    }

    #[test]
    fn what_is_in_force_is_so_of_all_its_values(first in config(), second in config(), third in config()) {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", first.clone()).force("bob", second.clone());
        // `World` compares the short way with the whole one.
        for (manager, config) in [("alice", first), ("bob", second.clone()), ("alice", second), ("bob", third)] {
            world.force(manager, config);
        }
    }

    #[test]
    fn what_is_applied_is_there_and_owned(first in config(), second in config()) {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", first).force("bob", second.clone());
        prop_assert_eq!(&world.object["spec"]["nodeSelector"], &second["spec"]["nodeSelector"]);
        for (name, value) in second["metadata"]["labels"].as_object().into_iter().flatten() {
            prop_assert_eq!(&world.object["metadata"]["labels"][name], value);
        }
        let find = |name: &Value| {
            let containers = world.object["spec"]["containers"].as_array().into_iter().flatten();
            containers.clone().find(|container| container["name"] == *name).cloned()
        };
        for container in second["spec"]["containers"].as_array().into_iter().flatten() {
            let found = find(&container["name"]).unwrap_or_default();
            if let Some(image) = container.get("image") {
                prop_assert_eq!(&found["image"], image);
            }
        }
    }

    #[test]
    fn what_nobody_owns_goes(first in config(), second in config()) {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", first).force("bob", second).force("alice", json!({})).force("bob", json!({}));
        world.owned(&[]);
        // What applies and is empty was nobody's: nothing else is left.
        let empty = |value: &Value| match value {
            Value::Object(map) => map.values().all(|value| value == &json!({}) || value == &json!([])),
            _ => false,
        };
        let bare = world.bare();
        prop_assert!(bare.as_object().into_iter().flatten().all(|(_, value)| empty(value)), "{}", bare);
    }

    #[test]
    fn who_forces_nothing_takes_nothing(first in config(), second in config()) {
        let mut world = World::new("v1", "Pod");
        world.apply("alice", first.clone());
        let before = world.managed();
        if world.try_apply("bob", second, false).is_ok() {
            let after = world.managed();
            let alice = |managed: &super::Managed| managed.0.values().next().map(|owned| owned.fields.clone());
            if before.0.len() < after.0.len() {
                prop_assert_eq!(alice(&before), alice(&after));
            }
            // And what alice applied is there as she did: to do so again changes nothing of hers.
            let object = world.bare();
            world.apply("alice", first);
            prop_assert_eq!(world.bare()["metadata"]["labels"].clone(), object["metadata"]["labels"].clone());
        }
    }
}
