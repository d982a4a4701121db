//! Volumes, classes of storage, and drivers.

use serde_json::json;

use super::kinds::check;

#[test]
fn volumes_say_of_which_claim_they_are() {
    let columns = [
        "Name",
        "Capacity",
        "Access Modes",
        "Reclaim Policy",
        "Status",
        "Claim",
        "StorageClass",
        "VolumeAttributesClass",
        "Reason",
        "Age",
        "VolumeMode",
    ];
    let spec = json!({"capacity": {"storage": "10Gi"}, "accessModes": ["ReadOnlyMany", "ReadWriteOnce", "ReadOnlyMany"],
        "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "shop", "name": "data"},
        "storageClassName": "fast", "volumeAttributesClassName": "gold", "volumeMode": "Block"});
    let old = json!({"volume.beta.kubernetes.io/storage-class": "old"});
    check(
        "v1",
        "PersistentVolume",
        &columns,
        &[
            (
                json!({"spec": spec, "status": {"phase": "Failed", "reason": "Broken"}}),
                &[
                    "a",
                    "10Gi",
                    "RWO,ROX",
                    "Retain",
                    "Failed",
                    "shop/data",
                    "fast",
                    "gold",
                    "Broken",
                    "5m",
                    "Block",
                ],
            ),
            (
                json!({"metadata": {"annotations": old, "deletionTimestamp": "2030-01-01T23:59:00Z"}}),
                &[
                    "a",
                    "0",
                    "",
                    "",
                    "Terminating",
                    "",
                    "old",
                    "<unset>",
                    "",
                    "5m",
                    "<unset>",
                ],
            ),
        ],
    );
}

#[test]
fn the_class_of_claims_that_name_none_is_marked() {
    let api = "storage.k8s.io/v1";
    check(
        api,
        "StorageClass",
        &[
            "Name",
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ],
        &[
            (
                json!({"provisioner": "disks", "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
                    "allowVolumeExpansion": true}),
                &["a", "disks", "Retain", "WaitForFirstConsumer", "true", "5m"],
            ),
            (
                json!({"provisioner": "disks",
                    "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
                &["a (default)", "disks", "Delete", "Immediate", "false", "5m"],
            ),
        ],
    );
    let default = json!({"volumeattributesclass.alpha.kubernetes.io/is-default-class": "true"});
    check(
        api,
        "VolumeAttributesClass",
        &["Name", "DriverName", "Age"],
        &[
            (json!({"driverName": "disks"}), &["a", "disks", "5m"]),
            (
                json!({"metadata": {"annotations": default}}),
                &["a (default)", "", "5m"],
            ),
        ],
    );
}

#[test]
fn drivers_say_what_they_can_do_where() {
    let api = "storage.k8s.io/v1";
    check(
        api,
        "VolumeAttachment",
        &["Name", "Attacher", "PV", "Node", "Attached", "Age"],
        &[
            (
                json!({"spec": {"attacher": "disks", "nodeName": "n1", "source": {"persistentVolumeName": "v"}},
                    "status": {"attached": true}}),
                &["a", "disks", "v", "n1", "true", "5m"],
            ),
            (
                json!({"spec": {"attacher": "disks", "nodeName": "n1", "source": {}}}),
                &["a", "disks", "", "n1", "false", "5m"],
            ),
        ],
    );
    let columns = [
        "Name",
        "AttachRequired",
        "PodInfoOnMount",
        "StorageCapacity",
        "TokenRequests",
        "RequiresRepublish",
        "Modes",
        "Age",
    ];
    check(
        api,
        "CSIDriver",
        &columns,
        &[
            (
                json!({"spec": {"attachRequired": false, "podInfoOnMount": true, "storageCapacity": true, "requiresRepublish": true,
                    "tokenRequests": [{"audience": "x"}, {"audience": "y"}], "volumeLifecycleModes": ["Persistent", "Ephemeral"]}}),
                &[
                    "a",
                    "false",
                    "true",
                    "true",
                    "x,y",
                    "true",
                    "Persistent,Ephemeral",
                    "5m",
                ],
            ),
            (
                json!({"spec": {}}),
                &["a", "true", "false", "false", "<unset>", "false", "<none>", "5m"],
            ),
        ],
    );
    check(
        api,
        "CSINode",
        &["Name", "Drivers", "Age"],
        &[(json!({"spec": {"drivers": [{}, {}]}}), &["a", "2", "5m"])],
    );
    check(
        api,
        "CSIStorageCapacity",
        &["Name", "StorageClassName", "Capacity"],
        &[
            (
                json!({"storageClassName": "fast", "capacity": "1Ti"}),
                &["a", "fast", "1Ti"],
            ),
            (json!({"storageClassName": "fast"}), &["a", "fast", "<unset>"]),
        ],
    );
}
