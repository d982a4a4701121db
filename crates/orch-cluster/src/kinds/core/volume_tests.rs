//! PersistentVolumes: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces, with};

fn volume() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": 1024},
            "csi": {"driver": "disks.example.com", "volumeHandle": "d-1"},
        },
        "status": {"phase": "Bound"},
    })
}

#[test]
fn a_new_volume_waits_and_outlives_its_claim() {
    let made = created("v1", volume()).unwrap();
    assert_eq!(made["status"]["phase"], "Pending");
    assert!(made["status"]["lastPhaseTransitionTime"].is_string(), "{made}");
    assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    assert_eq!(made["spec"]["capacity"]["storage"], "1024");
    let on_host = json!({"accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}, "iscsi":
        {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:disk", "lun": 0}});
    let made = created("v1", with(volume(), "/spec", on_host)).unwrap();
    assert_eq!(made["spec"]["iscsi"]["iscsiInterface"], "default");
}

#[test]
fn a_volume_is_of_some_size_in_one_place() {
    let host = |path: &str, policy: &str| {
        json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": path},
            "persistentVolumeReclaimPolicy": policy})
    };
    refuses(
        &volume(),
        &[
            ("/spec/accessModes", json!([]), "spec.accessModes: Required value"),
            (
                "/spec/accessModes",
                json!(["RWO"]),
                "spec.accessModes: Unsupported value: \"RWO\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (
                "/spec/accessModes",
                json!(["ReadWriteOncePod", "ReadOnlyMany"]),
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            ),
            (
                "/spec/capacity",
                json!({"cpu": "1"}),
                "spec.capacity: Unsupported value: {\"cpu\":\"1\"}: supported values: \"storage\"",
            ),
            (
                "/spec/capacity",
                json!({"storage": "0"}),
                "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            ),
            (
                "/spec/csi",
                json!(null),
                "spec: Required value: must specify a volume type",
            ),
            (
                "/spec/nfs",
                json!({"server": "nas", "path": "/a"}),
                "spec.csi: Forbidden: may not specify more than 1 volume type",
            ),
            ("/spec/csi/driver", json!(""), "spec.csi.driver: Required value"),
            (
                "/spec/csi/volumeHandle",
                json!(""),
                "spec.csi.volumeHandle: Required value",
            ),
            (
                "/spec/csi/nodePublishSecretRef",
                json!({"name": "s"}),
                "spec.csi.nodePublishSecretRef.namespace: Required value",
            ),
            (
                "/spec/nodeAffinity",
                json!({}),
                "spec.nodeAffinity.required: Required value: must specify required node constraints",
            ),
            (
                "/spec/nodeAffinity",
                json!({"required": {"nodeSelectorTerms": []}}),
                "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
            ),
            (
                "/spec",
                json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "local": {"path": "/disk"}}),
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ),
            (
                "/spec",
                host("/", "Recycle"),
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ),
            (
                "/spec",
                host("/../etc", "Retain"),
                "spec.hostPath.path: Invalid value: \"/../etc\": must not contain '..'",
            ),
            (
                "/spec/volumeAttributesClassName",
                json!(""),
                "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
            ),
            (
                "/spec/volumeMode",
                json!("Tape"),
                "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
            ),
        ],
    );
}

#[test]
fn the_data_of_a_volume_stay_where_they_are() {
    let affinity = |node: &str| {
        let term = json!({"matchExpressions": [{"key": "host", "operator": "In", "values": [node]}]});
        json!({"required": {"nodeSelectorTerms": [term]}})
    };
    let placed = with(volume(), "/spec/nodeAffinity", affinity("a"));
    let placed = with(placed, "/spec/volumeAttributesClassName", json!("gold"));
    replaces(
        &placed,
        &[
            ("/spec/capacity", json!({"storage": "2Ki"}), ""),
            (
                "/spec/claimRef",
                json!({"name": "data", "namespace": "default"}),
                "",
            ),
            (
                "/spec/csi/controllerExpandSecretRef",
                json!({"name": "s", "namespace": "default"}),
                "",
            ),
            (
                "/spec/csi/volumeHandle",
                json!("d-2"),
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
            ),
            (
                "/spec/volumeMode",
                json!("Block"),
                "spec.volumeMode: Invalid value: \"Block\": field is immutable",
            ),
            (
                "/spec/nodeAffinity",
                json!(null),
                "spec.nodeAffinity: Invalid value: null: field is immutable",
            ),
            (
                "/spec/volumeAttributesClassName",
                json!(null),
                "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden",
            ),
        ],
    );
    // Until it is said, any may be.
    replaces(&volume(), &[("/spec/nodeAffinity", affinity("b"), "")]);
}
