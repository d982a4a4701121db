//! Schemas of built-in kinds and of custom ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ListType, Node, PatchStrategy, Schema, built_in, facts};

/// Rows of the table whose field k8s-openapi's version does not have any more.
const GONE: &[(&str, &str)] = &[];

/// Types in full, by their names in the table.
fn named(name: &str) -> Option<Schema> {
    let made = built_in::made();
    let full = ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis."];
    full.iter()
        .find_map(|prefix| made.get(&format!("{prefix}{name}")).cloned())
}

#[test]
fn every_fact_is_of_a_field_that_there_is_and_is_found_in_it() {
    let mut lost = Vec::new();
    for &(of, field, list, strategy, key) in facts::FIELDS {
        let schema = named(of);
        let Some(found) = schema.as_ref().and_then(|schema| schema.field(field)) else {
            lost.push((of, field));
            continue;
        };
        let keys: Vec<&str> = list.split(' ').skip(1).collect();
        let expected = match list.split(' ').next() {
            Some("map") => ListType::Map(keys.iter().map(|key| (*key).into()).collect()),
            Some("set") => ListType::Set,
            _ => ListType::Atomic,
        };
        match found.schema.node() {
            Node::List(found) => {
                assert_eq!(found.kind, expected, "{of}.{field}");
                for key in keys
                    .iter()
                    .chain([&key].into_iter().filter(|key| !key.is_empty()))
                {
                    let scalar = found.items.field(key).map(|field| format!("{:?}", field.schema));
                    assert_eq!(scalar.as_deref(), Some("scalar"), "{of}.{field} by {key}");
                }
            }
            other => assert!(
                list.is_empty() && matches!(other, Node::Struct(_)),
                "{of}.{field} is {other:?}"
            ),
        }
        let says = |word: &str| strategy.split(',').any(|said| said == word);
        let expected = PatchStrategy {
            merge: says("merge"),
            replace: says("replace"),
            retain_keys: says("retainKeys"),
            merge_key: (!key.is_empty()).then(|| key.into()),
        };
        assert_eq!(found.patch, expected, "{of}.{field}");
    }
    for &(of, field, kind) in facts::MAPS {
        match named(of).as_ref().and_then(|schema| schema.field(field)) {
            Some(found) => assert_eq!(found.is_atomic(), kind == "atomic", "{of}.{field}"),
            None => lost.push((of, field)),
        }
    }
    for &of in facts::ATOMIC {
        match named(of).as_ref().map(Schema::node) {
            Some(Node::Struct(found)) => assert!(found.is_atomic, "{of}"),
            _ => lost.push((of, "")),
        }
    }
    for &(of, field, default) in facts::DEFAULTS {
        match named(of).as_ref().and_then(|schema| schema.field(field)) {
            Some(found) => assert_eq!(found.default, Some(json!(default)), "{of}.{field}"),
            None => lost.push((of, field)),
        }
    }
    assert_eq!(lost, GONE);
}

#[test]
fn the_table_is_sorted() {
    assert!(facts::FIELDS.is_sorted_by_key(|row| (row.0, row.1)));
    assert!(facts::MAPS.is_sorted_by_key(|row| (row.0, row.1)));
    assert!(facts::ATOMIC.is_sorted());
    assert!(facts::DEFAULTS.is_sorted_by_key(|row| (row.0, row.1)));
}

#[test]
fn every_type_of_the_built_in_kinds_was_read() {
    let made = built_in::made();
    assert!(made.len() > 300, "{}", made.len());
    for (name, schema) in &made {
        assert!(schema.0.get().is_some(), "{name} could not be read");
    }
}

#[test]
fn every_kind_has_a_schema_with_metadata() {
    let kinds = [
        ("v1", "Pod"),
        ("v1", "Event"),
        ("events.k8s.io/v1", "Event"),
        ("apps/v1", "StatefulSet"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("policy/v1", "Eviction"),
        ("networking.k8s.io/v1", "Ingress"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("storage.k8s.io/v1", "VolumeAttributesClass"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("coordination.k8s.io/v1", "Lease"),
        ("node.k8s.io/v1", "RuntimeClass"),
        ("certificates.k8s.io/v1", "CertificateSigningRequest"),
    ];
    for (api_version, kind) in kinds {
        let schema = built_in(api_version, kind).unwrap_or_else(|| panic!("{api_version} {kind}"));
        let finalizers = schema
            .field("metadata")
            .and_then(|metadata| metadata.schema.field("finalizers"));
        let Some(finalizers) = finalizers else {
            panic!("{api_version} {kind}")
        };
        assert!(finalizers.patch.merge, "{api_version} {kind}");
    }
    for (api_version, kind) in [
        ("v1", "Deployment"),
        ("apps/v1beta1", "Deployment"),
        ("v1", "PodList"),
        ("", ""),
    ] {
        assert!(built_in(api_version, kind).is_none(), "{api_version} {kind}");
    }
}

#[test]
fn types_are_shared_between_kinds() {
    let spec = |api_version, kind| {
        built_in(api_version, kind)
            .and_then(|schema| schema.at(&["spec", "template", "spec"]))
            .expect("a pod")
    };
    let (one, other) = (spec("apps/v1", "Deployment"), spec("batch/v1", "Job"));
    assert!(std::sync::Arc::ptr_eq(&one.0, &other.0));
}

#[test]
fn values_are_what_their_schemas_say() {
    let cases = [
        (["spec", "replicas"].as_slice(), "scalar"),
        (&["spec", "strategy", "rollingUpdate", "maxSurge"], "scalar"),
        (&["metadata", "labels"], "map"),
        (&["metadata", "labels", "any"], "scalar"),
        (&["metadata", "managedFields"], "list"),
        (&["metadata", "managedFields", "fieldsV1"], "map"),
        (&["metadata", "managedFields", "fieldsV1", "f:spec"], "untyped"),
        (&["metadata", "creationTimestamp"], "scalar"),
        (&["spec", "template", "spec", "containers"], "list"),
        (
            &[
                "spec",
                "template",
                "spec",
                "containers",
                "resources",
                "limits",
                "cpu",
            ],
            "scalar",
        ),
        (&["spec", "template", "spec", "containers", "nothing"], "none"),
        (&["spec", "replicas", "nothing"], "none"),
    ];
    let deployment = built_in("apps/v1", "Deployment").expect("it is built in");
    for (path, expected) in cases {
        let found = deployment
            .at(path)
            .map_or("none".to_owned(), |schema| format!("{schema:?}"));
        assert_eq!(found, expected, "{path:?}");
    }
}

#[test]
fn a_fields_map_type_overrules_its_types() {
    let volume = built_in("v1", "PersistentVolume")
        .and_then(|schema| schema.at(&["spec"]))
        .expect("it is built in");
    // An object reference is atomic, but not this one.
    assert!(!volume.field("claimRef").expect("it is there").is_atomic());
    let pod = built_in("v1", "Pod")
        .and_then(|schema| schema.at(&["spec"]))
        .expect("it is built in");
    assert!(pod.field("nodeSelector").expect("it is there").is_atomic());
    assert!(!pod.field("securityContext").expect("it is there").is_atomic());
}

#[test]
fn custom_resources_are_read() {
    let schema = Schema::custom_resource(&json!({
        "type": "object",
        "properties": {
            "metadata": { "type": "object" },
            "spec": {
                "type": "object",
                "properties": {
                    "size": { "x-kubernetes-int-or-string": true },
                    "free": { "x-kubernetes-preserve-unknown-fields": true },
                    "freeObject": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    "part": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": true,
                        "properties": { "known": { "type": "string" } },
                    },
                    "template": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": {
                        "spec": { "type": "object", "additionalProperties": { "type": "integer" } },
                    } },
                    "tags": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
                    "atomic": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "properties": { "a": { "type": "string" } },
                    },
                    "nested": { "type": "array", "items": { "type": "array", "items": { "type": "number" } } },
                },
            },
        },
    }));
    let schema = schema.expect("it is well formed");
    let cases = [
        (["apiVersion"].as_slice(), "scalar"),
        (&["metadata", "ownerReferences", "uid"], "scalar"),
        (&["spec", "size"], "scalar"),
        (&["spec", "free"], "untyped"),
        (&["spec", "free", "any", "thing"], "untyped"),
        (&["spec", "freeObject"], "map"),
        (&["spec", "freeObject", "any"], "untyped"),
        (&["spec", "part", "known"], "scalar"),
        (&["spec", "part", "unknown"], "untyped"),
        (&["spec", "template", "kind"], "scalar"),
        (&["spec", "template", "metadata", "labels", "a"], "scalar"),
        (&["spec", "template", "spec", "a"], "scalar"),
        (&["spec", "tags"], "list"),
        (&["spec", "nested"], "list"),
        (&["spec", "unknown"], "none"),
        (&["status"], "none"),
    ];
    for (path, expected) in cases {
        let found = schema
            .at(path)
            .map_or("none".to_owned(), |schema| format!("{schema:?}"));
        assert_eq!(found, expected, "{path:?}");
    }
    assert!(
        schema
            .at(&["spec"])
            .expect("it is there")
            .field("atomic")
            .expect("it is there")
            .is_atomic()
    );
}

#[test]
fn schemas_that_mean_nothing_are_refused() {
    let list = |more: Value| {
        let mut list = json!({ "type": "array", "x-kubernetes-list-type": "map", "items": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "map": { "type": "object" } },
        } });
        for (name, value) in more.as_object().cloned().unwrap_or_default() {
            list[name] = value;
        }
        json!({ "type": "object", "properties": { "a": list } })
    };
    let unknown = |key| {
        format!(
            "properties[a]: x-kubernetes-list-map-keys names {key:?}, which is no scalar field of the items: \
             name one, or add it there"
        )
    };
    let cases = [
        (json!([]), "it must be an object".to_owned()),
        (
            json!({ "type": "text" }),
            "type is \"text\", which is none of \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"".into(),
        ),
        (json!({ "type": ["string", "null"] }), "type must be a string".into()),
        (
            json!({ "properties": { "a": { "additionalProperties": { "items": 1 } } } }),
            "properties[a].additionalProperties.items: it must be an object".into(),
        ),
        (
            json!({ "items": { "$ref": "#/definitions/x" } }),
            "items: $ref is \"#/definitions/x\", which is not known here: write the schema in its place".into(),
        ),
        (
            list(json!({})),
            "properties[a]: x-kubernetes-list-type is \"map\", but x-kubernetes-list-map-keys names no field: name at least one".into(),
        ),
        (
            list(json!({ "x-kubernetes-list-type": "bag" })),
            "properties[a]: x-kubernetes-list-type is \"bag\", which is none of \"atomic\", \"map\", \"set\"".into(),
        ),
        (list(json!({ "x-kubernetes-list-map-keys": ["name", "id"] })), unknown("id")),
        (list(json!({ "x-kubernetes-list-map-keys": ["map"] })), unknown("map")),
        (
            list(json!({ "x-kubernetes-list-map-keys": "name" })),
            "properties[a]: x-kubernetes-list-map-keys must be a list of names of fields".into(),
        ),
        (
            list(json!({ "x-kubernetes-list-map-keys": ["name"], "x-kubernetes-patch-strategy": "mix" })),
            "properties[a]: x-kubernetes-patch-strategy is \"mix\", which is none of \"merge\", \"replace\", \"retainKeys\"".into(),
        ),
        (
            json!({ "type": "object", "x-kubernetes-map-type": "set" }),
            "x-kubernetes-map-type is \"set\", which is none of \"atomic\", \"granular\"".into(),
        ),
        (
            (0..200).fold(json!({ "type": "string" }), |inner, _| json!({ "type": "array", "items": inner })),
            "nests more than 127 levels of maps and lists: flatten it".into(),
        ),
    ];
    for (schema, expected) in cases {
        let message = Schema::from_open_api(&schema).expect_err(&expected).to_string();
        assert_eq!(message, expected);
    }
}

/// Any JSON, of words that mean something in a schema.
fn anything() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "additionalProperties",
        "name",
        "$ref",
        "allOf",
        "default",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-patch-strategy",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-preserve-unknown-fields",
    ]);
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            "object", "array", "string", "map", "set", "name", "merge", "granular"
        ])
        .prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(words.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_schema_is_nothing_panics(schema in anything()) {
        let read = [Schema::from_open_api(&schema), Schema::custom_resource(&schema)];
        for schema in read.into_iter().flatten() {
            schema.at(&["properties", "name", "items"]);
        }
    }
}
