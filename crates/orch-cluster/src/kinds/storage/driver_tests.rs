//! Drivers of volumes, their nodes and attachments: what is filled in, what is refused.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use super::tests::{API, object};
use crate::kinds::find;
use crate::kinds::testkit::{created, document, raw, refuses, replaces, takes_status, with};

#[test]
fn an_attachment_is_of_one_volume_to_one_node() {
    let attachment = object(
        "VolumeAttachment",
        json!({"spec": {"attacher": "disks.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "disk"}},
            "status": {"attached": true}}),
    );
    assert_eq!(created(API, attachment.clone()).unwrap().get("status"), None);
    let inline = |spec: Value| json!({"inlineVolumeSpec": spec});
    let csi = json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}});
    let with_csi = |field: &str, value: Value| {
        let mut spec = csi.clone();
        spec[field] = value;
        inline(spec)
    };
    let at = "/spec/source";
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    refuses(
        &attachment,
        &[
            ("/spec/attacher", json!(""), "spec.attacher: Required value"),
            (at, json!({}), &format!("spec.source: Required value: {one}")),
            (
                "/spec/source/inlineVolumeSpec",
                csi.clone(),
                &format!("spec.source: Forbidden: {one}"),
            ),
            (
                at,
                json!({"persistentVolumeName": ""}),
                "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName",
            ),
            (
                at,
                with_csi("capacity", json!({"storage": "1Gi"})),
                "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            ),
            (
                at,
                inline(json!({"accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}})),
                "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            ),
            (
                at,
                with_csi("persistentVolumeReclaimPolicy", json!("Delete")),
                "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
            ),
            (
                at,
                with_csi("volumeMode", json!("Block")),
                "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes",
            ),
        ],
    );
    created(API, with(attachment.clone(), at, inline(csi))).unwrap();
    let old = document(&raw(created(API, attachment.clone()).unwrap()));
    let other = document(&raw(with(attachment.clone(), "/spec/nodeName", json!("n2"))));
    let rules = find("volumeattachment").unwrap();
    let errors = rules.validate_update(&other, &old).to_string();
    assert!(errors.ends_with("field is immutable"), "{errors}");
    takes_status(
        &attachment,
        &[
            (
                json!({"attached": false, "attachError": {"message": "no such disk"}}),
                "",
            ),
            (
                json!({"attached": false, "detachError": {"message": "x".repeat(1025)}}),
                "status.detachError.message: Too long: may not be more than 1024 bytes",
            ),
            (
                json!({"attached": true, "attachmentMetadata": {"x": "y".repeat(256 << 10)}}),
                "status.attachmentMetadata: Too long: may not be more than 262144 bytes",
            ),
        ],
    );
}

#[test]
fn a_driver_is_filled_and_stays_what_it_is_to_its_volumes() {
    let driver = object("CSIDriver", json!({"spec": {}}));
    assert_eq!(
        created(API, driver.clone()).unwrap()["spec"],
        json!({
            "attachRequired": true, "podInfoOnMount": false, "requiresRepublish": false, "seLinuxMount": false,
            "storageCapacity": false, "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
        })
    );
    refuses(
        &driver,
        &[
            (
                "/spec/fsGroupPolicy",
                json!("All"),
                "spec.fsGroupPolicy: Unsupported value: \"All\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            ),
            (
                "/spec/tokenRequests",
                json!([{"audience": "a"}, {"audience": "a"}]),
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            ),
            (
                "/spec/tokenRequests",
                json!([{"audience": "a", "expirationSeconds": 599}]),
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
            ),
            (
                "/spec/volumeLifecycleModes",
                json!(["Eternal"]),
                "spec.volumeLifecycleModes: Unsupported value: \"Eternal\": supported values: \"Persistent\", \"Ephemeral\"",
            ),
            (
                "/spec/nodeAllocatableUpdatePeriodSeconds",
                json!(9),
                "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
            ),
        ],
    );
    replaces(
        &driver,
        &[
            ("/spec/podInfoOnMount", json!(true), ""),
            (
                "/spec/attachRequired",
                json!(false),
                "spec.attachedRequired: Invalid value: false: field is immutable",
            ),
            (
                "/spec/volumeLifecycleModes",
                json!(["Ephemeral"]),
                "spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\"]: field is immutable",
            ),
        ],
    );
}

#[test]
fn a_node_has_each_driver_once() {
    let driver = json!({"name": "d", "nodeID": "n-1", "topologyKeys": ["zone"], "allocatable": {"count": 3}});
    let node = object("CSINode", json!({"spec": {"drivers": [driver]}}));
    refuses(
        &node,
        &[
            (
                "/spec/drivers",
                json!([driver, driver]),
                "spec.drivers[1].name: Duplicate value: \"d\"",
            ),
            (
                "/spec/drivers",
                json!([{"name": "d", "nodeID": ""}]),
                "spec.drivers[0].nodeID: Required value",
            ),
            (
                "/spec/drivers/0/topologyKeys",
                json!(["zone", "zone"]),
                "spec.drivers[0]: Duplicate value: \"zone\"",
            ),
            (
                "/spec/drivers/0/allocatable",
                json!({"count": -1}),
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            ),
        ],
    );
    replaces(
        &node,
        &[
            ("/spec/drivers", json!([]), ""),
            ("/spec/drivers/0/allocatable", json!({"count": 4}), ""),
            (
                "/spec/drivers",
                json!([{"name": "d", "nodeID": "n-2"}]),
                "spec.drivers: Invalid value: {\"name\":\"d\",\"nodeID\":\"n-2\"}: field is immutable",
            ),
        ],
    );
}
