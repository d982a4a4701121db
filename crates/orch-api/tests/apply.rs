//! Server-side apply over the wire, and the record of who owns what that all writes keep.

mod common;

use common::{Http, MAPS, cluster};
use http::{Request, StatusCode};
use http_body_util::Full;
use orch_api::ApiOptions;
use orch_cluster::cluster::Cluster;
use serde_json::{Value, json};

const APPLY: &str = "application/apply-patch+yaml";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn apply(api: &Http, path: &str, manager: &str, config: &Value) -> (StatusCode, Value) {
    let join = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{join}fieldManager={manager}");
    api.ask("PATCH", &path, Some((APPLY, &config.to_string()))).await
}

/// Who owns what, an entry a line: `alice Apply: f:data={f:a}`, without braces of leaves and quotation marks.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let line = |entry: &Value| {
        assert_eq!(entry["fieldsType"], "FieldsV1");
        assert!(
            entry["time"].is_string() && entry["apiVersion"].is_string(),
            "{entry}"
        );
        let subresource = entry["subresource"].as_str().map(|name| format!(" of {name}"));
        let fields = entry["fieldsV1"].to_string();
        let fields = fields.replace(":{}", "").replace(['"', '\\'], "");
        let (manager, operation) = (&entry["manager"], &entry["operation"]);
        format!(
            "{} {}{}: {fields}",
            manager.as_str().unwrap_or_default(),
            operation.as_str().unwrap_or_default(),
            subresource.unwrap_or_default()
        )
    };
    entries.into_iter().flatten().map(line).collect()
}

fn config(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data })
}

fn deployment(labels: &Value, containers: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": labels },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": containers } } } })
}

/// A step: what is sent, and what is to come of it.
struct Step {
    name: &'static str,
    manager: &'static str,
    data: Value,
    code: u16,
    /// The data after it, and who owns what.
    leaves: (Value, &'static [&'static str]),
}

#[tokio::test(start_paused = true)]
async fn fields_are_owned_shared_refused_taken_and_given_up() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    let steps = [
        Step {
            name: "what is not there is made",
            manager: "alice",
            data: json!({ "a": "1", "b": "2" }),
            code: 201,
            leaves: (
                json!({ "a": "1", "b": "2" }),
                &["alice Apply: {f:data:{f:a,f:b}}"],
            ),
        },
        Step {
            name: "the same value is owned together",
            manager: "bob",
            data: json!({ "a": "1", "c": "3" }),
            code: 200,
            leaves: (
                json!({ "a": "1", "b": "2", "c": "3" }),
                &["alice Apply: {f:data:{f:a,f:b}}", "bob Apply: {f:data:{f:a,f:c}}"],
            ),
        },
        Step {
            name: "another value is a conflict",
            manager: "carol",
            data: json!({ "a": "2" }),
            code: 409,
            leaves: (
                json!({ "a": "1", "b": "2", "c": "3" }),
                &["alice Apply: {f:data:{f:a,f:b}}", "bob Apply: {f:data:{f:a,f:c}}"],
            ),
        },
        Step {
            name: "unless it is forced, which takes it from all",
            manager: "carol&force=true",
            data: json!({ "a": "2" }),
            code: 200,
            leaves: (
                json!({ "a": "2", "b": "2", "c": "3" }),
                &[
                    "alice Apply: {f:data:{f:b}}",
                    "bob Apply: {f:data:{f:c}}",
                    "carol Apply: {f:data:{f:a}}",
                ],
            ),
        },
        Step {
            name: "what is given up and nobody else's goes",
            manager: "bob",
            data: json!({ "b": "2" }),
            code: 200,
            leaves: (
                json!({ "a": "2", "b": "2" }),
                &[
                    "alice Apply: {f:data:{f:b}}",
                    "bob Apply: {f:data:{f:b}}",
                    "carol Apply: {f:data:{f:a}}",
                ],
            ),
        },
        Step {
            name: "what is given up and another's stays",
            manager: "alice",
            data: json!({ "x": "1" }),
            code: 200,
            leaves: (
                json!({ "a": "2", "b": "2", "x": "1" }),
                &[
                    "alice Apply: {f:data:{f:x}}",
                    "bob Apply: {f:data:{f:b}}",
                    "carol Apply: {f:data:{f:a}}",
                ],
            ),
        },
    ];
    for step in steps {
        let (code, said) = apply(&api, &one, step.manager, &config(step.data.clone())).await;
        assert_eq!(code, step.code, "{}: {said}", step.name);
        let (_, now) = api.get(&one).await;
        let mut owners = owners(&now);
        owners.sort();
        assert_eq!(
            (&now["data"], &owners[..]),
            (
                &step.leaves.0,
                &step
                    .leaves
                    .1
                    .iter()
                    .map(|line| (*line).to_owned())
                    .collect::<Vec<_>>()[..]
            ),
            "{}",
            step.name
        );
        if code.is_success() {
            assert_eq!(said, now, "{}", step.name);
            tokio::time::advance(std::time::Duration::from_secs(5)).await;
            // The same again changes nothing, not even the time.
            let (code, again) = apply(&api, &one, step.manager, &config(step.data)).await;
            assert_eq!((code, &again), (StatusCode::OK, &now), "{}", step.name);
        }
    }
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_told_in_kubernetes_words() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    apply(&api, &one, "alice", &config(json!({ "a": "1", "b": "1" }))).await;
    let (_, status) = apply(&api, &one, "bob", &config(json!({ "a": "2" }))).await;
    assert_eq!(
        status,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"alice\": .data.a",
            "details": { "causes": [
                { "reason": "FieldManagerConflict", "message": "conflict with \"alice\"", "field": ".data.a" },
            ] } })
    );
    let changes = r#"{"data":{"b":"2"}}"#;
    let merge = "application/merge-patch+json";
    api.ask(
        "PATCH",
        &format!("{one}?fieldManager=carol"),
        Some((merge, changes)),
    )
    .await;
    let (_, status) = apply(&api, &one, "bob", &config(json!({ "a": "2", "b": "3" }))).await;
    assert_eq!(
        status["message"],
        "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .data.a\nconflicts with \"carol\" using v1:\n- .data.b"
    );
    let causes = status["details"]["causes"].as_array().unwrap();
    assert_eq!(causes[1]["message"], "conflict with \"carol\" using v1");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_applied_is_refused_and_changes_nothing() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    let (_, made) = apply(&api, &one, "alice", &config(json!({ "a": "1" }))).await;
    let with = |field: &str, value: Value| {
        let mut config = config(json!({ "a": "2" }));
        config["metadata"][field] = value;
        config.to_string()
    };
    let plain = config(json!({ "a": "2" })).to_string();
    let missing = format!("{MAPS}/missing");
    let long = format!("{one}?fieldManager={}", "x".repeat(129));
    for (path, sent, code, message) in [
        (
            one.as_str(),
            (APPLY, plain.as_str()),
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ),
        (
            &long,
            (APPLY, &plain),
            422,
            "fieldManager: Too long: may not be more than 128 bytes",
        ),
        (
            &format!("{one}?fieldManager=alice&force=true"),
            ("application/merge-patch+json", "{}"),
            422,
            "force: Forbidden: may not be specified for non-apply patch",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, &with("managedFields", json!([]))),
            400,
            "metadata.managedFields must be nil",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, &with("name", json!("b"))),
            400,
            "metadata.name: \"b\" does not match the name of the request, \"a\"",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, &with("namespace", json!("other"))),
            400,
            "metadata.namespace: \"other\" does not match",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, &with("resourceVersion", json!("1"))),
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, &with("uid", json!("another"))),
            409,
            "Precondition failed: UID in precondition: another",
        ),
        (
            &format!("{missing}?fieldManager=alice"),
            (
                APPLY,
                &with("uid", json!("another")).replace("\"a\",", "\"missing\","),
            ),
            409,
            "uid mismatch: the provided object specified uid another, and no existing object was found",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, "apiVersion: apps/v1\nkind: ConfigMap\n"),
            400,
            "Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: v1",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, "apiVersion: v1\nkind: ConfigMap\ndato: {}\n"),
            400,
            "field not declared in schema",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, "a: 1\na: 2"),
            400,
            "error decoding YAML",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, "[]"),
            400,
            "the body is a list",
        ),
        (
            &format!("{one}?fieldManager=alice"),
            (APPLY, ""),
            400,
            "error decoding YAML",
        ),
    ] {
        let (found, status) = api.ask("PATCH", path, Some(sent)).await;
        let said = status["message"].as_str().unwrap_or_default();
        assert!(found == code && said.contains(message), "{message}: {status}");
        assert_eq!(api.get(&one).await.1, made, "{message}");
    }
    let (code, _) = api.get(&missing).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    // With what is so, the same is done.
    let mut config = config(json!({ "a": "2" }));
    config["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    config["metadata"]["uid"] = made["metadata"]["uid"].clone();
    let (code, now) = apply(&api, &one, "alice", &config).await;
    assert_eq!((code, &now["data"]["a"]), (StatusCode::OK, &json!("2")));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lists_are_owned_by_item_or_as_a_whole() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{DEPLOYMENTS}/web");
    let web = json!({ "name": "web", "image": "web", "args": ["a", "b"] });
    let (code, made) = apply(
        &api,
        &one,
        "alice",
        &deployment(&json!({ "app": "web" }), json!([web])),
    )
    .await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let sidecar = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
        { "name": "sidecar", "image": "sidecar" },
    ] } } } });
    let (code, now) = apply(&api, &one, "bob", &sidecar).await;
    assert_eq!(code, StatusCode::OK, "{now}");
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        let names = containers.into_iter().flatten();
        names
            .map(|container| container["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names(&now).len(), 2, "{now}");
    assert_eq!(
        owners(&now)[1],
        "bob Apply: {f:spec:{f:template:{f:spec:{f:containers:{k:{name:sidecar}:{.,f:image,f:name}}}}}}"
    );
    // Arguments are one thing: to say others is to change them all.
    let args = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
        { "name": "web", "args": ["c"] },
    ] } } } });
    let (_, refused) = apply(&api, &one, "carol", &args).await;
    assert_eq!(
        refused["details"]["causes"][0]["field"],
        ".spec.template.spec.containers[name=\"web\"].args"
    );
    let (_, now) = apply(&api, &one, "carol&force=true", &args).await;
    let containers = now["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let web = containers
        .iter()
        .find(|container| container["name"] == "web")
        .unwrap();
    assert_eq!(web["args"], json!(["c"]));
    // Whose item it is may leave it out.
    let nothing = json!({ "apiVersion": "apps/v1", "kind": "Deployment" });
    let (code, now) = apply(&api, &one, "bob", &nothing).await;
    assert_eq!(
        (code, names(&now)),
        (StatusCode::OK, vec!["web".to_owned()]),
        "{now}"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_has_owners_of_its_own() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{DEPLOYMENTS}/web");
    let status = format!("{one}/status");
    let condition = |kind: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "labels": { "not": "written" } },
            "status": { "conditions": [{ "type": kind, "status": "True" }] } })
    };
    // Through a subresource nothing is made.
    assert_eq!(
        apply(&api, &status, "alice", &condition("Mine")).await.0,
        StatusCode::NOT_FOUND
    );
    let web = json!([{ "name": "web", "image": "web" }]);
    let (_, made) = apply(&api, &one, "alice", &deployment(&json!({ "app": "web" }), web)).await;
    assert!(!owners(&made)[0].contains("f:status"));
    let (code, now) = apply(&api, &status, "bob", &condition("Mine")).await;
    assert_eq!(code, StatusCode::OK, "{now}");
    assert_eq!(now["metadata"]["labels"], json!({ "app": "web" }));
    let expected =
        "bob Apply of status: {f:status:{f:conditions:{k:{type:Mine}:{.,f:status,f:type}}}}".to_owned();
    assert!(owners(&now).contains(&expected), "{:?}", owners(&now));
    let conditions = |object: &Value| -> Vec<Value> {
        let all = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.into_iter()
            .map(|condition| condition["type"].clone())
            .collect()
    };
    assert!(conditions(&now).contains(&json!("Mine")));
    // What is applied to the object says nothing of its status.
    let mut both = deployment(
        &json!({ "app": "web" }),
        json!([{ "name": "web", "image": "web" }]),
    );
    both["status"] = json!({ "replicas": 7 });
    let (_, now) = apply(&api, &one, "alice", &both).await;
    assert!(now["status"]["replicas"] != 7 && conditions(&now).contains(&json!("Mine")));
    assert!(
        owners(&now)
            .iter()
            .all(|line| !line.contains("f:replicas") || !line.contains("f:status"))
    );
    let changed = json!({ "status": { "observedGeneration": 9 } }).to_string();
    let merge = "application/merge-patch+json";
    let (_, now) = api
        .ask(
            "PATCH",
            &format!("{status}?fieldManager=carol"),
            Some((merge, &changed)),
        )
        .await;
    let expected = "carol Update of status: {f:status:{f:observedGeneration}}".to_owned();
    assert!(owners(&now).contains(&expected), "{:?}", owners(&now));
    let (_, now) = apply(&api, &status, "bob", &condition("Other")).await;
    assert!(!conditions(&now).contains(&json!("Mine")) && conditions(&now).contains(&json!("Other")));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    let dry = format!("{one}?dryRun=All");
    let (code, said) = apply(&api, &dry, "alice", &config(json!({ "a": "1" }))).await;
    assert_eq!((code, &said["data"]["a"]), (StatusCode::CREATED, &json!("1")));
    assert_eq!(api.get(&one).await.0, StatusCode::NOT_FOUND);
    let (_, made) = apply(&api, &one, "alice", &config(json!({ "a": "1" }))).await;
    let (code, said) = apply(&api, &dry, "alice", &config(json!({ "a": "2" }))).await;
    assert_eq!((code, &said["data"]["a"]), (StatusCode::OK, &json!("2")));
    let (code, _) = apply(&api, &dry, "bob", &config(json!({ "a": "2" }))).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert_eq!(api.get(&one).await.1, made);
    cluster.stop().await;
}

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
async fn yaml_is_applied_as_json_is() {
    let (cluster, api): (Cluster, _) = cluster(ApiOptions::default()).await;
    let yaml = "# said in YAML\napiVersion: v1\nkind: ConfigMap\ndata: {a: 'on', b: \"1\"}\n";
    let path = format!("{MAPS}/a?fieldManager=alice");
    let (code, made) = api.ask("PATCH", &path, Some((APPLY, yaml))).await;
    assert_eq!(
        (code, &made["data"]),
        (StatusCode::CREATED, &json!({ "a": "on", "b": "1" }))
    );
    cluster.stop().await;
}
