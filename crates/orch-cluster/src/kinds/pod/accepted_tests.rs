//! A remembered spec changes how fast a pod is judged, never how.

use orch_core::object::{Document, RawObject};
use serde_json::{Value, json};

use super::{default, prepare_create, validate_new};

fn pod(changes: &[(&str, Value)]) -> Document {
    Document::from_raw(&raw(changes)).unwrap()
}

fn raw(changes: &[(&str, Value)]) -> RawObject {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "remembered"}]},
    });
    for (path, value) in changes {
        super::validate_tests::put(&mut pod, path, value.clone());
    }
    let Value::Object(mut pod) = pod else {
        unreachable!("it is an object")
    };
    prepare_create(&mut pod);
    default(&mut pod);
    pod
}

#[test]
fn the_second_pod_of_a_workload_is_judged_like_the_first() {
    for (changes, expected) in [
        (vec![], "[]"),
        (vec![("/metadata/name", json!("q"))], "[]"),
        (
            vec![("/metadata/name", json!(""))],
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            vec![("/spec/containers/0/image", json!(""))],
            "spec.containers[0].image: Required value",
        ),
        (
            vec![(
                "/metadata/annotations",
                json!({"kubernetes.io/config.mirror": "x"}),
            )],
            "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror \
             pod annotation is set",
        ),
    ] {
        for _ in 0..3 {
            assert_eq!(validate_new(&pod(&changes)).to_string(), expected, "{changes:?}");
        }
    }
}

#[test]
fn a_status_of_the_wrong_type_is_refused_whatever_the_spec() {
    assert!(validate_new(&pod(&[])).is_empty());
    for status in [
        json!("x"),
        json!({"phase": 3}),
        json!({"conditions": [{"type": 1}]}),
    ] {
        let mut pod = raw(&[]);
        pod.insert("status".to_owned(), status);
        assert_eq!(validate_new(&Document::from_raw(&pod).unwrap()).len(), 1);
    }
}

#[test]
fn a_spec_that_depends_on_the_name_is_judged_each_time() {
    let volumes = json!([
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "p-v"}},
    ]);
    let named = |name: &str| {
        let changes = [
            ("/spec/volumes", volumes.clone()),
            ("/metadata/name", json!(name)),
        ];
        validate_new(&pod(&changes)).to_string()
    };
    assert_eq!(named("other"), "[]");
    assert!(named("p").ends_with("must not reference a PVC that gets created for an ephemeral volume"));
}

#[test]
fn more_workloads_than_are_remembered_are_judged_alike() {
    for round in 0..3 {
        for image in 0..40 {
            let good = pod(&[("/spec/containers/0/image", json!(format!("image-{image}")))]);
            assert!(validate_new(&good).is_empty(), "{round} {image}");
        }
    }
}
