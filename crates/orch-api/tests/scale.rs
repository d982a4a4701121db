//! The number of a workload's pods, by itself.

mod common;

use common::Http;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const ALL: &str = "/apis/apps/v1/namespaces/default/deployments";
const SCALE: &str = "/apis/apps/v1/namespaces/default/deployments/web/scale";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

async fn deployed(api: &Http) -> Value {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    let (code, made) = api.post(ALL, &deployment).await;
    assert_eq!(code, 201, "{made}");
    made
}

#[tokio::test(start_paused = true)]
async fn it_is_read_and_written_without_the_rest() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let made = deployed(&api).await;
    let (code, scale) = api.get(SCALE).await;
    assert_eq!(code, 200);
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["apiVersion"], "autoscaling/v1");
    assert_eq!(scale["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(scale["spec"], json!({"replicas": 2}));
    assert_eq!(scale["status"]["selector"], "app=web,!old");

    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = json!(5);
    let current = api.get(&format!("{ALL}/web")).await.1["metadata"]["resourceVersion"].clone();
    wanted["metadata"]["resourceVersion"] = current;
    let (code, scaled) = api.ask("PUT", SCALE, Some((JSON, &wanted.to_string()))).await;
    assert_eq!(code, 200, "{scaled}");
    assert_eq!(scaled["spec"]["replicas"], 5);
    for (form, patch, replicas) in [
        (MERGE, r#"{"spec": {"replicas": 3}}"#, 3),
        (
            "application/json-patch+json",
            r#"[{"op": "replace", "path": "/spec/replicas", "value": 4}]"#,
            4,
        ),
        (
            "application/strategic-merge-patch+json",
            r#"{"spec": {"replicas": 0}}"#,
            0,
        ),
    ] {
        let (code, scaled) = api.ask("PATCH", SCALE, Some((form, patch))).await;
        assert_eq!(code, 200, "{scaled}");
        assert_eq!(scaled["spec"]["replicas"], replicas);
        let (_, whole) = api.get(&format!("{ALL}/web")).await;
        assert_eq!(whole["spec"]["replicas"], replicas);
        assert_eq!(whole["spec"]["template"], made["spec"]["template"]);
    }
    let dry = format!("{SCALE}?dryRun=All");
    let (code, scaled) = api
        .ask("PATCH", &dry, Some((MERGE, r#"{"spec": {"replicas": 9}}"#)))
        .await;
    assert_eq!((code.as_u16(), &scaled["spec"]["replicas"]), (200, &json!(9)));
    assert_eq!(api.get(SCALE).await.1["spec"]["replicas"], 0);
    let (_, whole) = api.get(&format!("{ALL}/web")).await;
    let owners = whole["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        owners.iter().any(|owner| owner["subresource"] == "scale"),
        "{owners:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let made = deployed(&api).await;
    let (_, scale) = api.get(SCALE).await;
    let with = |path: &str, value: Value| {
        let mut scale = scale.clone();
        *scale.pointer_mut(path).unwrap() = value;
        scale.to_string()
    };
    for (method, form, body, code, words) in [
        (
            "PUT",
            JSON,
            with("/metadata/resourceVersion", json!("1")),
            409,
            "the object has been modified",
        ),
        (
            "PUT",
            JSON,
            with("/metadata/name", json!("other")),
            400,
            "metadata.name: \"other\": must be that of the path",
        ),
        (
            "PUT",
            JSON,
            "{}".to_owned(),
            400,
            "metadata.name: \"\": must be that of the path",
        ),
        (
            "PUT",
            JSON,
            made.to_string(),
            400,
            "apiVersion: \"apps/v1\": must be \"autoscaling/v1\"",
        ),
        (
            "PATCH",
            MERGE,
            r#"{"spec": {"replicas": -1}}"#.to_owned(),
            422,
            "spec.replicas: Invalid value: -1",
        ),
        (
            "PATCH",
            MERGE,
            r#"{"spec": {"replicas": "3"}}"#.to_owned(),
            400,
            "spec.replicas: \"3\": must be a whole number",
        ),
        (
            "PATCH",
            "application/apply-patch+yaml",
            "{}".to_owned(),
            415,
            "application/merge-patch+json",
        ),
        ("POST", JSON, "{}".to_owned(), 405, "POST"),
    ] {
        let (found, said) = api.ask(method, SCALE, Some((form, &body))).await;
        assert_eq!(found.as_u16(), code, "{said}");
        assert!(said["message"].as_str().unwrap().contains(words), "{said}");
    }
    let (_, whole) = api.get(&format!("{ALL}/web")).await;
    assert_eq!(whole["spec"], made["spec"]);
    assert_eq!(api.get(&format!("{ALL}/none/scale")).await.0, 404);
    assert_eq!(api.get(&format!("{}/a/scale", common::MAPS)).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn that_of_a_replication_controller_names_its_pods_too() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let all = "/api/v1/namespaces/default/replicationcontrollers";
    let template = json!({"metadata": {"labels": {"app": "web", "tier": "1"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web"},
        "spec": {"template": template}});
    let (code, made) = api.post(all, &controller).await;
    assert_eq!(code, 201, "{made}");
    let scale = format!("{all}/web/scale");
    assert_eq!(api.get(&scale).await.1["status"]["selector"], "app=web,tier=1");
    let patch = Some((MERGE, r#"{"spec": {"replicas": 3}}"#));
    let (code, scaled) = api.ask("PATCH", &scale, patch).await;
    assert_eq!((code.as_u16(), &scaled["spec"]["replicas"]), (200, &json!(3)));
}
