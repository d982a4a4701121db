//! What happens to machines and containers.

use std::sync::Arc;
use std::time::Duration;

use orch_core::random::Random;
use orch_core::runtime::ContainerId;
use orch_core::testing::simulation::{Setup, World};
use tokio::time::Instant;

use super::{Machine, Machines};

/// Adds them all.
pub(super) fn add(run: &mut Setup, machines: &Machines) {
    let all = machines.clone();
    run.disaster("machine-dies", 6.0, move |world, random| {
        dies(world, chosen(&all, &random), seconds(&random, 5, 600))
    });
    let all = machines.clone();
    run.disaster("machine-cut-off", 6.0, move |world, random| {
        let (machine, time) = (chosen(&all, &random), seconds(&random, 5, 500));
        async move {
            if let Some(machine) = machine {
                world.partition(&machine.name, time);
            }
        }
    });
    let all = machines.clone();
    run.disaster("machine-hangs", 6.0, move |world, random| {
        let (machine, time) = (chosen(&all, &random), seconds(&random, 1, 120));
        async move {
            if let Some(machine) = machine {
                world.freeze(&machine.name, time);
            }
        }
    });
    let all = machines.clone();
    run.disaster("engine-restarts", 6.0, move |_, random| {
        engine_restarts(chosen(&all, &random), seconds(&random, 1, 60))
    });
    let all = machines.clone();
    run.disaster("container-crashes", 30.0, move |_, random| {
        let container = container(&all, &random);
        async move {
            if let Some((machine, id)) = container {
                machine.runtime.kill(&id, 1);
            }
        }
    });
    let all = machines.clone();
    run.disaster("container-out-of-memory", 10.0, move |_, random| {
        let container = container(&all, &random);
        async move {
            if let Some((machine, id)) = container {
                machine.runtime.kill_out_of_memory(&id);
            }
        }
    });
    let all = machines.clone();
    run.disaster("container-not-ready", 20.0, move |_, random| {
        let (container, time) = (container(&all, &random), seconds(&random, 1, 300));
        let all = all.clone();
        async move {
            if let Some((_, id)) = container {
                all.sicken(&id, Instant::now() + time);
                // The storm is not over before it has recovered.
                tokio::time::sleep(time).await;
            }
        }
    });
    run.disaster("clock-jumps", 2.0, |world, random| {
        let by = jiff::SignedDuration::from_secs(random.below(1800).cast_signed() - 900);
        async move { world.jump_clock(by) }
    });
}

/// A component that is no machine is cut off from the store, or hangs: a leader loses its lease then.
pub(super) fn of_component(run: &mut Setup, component: &str) {
    let name: Arc<str> = component.into();
    run.disaster(format!("{component}-cut-off"), 3.0, move |world, random| {
        let (name, time) = (name.clone(), seconds(&random, 1, 60));
        async move { world.partition(&name, time) }
    });
    let name: Arc<str> = component.into();
    run.disaster(format!("{component}-hangs"), 3.0, move |world, random| {
        let (name, time) = (name.clone(), seconds(&random, 1, 60));
        async move { world.freeze(&name, time) }
    });
}

fn seconds(random: &Random, least: u64, most: u64) -> Duration {
    Duration::from_secs(least + random.below(most - least + 1))
}

fn pick<T>(random: &Random, of: &[T]) -> Option<usize> {
    let count = u64::try_from(of.len()).unwrap_or(u64::MAX);
    let index = usize::try_from(random.below(count)).unwrap_or(0);
    (index < of.len()).then_some(index)
}

fn chosen(machines: &Machines, random: &Random) -> Option<Machine> {
    let machines: Vec<_> = machines.iter().collect();
    pick(random, &machines).map(|index| machines[index].clone())
}

/// Some container that runs somewhere.
fn container(machines: &Machines, random: &Random) -> Option<(Machine, ContainerId)> {
    let mut running: Vec<(Machine, ContainerId)> = Vec::new();
    for machine in machines.iter() {
        let containers = machine.runtime.running().into_iter();
        running.extend(containers.map(|container| (machine.clone(), container.id)));
    }
    pick(random, &running).map(|index| running.swap_remove(index))
}

/// The machine loses power, and is back after `time`.
async fn dies(world: World, machine: Option<Machine>, time: Duration) {
    let Some(machine) = machine else { return };
    machine.runtime.crash_machine();
    world.take_down(&machine.name, time);
    // The engine is back a little before the agent.
    tokio::time::sleep(time.saturating_sub(Duration::from_secs(1))).await;
    machine.runtime.restart_engine();
}

/// The engine stops answering; its containers run on.
async fn engine_restarts(machine: Option<Machine>, time: Duration) {
    let Some(machine) = machine else { return };
    machine.runtime.crash_engine();
    tokio::time::sleep(time).await;
    machine.runtime.restart_engine();
}
