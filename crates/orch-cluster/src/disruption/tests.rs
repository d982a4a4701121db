//! Which pods may be evicted, and what becomes of their budgets.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orch_core::client::{ApiError, Client, DeleteParams, Patch};
use orch_core::object::{Document, ObjectKey};
use orch_core::store::{MemoryStore, Revision};
use serde_json::{Value, json};

use super::decide::{Verdict, decide};
use super::{EvictError, evict};
use crate::controllers::ensure_namespaces;
use crate::controllers::pod_view::PodView;
use crate::controllers::testing::client;

fn pod(phase: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
    let mut budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 2, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3, "disruptionsAllowed": 1},
    });
    for (part, changes) in [("spec", spec), ("status", status)] {
        for (field, value) in changes.as_object().unwrap() {
            budget[part][field] = value.clone();
        }
    }
    serde_json::from_value(budget).unwrap()
}

fn view(pod: &Value) -> PodView {
    PodView::new(&Document::parse(pod.to_string().into()).unwrap()).unwrap()
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00.5Z".parse().unwrap()
}

/// What is decided, in a word.
fn told(pod: &Value, budgets: &[PodDisruptionBudget]) -> String {
    match decide(&view(pod), budgets, now()) {
        Ok(Verdict::Delete) => "delete".to_owned(),
        Ok(Verdict::DeleteAsItIs { budget }) => format!("delete as it is {}", budget.unwrap_or_default()),
        Ok(Verdict::Lower { .. }) => "lower".to_owned(),
        Err(EvictError::Exhausted {
            desired_healthy,
            current_healthy,
            ..
        }) => format!("exhausted {current_healthy}/{desired_healthy}"),
        Err(EvictError::Processing { .. }) => "processing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_pod_that_nobody_counts_on_needs_no_budget() {
    let exhausted = [budget(json!({}), json!({"disruptionsAllowed": 0}))];
    let mut going = pod("Running", "True");
    going["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    let other = [budget(
        json!({"selector": {"matchLabels": {"app": "db"}}}),
        json!({}),
    )];
    let all = [budget(json!({"selector": {}}), json!({}))];
    let none = [budget(json!({"selector": null}), json!({}))];
    for (pod, budgets, expected) in [
        (pod("Succeeded", "False"), &exhausted, "delete"),
        (pod("Failed", "False"), &exhausted, "delete"),
        (pod("Pending", "False"), &exhausted, "delete as it is "),
        (going, &exhausted, "delete"),
        (pod("Running", "True"), &other, "delete"),
        (pod("Running", "True"), &none, "delete"),
        (pod("Running", "True"), &all, "lower"),
        (pod("Running", "True"), &exhausted, "exhausted 3/2"),
    ] {
        assert_eq!(told(&pod, budgets), expected, "{pod}");
    }
    let two = [budget(json!({}), json!({})), budget(json!({}), json!({}))];
    let several =
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!(told(&pod("Running", "True"), &two), several);
}

#[test]
fn a_pod_that_is_not_ready_goes_where_the_others_are_enough() {
    let always = json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"});
    let if_healthy = json!({"unhealthyPodEvictionPolicy": "IfHealthyBudget"});
    let short = json!({"currentHealthy": 1, "disruptionsAllowed": 0});
    for (spec, status, expected) in [
        (json!({}), json!({"disruptionsAllowed": 0}), "delete as it is web"),
        (json!({}), short.clone(), "exhausted 1/2"),
        (if_healthy, short.clone(), "exhausted 1/2"),
        (always, short, "delete as it is web"),
        // A budget that needs none says nothing of how they are.
        (
            json!({}),
            json!({"desiredHealthy": 0, "disruptionsAllowed": 0}),
            "exhausted 3/0",
        ),
    ] {
        let budget = budget(spec, status);
        let decided = told(&pod("Running", "False"), std::slice::from_ref(&budget));
        assert_eq!(decided, expected, "{budget:?}");
    }
}

#[test]
fn a_budget_is_lowered_and_remembers_whom_it_let_go() {
    for (status, expected) in [
        (json!({"observedGeneration": 1}), "processing"),
        (
            json!({"disruptionsAllowed": -1}),
            "poddisruptionbudget.policy \"web\" is forbidden: pdb disruptions allowed is negative",
        ),
        (
            json!({"disruptedPods": (0..2001).map(|n| (n.to_string(), json!("2030-01-01T00:00:00Z"))).collect::<serde_json::Map<_, _>>()}),
            "poddisruptionbudget.policy \"web\" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB \
             controller",
        ),
    ] {
        assert_eq!(
            told(&pod("Running", "True"), &[budget(json!({}), status)]),
            expected
        );
    }
    let full = budget(
        json!({}),
        json!({"disruptedPods": {"web-0": "2029-12-31T23:59:59Z"}}),
    );
    let Verdict::Lower { status, .. } =
        decide(&view(&pod("Running", "True")), std::slice::from_ref(&full), now()).unwrap()
    else {
        panic!("it is allowed");
    };
    let expected = json!({
        "observedGeneration": 2, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3, "disruptionsAllowed": 0,
        "disruptedPods": {"web-0": "2029-12-31T23:59:59Z", "web-1": "2030-01-01T00:00:00Z"},
        "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": 2, "lastTransitionTime": "2030-01-01T00:00:00Z"}],
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);
}

const WEB: &str = "web-1";

async fn stored(pod: Value, budget: &PodDisruptionBudget) -> Client {
    let client = client(Arc::new(MemoryStore::new()));
    ensure_namespaces(&client).await.unwrap();
    let mut bound = pod.clone();
    bound["spec"]["nodeName"] = json!("n1");
    let pods = client.api::<Pod>("default");
    pods.create(&serde_json::from_value(bound).unwrap())
        .await
        .unwrap();
    let status = Patch::Merge(json!({"status": pod["status"]}));
    pods.patch_status(WEB, &status).await.unwrap();
    let budgets = client.api::<PodDisruptionBudget>("default");
    let mut made = budgets.create(budget).await.unwrap();
    made.status = budget.status.clone();
    budgets.update_status(&made).await.unwrap();
    client
}

fn key() -> ObjectKey {
    ObjectKey::new(Some("default"), WEB)
}

#[tokio::test(start_paused = true)]
async fn an_evicted_pod_says_why_it_goes() {
    let budget = budget(json!({}), json!({}));
    let client = stored(pod("Running", "True"), &budget).await;
    let dry = DeleteParams::default().dry_run(true);
    evict(&client, &key(), &dry).await.unwrap();
    let budgets = client.api::<PodDisruptionBudget>("default");
    let pods = client.api::<Pod>("default");
    assert_eq!(
        budgets.get("web").await.unwrap().status,
        budget.status,
        "nothing is written"
    );
    assert_eq!(pods.get(WEB).await.unwrap().metadata.deletion_timestamp, None);

    let params = DeleteParams::default().grace_period_seconds(7);
    evict(&client, &key(), &params).await.unwrap();
    let gone = pods.get(WEB).await.unwrap();
    assert_eq!(gone.metadata.deletion_grace_period_seconds, Some(7));
    let conditions = gone.status.unwrap().conditions.unwrap();
    let target = conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionTarget");
    assert_eq!(target.unwrap().reason.as_deref(), Some("EvictionByEvictionAPI"));
    let disrupted = budgets
        .get("web")
        .await
        .unwrap()
        .status
        .unwrap()
        .disrupted_pods
        .unwrap();
    assert!(disrupted.contains_key(WEB));
    // It is on its way already.
    evict(&client, &key(), &params).await.unwrap();

    let missing = ObjectKey::new(Some("default"), "none");
    let refused = evict(&client, &missing, &params).await.unwrap_err();
    assert!(
        matches!(refused, EvictError::Api(ApiError::NotFound(_))),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_evictions_at_once_a_budget_of_one_lets_one_go() {
    let client = stored(pod("Running", "True"), &budget(json!({}), json!({}))).await;
    let mut other = pod("Running", "True");
    other["metadata"]["name"] = json!("web-2");
    other["spec"]["nodeName"] = json!("n1");
    let pods = client.api::<Pod>("default");
    pods.create(&serde_json::from_value(other).unwrap())
        .await
        .unwrap();
    let running = Patch::Merge(json!({"status": pod("Running", "True")["status"]}));
    pods.patch_status("web-2", &running).await.unwrap();
    let (params, second) = (DeleteParams::default(), ObjectKey::new(Some("default"), "web-2"));
    let first = key();
    let both = tokio::join!(evict(&client, &first, &params), evict(&client, &second, &params));
    let refused = [both.0.err(), both.1.err()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    assert!(
        matches!(refused[..], [EvictError::Exhausted { .. }]),
        "{refused:?}"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = pods.list(&Default::default()).await.unwrap().items;
    let left = left
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    assert_eq!(left.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_other_than_is_meant_stays_and_so_does_its_budget() {
    for phase in ["Running", "Pending"] {
        let budget = budget(json!({}), json!({}));
        let client = stored(pod(phase, "True"), &budget).await;
        let pods = client.api::<Pod>("default");
        let old = DeleteParams::default().resource_version(Revision::new(1));
        for other in [DeleteParams::default().uid("another"), old] {
            let refused = evict(&client, &key(), &other).await.unwrap_err();
            assert!(
                matches!(refused, EvictError::Api(ApiError::Conflict { .. })),
                "{refused}"
            );
        }
        let kept = pods.get(WEB).await.unwrap();
        let conditions = kept.status.unwrap().conditions.unwrap();
        assert!(
            conditions
                .iter()
                .all(|condition| condition.type_ != "DisruptionTarget")
        );
        let budgets = client.api::<PodDisruptionBudget>("default");
        assert_eq!(budgets.get("web").await.unwrap().status, budget.status, "{phase}");
        let own = DeleteParams::default().uid(kept.metadata.uid.unwrap());
        evict(&client, &key(), &own).await.unwrap();
    }
}
