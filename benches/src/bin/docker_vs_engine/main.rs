//! A Deployment of 50 replicas on a Docker engine, beside the engine's own calls for the same containers, and Swarm.
//!
//! `benches/docker.sh` brings up an engine and calls it. All three by turns, on the same engine, and everything is
//! removed between. A pod is two containers, one that holds its network and its own; the raw calls make both.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

mod ours;
mod raw;
mod swarm;

use orch_benches::{median, millis};

const REPLICAS: usize = 50;
const PARALLELISM: usize = 8;
const ROUNDS: usize = 3;
/// What the tests' image is called; see `scripts/engine`.
const IMAGE: &str = "orch-test/busybox:latest";
const COMMAND: [&str; 2] = ["sleep", "3600"];

#[tokio::main]
async fn main() {
    let docker = bollard::Docker::connect_with_defaults().expect("an engine");
    let (mut ours, mut raw, mut swarm, mut heal, mut start) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    // The first round warms up: images are laid out, and the sandbox's is made.
    for round in 0..=ROUNDS {
        let (ready, healed, settings) = ours::measure(&docker).await;
        let engine = raw::measure(&docker, &settings).await;
        let service = swarm::measure();
        let started = raw::one_start(&docker, &settings).await;
        if round > 0 {
            ours.push(ready);
            heal.extend(healed);
            raw.push(engine);
            swarm.extend(service);
            start.push(started);
        }
    }
    let (ours, raw) = (median(ours), median(raw));
    println!("{REPLICAS} replicas, {PARALLELISM} at once, median of {ROUNDS} rounds");
    println!("Deployment, applied to all Ready       {:>8.0} ms", millis(ours));
    println!(
        "the engine's calls, created to started {:>8.0} ms   the Deployment takes {:.2}x",
        millis(raw),
        ours.as_secs_f64() / raw.as_secs_f64()
    );
    if swarm.is_empty() {
        println!("Swarm: this engine cannot");
    } else {
        let swarm = median(swarm);
        println!(
            "docker service create, all running     {:>8.0} ms   the Deployment takes {:.2}x",
            millis(swarm),
            ours.as_secs_f64() / swarm.as_secs_f64()
        );
    }
    let (heal, start) = (median(heal), median(start));
    println!(
        "killed container Ready again           {:>8.0} ms   of which the engine needs {:.0} ms to make and start one",
        millis(heal),
        millis(start)
    );
}
