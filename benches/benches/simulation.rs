//! How many minutes of a cluster's life are simulated in a second on one core.

#![allow(clippy::print_stdout, reason = "it prints its measurement")]

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use orch_cluster::testing::{Machines, add_cluster, apply, simulation};
use orch_core::testing::simulation::{Rates, Simulation};
use serde_json::json;

/// As in the tests of orch-cluster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: i32 = 100;

/// Ten nodes and a hundred pods, each probed every ten seconds, for half an hour.
fn cluster(rates: Rates) -> Simulation {
    simulation("cluster", |run| {
        add_cluster(run, &Machines::new(10));
        run.scenario(|world| async move {
            let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": PODS, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web",
                    "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}},
                    "readinessProbe": {"exec": {"command": ["true"]}}}]}}}});
            apply(&world, &web.to_string()).await?;
            world
                .until(|state| {
                    state.all::<Deployment>().iter().any(|deployment| {
                        let status = deployment.status.as_ref();
                        status.and_then(|status| status.available_replicas) == Some(PODS)
                    })
                })
                .await;
            Ok(())
        });
    })
    .rates(rates)
    .storm(Duration::from_secs(1800))
}

fn main() {
    for (name, rates) in [
        ("no faults of calls", Rates::none()),
        ("a tenth of a storm", Rates::storm().times(0.1)),
        ("a storm", Rates::storm()),
    ] {
        let began = Instant::now();
        let mut lived = Duration::ZERO;
        let mut strikes = 0;
        let rounds = 3;
        for seed in 0..rounds {
            let run = cluster(rates.clone()).run(seed);
            assert_eq!(run.failure, None);
            lived += run.lasted;
            strikes += run.strikes.len();
        }
        let took = began.elapsed();
        println!(
            "{name}: {:.0} minutes of a cluster's life in a second ({rounds} runs of {:.0} minutes, {strikes} strikes)",
            lived.as_secs_f64() / 60.0 / took.as_secs_f64(),
            lived.as_secs_f64() / 60.0 / rounds as f64,
        );
    }
}
