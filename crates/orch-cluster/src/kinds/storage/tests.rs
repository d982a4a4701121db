//! Classes of storage and the room that they have: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::find;
use crate::kinds::testkit::{created, raw, refuses, replaces};

pub(super) const API: &str = "storage.k8s.io/v1";

pub(super) fn object(kind: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": API, "kind": kind, "metadata": {"name": "fast"}});
    object.as_object_mut().unwrap().extend(raw(rest));
    object
}

#[test]
fn a_class_says_once_and_for_all_how_volumes_are_made() {
    let class = object("StorageClass", json!({"provisioner": "Disks.example.com/fast"}));
    let made = created(API, class.clone()).unwrap();
    assert_eq!(made["reclaimPolicy"], "Delete");
    assert_eq!(made["volumeBindingMode"], "Immediate");
    let many: serde_json::Map<_, _> = (0..513).map(|n| (n.to_string(), json!("x"))).collect();
    let term = |values: Value| json!({"matchLabelExpressions": [{"key": "zone", "values": values}]});
    refuses(
        &class,
        &[
            ("/provisioner", json!(""), "provisioner: Required value"),
            (
                "/parameters",
                json!({"": "x"}),
                "parameters: Invalid value: \"\": field can not be empty.",
            ),
            (
                "/parameters",
                Value::Object(many),
                "parameters: Too long: may not be more than 512 bytes",
            ),
            (
                "/parameters",
                json!({"x": "y".repeat(256 << 10)}),
                "parameters: Too long: may not be more than 262144 bytes",
            ),
            (
                "/reclaimPolicy",
                json!("Recycle"),
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            ),
            (
                "/volumeBindingMode",
                json!("Later"),
                "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ),
            (
                "/allowedTopologies",
                json!([term(json!([]))]),
                "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
            ),
            (
                "/allowedTopologies",
                json!([term(json!(["a", "a"]))]),
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
            ),
            (
                "/allowedTopologies",
                json!([term(json!(["a", "b"])), term(json!(["b", "a"]))]),
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ),
        ],
    );
    replaces(
        &class,
        &[
            ("/allowVolumeExpansion", json!(true), ""),
            (
                "/parameters",
                json!({"type": "ssd"}),
                "parameters: Forbidden: updates to parameters are forbidden.",
            ),
            (
                "/provisioner",
                json!("other"),
                "provisioner: Forbidden: updates to provisioner are forbidden.",
            ),
            (
                "/reclaimPolicy",
                json!("Retain"),
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
            ),
            (
                "/volumeBindingMode",
                json!("WaitForFirstConsumer"),
                "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
            ),
        ],
    );
}

#[test]
fn a_class_of_attributes_has_some_that_stay() {
    let Some(kind) = find("vac") else {
        return; // younger than the chosen Kubernetes
    };
    let class = object(
        &kind.resource.kind,
        json!({"driverName": "disks.example.com", "parameters": {"iops": "100"}}),
    );
    refuses(
        &class,
        &[
            ("/driverName", json!(""), "driverName: Required value"),
            (
                "/parameters",
                json!({}),
                "parameters: Required value: must contain at least one key/value pair",
            ),
        ],
    );
    replaces(
        &class,
        &[
            ("/metadata/labels", json!({"a": "b"}), ""),
            (
                "/driverName",
                json!("other"),
                "driverName: Forbidden: updates to driverName are forbidden.",
            ),
            (
                "/parameters",
                json!({"iops": "1"}),
                "parameters: Forbidden: updates to parameters are forbidden.",
            ),
        ],
    );
}

#[test]
fn room_is_of_a_class_on_some_nodes() {
    let room = object(
        "CSIStorageCapacity",
        json!({"metadata": {"name": "a", "namespace": "default"}, "storageClassName": "fast", "capacity": 1024}),
    );
    assert_eq!(created(API, room.clone()).unwrap()["capacity"], "1024");
    refuses(
        &room,
        &[
            (
                "/capacity",
                json!("-1"),
                "capacity: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                "/nodeTopology",
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                "nodeTopology.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
        ],
    );
    replaces(
        &room,
        &[
            ("/capacity", json!("2Ki"), ""),
            (
                "/storageClassName",
                json!("slow"),
                "storageClassName: Invalid value: \"slow\": field is immutable",
            ),
        ],
    );
}
