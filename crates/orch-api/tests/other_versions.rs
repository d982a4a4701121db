//! Built-in kinds in another version than they are stored in.

mod common;

use http::Request;
use http_body_util::Full;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const CORE_EVENTS: &str = "/api/v1/namespaces/default/events";

fn event() -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "web.1"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/me", "reportingInstance": "me-1",
        "action": "Scaling", "reason": "Scaled", "type": "Normal", "note": "to 3",
        "regarding": {"kind": "Pod", "name": "web", "namespace": "default"},
    })
}

#[tokio::test(start_paused = true)]
async fn an_event_is_one_object_in_both_groups() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (code, made) = api.post(EVENTS, &event()).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        (&made["apiVersion"], &made["note"]),
        (&json!("events.k8s.io/v1"), &json!("to 3"))
    );

    let (_, core) = api.get(&format!("{CORE_EVENTS}/web.1")).await;
    assert_eq!(
        (&core["apiVersion"], &core["message"]),
        (&json!("v1"), &json!("to 3"))
    );
    assert_eq!(core["involvedObject"]["name"], "web");
    assert_eq!(core["metadata"]["uid"], made["metadata"]["uid"]);

    let own = format!("{EVENTS}/web.1");
    for (form, patch, note) in [
        ("application/merge-patch+json", json!({"note": "to 4"}), "to 4"),
        (
            "application/strategic-merge-patch+json",
            json!({"note": "to 5"}),
            "to 5",
        ),
        (
            "application/json-patch+json",
            json!([{"op": "replace", "path": "/note", "value": "to 6"}]),
            "to 6",
        ),
        (
            "application/apply-patch+yaml",
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "to 7"}),
            "to 7",
        ),
    ] {
        let path = format!(
            "{own}?fieldManager=me{}",
            if form.contains("apply") { "&force=true" } else { "" }
        );
        let (code, patched) = api.ask("PATCH", &path, Some((form, &patch.to_string()))).await;
        assert_eq!(
            (code.as_u16(), &patched["note"]),
            (200, &json!(note)),
            "{form}: {patched}"
        );
        assert_eq!(
            api.get(&format!("{CORE_EVENTS}/web.1")).await.1["message"],
            note,
            "{form}"
        );
    }
    let mut wanted = made;
    wanted["note"] = json!("to 8");
    wanted["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let (code, written) = api
        .ask("PUT", &own, Some(("application/json", &wanted.to_string())))
        .await;
    assert_eq!(
        (code.as_u16(), &written["note"]),
        (200, &json!("to 8")),
        "{written}"
    );
    let (_, list) = api.get("/apis/events.k8s.io/v1/events").await;
    assert_eq!(
        (&list["apiVersion"], &list["items"][0]["note"]),
        (&json!("events.k8s.io/v1"), &json!("to 8"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_version_does_not_have_is_told_by_its_own_names() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let mut wrong = event();
    wrong["apiVersion"] = json!("v1");
    let (code, refused) = api.post(EVENTS, &wrong).await;
    assert_eq!(code, 400);
    assert_eq!(
        refused["message"],
        r#"apiVersion: expected "events.k8s.io/v1", got "v1""#
    );
    let mut wrong = event();
    wrong["mood"] = json!("good");
    let (code, refused) = api
        .post(&format!("{EVENTS}?fieldValidation=Strict"), &wrong)
        .await;
    assert_eq!(code, 400, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .ends_with(r#"unknown field "mood""#),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn both_versions_show_the_same_table() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    assert_eq!(api.post(EVENTS, &event()).await.0, 201);
    let mut tables = Vec::new();
    for path in [EVENTS, CORE_EVENTS] {
        let form = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let path = format!("{path}?includeObject=Object");
        let request = Request::get(path)
            .header("Accept", form)
            .body(Full::default())
            .unwrap();
        tables.push(common::json(api.send(request).await).await);
    }
    assert_eq!(tables[0]["rows"][0]["cells"], tables[1]["rows"][0]["cells"]);
    assert_eq!(tables[0]["rows"][0]["object"]["note"], "to 3");
    assert_eq!(tables[1]["rows"][0]["object"]["message"], "to 3");
}

const AUTOSCALERS: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const AUTOSCALERS_2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

/// What `kubectl autoscale deployment web --max=5 --cpu-percent=50` of 1.27 sends.
fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "maxReplicas": 5, "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    })
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_is_one_object_in_both_versions() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (code, made) = api.post(AUTOSCALERS, &autoscaler()).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 50);
    let (one, two) = (format!("{AUTOSCALERS}/web"), format!("{AUTOSCALERS_2}/web"));
    let (_, stored) = api.get(&two).await;
    let target = |share: i32| json!({"type": "Utilization", "averageUtilization": share});
    assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"], target(50));

    // What v1 does not know survives a write in v1.
    let memory = json!({"type": "AverageValue", "averageValue": "1Gi"});
    let add = json!([
        {"op": "add", "path": "/spec/metrics/0", "value": {"type": "Resource", "resource": {"name": "memory", "target": memory}}},
        {"op": "add", "path": "/spec/behavior", "value": {"scaleDown": {"selectPolicy": "Disabled"}}},
    ]);
    let form = "application/json-patch+json";
    let (code, patched) = api.ask("PATCH", &two, Some((form, &add.to_string()))).await;
    assert_eq!(code, 200, "{patched}");
    let form = "application/strategic-merge-patch+json";
    let change = json!({"spec": {"targetCPUUtilizationPercentage": 60}}).to_string();
    let (code, patched) = api.ask("PATCH", &one, Some((form, &change))).await;
    assert_eq!(code, 200, "{patched}");
    let (_, mut wanted) = api.get(&one).await;
    wanted["spec"]["maxReplicas"] = json!(6);
    let (code, written) = api
        .ask("PUT", &one, Some(("application/json", &wanted.to_string())))
        .await;
    assert_eq!(code, 200, "{written}");
    let (_, stored) = api.get(&two).await;
    let spec = &stored["spec"];
    assert_eq!(
        (
            &spec["metrics"][0]["resource"]["target"],
            &spec["metrics"][1]["resource"]["target"]
        ),
        (&memory, &target(60)),
        "{spec}"
    );
    assert_eq!(spec["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
    assert_eq!(
        (&spec["maxReplicas"], &stored["metadata"]["annotations"]),
        (&json!(6), &Value::Null)
    );

    let (_, group) = api.get("/apis/autoscaling").await;
    assert_eq!(group["preferredVersion"]["version"], "v2");
}

#[tokio::test(start_paused = true)]
async fn what_another_version_alone_has_is_told_of_and_not_taken() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let mut wrong = autoscaler();
    wrong["spec"]["metrics"] = json!([]);
    let strict = format!("{AUTOSCALERS}?fieldValidation=Strict");
    let (code, refused) = api.post(&strict, &wrong).await;
    let words = "HorizontalPodAutoscaler in version \"v1\" cannot be handled as a HorizontalPodAutoscaler: \
                 strict decoding error: unknown field \"spec.metrics\"";
    assert_eq!((code.as_u16(), &refused["message"]), (400, &json!(words)));
    assert_eq!(api.post(AUTOSCALERS, &autoscaler()).await.0, 201);
    let form = "application/merge-patch+json";
    let change = json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}}).to_string();
    let path = format!("{AUTOSCALERS}/web?fieldValidation=Strict");
    let (code, refused) = api.ask("PATCH", &path, Some((form, &change))).await;
    assert_eq!(code, 422, "{refused}");
    let path = format!("{AUTOSCALERS}/web?fieldValidation=Ignore");
    assert_eq!(api.ask("PATCH", &path, Some((form, &change))).await.0, 200);
    let (_, stored) = api.get(&format!("{AUTOSCALERS_2}/web")).await;
    assert_eq!(stored["spec"].get("behavior"), None);
}
