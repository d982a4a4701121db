//! Cleaning, and what is left of a state that was lost.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::client::{ListParams, Patch};
use orch_core::testing::FakeRuntime;
use orch_core::testing::fake_runtime::{Behavior, Call, Fault, On};
use orch_core::testing::runtime::{Program, Step};
use serde_json::json;

use super::super::clean::{clean, clean_quietly};
use super::super::leftover::Leftover;
use super::super::steps;
use super::super::watch::Views;
use super::{memory, pod, seconds, start};

/// Applies a manifest, and waits until its pods are ready.
async fn applied(cluster: &Cluster, manifest: &Manifest) -> Views {
    let views = Views::open(cluster, manifest).await;
    let applied = steps::apply(cluster, manifest).await.unwrap();
    steps::ready(cluster, &views, &applied, steps::Until::Ended, seconds(90))
        .await
        .unwrap();
    views
}

/// A runtime whose containers do not end when they are asked to.
fn stubborn() -> FakeRuntime {
    let stubborn = Program::new().then(Step::Ignore("TERM".to_owned())).wait();
    let runtime = FakeRuntime::new();
    runtime.on(On::Any, Behavior::new().run(stubborn));
    runtime
}

#[tokio::test(start_paused = true)]
async fn what_runs_of_a_lost_state_is_found_and_can_be_removed() {
    let (store, runtime) = (memory(), FakeRuntime::new());
    let cluster = start(&store, &runtime).await;
    let manifest = pod("web", "");
    let views = applied(&cluster, &manifest).await;
    drop(views);
    cluster.stop().await;
    let found = Leftover::find(&runtime, &store).await.unwrap();
    assert_eq!(found.described(), None, "its state is there");

    let lost = memory();
    let found = Leftover::find(&runtime, &lost).await.unwrap();
    let words = "1 pod of an earlier run whose state is lost (web)".to_owned();
    assert_eq!(found.described(), Some(words));
    // The agent leaves alone what it does not know to be its own.
    let cluster = start(&lost, &runtime).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    cluster.stop().await;
    let found = Leftover::find(&runtime, &lost).await.unwrap();
    assert!(found.described().is_some());
    assert_eq!(orch_examples::empty::is_empty(&runtime).await, Some(false));
    found.remove(&runtime).await.unwrap();
    assert_eq!(runtime.present(), []);
    assert_eq!(orch_examples::empty::is_empty(&runtime).await, Some(true));
    assert_eq!(Leftover::find(&runtime, &lost).await.unwrap().described(), None);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_when_cleaning_is_over_even_of_pods_that_have_no_time_to_end() {
    // Their objects are gone at once; their containers have the kubelet's two seconds, and this one takes them.
    for quietly in [false, true] {
        let runtime = stubborn();
        let cluster = start(&memory(), &runtime).await;
        let manifest = pod("web", "terminationGracePeriodSeconds: 0, ");
        let views = applied(&cluster, &manifest).await;
        assert_eq!(runtime.present().len(), 1);
        if quietly {
            clean_quietly(&cluster, &views, &manifest).await.unwrap();
        } else {
            clean(&cluster, &views, &manifest, seconds(600)).await.unwrap();
        }
        assert_eq!(runtime.present(), [], "quietly: {quietly}");
        cluster.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_be_removed_of_a_lost_state_keeps_none_of_the_rest() {
    let (store, runtime) = (memory(), FakeRuntime::new());
    let cluster = start(&store, &runtime).await;
    for name in ["a", "b", "c"] {
        let manifest = pod(name, "");
        applied(&cluster, &manifest).await;
    }
    cluster.stop().await;
    let found = Leftover::find(&runtime, &memory()).await.unwrap();
    runtime.inject(Call::StopContainer, Fault::Fails("not now".to_owned()), 1);
    let refused = found.remove(&runtime).await.unwrap_err().to_string();
    assert!(refused.contains("not now"), "{refused}");
    assert_eq!(
        runtime.running().len(),
        0,
        "with its sandbox the third has ended as well"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_for_a_moment_does_not_end_cleaning() {
    let runtime = FakeRuntime::new();
    let cluster = start(&memory(), &runtime).await;
    let manifest = pod("web", "terminationGracePeriodSeconds: 0, ");
    let views = applied(&cluster, &manifest).await;
    runtime.crash_engine();
    let restart = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        runtime.restart_engine();
    };
    let (cleaned, ()) = tokio::join!(clean(&cluster, &views, &manifest, seconds(600)), restart);
    cleaned.unwrap();
    assert_eq!(runtime.present(), []);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cleaning_waits_for_pods_that_were_made_after_it_had_counted_them() {
    let runtime = stubborn();
    let cluster = start(&memory(), &runtime).await;
    let (counted, late) = ("counted", "terminationGracePeriodSeconds: 0, ");
    let views = Views::open(&cluster, &pod(counted, "")).await;
    // Of a pod that these views do not show as the manifest's.
    let late = pod("late", late);
    let applied = steps::apply(&cluster, &late).await.unwrap();
    let all = Views::open(&cluster, &late).await;
    steps::ready(&cluster, &all, &applied, steps::Until::Ended, seconds(90))
        .await
        .unwrap();
    assert_eq!(views.our_pods().len(), 0);
    clean(&cluster, &views, &late, seconds(600)).await.unwrap();
    assert_eq!(runtime.present(), []);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cleaning_waits_for_pods_whose_set_has_gone_before_them() {
    let runtime = stubborn();
    let cluster = start(&memory(), &runtime).await;
    let views = applied(&cluster, &pod("web-1", "terminationGracePeriodSeconds: 5, ")).await;
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "gone", "controller": true});
    let owned = Patch::Merge(json!({"metadata": {"ownerReferences": [set]}}));
    let pods = cluster.client().api::<Pod>("default");
    pods.patch("web-1", &owned).await.unwrap();
    // Nothing that this names is there any more.
    clean(&cluster, &views, &pod("web", ""), seconds(600))
        .await
        .unwrap();
    assert_eq!(runtime.present(), []);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nothing_here_runs_says_so_and_goes_at_once() {
    let cluster = start(&memory(), &FakeRuntime::new()).await;
    let text = "
apiVersion: v1
kind: Node
metadata: {name: edge}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {nodeName: edge, containers: [{name: main, image: i}]}
";
    let manifest = Manifest::read("web.yaml", text, &ManifestKinds::builtin()).unwrap();
    let views = Views::open(&cluster, &manifest).await;
    let applied = steps::apply(&cluster, &manifest).await.unwrap();
    let until = steps::Until::Ended;
    let Err(late) = steps::ready(&cluster, &views, &applied, until, seconds(9)).await else {
        panic!("nothing runs them");
    };
    let why = "nothing here runs the pods of node \"edge\", only those of: local";
    assert!(late.to_string().contains(why), "{late}");

    clean(&cluster, &views, &manifest, seconds(9)).await.unwrap();
    let pods = cluster.client().all::<Pod>();
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items, []);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_not_gone_when_its_time_is_over_is_named() {
    let runtime = stubborn();
    let cluster = start(&memory(), &runtime).await;
    let manifest = pod("web", "");
    let views = applied(&cluster, &manifest).await;
    let Err(late) = clean(&cluster, &views, &manifest, seconds(9)).await else {
        panic!("its pod takes 30 s");
    };
    assert_eq!(
        late.to_string(),
        "the timeout of 9s has passed while waiting for 1 pod to end: pod web was told to end and has 30 s for it"
    );
    clean(&cluster, &views, &manifest, seconds(90)).await.unwrap();
    cluster.stop().await;
}
