//! What the runtime costs on top of the engine: 50 pods by raw calls and by the runtime, in turns.
//!
//! `cargo test -p orch-runtime-docker --test cost -- --ignored --nocapture`
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

mod common;

use std::time::{Duration, Instant};

use common::{BUSYBOX, Scope, clean, shell};
use futures::{StreamExt, stream};
use orch_core::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const PODS: usize = 50;
const AT_ONCE: usize = 8;
const ROUNDS: usize = 3;

async fn post(path: &str, body: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect("/var/run/docker.sock")
        .await
        .expect("an engine");
    let request = format!(
        "POST /v1.41{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("writing");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reading");
    assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body.trim()).unwrap_or_default()
}

async fn raw_container(scope: &str, body: serde_json::Value) -> String {
    let mut body = body;
    body["Labels"] = serde_json::json!({ "orch.scope": scope });
    let made = post("/containers/create", &body.to_string()).await;
    let id = made["Id"].as_str().expect("an id").to_owned();
    post(&format!("/containers/{id}/start"), "").await;
    id
}

/// The same two containers that the runtime makes of a pod.
async fn raw_pod(scope: &str) {
    let sandbox = serde_json::json!({
        "Image": "orch/pause:1",
        "HostConfig": { "NetworkMode": "bridge", "IpcMode": "shareable", "ReadonlyRootfs": true, "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"], "LogConfig": { "Type": "none" } },
    });
    let sandbox = raw_container(scope, sandbox).await;
    let joined = format!("container:{sandbox}");
    let main = serde_json::json!({
        "Image": BUSYBOX, "Entrypoint": ["sh", "-c", "sleep 1000"],
        "HostConfig": { "NetworkMode": joined, "IpcMode": joined },
    });
    raw_container(scope, main).await;
}

async fn raw_plain(scope: &str) {
    let main = serde_json::json!({ "Image": BUSYBOX, "Entrypoint": ["sh", "-c", "sleep 1000"] });
    raw_container(scope, main).await;
}

async fn our_pod(scope: &Scope, runtime: &dyn Runtime, number: usize) {
    let sandbox = runtime
        .run_sandbox(&scope.pod(&format!("web-{number}")))
        .await
        .expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
}

async fn timed<F: Future<Output = ()>>(pod: impl Fn(usize) -> F) -> Duration {
    let begun = Instant::now();
    stream::iter(0..PODS).for_each_concurrent(AT_ONCE, pod).await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures rather than tests"]
async fn pods_by_raw_calls_and_by_the_runtime() {
    let warm = Scope::new().expect("an engine");
    our_pod(&warm, &warm.runtime(), 0).await;
    drop(warm);
    for round in 0..ROUNDS {
        let mut times = [Duration::ZERO; 3];
        // In another order each round: an engine slows down as it goes.
        for turn in 0..3 {
            let which = (turn + round) % 3;
            let scope = Scope::new().expect("an engine");
            times[which] = match which {
                0 => timed(|_| raw_plain(&scope.name)).await,
                1 => timed(|_| raw_pod(&scope.name)).await,
                _ => {
                    let runtime = scope.runtime();
                    let time = timed(|number| our_pod(&scope, &runtime, number)).await;
                    clean(&runtime).await;
                    time
                }
            };
        }
        let [plain, raw, ours] = times.map(|time| time.as_secs_f64());
        println!(
            "{PODS} pods, {AT_ONCE} at once: raw container {plain:.2} s, raw sandbox and container {raw:.2} s, runtime \
             {ours:.2} s, ratio {:.3}",
            ours / raw
        );
    }
}
