//! Pods, and what makes them, in doubt and in tight room.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::testing::{Machines, apply};
use orch_core::client::{DeleteParams, Propagation};
use orch_core::testing::fake_runtime::{Behavior, On};
use orch_core::testing::simulation::{Fault, Rates, Simulation, State, World};
use serde_json::json;

use super::{rolled_out, scenario};

/// A pod of this name that stays wherever it is bound, and when that is not for ever ends well.
fn pod(name: &str, image: &str, restarts: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {
        "restartPolicy": restarts, "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 5,
        "containers": [{"name": "main", "image": image}]}})
    .to_string()
}

fn phase(state: &State, name: &str) -> Option<String> {
    let is_it = |pod: &&Arc<Pod>| pod.metadata.name.as_deref() == Some(name);
    state
        .all::<Pod>()
        .iter()
        .find(is_it)?
        .status
        .as_ref()?
        .phase
        .clone()
}

async fn reached(world: &World, name: &str, wanted: &str) {
    world
        .until(|state| phase(state, name).as_deref() == Some(wanted))
        .await;
    world.note(format!("{name} is {wanted}"));
}

async fn deleted(world: &World, name: &str, params: DeleteParams) -> Result<(), String> {
    let pods = world.client().api::<Pod>("default");
    let deleted = pods.delete(name, &params).await;
    deleted.map_err(|error| error.to_string())?;
    world.until(|state| phase(state, name).is_none()).await;
    Ok(())
}

/// A pod is deleted and made again under its name, at once, in peace and by force; another does its work and ends.
pub(crate) fn bare() -> Simulation {
    scenario(
        "bare",
        || {
            let machines = Machines::new(2);
            let work = Behavior::new().run_for(Duration::from_secs(20), 0);
            machines.scripts().on(On::image("job"), work);
            machines
        },
        |world| async move {
            apply(&world, &pod("job", "job", "OnFailure")).await?;
            let ways = [
                DeleteParams::default(),
                DeleteParams::now(),
                DeleteParams::default(),
            ];
            for (way, image) in ways.into_iter().zip(["db:1", "db:2", "db:3"]) {
                apply(&world, &pod("db", image, "Always")).await?;
                reached(&world, "db", "Running").await;
                deleted(&world, "db", way.propagation(Propagation::Background)).await?;
            }
            apply(&world, &pod("db", "db:4", "Always")).await?;
            reached(&world, "db", "Running").await;
            reached(&world, "job", "Succeeded").await;
            Ok(())
        },
    )
}

/// Whether some ReplicaSet has so many pods, all of them ready.
fn all_ready(state: &State, replicas: i32) -> bool {
    let sets = state.all::<ReplicaSet>();
    let mut statuses = sets.iter().filter_map(|set| set.status.as_ref());
    statuses.any(|status| status.ready_replicas.unwrap_or(0) == replicas && status.replicas == replicas)
}

/// Asks a ReplicaSet for more pods and for fewer; also for one more, which no other that is made with it helps to see.
pub(crate) async fn rescaled(world: World) -> Result<(), String> {
    for replicas in [1, 2, 5, 6, 2, 3] {
        let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "default"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "web:1"}]}}}});
        apply(&world, &set.to_string()).await?;
        world.until(|state| all_ready(state, replicas)).await;
    }
    Ok(())
}

/// A ReplicaSet is scaled while what was written is often not known to have been, and views are old.
pub(crate) fn doubt() -> Simulation {
    let rates = Rates::none()
        .of(Fault::CrashAfter, 0.02)
        .of(Fault::Lags, 0.2)
        .of(Fault::Stale, 0.5)
        .of(Fault::Unanswered, 0.1);
    scenario("doubt", || Machines::new(1), rescaled)
        .rates(rates)
        .storm(Duration::from_secs(60))
}

/// A Deployment whose pods take some time to start and leave no room is rolled: what is new must wait until what is old has
/// gone, and that until enough of what is new serves.
pub(crate) fn tight() -> Simulation {
    scenario(
        "tight",
        || {
            let machines = Machines::new(2);
            let slow = Behavior::new().start_delay(Duration::from_secs(3));
            machines.scripts().on(On::Any, slow);
            machines
        },
        |world| async move {
            for image in ["web:1", "web:2"] {
                let web = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"name": "web", "namespace": "default"}, "spec": {
                    "replicas": 4, "selector": {"matchLabels": {"app": "web"}},
                    "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 2}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                        {"name": "web", "image": image, "resources": {"requests": {"cpu": "3"}}}]}}}});
                apply(&world, &web.to_string()).await?;
                rolled_out(&world, 4, image).await;
            }
            Ok(())
        },
    )
}
