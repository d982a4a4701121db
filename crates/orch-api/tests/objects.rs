//! Objects over the wire: made, read, changed, deleted, and why not.

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use common::{MAPS, cluster, map};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use orch_api::ApiOptions;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn an_object_is_made_read_changed_and_deleted() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (code, made) = api.post(MAPS, &map("a", "1")).await;
    assert_eq!(
        (code, &made["metadata"]["namespace"]),
        (StatusCode::CREATED, &json!("default"))
    );
    let version = made["metadata"]["resourceVersion"].clone();
    assert!(
        version.is_string() && made["metadata"]["uid"].is_string(),
        "{made}"
    );
    let one = format!("{MAPS}/a");
    assert_eq!(api.get(&one).await, (StatusCode::OK, made.clone()));

    let mut changed = made.clone();
    changed["data"]["key"] = json!("2");
    let form = "application/json; charset=utf-8";
    let (code, now) = api.ask("PUT", &one, Some((form, &changed.to_string()))).await;
    assert_eq!((code, &now["data"]["key"]), (StatusCode::OK, &json!("2")));
    // By the version that was read, which is not the newest any more.
    let (code, status) = api.ask("PUT", &one, Some((form, &changed.to_string()))).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );
    let message = status["message"].as_str().unwrap();
    assert!(
        message
            .starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been modified")
    );

    for (form, change, expected) in [
        (
            "application/merge-patch+json",
            r#"{"data":{"key":null,"other":"3"}}"#,
            json!({"other": "3"}),
        ),
        (
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/data/other","value":"4"}]"#,
            json!({"other": "4"}),
        ),
    ] {
        let (code, now) = api.ask("PATCH", &one, Some((form, change))).await;
        assert_eq!((code, &now["data"]), (StatusCode::OK, &expected), "{form}");
    }
    let (code, dry) = api.ask("DELETE", &format!("{one}?dryRun=All"), None).await;
    assert_eq!((code, &dry["status"]), (StatusCode::OK, &json!("Success")));
    let preconditions = json!({"preconditions": {"uid": "another"}}).to_string();
    let (code, _) = api
        .ask("DELETE", &one, Some(("application/json", &preconditions)))
        .await;
    assert_eq!(code, StatusCode::CONFLICT);
    let (code, gone) = api.ask("DELETE", &one, None).await;
    assert_eq!(code, StatusCode::OK);
    let expected = json!({"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]});
    assert_eq!(
        (&gone["status"], &gone["details"]),
        (&json!("Success"), &expected)
    );
    assert_eq!(api.get(&one).await.0, StatusCode::NOT_FOUND);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_status_in_kubernetes_words() {
    let (cluster, api) = cluster(ApiOptions::default().body_bytes(2000)).await;
    api.post(MAPS, &map("a", "1")).await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let broken = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let long = map("long", &"x".repeat(2000)).to_string();
    let json_form = "application/json";
    for (method, path, sent, code, reason, message) in [
        (
            "GET",
            "/api/v1/namespaces/default/pods/none",
            None,
            404,
            "NotFound",
            "pods \"none\" not found",
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/default/deployments/none",
            None,
            404,
            "NotFound",
            "deployments.apps \"none\" not found",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/cats",
            None,
            404,
            "NotFound",
            "the server could not find",
        ),
        (
            "GET",
            "/nowhere",
            None,
            404,
            "NotFound",
            "the server could not find",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/nodes/n",
            None,
            404,
            "NotFound",
            "the server could not find",
        ),
        (
            "GET",
            "/api/v1/pods/p",
            None,
            404,
            "NotFound",
            "the server could not find",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/configmaps/a/status",
            None,
            404,
            "NotFound",
            "the server could not",
        ),
        (
            "POST",
            MAPS,
            Some((json_form, map("a", "1").to_string())),
            409,
            "AlreadyExists",
            "configmaps \"a\" already exists",
        ),
        (
            "POST",
            deployments,
            Some((json_form, broken.to_string())),
            422,
            "Invalid",
            "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "POST",
            MAPS,
            Some((json_form, "{".into())),
            400,
            "BadRequest",
            "the body cannot be read as JSON",
        ),
        (
            "POST",
            MAPS,
            Some((json_form, "[]".into())),
            400,
            "BadRequest",
            "the body is a list; an object is expected",
        ),
        (
            "POST",
            MAPS,
            Some((json_form, String::new())),
            400,
            "BadRequest",
            "the body is empty",
        ),
        (
            "POST",
            MAPS,
            Some((json_form, long)),
            413,
            "RequestEntityTooLarge",
            "longer than 2000 bytes",
        ),
        (
            "POST",
            MAPS,
            Some(("text/plain", "{}".into())),
            415,
            "UnsupportedMediaType",
            "accepted media types include: application/json",
        ),
        (
            "PATCH",
            MAPS,
            None,
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
        (
            "POST",
            "/version",
            None,
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
        (
            "POST",
            "/api/v1/configmaps",
            Some((json_form, map("b", "1").to_string())),
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
        (
            "DELETE",
            "/api/v1/configmaps",
            None,
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
        (
            "POST",
            "/api/v1/namespaces/none/configmaps",
            Some((json_form, map("b", "1").to_string())),
            404,
            "NotFound",
            "namespaces \"none\" not found",
        ),
    ] {
        let sent = sent.as_ref().map(|(form, body)| (*form, body.as_str()));
        let (answered, status) = api.ask(method, path, sent).await;
        let words = status["message"].as_str().unwrap_or_default();
        assert_eq!(
            (
                answered.as_u16(),
                &status["reason"],
                &status["kind"],
                &status["code"]
            ),
            (code, &json!(reason), &json!("Status"), &json!(code)),
            "{method} {path}: {status}"
        );
        assert!(words.contains(message), "{method} {path}: {words}");
    }
    let (_, status) = api.post(deployments, &broken).await;
    let details = json!({"name": "d", "group": "apps", "kind": "Deployment", "causes": [{
        "field": "spec.replicas",
        "message": "Invalid value: -1: must be greater than or equal to 0",
        "reason": "FieldValueInvalid",
    }]});
    assert_eq!(status["details"], details);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_strategic_merge_patch_merges_lists_by_their_keys() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let containers = json!([{"name": "web", "image": "web:1"}, {"name": "log", "image": "log:1"}]);
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}});
    assert_eq!(api.post(deployments, &deployment).await.0, StatusCode::CREATED);
    let (one, form) = (
        format!("{deployments}/d"),
        "application/strategic-merge-patch+json",
    );
    // As `kubectl set image` sends it.
    let change = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "web"}, {"name": "log"}],
        "containers": [{"name": "web", "image": "web:2"}],
    }}}});
    let (code, now) = api.ask("PATCH", &one, Some((form, &change.to_string()))).await;
    assert_eq!(code, StatusCode::OK, "{now}");
    let images = |now: &Value| -> Vec<String> {
        let containers = now["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter();
        containers
            .map(|one| one["image"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(images(&now), ["web:2", "log:1"]);
    let nameless = r#"{"spec":{"template":{"spec":{"containers":[{"image":"web:3"}]}}}}"#;
    let (code, status) = api.ask("PATCH", &one, Some((form, nameless))).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("spec.template.spec.containers[0]: has no \"name\""),
        "{message}"
    );
    assert_eq!(images(&api.get(&one).await.1), ["web:2", "log:1"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let begin = tokio::time::Instant::now();
    let answer = api.send(Request::post(MAPS).body(never).unwrap()).await;
    assert_eq!(
        (answer.status(), begin.elapsed().as_secs()),
        (StatusCode::REQUEST_TIMEOUT, 60)
    );
    let status = common::json(answer).await;
    assert_eq!(status["reason"], "Timeout");
    cluster.stop().await;
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn lists_are_selected_paged_and_of_the_version_that_is_asked_for() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    for name in ["a", "b", "c"] {
        api.post(MAPS, &map(name, "1")).await;
    }
    let (code, all) = api.get(MAPS).await;
    assert_eq!(
        (code, &all["kind"], &all["apiVersion"]),
        (StatusCode::OK, &json!("ConfigMapList"), &json!("v1"))
    );
    assert_eq!(names(&all), ["a", "b", "c"]);
    assert!(all["items"][0]["metadata"]["resourceVersion"].is_string());
    for (query, expected) in [
        ("labelSelector=app%3Db", vec!["b"]),
        ("labelSelector=app%21%3Db", vec!["a", "c"]),
        ("fieldSelector=metadata.name%3Dc", vec!["c"]),
        ("resourceVersion=0", vec!["a", "b", "c"]),
        ("limit=2", vec!["a", "b"]),
    ] {
        let (_, list) = api.get(&format!("{MAPS}?{query}")).await;
        assert_eq!(names(&list), expected, "{query}");
    }
    // Later pages, and a list of an older version, are as it was.
    let (_, first) = api.get(&format!("{MAPS}?limit=2")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    api.post(MAPS, &map("d", "1")).await;
    let (_, rest) = api
        .get(&format!("{MAPS}?limit=2&continue={}", token.replace('/', "%2F")))
        .await;
    assert_eq!(
        (names(&rest), &rest["metadata"]["continue"]),
        (vec!["c"], &Value::Null)
    );
    let (_, old) = api
        .get(&format!(
            "{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact"
        ))
        .await;
    assert_eq!(names(&old), ["a", "b", "c"]);
    let (_, now) = api.get(&format!("{MAPS}?resourceVersion={version}")).await;
    assert_eq!(names(&now), ["a", "b", "c", "d"]);
    let (code, status) = api.get(&format!("{MAPS}?resourceVersion=1000000")).await;
    assert_eq!(code, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
    // In all namespaces, and deleted as selected.
    let (_, everywhere) = api.get("/api/v1/configmaps?labelSelector=app").await;
    assert_eq!(names(&everywhere), ["a", "b", "c", "d"]);
    let (code, gone) = api
        .ask("DELETE", &format!("{MAPS}?labelSelector=app+in+(a,b)"), None)
        .await;
    assert_eq!((code, names(&gone)), (StatusCode::OK, vec!["a", "b"]));
    let (_, left) = api.get(&format!("{MAPS}?labelSelector=app")).await;
    assert_eq!(names(&left), ["c", "d"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn writers_are_warned_and_a_binding_binds() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let pods = "/api/v1/namespaces/default/pods";
    // Nobody schedules it but who asks.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"schedulerName": "mine", "containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(api.post(pods, &pod).await.0, StatusCode::CREATED);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"}});
    let (code, answer) = api.post(&format!("{pods}/p/binding"), &binding).await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
    let (_, bound) = api.get(&format!("{pods}/p")).await;
    assert_eq!(bound["spec"]["nodeName"], "node-1");
    let change = r#"{"status":{"message":"said"}}"#;
    let form = "application/merge-patch+json";
    let (code, said) = api
        .ask("PATCH", &format!("{pods}/p/status"), Some((form, change)))
        .await;
    assert_eq!(
        (code, &said["status"]["message"]),
        (StatusCode::OK, &json!("said"))
    );
    cluster.stop().await;
}

#[tokio::test]
async fn objects_may_come_as_yaml() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata: {key: '1'}\n";
    let (code, made) = api
        .ask("POST", common::MAPS, Some(("application/yaml", yaml)))
        .await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["data"]["key"], "1");
}
