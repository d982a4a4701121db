//! Oracles refuse what they are there to refuse.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use orch_core::client::{DeleteParams, Patch};
use orch_core::object::Object;
use orch_core::testing::simulation::{Life, Oracle, Setup, State, World};
use serde_json::{Value, json};

use super::{Bindings, Peace};
use crate::testing::{Machines, add_cluster, apply, simulation};

/// How a run of `scenario` fails, without a cluster but for its kinds.
pub(super) fn failure<F>(
    oracle: impl Fn() -> Box<dyn Oracle> + Send + Sync + 'static,
    add: impl Fn(&mut Setup) + Send + Sync + 'static,
    scenario: impl Fn(World) -> F + Copy + Send + Sync + 'static,
) -> Option<String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    struct Boxed(Box<dyn Oracle>);
    impl Oracle for Boxed {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn written(&mut self, written: &orch_core::testing::simulation::Written<'_>) -> Result<(), String> {
            self.0.written(written)
        }
        fn settled(&mut self, state: &State) -> Result<(), String> {
            self.0.settled(state)
        }
    }
    let simulation = simulation("oracle", move |run| {
        run.client(|builder| crate::kinds::teach(builder).build());
        run.oracle(Boxed(oracle()));
        add(run);
        run.scenario(scenario);
    });
    simulation.run_calm(1).failure
}

async fn made(world: World) -> Result<(), String> {
    apply(
        &world,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {owner: nobody}}",
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(600)).await;
    Ok(())
}

/// Writes its own name, every `pause`, so often.
async fn claims(life: Life, pause: Duration, times: u32) {
    let maps = life.client().api::<ConfigMap>("default");
    for _ in 0..times {
        tokio::time::sleep(pause).await;
        let claim = Patch::Merge(json!({"data": {"owner": life.name()}}));
        drop(maps.patch("shared", &claim).await);
    }
    std::future::pending::<()>().await;
}

fn rivals(names: &'static [&str], pause: u64, times: u32) -> Option<String> {
    let add = move |run: &mut Setup| {
        for name in names {
            run.component(*name, move |life| claims(life, Duration::from_secs(pause), times));
        }
    };
    failure(|| Box::new(Peace::default()), add, made)
}

#[test]
fn two_that_undo_what_the_other_wrote_are_told_of() {
    let why = rivals(&["one", "other"], 5, 50).expect("a fight");
    assert!(
        why.contains("peace: ") && why.contains("one and other undo") || why.contains("other and one undo"),
        "{why}"
    );
}

#[test]
fn one_writer_is_no_fight_nor_are_two_that_come_to_rest_or_seldom_meet() {
    assert_eq!(rivals(&["one"], 5, 50), None);
    assert_eq!(rivals(&["one", "other"], 5, 2), None);
    assert_eq!(rivals(&["one", "other"], 70, 8), None);
}

fn pod(name: &str, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": phase}, "spec": {
        "nodeName": "small", "containers": [{"name": "c", "image": "c", "resources": {"requests": {"cpu": "600m"}}}]}})
}

async fn bound(world: World, phase_of_the_first: &'static str) -> Result<(), String> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "small"}});
    apply(&world, &node.to_string()).await?;
    let nodes = world.client().all::<k8s_openapi::api::core::v1::Node>();
    let status = Patch::Merge(json!({"status": {"allocatable": {"cpu": "1", "pods": "10"}}}));
    let written = nodes.patch_status("small", &status).await;
    written.map_err(|error| error.to_string())?;
    let pods = world.client().api::<k8s_openapi::api::core::v1::Pod>("default");
    apply(&world, &pod("first", "").to_string()).await?;
    let status = Patch::Merge(json!({"status": {"phase": phase_of_the_first}}));
    let written = pods.patch_status("first", &status).await;
    written.map_err(|error| error.to_string())?;
    apply(&world, &pod("second", "").to_string()).await
}

#[test]
fn a_node_that_is_given_more_than_it_has_is_told_of() {
    let oracle = || -> Box<dyn Oracle> { Box::new(Bindings::default()) };
    let why = failure(oracle, |_| {}, |world| bound(world, "Running")).expect("too much");
    assert!(
        why.contains("node small has 1000000000 billionths of cpu and was given 1200000000"),
        "{why}"
    );
    assert_eq!(failure(oracle, |_| {}, |world| bound(world, "Succeeded")), None);
}

/// Pods of a Deployment of three that are all ready, and a component that takes some at once.
async fn takes(world: World, pods: usize) -> Result<(), String> {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxUnavailable": 1}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}}}});
    apply(&world, &deployment.to_string()).await?;
    let all_ready = |state: &State| {
        let deployments = state.all::<Deployment>();
        let status = deployments
            .iter()
            .find_map(|deployment| deployment.status.clone());
        status.is_some_and(|status| status.available_replicas == Some(3))
    };
    world.until(all_ready).await;
    let names = world.look(|state| {
        state
            .all::<Pod>()
            .iter()
            .map(|pod| pod.key().name().to_owned())
            .collect::<Vec<_>>()
    });
    for name in names.iter().take(pods) {
        let api = world.client().api::<Pod>("default");
        let deleted = api.delete(name, &DeleteParams::default()).await;
        deleted.map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn as_many_pods_may_be_taken_at_once_as_may_be_unavailable_and_no_more() {
    for (pods, refused) in [(1, None), (2, Some("1 are left, and 2 are to be"))] {
        let simulation = simulation("taken", move |run| {
            add_cluster(run, &Machines::new(2));
            run.scenario(move |world| takes(world, pods));
        });
        let failure = simulation.run_calm(1).failure;
        assert_eq!(failure.is_some(), refused.is_some(), "{failure:?}");
        if let (Some(failure), Some(refused)) = (failure, refused) {
            assert!(
                failure.starts_with("availability: ") && failure.contains(refused),
                "{failure}"
            );
        }
    }
}
