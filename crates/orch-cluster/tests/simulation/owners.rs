//! Objects that own others, and that nothing but garbage collection looks at: no change of their own hides what it forgets.

use k8s_openapi::api::core::v1::ConfigMap;
use orch_cluster::testing::{Machines, apply};
use orch_core::client::{DeleteParams, Propagation};
use orch_core::testing::simulation::{Simulation, World};
use serde_json::json;

use super::scenario;

/// Makes a ConfigMap that blocks the deletion of the one that owns it.
async fn owned(world: &World, name: &str, owner: Option<&str>) -> Result<(), String> {
    let maps = world.client().api::<ConfigMap>("default");
    let mut owners = Vec::new();
    if let Some(owner) = owner {
        let uid = maps
            .get(owner)
            .await
            .map_err(|error| error.to_string())?
            .metadata
            .uid;
        owners.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true}));
    }
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "ownerReferences": owners}});
    apply(world, &map.to_string()).await
}

/// A chain of three is made and deleted, in each way; what an orphaned one leaves goes after it.
pub(crate) fn chain() -> Simulation {
    scenario(
        "chain",
        || Machines::new(1),
        |world| async move {
            let maps = world.client().api::<ConfigMap>("default");
            for way in [
                Propagation::Foreground,
                Propagation::Orphan,
                Propagation::Background,
            ] {
                owned(&world, "top", None).await?;
                owned(&world, "middle", Some("top")).await?;
                owned(&world, "leaf", Some("middle")).await?;
                let left = usize::from(way == Propagation::Orphan) * 2;
                let there = move |count: usize| {
                    move |state: &orch_core::testing::simulation::State| {
                        state.all::<ConfigMap>().len() == count
                    }
                };
                let deleted = maps
                    .delete("top", &DeleteParams::default().propagation(way))
                    .await;
                deleted.map_err(|error| error.to_string())?;
                world.until(there(left)).await;
                if left > 0 {
                    let all = DeleteParams::default().propagation(Propagation::Foreground);
                    let deleted = maps.delete("middle", &all).await;
                    deleted.map_err(|error| error.to_string())?;
                    world.until(there(0)).await;
                }
            }
            Ok(())
        },
    )
}
