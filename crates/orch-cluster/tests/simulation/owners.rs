//! Objects that own others, and that nothing but garbage collection looks at: no change of their own hides what it forgets.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use orch_cluster::testing::{Machines, apply, normal_of_states};
use orch_core::client::{Api, DeleteParams, Propagation};
use orch_core::object::Object;
use orch_core::testing::simulation::{Fault, LAG, Rates, Simulation, State, World};
use serde_json::json;

use super::{rolled_out, scenario, web};

/// Makes an object without content that blocks the deletion of the one that owns it.
async fn owned(
    world: &World,
    kind: &str,
    name: &str,
    owner: Option<(&str, Option<String>)>,
) -> Result<(), String> {
    let owner = owner.map(|(kind, uid)| {
        let name = format!("the-{}", kind.to_lowercase());
        json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true})
    });
    let owners: Vec<_> = owner.into_iter().collect();
    let object = json!({"apiVersion": "v1", "kind": kind,
        "metadata": {"name": name, "namespace": "default", "ownerReferences": owners}});
    apply(world, &object.to_string()).await
}

async fn deleted<K: Object>(api: &Api<K>, name: &str, way: Propagation) -> Result<(), String> {
    let deleted = api.delete(name, &DeleteParams::default().propagation(way)).await;
    deleted.map(drop).map_err(|error| error.to_string())
}

async fn left(world: &World, count: usize) {
    let there = move |state: &State| state.all::<ConfigMap>().len() + state.all::<Secret>().len() == count;
    world.until(there).await;
}

/// A ConfigMap that owns a Secret that owns a ConfigMap is deleted in each way; what it leaves goes after it. Views of
/// different kinds are behind by different times.
pub(crate) fn chain() -> Simulation {
    scenario(
        "chain",
        || Machines::new(1),
        |world| async move {
            let maps = world.client().api::<ConfigMap>("default");
            let secrets = world.client().api::<Secret>("default");
            for way in [
                Propagation::Foreground,
                Propagation::Orphan,
                Propagation::Background,
            ] {
                owned(&world, "ConfigMap", "the-configmap", None).await?;
                let top = maps
                    .get("the-configmap")
                    .await
                    .map_err(|error| error.to_string())?;
                owned(
                    &world,
                    "Secret",
                    "the-secret",
                    Some(("ConfigMap", top.metadata.uid)),
                )
                .await?;
                let middle = secrets
                    .get("the-secret")
                    .await
                    .map_err(|error| error.to_string())?;
                owned(&world, "ConfigMap", "leaf", Some(("Secret", middle.metadata.uid))).await?;
                deleted(&maps, "the-configmap", way).await?;
                if way == Propagation::Orphan {
                    left(&world, 2).await;
                    // Who overlooked one because its view was behind would delete it once it sees it.
                    tokio::time::sleep(LAG).await;
                    left(&world, 2).await;
                    deleted(&secrets, "the-secret", Propagation::Foreground).await?;
                }
                left(&world, 0).await;
            }
            Ok(())
        },
    )
    .rates(Rates::storm().of(Fault::Lags, 0.1))
}

/// A Deployment is deleted and made again at once: what the first one owned goes, whatever the second one is called.
pub(crate) fn reborn() -> Simulation {
    scenario(
        "reborn",
        || Machines::new(2),
        |world| async move {
            let deployments = world.client().api::<Deployment>("default");
            apply(&world, &web("default", 2, "web:1")).await?;
            for replicas in [3, 1] {
                rolled_out(&world, 2, "web:1").await;
                deleted(&deployments, "web", Propagation::Background).await?;
                apply(&world, &web("default", replicas, "web:1")).await?;
                rolled_out(&world, replicas, "web:1").await;
                apply(&world, &web("default", 2, "web:1")).await?;
            }
            rolled_out(&world, 2, "web:1").await;
            Ok(())
        },
    )
    // What the first one owned may still have the name that the second one's is to have.
    .normal(normal_of_states)
}
