//! StatefulSets, DaemonSets and revisions: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces};

fn workload(kind: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "db"}]},
            },
        },
    })
}

fn stateful_set() -> Value {
    let mut set = workload("StatefulSet");
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}]);
    set
}

#[test]
fn stateful_sets_are_filled() {
    let made = created("apps/v1", stateful_set()).unwrap();
    let spec = &made["spec"];
    for (path, expected) in [
        ("/replicas", json!(1)),
        ("/podManagementPolicy", json!("OrderedReady")),
        (
            "/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        ),
        (
            "/persistentVolumeClaimRetentionPolicy",
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ),
        ("/revisionHistoryLimit", json!(10)),
        ("/template/spec/restartPolicy", json!("Always")),
        ("/volumeClaimTemplates/0/kind", json!("PersistentVolumeClaim")),
        ("/volumeClaimTemplates/0/spec/volumeMode", json!("Filesystem")),
    ] {
        assert_eq!(spec.pointer(path), Some(&expected), "{path}");
    }
}

#[test]
fn stateful_sets_that_are_wrong_are_refused() {
    refuses(
        &stateful_set(),
        &[
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/podManagementPolicy",
                json!("Fast"),
                "spec.podManagementPolicy: Invalid value: \"Fast\": must be 'OrderedReady' or 'Parallel'",
            ),
            (
                "/spec/updateStrategy",
                json!({"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
            ),
            (
                "/spec/selector",
                json!({"matchLabels": {"app": "web"}}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"db\"}: `selector` does not match template `labels`",
            ),
            (
                "/spec/volumeClaimTemplates/0/spec/accessModes",
                json!([]),
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            ),
            (
                "/spec/volumeClaimTemplates",
                json!([]),
                "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\"",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
        ],
    );
}

#[test]
fn most_of_a_stateful_set_stays() {
    let refusal = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    replaces(
        &stateful_set(),
        &[
            ("/spec/replicas", json!(5), ""),
            ("/spec/minReadySeconds", json!(5), ""),
            ("/spec/template/spec/containers/0/image", json!("db:2"), ""),
            ("/spec/serviceName", json!("other"), refusal),
            ("/spec/podManagementPolicy", json!("Parallel"), refusal),
        ],
    );
}

#[test]
fn daemon_sets_replace_pods_node_by_node() {
    let made = created("apps/v1", workload("DaemonSet")).unwrap();
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    assert_eq!(made["spec"]["updateStrategy"], strategy);
    assert_eq!(made["spec"]["revisionHistoryLimit"], 10);
    let rolling = |unavailable: Value, surge: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
    refuses(
        &workload("DaemonSet"),
        &[
            (
                "/spec/updateStrategy",
                rolling(json!(0), json!(0)),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ),
            (
                "/spec/updateStrategy",
                rolling(json!(1), json!("10%")),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"10%\": may not be set when maxUnavailable is non-zero",
            ),
            (
                "/spec/updateStrategy",
                rolling(json!("101%"), json!(0)),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                "/spec/updateStrategy",
                json!({"type": "Recreate"}),
                "spec.updateStrategy.type: Unsupported value: \"Recreate\": supported values: \"OnDelete\", \"RollingUpdate\"",
            ),
            ("/spec/selector", json!({}), "spec.selector: Required value"),
        ],
    );
    let selected =
        json!({"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let kept = replaces;
    kept(
        &workload("DaemonSet"),
        &[("/spec/updateStrategy", json!({"type": "OnDelete"}), "")],
    );
    let errors = "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\"}],\
                  \"matchLabels\":{\"app\":\"db\"}}: field is immutable";
    kept(&workload("DaemonSet"), &[("/spec/selector", selected, errors)]);
}

#[test]
fn what_a_revision_holds_never_changes() {
    let revision = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "db-1", "namespace": "default"},
        "data": {"spec": {}}, "revision": 1,
    });
    refuses(
        &revision,
        &[
            ("/data", json!(null), "data: Required value: data is mandatory"),
            (
                "/revision",
                json!(-1),
                "revision: Invalid value: -1: must be greater than or equal to 0",
            ),
        ],
    );
    replaces(
        &revision,
        &[
            ("/revision", json!(2), ""),
            (
                "/data",
                json!({"a": 1}),
                "data: Invalid value: {\"a\":1}: field is immutable",
            ),
        ],
    );
}
