//! What the quickstart waits for and tells, on a fake runtime under virtual time.

mod cleaning;
mod rolling;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::{is_ready, is_terminal};
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::client::{DeleteParams, Patch};
use orch_core::object::ObjectKey;
use orch_core::runtime::{Capabilities, Runtime, SandboxFilter};
use orch_core::store::{MemoryStore, Store};
use orch_core::testing::FakeRuntime;
use orch_core::testing::fake_runtime::{Behavior, Call, Fault, On};
use orch_core::testing::runtime::Program;
use serde_json::json;

use super::clean::{clean, clean_quietly};
use super::deadline::Deadline;
use super::earlier::Earlier;
use super::last_words::LastWords;
use super::steps;
use super::wait::{STEADY, Wait};
use super::watch::Views;
use super::{Error, NODE_LOOKS, check};

/// A manifest of one pod with one container; `fields` are further ones of its spec.
fn pod(name: &str, fields: &str) -> Manifest {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{fields}containers: [{{name: main, image: i}}]}}\n"
    );
    Manifest::read("pod.yaml", &text, &ManifestKinds::builtin()).unwrap()
}

async fn start(store: &Arc<dyn Store>, runtime: &FakeRuntime) -> Cluster {
    let mut node = AgentConfig::new("local").volumes_dir("/nonexistent/volumes");
    node.node_status_interval = NODE_LOOKS;
    let runtime = Arc::new(runtime.clone());
    let builder = Cluster::builder(store.clone()).node_with(node, runtime);
    builder.start().await.unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn seconds(timeout: u64) -> Deadline {
    Deadline::after(Some(Duration::from_secs(timeout)))
}

async fn look_until(views: &Views, done: impl Fn(&Views) -> bool) {
    views.pods.until(|_| done(views)).await;
}

/// Says of a pod what its agent would if the runtime could never run it.
async fn refuse(cluster: &Cluster, name: &str) {
    let status = json!({"status": {"containerStatuses": [{"name": "main", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "spec.x: no"}}}]}});
    let pods = cluster.client().api::<Pod>("default");
    pods.patch_status(name, &Patch::Merge(status)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_can_never_run_ends_a_wait_for_it_and_no_other() {
    let cluster = Cluster::builder(memory()).start().await.unwrap();
    let (ours, other) = (pod("ours", ""), pod("other", ""));
    let views = Views::open(&cluster, &ours).await;
    cluster.apply(&other).await.unwrap();
    refuse(&cluster, "other").await;
    cluster.apply(&ours).await.unwrap();
    look_until(&views, |views| views.pods.len() == 2).await;
    let at_once = async { Ok(()) };
    let wait = || Wait::for_pods("a pod", seconds(9));
    views.during(wait(), |_| false, at_once).await.unwrap();

    refuse(&cluster, "ours").await;
    look_until(&views, |views| views.refused().next().is_some()).await;
    let refused = views.until(wait(), |_| false).await.unwrap_err();
    assert_eq!(refused.to_string(), "pod ours can never run here: spec.x: no");
    let patient = Wait::with_patience("anything else", Duration::from_secs(9));
    views.during(patient, |_| false, async { Ok(()) }).await.unwrap();

    // However long it stays while it is removed: a finalizer holds it.
    let pods = cluster.client().api::<Pod>("default");
    let held = |by: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": by}}));
    pods.patch("ours", &held(&["example.com/held"])).await.unwrap();
    let let_go = async {
        look_until(&views, |views| {
            let pod = views.pods.get(&ObjectKey::new(Some("default"), "ours"));
            pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
        })
        .await;
        refuse(&cluster, "ours").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        pods.patch("ours", &held(&[])).await.unwrap();
    };
    let (cleaned, ()) = tokio::join!(clean(&cluster, &views, &ours, seconds(600)), let_go);
    assert_eq!(cleaned.unwrap().len(), 1);
    assert!(pods.get_opt("ours").await.unwrap().is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_cannot_give_is_refused_before_it_is_made() {
    let runtime = FakeRuntime::with_capabilities(Capabilities::default());
    let cluster = start(&memory(), &runtime).await;
    let text = "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: main, image: i, command: [x], stdin: true, tty: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, labels: {'bad key!': x}}
spec: {nodeName: locl, containers: [{name: main, image: host}]}
---
apiVersion: v1
kind: Node
metadata: {name: edge}
---
apiVersion: v1
kind: Pod
metadata: {name: d, namespace: nowhere}
spec: {nodeName: edge, containers: [{name: main, image: host, command: [x]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: c}
spec: {containers: [{name: main, image: host, command: [x]}]}
";
    let manifest = Manifest::read("m.yaml", text, &ManifestKinds::builtin()).unwrap();
    let views = Views::open(&cluster, &manifest).await;
    let refused = check::check(&cluster, &views, &manifest).await;
    let refused = refused.unwrap_err().to_string();
    let lines: Vec<_> = refused.lines().collect();
    let wanted = [
        "m.yaml:9 (document 1, ReplicaSet default/a): spec.template.spec.containers[0].stdin: the fake runtime cannot",
        "m.yaml:9 (document 1, ReplicaSet default/a): spec.template.spec.containers[0].tty: the fake runtime has no",
        "m.yaml:13 (document 2, Pod default/b): metadata.labels: Invalid value: ",
        "m.yaml:14 (document 2, Pod default/b): spec.nodeName: node \"locl\" does not exist (there is: local)",
        "m.yaml:14 (document 2, Pod default/b): spec.containers[0].command: ",
        "m.yaml:22 (document 4, Pod nowhere/d): metadata.namespace: ",
        "such pods could never run here: nothing of the manifest was applied",
    ];
    assert_eq!(lines.len(), wanted.len(), "{refused}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line}");
    }
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn that_the_runtime_goes_away_and_comes_back_is_told_once_each() {
    let runtime = FakeRuntime::new();
    let cluster = start(&memory(), &runtime).await;
    let manifest = pod("web", "");
    let views = Views::open(&cluster, &manifest).await;
    steps::node(&views, seconds(90)).await.unwrap();
    assert_eq!(views.runtime_news(), None);
    runtime.crash_engine();
    tokio::time::sleep(2 * NODE_LOOKS).await;
    let (what, said) = views.runtime_news().unwrap();
    assert_eq!(what, "runtime fake");
    assert!(said.starts_with("does not answer: "), "{said}");
    tokio::time::sleep(2 * NODE_LOOKS).await;
    assert_eq!(views.runtime_news(), None, "it is known");
    runtime.restart_engine();
    tokio::time::sleep(2 * NODE_LOOKS).await;
    let back = ("runtime fake".to_owned(), "answers again".to_owned());
    assert_eq!(views.runtime_news(), Some(back));
    assert_eq!(views.runtime_news(), None);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_time_of_all_is_over_and_says_what_is_missing() {
    let cluster = start(&memory(), &FakeRuntime::new()).await;
    let manifest = pod("web", "nodeSelector: {disk: ssd}, ");
    let views = Views::open(&cluster, &manifest).await;
    let applied = steps::apply(&cluster, &manifest).await.unwrap();
    let began = tokio::time::Instant::now();
    let deadline = seconds(90);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let late = steps::ready(&cluster, &views, &applied, steps::Until::Ended, deadline).await;
    let late = late.map(drop).unwrap_err().to_string();
    assert_eq!(began.elapsed().as_secs(), 90);
    let wanted =
        "the timeout of 90s has passed while waiting for everything to be ready: pod web: 0/1 nodes fit";
    assert!(late.starts_with(wanted), "{late}");
    cluster.stop().await;
}

/// A cluster that was killed, and what came after it.
async fn killed_and_started_again(
    meanwhile: impl AsyncFnOnce(&FakeRuntime),
) -> Result<(bool, Vec<(String, String)>), Error> {
    let (store, runtime, manifest) = (memory(), FakeRuntime::new(), pod("web", ""));
    let cluster = start(&store, &runtime).await;
    let views = Views::open(&cluster, &manifest).await;
    let applied = steps::apply(&cluster, &manifest).await?;
    steps::ready(
        &cluster,
        &views,
        &applied,
        steps::Until::Ended,
        Deadline::after(None),
    )
    .await?;
    drop(views);
    cluster.stop().await;

    meanwhile(&runtime).await;
    let earlier = Earlier::read(&store).await?;
    let cluster = start(&store, &runtime).await;
    let views = Views::open(&cluster, &manifest).await;
    let as_it_was = earlier.compare(&cluster, &views, seconds(90)).await?;
    let applied = steps::apply(&cluster, &manifest).await?;
    steps::ready(
        &cluster,
        &views,
        &applied,
        steps::Until::Ended,
        Deadline::after(None),
    )
    .await?;
    views.look(&[]).await;
    let pods = views.changed();
    clean_quietly(&cluster, &views, &manifest).await?;
    drop(views);
    cluster.stop().await;
    Ok((as_it_was, pods))
}

#[tokio::test(start_paused = true)]
async fn pods_are_as_they_were_unless_something_of_them_was_lost_meanwhile() {
    let (as_it_was, _) = killed_and_started_again(async |_| {}).await.unwrap();
    assert!(as_it_was);
    let (as_it_was, pods) = killed_and_started_again(async |runtime: &FakeRuntime| {
        for sandbox in runtime.sandboxes(&SandboxFilter::default()).await.unwrap() {
            runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
    })
    .await
    .unwrap();
    assert!(!as_it_was);
    assert_eq!(pods, [("pod web".to_owned(), "is new".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_were_told_to_end_have_not_failed() {
    let runtime = FakeRuntime::new();
    let cluster = start(&memory(), &runtime).await;
    let manifest = pod("web", "restartPolicy: Never, ");
    let views = Views::open(&cluster, &manifest).await;
    steps::apply(&cluster, &manifest).await.unwrap();
    look_until(&views, |views| views.pods.list().iter().any(|pod| is_ready(pod))).await;
    let pods = cluster.client().api::<Pod>("default");
    let held = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/held"]}}));
    pods.patch("web", &held).await.unwrap();
    pods.delete("web", &DeleteParams::default()).await.unwrap();
    look_until(&views, |views| {
        let pods = views.pods.list();
        pods.iter().any(|pod| is_terminal(pod))
    })
    .await;
    assert_eq!(views.troubles(), []);
    let mut last_words = LastWords::of(&views);
    last_words.ask();
    assert_eq!(last_words.rest().await, []);
    assert_eq!(runtime.count(Call::Logs), 0);
    cluster.stop().await;
}

/// One that ends by itself after so long.
fn ends_after(time: Duration, code: i32) -> Behavior {
    Behavior::new().run(Program::new().out("why\n").sleep(time).exit(code))
}

#[tokio::test(start_paused = true)]
async fn ready_is_what_stays_so_for_a_second_and_a_pod_that_is_to_end_has_ended() {
    let (soon, later) = (STEADY / 2, STEADY * 20);
    // (policy, how long it runs, its exit code; whether it is ready, or has ended, within nine seconds)
    let cases = [
        ("Always", soon, 1, None),
        ("Always", soon, 0, None),
        ("Always", later, 1, Some((false, 0))),
        ("OnFailure", soon, 1, None),
        ("OnFailure", soon, 0, Some((true, 0))),
        ("OnFailure", later, 0, None),
        ("Never", soon, 1, Some((true, 1))),
        ("Never", soon, 0, Some((true, 0))),
        ("Never", later, 1, None),
    ];
    for case in cases {
        let (policy, runs, code, wanted) = case;
        let runtime = FakeRuntime::new();
        runtime.on(On::Any, ends_after(runs, code));
        let cluster = start(&memory(), &runtime).await;
        let manifest = pod("web", &format!("restartPolicy: {policy}, "));
        let views = Views::open(&cluster, &manifest).await;
        let applied = steps::apply(&cluster, &manifest).await.unwrap();
        let began = tokio::time::Instant::now();
        let ready = steps::ready(&cluster, &views, &applied, steps::Until::Ended, seconds(9)).await;
        match wanted {
            Some((ended, failed)) => {
                let ready = ready.unwrap();
                assert_eq!((ready.ended, ready.failed.len()), (ended, failed), "{case:?}");
                assert!(began.elapsed() >= ready.took + STEADY, "{case:?}");
                let at_once = if ended { soon } else { Duration::ZERO };
                assert!(ready.took < at_once + STEADY / 2, "{case:?}: {:?}", ready.took);
            }
            None => {
                let late = ready.map(drop).unwrap_err().to_string();
                let policy = format!("(restartPolicy: {policy})");
                let why = if runs == later {
                    &policy
                } else {
                    "CrashLoopBackOff: container main ended with"
                };
                assert!(
                    late.contains("timeout of 9s") && late.contains(why),
                    "{case:?}: {late}"
                );
            }
        }
        cluster.stop().await;
    }
}

/// A manifest of pods that fail at once.
fn failing(many: usize) -> Manifest {
    let pods = (0..many).map(|number| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n\
             spec: {{restartPolicy: Never, containers: [{{name: main, image: i}}]}}\n"
        )
    });
    let text = pods.collect::<Vec<_>>().join("---\n");
    Manifest::read("pods.yaml", &text, &ManifestKinds::builtin()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn last_words_that_do_not_come_keep_no_wait_and_are_asked_for_again() {
    const MANY: usize = 20;
    let runtime = FakeRuntime::new();
    runtime.on(On::Any, Behavior::new().run(Program::new().out("why\n").exit(3)));
    let cluster = start(&memory(), &runtime).await;
    let manifest = failing(MANY);
    let views = Views::open(&cluster, &manifest).await;
    steps::apply(&cluster, &manifest).await.unwrap();
    look_until(&views, |views| views.troubles().len() == MANY).await;
    runtime.inject(Call::Logs, Fault::Hangs, 8);
    runtime.inject(Call::Logs, Fault::Fails("away".to_owned()), 4);

    let began = tokio::time::Instant::now();
    let wait = Wait::for_pods("more", seconds(1));
    let late = views.until(wait, |_| false).await.unwrap_err().to_string();
    assert!(late.starts_with("the timeout of 1s has passed"), "{late}");
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(runtime.count(Call::Logs), 8, "no more at once");

    // Four fail, and those that have hung are asked again by another wait.
    let began = tokio::time::Instant::now();
    views
        .until(Wait::for_pods("nothing", seconds(60)), |_| true)
        .await
        .unwrap();
    assert!(began.elapsed() <= Duration::from_secs(2));
    let mut last_words = LastWords::of(&views);
    last_words.ask();
    let said = last_words.rest().await;
    assert!(
        said.iter().all(|(_, words)| words == "its log ends with: why"),
        "{said:?}"
    );
    last_words.ask();
    assert_eq!(last_words.rest().await, [], "each once");
    assert_eq!(runtime.count(Call::Logs), 8 + 4 + MANY);
    cluster.stop().await;
}
