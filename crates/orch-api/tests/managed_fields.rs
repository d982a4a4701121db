//! The record of who owns which fields that all writes over the API keep: `metadata.managedFields`.

mod common;

use common::apply::{DEPLOYMENTS, apply, config, deployment, owners};
use common::{Http, MAPS, cluster, events};
use http::{Request, StatusCode};
use http_body_util::Full;
use k8s_openapi::api::apps::v1::Deployment;
use orch_api::ApiOptions;
use orch_core::client::Patch;
use serde_json::{Value, json};

/// An object as made by one program and changed by others, each in another way.
async fn written_by_many(api: &Http) -> Value {
    let one = format!("{MAPS}/a");
    let made = Request::post(MAPS)
        .header("Content-Type", "application/json")
        .header("User-Agent", "maker/v1.2 (linux/amd64)")
        .body(Full::from(
            config(json!({ "a": "1", "b": "1", "c": "1", "d": "1", "e": "1" })).to_string(),
        ));
    let made = common::json(api.send(made.unwrap()).await).await;
    let mut put = made.clone();
    put["data"]["a"] = json!("2");
    for (method, manager, form, body) in [
        ("PUT", "put", "application/json", put.to_string()),
        (
            "PATCH",
            "merge",
            "application/merge-patch+json",
            r#"{"data":{"b":"2"}}"#.into(),
        ),
        (
            "PATCH",
            "strategic",
            "application/strategic-merge-patch+json",
            r#"{"data":{"c":"2"}}"#.into(),
        ),
        (
            "PATCH",
            "json",
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/data/d","value":"2"}]"#.into(),
        ),
        (
            "PATCH",
            "json",
            "application/json-patch+json",
            r#"[{"op":"remove","path":"/data/e"}]"#.into(),
        ),
    ] {
        let path = format!("{one}?fieldManager={manager}");
        let (code, said) = api.ask(method, &path, Some((form, &body))).await;
        assert_eq!(code, StatusCode::OK, "{manager}: {said}");
    }
    api.get(&one).await.1
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_in_another_way_owns_what_changes() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    let now = written_by_many(&api).await;
    let mut found = owners(&now);
    found.sort();
    let expected = [
        "json Update: {f:data:{f:d}}",
        "maker Update: {f:data}",
        "merge Update: {f:data:{f:b}}",
        "put Update: {f:data:{f:a}}",
        "strategic Update: {f:data:{f:c}}",
    ];
    assert_eq!(found, expected);
    let entry = &now["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["apiVersion"], &entry["fieldsType"]),
        (&json!("v1"), &json!("FieldsV1"))
    );
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    // Who writes back what is there writes nothing.
    for manager in ["put", "merge", "new"] {
        let path = format!("{one}?fieldManager={manager}");
        let (code, again) = api
            .ask("PUT", &path, Some(("application/json", &now.to_string())))
            .await;
        assert_eq!((code, &again), (StatusCode::OK, &now));
    }
    // Who does not know of the record does not remove it.
    let mut without = now.clone();
    let meta = without["metadata"].as_object_mut().unwrap();
    meta.remove("managedFields");
    meta.remove("resourceVersion");
    let (_, again) = api
        .ask("PUT", &one, Some(("application/json", &without.to_string())))
        .await;
    assert_eq!(again, now);
    // It is shown in lists and watches.
    let (_, list) = api.get(MAPS).await;
    let items = list["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .any(|map| map["metadata"]["managedFields"] == now["metadata"]["managedFields"])
    );
    let watch = Request::get(format!(
        "{MAPS}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Da"
    ));
    let mut watched = api.send(watch.body(Full::default()).unwrap()).await.into_body();
    assert_eq!(events(&mut watched, 1).await[0]["object"], now);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_record_is_reset_on_request() {
    let merge = "application/merge-patch+json";
    for (form, reset) in [
        (merge, r#"{"metadata":{"managedFields":[{}]}}"#),
        (merge, r#"{"metadata":{"managedFields":[]}}"#),
        (
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]"#,
        ),
        (
            "application/strategic-merge-patch+json",
            r#"{"metadata":{"managedFields":[{}]}}"#,
        ),
    ] {
        let (cluster, api) = cluster(ApiOptions::default()).await;
        let one = format!("{MAPS}/a");
        written_by_many(&api).await;
        let (code, now) = api.ask("PATCH", &one, Some((form, reset))).await;
        assert_eq!(code, StatusCode::OK, "{now}");
        assert_eq!(now["metadata"].get("managedFields"), None, "{reset}");
        // Of what has no record none is begun by other writes; who applies first finds all owned by who was before.
        let (_, now) = api
            .ask("PATCH", &one, Some((merge, r#"{"data":{"a":"3"}}"#)))
            .await;
        assert_eq!(now["metadata"].get("managedFields"), None);
        let (_, refused) = apply(&api, &one, "alice", &config(json!({ "a": "4" }))).await;
        assert_eq!(
            refused["message"],
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
        );
        cluster.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_kubectl_applied_on_its_side_it_may_apply_on_the_servers() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    let mut made = config(json!({ "a": "1", "b": "1" }));
    let last = format!("{}\n", config(json!({ "a": "1", "b": "1" })));
    made["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/last-applied-configuration": last });
    api.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), &made)
        .await;
    let (code, _) = apply(&api, &one, "other", &config(json!({ "a": "2" }))).await;
    assert_eq!(code, StatusCode::CONFLICT, "it is kubectl's alone");
    let (code, now) = apply(&api, &one, "kubectl", &config(json!({ "a": "2", "b": "1" }))).await;
    assert_eq!(
        (code, &now["data"]),
        (StatusCode::OK, &json!({ "a": "2", "b": "1" })),
        "{now}"
    );
    let annotation = &now["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let annotation: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    assert_eq!(
        annotation["data"],
        json!({ "a": "2", "b": "1" }),
        "the annotation follows"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_filled_in_for_the_writer_is_the_creators_and_not_the_appliers() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let web = json!([{ "name": "web", "image": "web" }]);
    let (code, made) = api
        .post(
            &format!("{DEPLOYMENTS}?fieldManager=maker"),
            &deployment(&json!({ "app": "web" }), web.clone()),
        )
        .await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let found = owners(&made);
    assert_eq!(found.len(), 1, "{found:?}");
    for part in [
        "maker Update: {f:metadata:{f:labels:{.,f:app}},f:spec:{f:",
        "f:containers:{k:{name:web}:{.,f:image,",
        "f:dnsPolicy",
        "f:replicas",
        "f:selector",
    ] {
        assert!(found[0].contains(part), "{part}: {found:?}");
    }
    assert!(!found[0].contains("f:name,f:namespace") && !found[0].contains("f:uid"));
    let other = deployment(&json!({ "app": "web" }), web);
    let (_, applied) = apply(&api, &format!("{DEPLOYMENTS}/other"), "alice", &{
        let mut other = other;
        other["metadata"]["name"] = json!("other");
        other
    })
    .await;
    assert!(applied["spec"]["template"]["spec"]["dnsPolicy"].is_string());
    assert!(
        !owners(&applied)[0].contains("f:dnsPolicy"),
        "{:?}",
        owners(&applied)
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_past_the_api_is_not_recorded_and_leaves_the_record() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{DEPLOYMENTS}/web");
    let web = deployment(
        &json!({ "app": "web" }),
        json!([{ "name": "web", "image": "web" }]),
    );
    let (_, made) = apply(&api, &one, "alice", &web).await;
    let deployments = cluster.client().api::<Deployment>("default");
    let scaled = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    deployments.patch("web", &scaled).await.unwrap();
    let (_, now) = api.get(&one).await;
    assert_eq!(
        (&now["spec"]["replicas"], owners(&now)),
        (&json!(1), owners(&made))
    );
    // It is still who applied it that owns it, and who sets it back.
    let (code, now) = apply(&api, &one, "alice", &web).await;
    assert_eq!((code, &now["spec"]["replicas"]), (StatusCode::OK, &json!(0)));
    cluster.stop().await;
}
