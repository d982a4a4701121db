//! A whole cluster to be simulated: controllers, scheduler and nodes as components of a
//! [`Simulation`], what can happen to nodes, and what must hold.

mod disasters;
mod machines;
mod normal;
mod oracles;

use std::sync::Arc;
use std::time::Duration;

use orch_core::client::{Client, ClientBuilder};
use orch_core::controller::Election;
use orch_core::testing::simulation::{Life, Setup, Simulation, World};

pub use machines::{Machine, Machines};
pub use normal::{normal, normal_of_states};
pub use oracles::{
    Availability, Bindings, Containers, Creations, Deletions, Deployments, Evictions, Generations, History,
    Leftovers, Peace, Removals, Replicas,
};

use crate::agent::{Agent, AgentConfig};
use crate::cluster::apply_manifest;
use crate::controllers::{Controllers, NamespaceLifecycle, ensure_namespaces};
use crate::manifest::{Manifest, ManifestKinds};
use crate::scheduling::Scheduling;

/// How long the start of a component waits before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Adds a whole cluster to a run: the components `controllers`, `scheduler` and an agent for each machine, clients that
/// know Kubernetes' kinds, the disasters of machines and containers, and the oracles that every cluster has to satisfy.
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use orch_cluster::testing::{Machines, add_cluster, apply, simulation};
///
/// let simulation = simulation("two-replicas", |run| {
///     add_cluster(run, &Machines::new(3));
///     run.scenario(|world| async move {
///         apply(&world, "
///             {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2,
///             selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}},
///             spec: {containers: [{name: web, image: web}]}}}}").await?;
///         world.until(|state| state.all::<Deployment>().iter().all(|deployment| {
///             deployment.status.as_ref().and_then(|status| status.available_replicas) == Some(2)
///         })).await;
///         Ok(())
///     });
/// });
/// let run = simulation.run(7);
/// assert_eq!(run.failure, None);
/// ```
pub fn add_cluster(run: &mut Setup, machines: &Machines) {
    run.component("controllers", controllers);
    disasters::of_component(run, "controllers");
    add_rest(run, machines);
}

/// As [`add_cluster`], with controllers in so many processes, `controllers-1` and so on, of which one leads.
pub fn add_cluster_with_leaders(run: &mut Setup, machines: &Machines, processes: usize) {
    for number in 1..=processes {
        let name = format!("controllers-{number}");
        disasters::of_component(run, &name);
        run.component(name, candidate);
    }
    add_rest(run, machines);
}

/// Everything but the controllers.
fn add_rest(run: &mut Setup, machines: &Machines) {
    run.client(|builder| {
        crate::kinds::kinds()
            .fold(builder, ClientBuilder::kind)
            .admission(NamespaceLifecycle)
            .build()
    });
    disasters::of_component(run, "scheduler");
    run.component("scheduler", |life| Scheduling::new(life.client()).run());
    for machine in machines.iter().cloned() {
        run.component(machine.name.clone(), move |life| agent(life, machine.clone()));
    }
    disasters::add(run, machines);
    run.oracle(Availability);
    run.oracle(Bindings::default());
    run.oracle(Containers::of(machines));
    run.oracle(Creations::default());
    run.oracle(Deletions::default());
    run.oracle(Deployments::default());
    run.oracle(Evictions::default());
    run.oracle(Generations::default());
    run.oracle(History);
    run.oracle(Peace::default());
    run.oracle(Removals::default());
    run.oracle(Replicas);
    run.oracle(Leftovers::of(machines));
}

/// A simulation whose end states are compared as those of clusters have to be; see [`normal`].
pub fn simulation(name: &str, build: impl Fn(&mut Setup) + Send + Sync + 'static) -> Simulation {
    Simulation::new(name, build)
        .normal(normal)
        // A node that is lost is given up after five minutes and forty seconds, a container that crashed is tried again
        // after five minutes at the latest.
        .quiet(Duration::from_secs(420))
        .deadline(Duration::from_secs(2 * 3600))
}

/// Applies a manifest as `kubectl apply` does.
///
/// # Errors
///
/// What is wrong with it, or what went wrong.
pub async fn apply(world: &World, manifest: &str) -> Result<(), String> {
    let client = world.client();
    ensure_namespaces(&client)
        .await
        .map_err(|error| error.to_string())?;
    let manifest = Manifest::read("scenario", manifest, &ManifestKinds::builtin());
    let manifest = manifest.map_err(|errors| errors.to_string())?;
    let applied = apply_manifest(&client, &manifest).await;
    applied.map(drop).map_err(|error| error.to_string())
}

async fn controllers(life: Life) {
    let client = life.client();
    namespaces(&client).await;
    let running = Controllers::new(&client).random(life.random()).start();
    std::future::pending::<()>().await;
    drop(running);
}

/// Controllers that run while their process leads.
async fn candidate(life: Life) {
    let client = life.client();
    namespaces(&client).await;
    let identity = format!("{} of life {}", life.name(), life.number());
    let election = Election::new("kube-system", "controllers", identity);
    let controllers = Controllers::new(&client).random(life.random());
    controllers.run_elected(election).await;
}

async fn namespaces(client: &Client) {
    while ensure_namespaces(client).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
}

async fn agent(life: Life, machine: Machine) {
    let mut config = AgentConfig::new(&*machine.name)
        .cluster_id("simulated")
        .capacity("cpu", "8")
        .capacity("memory", "16Gi");
    config.random = Some(life.random());
    let agent = Agent::start(life.client(), life.runtime(Arc::new(machine.runtime)), config);
    std::future::pending::<()>().await;
    drop(agent);
}
