//! PersistentVolumeClaims: what is filled in, what is refused, what may change and when.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces, replaces_stored, with};

const IMMUTABLE: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and \
                         volumeAttributesClassName for bound claims";

fn claim() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": 1024}}},
    })
}

#[test]
fn claims_wait_for_volumes_that_fit() {
    let made = created("v1", claim()).unwrap();
    assert_eq!(made["status"], json!({"phase": "Pending"}));
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    assert_eq!(made["spec"]["resources"]["requests"]["storage"], "1024");
    refuses(
        &claim(),
        &[
            (
                "/spec/accessModes",
                json!([]),
                "spec.accessModes: Required value: at least 1 access mode is required",
            ),
            (
                "/spec/accessModes",
                json!(["RWO"]),
                "spec.accessModes: Unsupported value: \"RWO\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (
                "/spec/resources",
                json!({}),
                "spec.resources[storage]: Required value",
            ),
            (
                "/spec/resources",
                json!({"requests": {"storage": "0"}}),
                "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            ),
        ],
    );
    replaces(
        &claim(),
        &[
            ("/spec/volumeName", json!("disk"), ""),
            ("/spec/storageClassName", json!("fast"), ""),
            ("/spec/resources/requests/storage", json!("1Ki"), ""),
            ("/spec/resources/requests/storage", json!("2Ki"), IMMUTABLE),
        ],
    );
}

#[test]
fn a_claim_gets_a_class_once() {
    let annotated = json!({"volume.beta.kubernetes.io/storage-class": "slow"});
    let annotated = with(claim(), "/metadata/annotations", annotated);
    replaces(
        &annotated,
        &[("/spec/storageClassName", json!("fast"), IMMUTABLE)],
    );
    let none = with(claim(), "/spec/storageClassName", json!(""));
    replaces(&none, &[("/spec/storageClassName", json!("fast"), IMMUTABLE)]);
}

#[test]
fn a_bound_claim_grows_and_takes_back_what_it_did_not_get() {
    let mut bound = created("v1", claim()).unwrap();
    bound["status"] = json!({"phase": "Bound", "capacity": {"storage": "4Ki"}});
    let below = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
    let storage = "/spec/resources/requests/storage";
    replaces_stored(
        &bound,
        &[
            // The volume is larger than what was asked for, which is no reason to refuse anything else.
            ("/metadata/labels", json!({"app": "web"}), ""),
            (storage, json!("2Ki"), ""),
            (storage, json!("512"), below),
            ("/spec/accessModes", json!(["ReadOnlyMany"]), IMMUTABLE),
        ],
    );
    bound["spec"]["resources"]["requests"]["storage"] = json!("16Ki");
    replaces_stored(
        &bound,
        &[(storage, json!("8Ki"), ""), (storage, json!("4Ki"), below)],
    );
}
