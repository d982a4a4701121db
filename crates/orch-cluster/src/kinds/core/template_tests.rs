//! ReplicationControllers and PodTemplates: what is filled in, what is refused.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::find;
use crate::kinds::testkit::{created, raw, refuses, replaces, takes_status, with};

fn template(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}})
}

fn controller() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"template": template(&json!({"app": "web"}))}, "status": {"replicas": 7},
    })
}

#[test]
fn a_replication_controller_chooses_the_pods_of_its_template() {
    let made = created("v1", controller()).unwrap();
    let labels = json!({"app": "web"});
    assert_eq!(made["spec"]["selector"], labels);
    assert_eq!(made["metadata"]["labels"], labels);
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(made["spec"]["template"]["spec"]["restartPolicy"], "Always");
    assert_eq!(made.get("status"), None, "nobody sends a status");
    let own = with(controller(), "/metadata/labels", json!({"tier": "1"}));
    assert_eq!(
        created("v1", own).unwrap()["metadata"]["labels"],
        json!({"tier": "1"})
    );
    refuses(
        &controller(),
        &[
            (
                "/spec/selector",
                json!({"app": "db"}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
            ),
            (
                "/spec/template",
                template(&json!({})),
                "spec.selector: Required value",
            ),
            (
                "/spec",
                json!({"selector": {"app": "web"}}),
                "spec.template: Required value",
            ),
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (
                "/spec/template/spec/activeDeadlineSeconds",
                json!(1),
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported",
            ),
        ],
    );
    // Unlike those of newer workloads, its selector may change.
    let other = json!({"selector": {"app": "db"}, "template": template(&json!({"app": "db"}))});
    replaces(&controller(), &[("/spec", other, "")]);
}

#[test]
fn no_more_replicas_are_ready_than_there_are() {
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "default"}});
    for old in [controller(), set] {
        takes_status(
            &old,
            &[
                (
                    json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}),
                    "",
                ),
                (
                    json!({"replicas": -1}),
                    "status.replicas: Invalid value: -1: must be greater than or equal to 0; \
                     status.fullyLabeledReplicas: Invalid value: 0: cannot be greater than status.replicas; \
                     status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas; \
                     status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas",
                ),
                (
                    json!({"replicas": 1, "fullyLabeledReplicas": 2}),
                    "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
                ),
                (
                    json!({"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}),
                    "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
                ),
            ],
        );
    }
}

#[test]
fn a_template_alone_is_of_pods_of_any_kind() {
    let object = json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "web", "namespace": "default"},
        "template": template(&json!({"app": "web"})),
    });
    let made = created("v1", object.clone()).unwrap();
    assert_eq!(made["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    created(
        "v1",
        with(object.clone(), "/template/spec/restartPolicy", json!("Never")),
    )
    .unwrap();
    refuses(
        &object,
        &[
            (
                "/template/spec/containers",
                json!([{"name": "web"}]),
                "template.spec.containers[0].image: Required value",
            ),
            ("/template", json!(null), "template.spec: Required value"),
        ],
    );
    let doubled = with(
        object,
        "/template/spec/containers/0/env",
        json!([{"name": "A"}, {"name": "A"}]),
    );
    assert_eq!(
        find("podtemplate").unwrap().warnings(&raw(doubled)),
        [
            "template.spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply"
        ]
    );
}
