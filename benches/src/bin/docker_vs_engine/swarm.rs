//! Docker Swarm, through its own command.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::{COMMAND, IMAGE, REPLICAS};

/// How long `docker service create` takes until all replicas run; none where the engine cannot be a swarm.
pub(crate) fn measure() -> Option<Duration> {
    if !docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]) {
        return None;
    }
    let replicas = REPLICAS.to_string();
    let began = Instant::now();
    // Without `--detach` it would watch the service for five seconds more once it has converged.
    let mut command = vec![
        "service",
        "create",
        "--quiet",
        "--name",
        "bench",
        "--replicas",
        &replicas,
    ];
    command.extend(["--no-resolve-image", "--detach", IMAGE]);
    command.extend(COMMAND);
    let created = docker(&command);
    while created && running() < REPLICAS {
        // Seldom enough that looking takes little of the processors that the swarm needs.
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = began.elapsed();
    docker(&["service", "rm", "bench"]);
    docker(&["swarm", "leave", "--force"]);
    created.then_some(took)
}

fn running() -> usize {
    let tasks = Command::new("docker")
        .args(["service", "ps", "bench", "--format", "{{.CurrentState}}"])
        .output()
        .expect("docker");
    let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
    tasks.lines().filter(|state| state.starts_with("Running")).count()
}

fn docker(arguments: &[&str]) -> bool {
    let output = Command::new("docker").args(arguments).output().expect("docker");
    output.status.success()
}
