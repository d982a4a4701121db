//! Everything that orch-cluster is made of, run in simulated clusters in which things go wrong.

mod owners;
mod pods;
mod rivals;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use orch_cluster::testing::{Machines, add_cluster, add_cluster_with_leaders, apply, simulation};
use orch_core::client::{DeleteParams, Patch, Propagation};
use orch_core::testing::fake_runtime::ImageBehavior;
use orch_core::testing::simulation::{Fault, Rates, Setup, Simulation, State, World};
use orch_store::{RedbStoreOptions, SimulatedDisk};
use owners::{chain, reborn};
use pods::{bare, doubt, tight};
use rivals::{deposed, stalled, tally};
use serde_json::json;
use wishes::states;

/// A third of a simulation's time goes to the allocator if it is glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many seeds each scenario is run with; more with `ORCH_SIM_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("ORCH_SIM_SEEDS").ok();
    0..asked.map_or(5, |seeds| seeds.parse().expect("ORCH_SIM_SEEDS is a number"))
}

/// Whether `ORCH_SIM` asks for a run of this simulation.
fn is_asked(simulation: &str) -> bool {
    let line = std::env::var("ORCH_SIM").unwrap_or_default();
    line.split_whitespace().next() == Some(&*simulation.replace('_', "-"))
}

fn web(namespace: &str, replicas: i32, image: &str) -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image,
            "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}},
            "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5}}]}}}})
    .to_string()
}

/// Whether the Deployment `web` is done: so many pods, all of this image, all available.
fn is_rolled_out(state: &State, replicas: i32, image: &str) -> bool {
    state.all::<Deployment>().iter().any(|deployment| {
        let spec = &deployment.spec;
        let Some(status) = &deployment.status else {
            return false;
        };
        let containers = spec.template.spec.iter().flat_map(|spec| &spec.containers);
        containers
            .filter_map(|container| container.image.as_deref())
            .eq([image])
            && status.observed_generation == deployment.metadata.generation
            && status.replicas.unwrap_or(0) == replicas
            && status.updated_replicas.unwrap_or(0) == replicas
            && status.available_replicas.unwrap_or(0) == replicas
    })
}

fn is_available(pod: &Arc<Pod>) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

/// Whether a node is ready, and no longer kept free of pods.
fn is_ready(state: &State, node: &str) -> bool {
    let is_it = |known: &&Arc<Node>| known.metadata.name.as_deref() == Some(node);
    let nodes = state.all::<Node>();
    let status = nodes.iter().find(is_it).filter(|node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints.is_none_or(Vec::is_empty)
    });
    let conditions = status.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

async fn rolled_out(world: &World, replicas: i32, image: &str) {
    world.until(|state| is_rolled_out(state, replicas, image)).await;
    world.note(format!("{replicas} replicas of {image} are there"));
}

/// Machines on which images are not there at first; of one the first pulls fail.
fn without_images(count: usize) -> Machines {
    let machines = Machines::new(count);
    let pulled = || ImageBehavior::absent().pull_delay(Duration::from_secs(2));
    machines.scripts().on_image("web:1", pulled());
    let fails = pulled().pull_fails(2, "the registry is away", true);
    machines.scripts().on_image("web:2", fails);
    machines
}

fn scenario<F>(
    name: &str,
    machines: fn() -> Machines,
    scenario: impl Fn(World) -> F + Copy + Send + Sync + 'static,
) -> Simulation
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    simulation(name, move |run: &mut Setup| {
        add_cluster(run, &machines());
        run.scenario(scenario);
    })
    .rates(Rates::storm())
    .storm(Duration::from_secs(300))
}

/// A Deployment is made, rolled to another image, and back.
fn roll() -> Simulation {
    scenario("roll", || Machines::new(3), roll_forth_and_back)
}

async fn roll_forth_and_back(world: World) -> Result<(), String> {
    for image in ["web:1", "web:2", "web:1"] {
        apply(&world, &web("default", 3, image)).await?;
        rolled_out(&world, 3, image).await;
    }
    Ok(())
}

/// The same on a redb store whose disk loses its power now and then: what it acknowledged it must have kept.
fn power() -> Simulation {
    simulation("power", |run| {
        // A small journal, so that many power cuts come while its commits are brought into the file.
        let options = RedbStoreOptions::new().journal_bytes(64 << 10);
        run.store(move |seed| SimulatedDisk::new(seed).options(options.clone()));
        run.disaster("power-cut", 40.0, |world, random| async move {
            world.power_cut(&random).await;
        });
        add_cluster(run, &Machines::new(3));
        run.scenario(roll_forth_and_back);
    })
    .storm(Duration::from_secs(300))
}

/// A Deployment is scaled up, down to nothing, and up.
fn scale() -> Simulation {
    scenario(
        "scale",
        || without_images(3),
        |world| async move {
            for replicas in [2, 6, 0, 3] {
                apply(&world, &web("default", replicas, "web:1")).await?;
                rolled_out(&world, replicas, "web:1").await;
            }
            Ok(())
        },
    )
}

/// A machine dies for good enough that its pods are given up, and comes back.
fn node_loss() -> Simulation {
    simulation("node-loss", |run| {
        let machines = Machines::new(3);
        add_cluster(run, &machines);
        run.scenario(move |world| {
            let machines = machines.clone();
            async move {
                apply(&world, &web("default", 4, "web:1")).await?;
                rolled_out(&world, 4, "web:1").await;
                let lost = machines.named("node-1").ok_or("there is no node-1")?;
                lost.runtime.crash_machine();
                // Its pods are given up after forty seconds and five minutes.
                world.take_down("node-1", Duration::from_secs(420));
                tokio::time::sleep(Duration::from_secs(390)).await;
                rolled_out(&world, 4, "web:1").await;
                lost.runtime.restart_engine();
                world.until(|state| is_ready(state, "node-1")).await;
                Ok(())
            }
        });
    })
    .storm(Duration::from_secs(300))
}

/// A namespace is deleted with all that is in it.
fn namespace() -> Simulation {
    scenario(
        "namespace",
        || Machines::new(3),
        |world| async move {
            apply(
                &world,
                "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
            )
            .await?;
            apply(&world, &web("shop", 3, "web:1")).await?;
            apply(
                &world,
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: config, namespace: shop}}",
            )
            .await?;
            rolled_out(&world, 3, "web:1").await;
            let namespaces = world.client().all::<Namespace>();
            let deleted = namespaces.delete("shop", &DeleteParams::default()).await;
            deleted.map_err(|error| error.to_string())?;
            let is_gone = |state: &State| {
                let named = |namespace: &Arc<Namespace>| namespace.metadata.name.as_deref() == Some("shop");
                !state.all::<Namespace>().iter().any(named)
            };
            world.until(is_gone).await;
            Ok(())
        },
    )
}

/// Owners are deleted: in the background, in the foreground, and leaving what they own.
fn garbage() -> Simulation {
    scenario(
        "garbage",
        || Machines::new(2),
        |world| async move {
            let deployments = world.client().api::<Deployment>("default");
            let ways = [
                (Propagation::Background, 0),
                (Propagation::Foreground, 0),
                (Propagation::Orphan, 1),
            ];
            for (way, left) in ways {
                apply(&world, &web("default", 2, "web:1")).await?;
                rolled_out(&world, 2, "web:1").await;
                let params = DeleteParams::default().propagation(way);
                deployments
                    .delete("web", &params)
                    .await
                    .map_err(|error| error.to_string())?;
                world
                    .until(|state| {
                        state.all::<Deployment>().is_empty()
                            && state.all::<ReplicaSet>().len() == left
                            && state.all::<Pod>().len() == left * 2
                    })
                    .await;
            }
            Ok(())
        },
    )
}

/// Pods are evicted from a node that is cordoned, by a taint.
fn drain() -> Simulation {
    scenario(
        "drain",
        || Machines::new(3),
        |world| async move {
            apply(&world, &web("default", 4, "web:1")).await?;
            rolled_out(&world, 4, "web:1").await;
            let is_there = |node: &Arc<Node>| node.metadata.name.as_deref() == Some("node-2");
            world
                .until(|state| state.all::<Node>().iter().any(is_there))
                .await;
            let nodes = world.client().all::<Node>();
            let taint = json!({"spec": {"unschedulable": true,
            "taints": [{"key": "maintenance", "effect": "NoExecute"}]}});
            let patched = nodes.patch("node-2", &Patch::Merge(taint)).await;
            patched.map_err(|error| error.to_string())?;
            world
                .until(|state| {
                    let on_it = |pod: &Arc<Pod>| {
                        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some("node-2")
                    };
                    let pods = state.all::<Pod>();
                    // Until it is told that they left, the Deployment's status is as it was.
                    !pods.iter().any(on_it) && pods.len() == 4 && pods.iter().all(is_available)
                })
                .await;
            rolled_out(&world, 4, "web:1").await;
            Ok(())
        },
    )
}

/// A roll while three processes take turns at leading.
fn leaders() -> Simulation {
    simulation("leaders", |run| {
        add_cluster_with_leaders(run, &Machines::new(2), 3);
        run.scenario(|world| async move {
            for image in ["web:1", "web:2"] {
                apply(&world, &web("default", 3, image)).await?;
                rolled_out(&world, 3, image).await;
            }
            Ok(())
        });
    })
    .storm(Duration::from_secs(300))
}

/// A roll and a change of size where all machines are well, but writes fail and watches break off: all that must be done is
/// to try again, and soon.
fn errands() -> Simulation {
    let rates = Rates::none()
        .of(Fault::Conflicts, 0.05)
        .of(Fault::Ends, 0.02)
        .of(Fault::Fails, 0.05)
        .of(Fault::Skips, 0.02)
        .of(Fault::Unanswered, 0.05);
    let simulation = scenario(
        "errands",
        || Machines::new(2),
        |world| async move {
            for (replicas, image) in [(3, "web:1"), (3, "web:2"), (1, "web:2"), (4, "web:2")] {
                apply(&world, &web("default", replicas, image)).await?;
                rolled_out(&world, replicas, image).await;
            }
            Ok(())
        },
    );
    promptly(simulation.rates(rates).storm(Duration::ZERO))
}

/// How long nothing may change for a run of a sweep to count as settled. One fault keeps nothing waiting for long: who died
/// is back in a second, the latest of changes comes after twenty, and who failed once soon tries again.
///
/// What comes only when nothing has changed for longer, a sweep does not see: the eviction, five minutes later, of pods whose node
/// somebody wrongly took for lost, say, or what happens when an agent writes a status that it had long not looked at. Runs by
/// chance rest for seven minutes, and see it.
const CALM: Duration = Duration::from_secs(60);

/// How much later than without them a run whose machines are well may be where it is to be: who waits for longer has forgotten
/// what was to be done, and found it again by luck.
const LATE: Duration = Duration::from_secs(300);

/// The simulation as it is swept: soon at rest, and not much later than when nothing goes wrong. What fails for that reason
/// fails so only here: the test of the sweep is the one to run it again.
fn promptly(simulation: Simulation) -> Simulation {
    let simulation = simulation.quiet(CALM);
    let calm = simulation.run_calm(0).lasted;
    simulation.deadline(calm + LATE)
}

/// The tests of a scenario in which things go wrong by chance.
macro_rules! by_chance {
    ($name:ident) => {
        #[test]
        fn a_run_can_be_had_again_to_the_byte() {
            if super::seeds().is_empty() {
                println!("skipped: ORCH_SIM_SEEDS is 0");
            }
            for seed in super::seeds().take(3) {
                super::$name()
                    .repeats(seed)
                    .unwrap_or_else(|difference| panic!("{difference}"));
            }
        }

        #[test]
        fn survives_what_chance_brings() {
            let mut seeds = super::seeds();
            if seeds.is_empty() {
                if !super::is_asked(stringify!($name)) {
                    println!("skipped: ORCH_SIM_SEEDS is 0");
                    return;
                }
                // One run is asked for all the same.
                seeds = 0..1;
            }
            let passed = super::$name().seeds(seeds);
            println!(
                "{}: {}",
                stringify!($name),
                passed.unwrap_or_else(|failure| panic!("{failure}"))
            );
        }
    };
}

macro_rules! scenarios {
    ($($name:ident),*) => {$(
        mod $name {
            by_chance!($name);

            #[test]
            #[ignore = "takes minutes; scripts/simulate"]
            fn survives_each_fault_at_each_place() {
                let passed = super::promptly(super::$name()).sweep();
                println!("{}: {}", stringify!($name), passed.unwrap_or_else(|failure| panic!("{failure}")));
            }
        }
    )*};
}

scenarios!(
    roll, scale, node_loss, namespace, garbage, drain, leaders, errands, bare, tight, doubt, chain, reborn
);

/// All its states one after the other have so many places that none would wait for them; `each_is_reached_from_every_other`
/// goes to all of them.
mod states {
    by_chance!(states);
}

/// Where leaders' writes come late, chance says: a sweep has none that do.
mod deposed {
    by_chance!(deposed);
}

/// In a sweep no view is as far behind as here.
mod stalled {
    by_chance!(stalled);
}

mod tally {
    by_chance!(tally);
}

/// What it adds to the roll, power cuts, chance brings.
mod power {
    by_chance!(power);
}
