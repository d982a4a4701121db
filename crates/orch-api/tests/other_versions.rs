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
