//! The pods a ReplicaSet makes.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use orch_core::object::RawObject;
use serde_json::{Value, json};

/// The reference that makes a set the controller of a pod.
pub(super) fn owner_reference(set: &ReplicaSet) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: set.metadata.name.clone().unwrap_or_default(),
        uid: set.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A pod of the set's template, its name still to be generated (`SET-` and five characters).
pub(super) fn pod_of(set: &ReplicaSet) -> RawObject {
    let template = set.spec.template.as_ref();
    let meta = template.and_then(|template| template.metadata.as_ref());
    let mut metadata = json!({
        "generateName": format!("{}-", set.metadata.name.as_deref().unwrap_or_default()),
        "namespace": set.metadata.namespace,
        "ownerReferences": [owner_reference(set)],
    });
    if let Some(meta) = meta {
        let fields = [
            ("labels", json!(meta.labels)),
            ("annotations", json!(meta.annotations)),
            ("finalizers", json!(meta.finalizers)),
        ];
        for (field, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
            metadata[field] = value;
        }
    }
    let spec = template.and_then(|template| template.spec.as_ref());
    RawObject::from_iter([
        ("apiVersion".to_owned(), json!("v1")),
        ("kind".to_owned(), json!("Pod")),
        ("metadata".to_owned(), metadata),
        // A pod spec has only string keys, so it always has a JSON form.
        (
            "spec".to_owned(),
            serde_json::to_value(spec).unwrap_or(Value::Null),
        ),
    ])
}
