//! Server-side apply over the wire.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use common::apply::{APPLY, apply, config, owners};
use common::{Http, MAPS, cluster};
use futures::future::join_all;
use http::StatusCode;
use orch_api::{ApiOptions, ApiService};
use orch_core::client::{Admission, AdmissionRequest, Client, Collection, Operation, Refusal, WriteParams};
use orch_core::object::ApiResource;
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

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

#[tokio::test(start_paused = true)]
async fn yaml_is_applied_as_json_is() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let yaml = "# said in YAML\napiVersion: v1\nkind: ConfigMap\ndata: {a: 'on', b: \"1\"}\n";
    let path = format!("{MAPS}/a?fieldManager=alice");
    let (code, made) = api.ask("PATCH", &path, Some((APPLY, yaml))).await;
    assert_eq!(
        (code, &made["data"]),
        (StatusCode::CREATED, &json!({ "a": "on", "b": "1" }))
    );
    cluster.stop().await;
}

/// Makes an object a moment before another does.
struct Faster(AtomicBool);

#[async_trait]
impl Admission for Faster {
    fn name(&self) -> &str {
        "Faster"
    }

    fn handles(&self, _: &ApiResource, operation: Operation) -> bool {
        operation == Operation::Create
    }

    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        if !self.0.swap(true, Ordering::Relaxed) {
            let theirs = json!({ "metadata": { "name": "a" }, "data": { "b": "2" } });
            let maps = Collection {
                resource: Arc::new(request.resource.clone()),
                namespace: Some("default".to_owned()),
            };
            let theirs = theirs.as_object().cloned().unwrap_or_default();
            let backend = request.client.backend();
            let made = backend.create(&maps, theirs, &WriteParams::default()).await;
            made.map_err(Refusal::Failed)?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_makes_first_is_applied_to() {
    let faster = Faster(AtomicBool::new(false));
    let client = Client::builder(Arc::new(MemoryStore::new())).admission(faster);
    let api = Http(ApiService::new(client.build(), ApiOptions::default()));
    let (code, now) = apply(&api, &format!("{MAPS}/a"), "alice", &config(json!({ "a": "1" }))).await;
    assert_eq!(
        (code, &now["data"]),
        (StatusCode::OK, &json!({ "a": "1", "b": "2" }))
    );
}

#[tokio::test(start_paused = true)]
async fn appliers_who_race_all_get_through() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{MAPS}/a");
    for (round, made) in [(1, 1), (2, 0)] {
        let configs: Vec<_> = (0..8)
            .map(|number| {
                (
                    format!("m{number}"),
                    config(json!({ (format!("k{number}")): round.to_string() })),
                )
            })
            .collect();
        let all = configs
            .iter()
            .map(|(manager, config)| apply(&api, &one, manager, config));
        let codes: Vec<_> = join_all(all)
            .await
            .into_iter()
            .map(|(code, _)| code.as_u16())
            .collect();
        assert_eq!(
            codes.iter().filter(|code| **code == 201).count(),
            made,
            "{codes:?}"
        );
        assert_eq!(
            codes.iter().filter(|code| **code == 200).count(),
            8 - made,
            "{codes:?}"
        );
        let (_, now) = api.get(&one).await;
        assert_eq!(
            (now["data"].as_object().unwrap().len(), owners(&now).len()),
            (8, 8)
        );
    }
    cluster.stop().await;
}
