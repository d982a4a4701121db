//! What node agents cost: 1,000 of them on fake runtimes, a pod each, from the first pod's creation to all Ready.

#![expect(clippy::print_stdout, reason = "what it measures is what it prints")]

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::{Agent, AgentConfig};
use orch_cluster::kinds::kinds;
use orch_core::cache::Cache;
use orch_core::client::{Client, ClientBuilder};
use orch_core::store::MemoryStore;
use orch_core::testing::fake_runtime::FakeRuntime;
use tokio::sync::watch;

const NODES: usize = 1_000;

#[tokio::main]
async fn main() {
    let client = kinds()
        .fold(Client::builder(Arc::new(MemoryStore::new())), ClientBuilder::kind)
        .build();
    let runtime = FakeRuntime::new();
    let begun = Instant::now();
    let agents: Vec<_> = (0..NODES)
        .map(|node| {
            let config = AgentConfig::new(format!("n{node}"))
                .capacity("cpu", "4")
                .capacity("memory", "8Gi");
            Agent::start(client.clone(), Arc::new(runtime.sibling()), config)
        })
        .collect();
    for agent in &agents {
        agent.ready().await;
    }
    println!("{NODES} agents started in {:?}", begun.elapsed());
    let pods = Cache::<Pod>::builder(&client).start();
    pods.synced().await;
    let (ready, mut all) = watch::channel((0, 0));
    let _counting = pods.on_change(move |change| {
        let is_ready = change.new.is_some_and(|pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        ready.send_modify(|(ready, changes)| {
            *ready += usize::from(is_ready);
            *changes += 1;
        });
    });
    for round in 0..5 {
        // Load from starting up, and from the events of the last round, is not this round's.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let before = *all.borrow();
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        for node in 0..NODES {
            let pod = format!(
                r#"{{"metadata": {{"name": "p{round}-{node}", "namespace": "default"}},
                    "spec": {{"nodeName": "n{node}", "containers": [{{"name": "c", "image": "web:1"}}]}}}}"#
            );
            let pod: Pod = serde_json::from_str(&pod).expect("a pod");
            client
                .api::<Pod>("default")
                .create(&pod)
                .await
                .expect("it is created");
        }
        let created = begun.elapsed();
        let (ready, changes) = *all
            .wait_for(|(ready, _)| *ready >= before.0 + NODES)
            .await
            .expect("the cache lives");
        println!(
            "round {round}: created {created:?}, all Ready {:?}, cpu {:.0} ms, {} pods ready, {:.2} writes a pod",
            begun.elapsed(),
            (cpu_seconds() - cpu) * 1e3,
            ready - before.0,
            (changes - before.1) as f64 / NODES as f64,
        );
    }
}

/// Processor time this process has used, from the kernel's count in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
