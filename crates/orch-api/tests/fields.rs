//! Fields that a kind does not have, or that are given twice: who is told, and that they are not stored.

mod common;

use common::Http;
use http::Request;
use http_body_util::Full;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const ALL: &str = "/apis/apps/v1/namespaces/default/deployments";
const JSON: &str = "application/json";
const PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

/// Code, answer, and what the writer is warned of.
async fn ask(api: &Http, method: &str, path: &str, (form, body): (&str, &str)) -> (u16, Value, Vec<String>) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", form);
    let answer = api.send(request.body(Full::from(body.to_owned())).unwrap()).await;
    let warnings = answer.headers().get_all("Warning").iter();
    let warnings = warnings
        .map(|warning| warning.to_str().unwrap().replace("\\\"", "'"))
        .map(|warning| warning.trim_start_matches("299 - ").trim_matches('"').to_owned())
        .collect();
    (answer.status().as_u16(), common::json(answer).await, warnings)
}

#[tokio::test]
async fn of_an_object_they_are_told_as_asked_and_never_stored() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let body = |name: &str| {
        let whole = deployment(name).to_string();
        let whole = whole.replacen(r#""image":"i""#, r#""image":"i","imag":"j""#, 1);
        whole.replacen(
            r#""spec":{"selector""#,
            r#""spec":{"paused":false,"paused":true,"replica":2,"selector""#,
            1,
        )
    };
    let told = [
        "duplicate field 'spec.paused'",
        "unknown field 'spec.replica'",
        "unknown field 'spec.template.spec.containers[0].imag'",
    ];
    for (name, query, warnings) in [
        ("unsaid", "", &told[..]),
        ("warn", "?fieldValidation=Warn", &told),
        ("ignore", "?fieldValidation=Ignore", &[]),
    ] {
        let (code, _, warned) = ask(&api, "POST", &format!("{ALL}{query}"), (JSON, &body(name))).await;
        assert_eq!(
            (code, warned),
            (201, warnings.iter().map(ToString::to_string).collect()),
            "{query}"
        );
        let (_, stored) = api.get(&format!("{ALL}/{name}")).await;
        assert_eq!(stored["spec"]["paused"], true, "the last counts");
        assert_eq!(stored["spec"].get("replica"), None);
        assert_eq!(stored.pointer("/spec/template/spec/containers/0/imag"), None);
    }
    let strict = format!("{ALL}?fieldValidation=Strict");
    let (code, refused, _) = ask(&api, "POST", &strict, (JSON, &body("strict"))).await;
    let words = format!(
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: {}",
        told.join(", ").replace('\'', "\"")
    );
    assert_eq!((code, &refused["message"]), (400, &json!(words)));
    assert_eq!(api.get(&format!("{ALL}/strict")).await.0, 404);
    let loose = format!("{ALL}?fieldValidation=Loose");
    let (code, refused, _) = ask(&api, "POST", &loose, (JSON, &body("loose"))).await;
    let words = "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loose\": supported values: \
        \"\", \"Ignore\", \"Strict\", \"Warn\"";
    assert_eq!((code, &refused["message"]), (422, &json!(words)));
}

#[tokio::test]
async fn of_patches_they_are_told_as_of_objects() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    assert_eq!(api.post(ALL, &deployment("web")).await.0, 201);
    let (web, scale, status) = (
        format!("{ALL}/web"),
        format!("{ALL}/web/scale"),
        format!("{ALL}/web/status"),
    );
    let both = ["duplicate field 'spec.replicas'", "unknown field 'spec.replica'"];
    let spec = r#"{"spec": {"replicas": 1, "replicas": 2, "replica": 3}}"#;
    for (path, form, body, told) in [
        (&web, MERGE, spec, &both[..]),
        (&web, STRATEGIC, spec, &both),
        (&scale, MERGE, spec, &both),
        (
            &web,
            PATCH,
            r#"[{"op": "test", "op": "add", "path": "/spec/replica", "value": 1}]"#,
            &[
                "json patch duplicate field '[0].op'",
                "unknown field 'spec.replica'",
            ],
        ),
        (
            &status,
            MERGE,
            r#"{"status": {"replica": 3}}"#,
            &["unknown field 'status.replica'"],
        ),
    ] {
        let strict = format!("{path}?fieldValidation=Strict");
        let (code, refused, _) = ask(&api, "PATCH", &strict, (form, body)).await;
        let words = format!(
            "is invalid: patch: Invalid value: strict decoding error: {}",
            told.join(", ").replace('\'', "\"")
        );
        let message = refused["message"].as_str().unwrap();
        assert!(
            code == 422 && message.ends_with(&words),
            "{path} {form}: {code} {message}"
        );
        let (code, patched, warned) = ask(&api, "PATCH", path, (form, body)).await;
        assert_eq!(code, 200, "{path} {form}: {patched}");
        assert_eq!(warned, told, "{path} {form}");
        let ignored = format!("{path}?fieldValidation=Ignore");
        assert_eq!(ask(&api, "PATCH", &ignored, (form, body)).await.2, [""; 0]);
        let (_, stored) = api.get(&web).await;
        assert_eq!(
            (stored.pointer("/spec/replica"), stored.pointer("/status/replica")),
            (None, None)
        );
    }
    assert_eq!(api.get(&web).await.1["spec"]["replicas"], 2, "the last counts");
}

#[tokio::test]
async fn of_the_number_alone_they_are_those_of_a_scale() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    assert_eq!(api.post(ALL, &deployment("web")).await.0, 201);
    let body = r#"{"metadata": {"name": "web"}, "spec": {"replicas": 3, "paused": true}}"#;
    let path = format!("{ALL}/web/scale");
    let strict = format!("{path}?fieldValidation=Strict");
    let (code, refused, _) = ask(&api, "PUT", &strict, (JSON, body)).await;
    let words = "Scale in version \"v1\" cannot be handled as a Scale: strict decoding error: unknown field \"spec.paused\"";
    assert_eq!((code, &refused["message"]), (400, &json!(words)));
    let (code, _, warned) = ask(&api, "PUT", &path, (JSON, body)).await;
    assert_eq!(
        (code, warned),
        (200, vec!["unknown field 'spec.paused'".to_owned()])
    );
}

#[tokio::test]
async fn what_is_applied_has_a_field_once() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let map = format!("{}/twice?fieldManager=alice", common::MAPS);
    let body = r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1", "a": "2"}}"#;
    let strict = format!("{map}&fieldValidation=Strict");
    let (code, refused, _) = ask(&api, "PATCH", &strict, (APPLY, body)).await;
    let words = "error strict decoding YAML: duplicate field \"data.a\"";
    assert_eq!((code, &refused["message"]), (400, &json!(words)));
    let (code, made, warned) = ask(&api, "PATCH", &map, (APPLY, body)).await;
    assert_eq!((code, &made["data"]), (201, &json!({"a": "2"})));
    assert_eq!(warned, ["duplicate field 'data.a'"]);
}

#[tokio::test]
async fn warnings_do_not_grow_with_what_is_sent() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let long = "x".repeat(20_000);
    let fields = vec![format!("\"{long}\": 1"); 60].join(", ");
    let body =
        format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "long"}}, {fields}}}"#);
    let (code, _, warned) = ask(&api, "POST", common::MAPS, (JSON, &body)).await;
    let bytes: usize = warned.iter().map(String::len).sum();
    assert!(
        code == 201 && warned.len() > 10 && bytes <= 4096 + 256,
        "{code}: {} of {bytes}",
        warned.len()
    );
}
