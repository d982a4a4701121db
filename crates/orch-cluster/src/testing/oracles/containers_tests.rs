//! What agents may do with what runs, and what is told of.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{DeleteParams, Patch};
use orch_core::runtime::{ContainerConfig, ContainerId, Runtime, SandboxConfig, SandboxId};
use orch_core::testing::simulation::{Life, Setup, World};
use serde_json::{Value, json};

use super::Containers;
use super::tests::failure;
use crate::testing::{Machine, Machines, apply};

/// What an agent does with a pod whose container runs.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Nothing,
    Stops,
    /// And deletes the pod a little later.
    StopsFirst,
    RemovesTheSandbox,
    FindsItEnded,
    Deletes,
    SaysItIsOver,
    StartsAnother,
    /// For a while, in which it writes something else.
    StartsAnotherForAWhile,
    StartsAnotherAndWritesNothing,
    SaysThatAnotherRuns,
}

/// Acts for the agent of `node-1`.
async fn agent(life: Life, machine: Machine, deed: Deed) {
    let pods = life.client().api::<Pod>("default");
    let uid = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Ok(pod) = pods.get("web").await {
            break pod.metadata.uid.unwrap_or_default();
        }
    };
    let runtime = &machine.runtime;
    let sandbox = SandboxConfig {
        uid,
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(&sandbox).await.unwrap().id;
    let first = started(&machine, &sandbox, 0).await;
    // Meanwhile users may have asked for its end.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let says = |status: Value| {
        let patch = Patch::Merge(json!({ "status": status }));
        let pods = pods.clone();
        async move { drop(pods.patch_status("web", &patch).await) }
    };
    let count = |restarts| json!([{"name": "main", "restartCount": restarts, "image": "", "imageID": "", "ready": true}]);
    says(json!({"phase": "Running", "containerStatuses": count(0)})).await;
    match deed {
        Deed::Nothing => {}
        Deed::Stops => runtime.stop_container(&first, Duration::ZERO).await.unwrap(),
        Deed::StopsFirst => {
            runtime.stop_container(&first, Duration::ZERO).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(pods.delete("web", &DeleteParams::now()).await);
        }
        Deed::RemovesTheSandbox => runtime.remove_sandbox(&sandbox).await.unwrap(),
        Deed::FindsItEnded => {
            runtime.kill(&first, 1);
            runtime.remove_container(&first).await.unwrap();
        }
        Deed::Deletes => drop(pods.delete("web", &DeleteParams::now()).await),
        Deed::SaysItIsOver => says(json!({"phase": "Failed"})).await,
        Deed::StartsAnother => {
            started(&machine, &sandbox, 1).await;
            says(json!({"containerStatuses": count(1)})).await;
        }
        Deed::StartsAnotherForAWhile => {
            let second = started(&machine, &sandbox, 1).await;
            says(json!({"message": "all is well"})).await;
            runtime.kill(&second, 1);
        }
        Deed::StartsAnotherAndWritesNothing => drop(started(&machine, &sandbox, 1).await),
        Deed::SaysThatAnotherRuns => {
            let mut status = count(0);
            status[0]["containerID"] = "fake://another".into();
            status[0]["state"] = json!({"running": {"startedAt": null}});
            says(json!({"containerStatuses": status})).await;
        }
    }
    std::future::pending::<()>().await;
}

async fn started(machine: &Machine, sandbox: &SandboxId, attempt: u32) -> ContainerId {
    let config = ContainerConfig {
        name: "main".to_owned(),
        image: "main".to_owned(),
        attempt,
        ..ContainerConfig::default()
    };
    let made = machine.runtime.create_container(sandbox, &config).await.unwrap();
    machine.runtime.start_container(&made).await.unwrap();
    made
}

/// A pod with these further fields in its container; whether it is deleted.
async fn made(world: World, container: Value, deleted: bool) -> Result<(), String> {
    let mut main = json!({"name": "main", "image": "main"});
    main.as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"nodeName": "node-1", "containers": [main]}});
    apply(&world, &pod.to_string()).await?;
    if deleted {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let pods = world.client().api::<Pod>("default");
        let deleted = pods.delete("web", &DeleteParams::default()).await;
        deleted.map_err(|error| error.to_string())?;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

#[test]
fn what_runs_ends_for_a_reason_alone() {
    let ends = Some("node-1 ends container main of pod Some(\"web\")");
    let probe = || json!({"livenessProbe": {"exec": {"command": ["true"]}}});
    let twice = Some("two containers main of pod \"web\" run on node-1");
    let table = [
        (Deed::Nothing, json!({}), false, None),
        (Deed::Stops, json!({}), false, ends),
        (Deed::StopsFirst, json!({}), false, ends),
        (Deed::StopsFirst, probe(), false, None),
        (Deed::Stops, json!({}), true, None),
        (Deed::Stops, probe(), false, None),
        (Deed::FindsItEnded, json!({}), false, None),
        (Deed::RemovesTheSandbox, json!({}), false, ends),
        (
            Deed::RemovesTheSandbox,
            json!({}),
            true,
            Some("without asking it to end"),
        ),
        (Deed::Deletes, json!({}), true, Some("goes, and its container")),
        (
            Deed::SaysItIsOver,
            json!({}),
            false,
            Some("is over, and its container"),
        ),
        (Deed::StartsAnother, json!({}), false, twice),
        (Deed::StartsAnotherForAWhile, json!({}), false, twice),
        (Deed::StartsAnotherAndWritesNothing, json!({}), false, twice),
        (
            Deed::SaysThatAnotherRuns,
            json!({}),
            false,
            Some("says that fake://another runs on node-1, and it does not"),
        ),
    ];
    let mut wrong = Vec::new();
    for (deed, container, deleted, refused) in table {
        let machines = || Machines::new(1);
        // A run has machines of its own, which the oracle and the agent share.
        let shared = std::sync::Arc::new(parking_lot::Mutex::new(machines()));
        let (of_oracle, of_agent) = (shared.clone(), shared);
        let oracle = move || -> Box<dyn orch_core::testing::simulation::Oracle> {
            *of_oracle.lock() = machines();
            Box::new(Containers::of(&of_oracle.lock()))
        };
        let add = move |run: &mut Setup| {
            let machine = of_agent.lock().named("node-1").unwrap().clone();
            run.component("node-1", move |life| agent(life, machine.clone(), deed));
        };
        let what = format!("{deed:?} {container} {deleted}");
        let scenario: &'static Value = Box::leak(Box::new(container));
        let why = failure(oracle, add, move |world| made(world, scenario.clone(), deleted));
        match (&why, refused) {
            (None, None) => {}
            (Some(why), Some(refused)) if why.contains(refused) => {}
            _ => wrong.push(format!("{what}: {why:?}, not {refused:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
