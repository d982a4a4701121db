//! Kinds of a user's own, from their definition to their end.

mod common;

use common::Http;
use http::Request;
use http_body_util::Full;
use orch_api::ApiOptions;
use orch_cluster::cluster::Cluster;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";
const OLD_TABS: &str = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs";

/// CronTabs, which newer users write in v1.
fn definition() -> Value {
    let spec = json!({
        "type": "object",
        "required": ["cronSpec"],
        "properties": {
            "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
            "image": {"type": "string", "default": "busybox"},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
        },
    });
    let status = json!({
        "type": "object",
        "properties": {"replicas": {"type": "integer"}, "labelSelector": {"type": "string"}},
    });
    let mut older = spec.clone();
    older["properties"].as_object_mut().unwrap().remove("image");
    let schema = |spec: Value| json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "schema": schema(older),
                    "subresources": {"status": {}},
                },
                {
                    "name": "v1", "served": true, "storage": true,
                    "schema": schema(spec),
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.labelSelector",
                        },
                    },
                    "selectableFields": [{"jsonPath": ".spec.image"}],
                    "additionalPrinterColumns": [
                        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
                        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
                    ],
                },
            ],
        },
    })
}

fn tab(name: &str) -> Value {
    json!({
        "apiVersion": "stable.example.com/v1", "kind": "CronTab",
        "metadata": {"name": name}, "spec": {"cronSpec": "* * * * */5"},
    })
}

async fn defined() -> (Cluster, Http) {
    let (cluster, api) = common::cluster(ApiOptions::default()).await;
    let (code, made) = api.post(DEFINITIONS, &definition()).await;
    assert_eq!(code, 201, "{made}");
    (cluster, api)
}

/// What a form of an answer is.
async fn accepting(api: &Http, path: &str, form: &str) -> Value {
    let request = Request::get(path)
        .header("Accept", form)
        .body(Full::default())
        .unwrap();
    common::json(api.send(request).await).await
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_established_and_served_with_the_write_that_defines_it() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    assert_eq!(api.get(TABS).await.0, 404);
    let (code, made) = api.post(DEFINITIONS, &definition()).await;
    assert_eq!(code, 201, "{made}");
    let names = json!({
        "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
        "shortNames": ["ct"], "categories": ["all"],
    });
    assert_eq!(made["spec"]["names"], names);
    assert_eq!(made["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(made["status"]["acceptedNames"], names);
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    for (condition, type_) in [(0, "NamesAccepted"), (1, "Established")] {
        let condition = &made["status"]["conditions"][condition];
        assert_eq!(
            (&condition["type"], &condition["status"]),
            (&json!(type_), &json!("True"))
        );
    }
    let (code, none) = api.get(TABS).await;
    assert_eq!((code.as_u16(), &none["kind"]), (200, &json!("CronTabList")));

    let (_, group) = api.get("/apis/stable.example.com").await;
    assert_eq!(group["preferredVersion"]["version"], "v1", "the stable one");
    let (_, listed) = api.get("/apis/stable.example.com/v1").await;
    let resources: Vec<_> = listed["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(resources, ["crontabs", "crontabs/status", "crontabs/scale"]);
    assert_eq!(listed["resources"][0]["shortNames"], json!(["ct"]));

    let (_, document) = api.get("/openapi/v3/apis/stable.example.com/v1").await;
    let type_ = &document["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(
        type_["properties"]["spec"]["properties"]["image"]["default"],
        "busybox"
    );
    assert!(type_["properties"]["metadata"]["allOf"].is_array(), "{type_}");
}

#[tokio::test(start_paused = true)]
async fn objects_are_filled_in_pruned_and_checked_by_the_schema() {
    let (_cluster, api) = defined().await;
    let mut object = tab("nightly");
    object["spec"]["colour"] = json!("red");
    object["status"] = json!({"replicas": 7});
    let (code, made) = api.post(TABS, &object).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        made["spec"],
        json!({"cronSpec": "* * * * */5", "image": "busybox", "replicas": 1})
    );
    assert_eq!(made.get("status"), None);

    let (code, refused) = api.post(&format!("{TABS}?fieldValidation=Strict"), &object).await;
    assert_eq!(code, 400);
    let said = refused["message"].as_str().unwrap();
    assert!(
        said.ends_with(r#"strict decoding error: unknown field "spec.colour""#),
        "{said}"
    );

    for (field, value, expected) in [
        (
            "replicas",
            json!("many"),
            r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
        ),
        (
            "replicas",
            json!(11),
            "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        ("cronSpec", json!(null), "spec.cronSpec: Required value"),
    ] {
        let mut wrong = tab("wrong");
        wrong["spec"][field] = value;
        let (code, refused) = api.post(TABS, &wrong).await;
        assert_eq!(code, 422, "{refused}");
        let said = refused["message"].as_str().unwrap();
        let expected = format!(r#"CronTab.stable.example.com "wrong" is invalid: {expected}"#);
        assert!(said.starts_with(&expected), "{said}");
    }
    let (code, refused) = api
        .ask(
            "PATCH",
            &format!("{TABS}/nightly"),
            Some((MERGE, r#"{"spec": {"replicas": 11}}"#)),
        )
        .await;
    assert_eq!(code, 422, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn each_version_shows_what_the_other_wrote() {
    let (_cluster, api) = defined().await;
    let mut object = tab("nightly");
    object["spec"]["image"] = json!("alpine");
    assert_eq!(api.post(TABS, &object).await.0, 201);
    let older = format!("{OLD_TABS}/nightly");

    let answer = api
        .send(Request::get(&older).body(Full::default()).unwrap())
        .await;
    let warning = answer.headers()["warning"].to_str().unwrap().to_owned();
    assert!(
        warning.contains("stable.example.com/v1beta1 CronTab is deprecated"),
        "{warning}"
    );
    let shown = common::json(answer).await;
    assert_eq!(shown["apiVersion"], "stable.example.com/v1beta1");
    assert_eq!(
        shown["spec"],
        json!({"cronSpec": "* * * * */5", "replicas": 1}),
        "it has no image"
    );

    let (_, list) = api.get(OLD_TABS).await;
    assert_eq!(list["apiVersion"], "stable.example.com/v1beta1");
    assert_eq!(list["items"][0]["apiVersion"], "stable.example.com/v1beta1");

    for (form, patch, replicas) in [
        (
            MERGE,
            r#"{"apiVersion": "stable.example.com/v1beta1", "spec": {"replicas": 3}}"#,
            3,
        ),
        (
            "application/json-patch+json",
            r#"[{"op": "replace", "path": "/spec/replicas", "value": 4}]"#,
            4,
        ),
    ] {
        let (code, patched) = api.ask("PATCH", &older, Some((form, patch))).await;
        assert_eq!(code, 200, "{patched}");
        assert_eq!(patched["apiVersion"], "stable.example.com/v1beta1");
        assert_eq!(patched["spec"]["replicas"], replicas);
    }
    let mut wanted = shown;
    wanted["spec"]["replicas"] = json!(5);
    wanted["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let (code, written) = api.ask("PUT", &older, Some((JSON, &wanted.to_string()))).await;
    assert_eq!(code, 200, "{written}");
    let (_, stored) = api.get(&format!("{TABS}/nightly")).await;
    assert_eq!(stored["apiVersion"], "stable.example.com/v1");
    assert_eq!(stored["spec"]["replicas"], 5);

    let config =
        r#"{"apiVersion": "stable.example.com/v1beta1", "kind": "CronTab", "spec": {"replicas": 6}}"#;
    let path = format!("{older}?fieldManager=me&force=true");
    let (code, applied) = api.ask("PATCH", &path, Some((APPLY, config))).await;
    assert_eq!(
        (code.as_u16(), &applied["spec"]["replicas"]),
        (200, &json!(6)),
        "{applied}"
    );

    let (code, refused) = api
        .ask("PUT", &older, Some((JSON, &tab("nightly").to_string())))
        .await;
    assert_eq!(code, 400);
    assert_eq!(
        refused["message"],
        r#"apiVersion: expected "stable.example.com/v1beta1", got "stable.example.com/v1""#
    );
}

#[tokio::test(start_paused = true)]
async fn status_and_scale_are_written_alone() {
    let (_cluster, api) = defined().await;
    assert_eq!(api.post(TABS, &tab("nightly")).await.0, 201);
    let status = r#"{"status": {"replicas": 2, "labelSelector": "app=cron", "mood": "good"}, "spec": {"replicas": 9}}"#;
    let (code, written) = api
        .ask("PATCH", &format!("{TABS}/nightly/status"), Some((MERGE, status)))
        .await;
    assert_eq!(code, 200, "{written}");
    assert_eq!(
        written["status"],
        json!({"replicas": 2, "labelSelector": "app=cron"})
    );
    assert_eq!(
        (&written["spec"]["replicas"], &written["metadata"]["generation"]),
        (&json!(1), &json!(1))
    );

    let scale = format!("{TABS}/nightly/scale");
    let (_, shown) = api.get(&scale).await;
    assert_eq!(shown["spec"], json!({"replicas": 1}));
    assert_eq!(shown["status"], json!({"replicas": 2, "selector": "app=cron"}));
    let (code, scaled) = api
        .ask("PATCH", &scale, Some((MERGE, r#"{"spec": {"replicas": 4}}"#)))
        .await;
    assert_eq!((code.as_u16(), &scaled["spec"]["replicas"]), (200, &json!(4)));
    let (code, refused) = api
        .ask("PATCH", &scale, Some((MERGE, r#"{"spec": {"replicas": 40}}"#)))
        .await;
    assert_eq!(code, 422, "{refused}");
    assert_eq!(
        api.get(&format!("{OLD_TABS}/nightly/scale")).await.0,
        404,
        "that version has none"
    );
}

#[tokio::test(start_paused = true)]
async fn tables_and_selectors_are_what_the_definition_says() {
    let (_cluster, api) = defined().await;
    for (name, image) in [("one", "alpine"), ("other", "debian")] {
        let mut object = tab(name);
        object["spec"]["image"] = json!(image);
        assert_eq!(api.post(TABS, &object).await.0, 201);
    }
    let form = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = accepting(&api, &format!("{TABS}?fieldSelector=spec.image%3Ddebian"), form).await;
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(columns, ["Name", "Spec", "Replicas"]);
    assert_eq!(table["rows"].as_array().unwrap().len(), 1);
    assert_eq!(table["rows"][0]["cells"], json!(["other", "* * * * */5", 1]));
    let table = accepting(&api, OLD_TABS, form).await;
    assert_eq!(table["columnDefinitions"][1]["name"], "Age");
    let (code, refused) = api.get(&format!("{TABS}?fieldSelector=spec.cronSpec%3Dx")).await;
    assert_eq!(code, 400, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_is_in_force_at_once() {
    let (_cluster, api) = defined().await;
    assert_eq!(api.post(TABS, &tab("nightly")).await.0, 201);
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let change = json!([
        {"op": "add", "path": "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/suspend",
            "value": {"type": "boolean", "default": false}},
        {"op": "replace", "path": "/spec/versions/0/served", "value": false},
    ]);
    let (code, changed) = api
        .ask(
            "PATCH",
            &path,
            Some(("application/json-patch+json", &change.to_string())),
        )
        .await;
    assert_eq!(code, 200, "{changed}");
    let (_, shown) = api.get(&format!("{TABS}/nightly")).await;
    assert_eq!(
        shown["spec"]["suspend"], false,
        "what was stored before is filled in"
    );
    assert_eq!(api.get(OLD_TABS).await.0, 404);

    let immutable = r#"{"spec": {"scope": "Cluster"}}"#;
    let (code, refused) = api.ask("PATCH", &path, Some((MERGE, immutable))).await;
    assert_eq!(code, 422);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("spec.scope: Invalid value: \"Cluster\": field is immutable")
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_goes_with_its_objects_and_after_them() {
    let (_cluster, api) = defined().await;
    let mut held = tab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    for object in [tab("free"), held] {
        assert_eq!(api.post(TABS, &object).await.0, 201);
    }
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    assert_eq!(api.ask("DELETE", &path, None).await.0, 200);
    let (code, refused) = api.post(TABS, &tab("late")).await;
    assert_eq!(code, 405);
    assert_eq!(
        refused["message"],
        "create not allowed while custom resource definition is terminating"
    );

    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (_, left) = api.get(TABS).await;
    let names: Vec<_> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["metadata"]["name"])
        .collect();
    assert_eq!(names, ["held"]);
    let (_, going) = api.get(&path).await;
    let said = going["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["type"] == "Terminating")
        .unwrap();
    assert_eq!(
        said["message"],
        "1 objects remain, held by finalizers: example.com/hold in 1"
    );

    let free = r#"{"metadata": {"finalizers": null}}"#;
    assert_eq!(
        api.ask("PATCH", &format!("{TABS}/held"), Some((MERGE, free)))
            .await
            .0,
        200
    );
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(api.get(&path).await.0, 404);
    assert_eq!(api.get(TABS).await.0, 404);
    let (_, groups) = api.get("/apis").await;
    assert!(!groups.to_string().contains("stable.example.com"), "{groups}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_objects_in_its_version() {
    let (_cluster, api) = defined().await;
    let request = Request::get(format!("{OLD_TABS}?watch=true"))
        .body(Full::default())
        .unwrap();
    let mut watch = api.send(request).await.into_body();
    assert_eq!(api.post(TABS, &tab("nightly")).await.0, 201);
    let events = common::events(&mut watch, 1).await;
    assert_eq!(events[0]["type"], "ADDED");
    assert_eq!(events[0]["object"]["apiVersion"], "stable.example.com/v1beta1");
}
