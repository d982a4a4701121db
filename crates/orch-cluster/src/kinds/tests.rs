//! The table of kinds, and the kinds that are not pods.

use orch_core::client::{KindRules, Wanted};
use orch_core::object::{Document, RawObject};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testkit::{created, document, raw, with};
use super::{KINDS, find, find_kind};
use crate::manifest::ManifestKinds;

#[test]
fn who_creates_what_nothing_acts_on_is_told() {
    for kind in KINDS.iter() {
        let warnings = kind.create_warnings(&RawObject::new());
        let expected = match kind.is_acted_on {
            true => vec![],
            false => vec![format!(
                "{} is stored, but nothing acts on it yet",
                kind.resource.kind
            )],
        };
        assert_eq!(warnings, expected, "{}", kind.resource);
        let known = ManifestKinds::builtin();
        let resource = known.resource(&kind.resource.api_version(), &kind.resource.kind);
        assert_eq!(resource, Some(&kind.resource), "a manifest may hold it");
    }
}

#[test]
fn no_two_kinds_are_called_the_same() {
    let mut names = std::collections::BTreeSet::new();
    for kind in KINDS.iter() {
        let own = [&*kind.resource.plural, kind.singular];
        let own: std::collections::BTreeSet<_> =
            own.into_iter().chain(kind.short_names.iter().copied()).collect();
        for name in own {
            assert!(names.insert(name), "{name}");
        }
    }
}

#[test]
fn a_namespace_is_active_labelled_and_held() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let namespace = created("v1", namespace).unwrap();
    assert_eq!(
        namespace["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "shop"})
    );
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"], json!({"phase": "Active"}));

    let kind = find("ns").unwrap();
    let mut new = raw(with(namespace.clone(), "/spec/finalizers", json!([])));
    kind.prepare_update(&mut new, &raw(namespace.clone()));
    assert_eq!(
        Value::Object(new),
        namespace,
        "an update does not write the finalizers"
    );

    let old = Document::from_raw(&raw(namespace.clone())).unwrap();
    assert!(kind.blocks_removal(&old));
    let mut new = raw(with(namespace, "/spec/finalizers", json!([])));
    new.insert("status".to_owned(), json!({"phase": "Terminating"}));
    let written = kind.subresource("finalize", Wanted::Whole(&new), &old).unwrap();
    let new = replaced(&old, written.unwrap());
    assert_eq!(
        new["status"],
        json!({"phase": "Active"}),
        "it writes the finalizers alone"
    );
    assert!(!kind.blocks_removal(&Document::from_raw(&new).unwrap()));
    let as_it_was = kind
        .subresource("finalize", Wanted::Merge(&json!({})), &old)
        .unwrap();
    assert_eq!(as_it_was.unwrap(), [], "what changes nothing is no write");
    for (sent, answer) in [
        (json!({}), r#"["kubernetes"]"#),
        (json!({"spec": {"finalizers": ["a.b/c"]}}), r#"["a.b/c"]"#),
        (json!({"spec": {"finalizers": null}}), "null"),
        (
            json!({"spec": {"finalizers": [3]}}),
            "spec.finalizers: Invalid value",
        ),
        (
            json!({"spec": {"finalizers": ["_"]}}),
            "spec.finalizers: Invalid value",
        ),
    ] {
        let written = kind.subresource("finalize", Wanted::Merge(&sent), &old).unwrap();
        let said = match written {
            Ok(fields) => replaced(&old, fields)["spec"]["finalizers"].to_string(),
            Err(errors) => errors.to_string(),
        };
        assert!(said.contains(answer), "{sent}: {said}");
    }
}

/// The object with what a subresource writes.
fn replaced(old: &Document, fields: Vec<(&str, Vec<u8>)>) -> RawObject {
    let mut object = old.to_raw().unwrap();
    for (name, json) in fields {
        object.insert(name.to_owned(), serde_json::from_slice(&json).unwrap());
    }
    object
}

#[test]
fn a_new_pod_is_pending_and_classified() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]},
        "status": {"phase": "Running"},
    });
    let pod = created("v1", pod).unwrap();
    assert_eq!(
        pod["status"],
        json!({"phase": "Pending", "qosClass": "Guaranteed"})
    );
}

#[test]
fn a_pod_is_bound_once_and_by_nothing_but_its_node() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let kind = find("pod").unwrap();
    let old = raw(created("v1", pod).unwrap());
    let bind = |old: &RawObject, spec: Value| {
        let document = Document::from_raw(old).unwrap();
        let mut new = raw(with(Value::Object(old.clone()), "/spec", spec));
        new.insert("novel".to_owned(), json!(1));
        match kind
            .subresource("binding", Wanted::Whole(&new), &document)
            .unwrap()
        {
            Ok(fields) => (replaced(&document, fields), String::new()),
            Err(errors) => (new, errors.to_string()),
        }
    };
    let (bound, errors) = bind(&old, json!({"nodeName": "n1", "restartPolicy": "Never"}));
    assert_eq!(errors, "");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let mut expected = old.clone();
    expected["spec"]["nodeName"] = json!("n1");
    expected.insert("status".to_owned(), bound["status"].clone());
    assert_eq!(bound, expected, "nothing else changed");

    assert_eq!(
        bind(&bound, json!({"nodeName": "n1"})),
        (bound.clone(), String::new()),
        "again"
    );
    let again = kind.subresource(
        "binding",
        Wanted::Whole(&bound),
        &Document::from_raw(&bound).unwrap(),
    );
    assert_eq!(again.unwrap().unwrap(), [], "and again is no write");
    let (_, errors) = bind(&bound, json!({"nodeName": "n2"}));
    assert_eq!(
        errors,
        "spec.nodeName: Forbidden: pod is already assigned to node \"n1\""
    );
    assert_eq!(bind(&old, json!({})).1, "spec.nodeName: Required value");
    let mut going = old.clone();
    going["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    let (_, errors) = bind(&going, json!({"nodeName": "n1"}));
    assert_eq!(
        errors,
        "spec.nodeName: Forbidden: pod is being deleted, cannot be assigned to a host"
    );
    let document = Document::from_raw(&going).unwrap();
    assert!(
        kind.subresource("novel", Wanted::Whole(&going), &document)
            .is_none()
    );
}

#[test]
fn a_status_is_checked() {
    for (kind, old, status, expected) in [
        (
            "po",
            json!({}),
            json!({"phase": 5}),
            "status.phase: Invalid value: expected a string, got 5; put it in quotes to make it one",
        ),
        (
            "ns",
            json!({}),
            json!({"phase": "Terminating"}),
            "status.phase: Invalid value: \"Terminating\": may only be \
            'Active' if `deletionTimestamp` is empty",
        ),
        (
            "deploy",
            json!({"status": {"collisionCount": 2}}),
            json!({"collisionCount": 1}),
            "status.collisionCount: Invalid value: 1: cannot be decremented",
        ),
        (
            "rs",
            json!({}),
            json!({"replicas": 1, "readyReplicas": 2}),
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        ),
        (
            "no",
            json!({}),
            json!({"capacity": {"cpu": "-1"}}),
            "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
    ] {
        let mut object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}});
        object.as_object_mut().unwrap().extend(raw(old));
        let old = Document::from_raw(&raw(object)).unwrap();
        let kind = find(kind).unwrap();
        let errors = kind.validate_status(status.to_string().as_bytes(), &old);
        assert_eq!(errors.to_string(), expected);
        assert!(kind.validate_status(b"null", &old).len() <= 1);
    }
}

#[test]
fn data_is_checked() {
    let big = "x".repeat(1024 * 1024 + 1);
    let of = |kind: &str, more: Value| {
        let mut object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "d", "namespace": "default"}});
        object.as_object_mut().unwrap().extend(raw(more));
        object
    };
    for (object, expected) in [
        (
            of("ConfigMap", json!({"data": {"a": big}})),
            "Too long: may not be more than 1048576 bytes",
        ),
        (
            of(
                "ConfigMap",
                json!({"data": {"a": "b"}, "binaryData": {"a": "Yg=="}}),
            ),
            "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
        ),
        (
            of(
                "Secret",
                json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
            ),
            "data[tls.key]: Required value",
        ),
        (
            of(
                "Secret",
                json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "no"}}),
            ),
            "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be a JSON object: line 1 \
             column 2",
        ),
        (
            of("Lease", json!({"spec": {"leaseDurationSeconds": 0}})),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            of("Event", json!({"involvedObject": {"namespace": "other"}})),
            "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",
        ),
        (
            json!({"kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": [
                {"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}}),
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by \
             key and effect pair",
        ),
        (
            json!({"kind": "Node", "metadata": {"name": "n", "namespace": "x"}}),
            "metadata.namespace: Forbidden: not allowed on this type",
        ),
    ] {
        let api_version = if object["kind"] == "Lease" {
            "coordination.k8s.io/v1"
        } else {
            "v1"
        };
        let object = with(object, "/apiVersion", json!(api_version));
        assert_eq!(created(api_version, object).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_is_immutable_stays() {
    for (kind, data, changed) in [
        ("ConfigMap", json!({"a": "b"}), json!({"a": "c"})),
        ("Secret", json!({"a": "Yg=="}), json!({"a": "Yw=="})),
    ] {
        let old = json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": "d", "namespace": "default"},
            "immutable": true, "data": data,
        });
        let old = raw(created("v1", old).unwrap());
        let mut new = old.clone();
        new.insert("data".to_owned(), changed);
        new.remove("immutable");
        let kind = find_kind("v1", kind).unwrap();
        let errors = kind.validate_update(&document(&new), &document(&old));
        assert_eq!(
            errors.to_string(),
            "[immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is immutable \
             when `immutable` is set]"
        );
    }
}

#[test]
fn a_node_offers_its_capacity_and_keeps_what_it_registered_with() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"cpu": 4}}});
    let node = created("v1", node).unwrap();
    assert_eq!(
        node["status"],
        json!({"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}})
    );
}

#[test]
fn kinds_are_found_by_every_name_they_have() {
    for (name, kind) in [
        ("po", "Pod"),
        ("pods", "Pod"),
        ("Deployment", "Deployment"),
        ("deployments.apps", "Deployment"),
        ("rs", "ReplicaSet"),
        ("leases.coordination.k8s.io", "Lease"),
    ] {
        assert_eq!(
            find(name).map(|kind| kind.resource.kind.as_ref()),
            Some(kind),
            "{name}"
        );
    }
    assert!(find("pods.apps").is_none());
    assert!(find_kind("v1", "Deployment").is_none());
}

#[test]
fn field_selectors_see_what_kubernetes_shows_them() {
    let value = |kind: &str, path: &str, object: Value| {
        let mut object = with(object, "/metadata", json!({"name": "o", "namespace": "ns"}));
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(kind);
        let document = Document::from_raw(&raw(object)).unwrap();
        let kind = KINDS.iter().find(|row| row.resource.kind == kind).unwrap();
        assert_eq!(
            kind.is_selectable(path),
            kind.selectable_field(&document, path).is_some()
        );
        kind.selectable_field(&document, path)
    };
    for (kind, name, object, expected) in [
        (
            "Pod",
            "spec.nodeName",
            json!({"spec": {"nodeName": "n1"}}),
            Some("n1"),
        ),
        ("Pod", "spec.nodeName", json!({"spec": {}}), Some("")),
        (
            "Pod",
            "status.podIP",
            json!({"status": {"podIPs": [{"ip": "10.0.0.1"}]}}),
            Some("10.0.0.1"),
        ),
        ("Pod", "spec.image", json!({}), None),
        ("Node", "spec.unschedulable", json!({}), Some("false")),
        (
            "Node",
            "spec.unschedulable",
            json!({"spec": {"unschedulable": true}}),
            Some("true"),
        ),
        (
            "Event",
            "source",
            json!({"reportingComponent": "kubelet"}),
            Some("kubelet"),
        ),
        (
            "ReplicaSet",
            "status.replicas",
            json!({"status": {"replicas": 3}}),
            Some("3"),
        ),
    ] {
        assert_eq!(
            value(kind, name, object.clone()).as_deref(),
            expected,
            "{kind} {name} {object}"
        );
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3i64).prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = proptest::sample::select(vec![
            "metadata",
            "name",
            "labels",
            "spec",
            "status",
            "replicas",
            "strategy",
            "type",
            "rollingUpdate",
            "template",
            "containers",
            "capacity",
            "allocatable",
            "stringData",
            "data",
            "finalizers",
            "phase",
        ]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn filling_any_object_twice_is_filling_it_once(value in json_values()) {
        if let Value::Object(object) = value {
            for kind in KINDS.iter() {
                let mut once = object.clone();
                kind.default(&mut once);
                let mut twice = once.clone();
                kind.default(&mut twice);
                prop_assert_eq!(&once, &twice, "{}", kind.resource);
                // Whatever it is, it is prepared and judged, and nothing panics.
                kind.prepare_create(&mut twice);
                kind.prepare_update(&mut twice, &object);
                let Ok(document) = Document::from_raw(&object) else { continue };
                if let Ok(twice) = Document::from_raw(&twice) {
                    let _ = kind.validate(&twice);
                    let _ = kind.validate_update(&twice, &document);
                }
                for (name, _) in kind.subresources {
                    let _ = kind.subresource(name, Wanted::Whole(&twice), &document);
                }
            }
        }
    }
}
