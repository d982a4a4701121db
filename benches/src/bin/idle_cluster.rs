//! What a cluster costs that has nothing to do: process runtime, redb, one Deployment that is ready.
//!
//! Starts itself as another program would be, and looks at it from outside: how long after exec it is ready to take
//! manifests, how much memory is resident, and how much processor time it takes while idle.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use orch_benches::status_of;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::cache::Cache;
use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{Runtime, SandboxFilter};
use orch_store::RedbStore;

const CHILD: &str = "--cluster-in";
const ROUNDS: usize = 5;
const IDLE: Duration = Duration::from_secs(30);

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle}
spec:
  replicas: 1
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: host, command: [sleep, "3600"]}
"#;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some(CHILD), Some(directory)) => cluster(&directory),
        _ => measure(),
    }
}

fn measure() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = std::env::current_exe().expect("this program");
    let mut ready = Vec::new();
    for round in 0..ROUNDS {
        let began = Instant::now();
        let mut child = Command::new(&program)
            .args([CHILD, directory.path().to_str().expect("a path in UTF-8")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().expect("it goes on").expect("text");
        assert_eq!(next(), "ready");
        ready.push(began.elapsed());
        assert_eq!(next(), "deployed");
        if round + 1 == ROUNDS {
            let pid = child.id().to_string();
            std::thread::sleep(Duration::from_secs(3));
            let before = processor_time(&pid);
            std::thread::sleep(IDLE);
            let spent = processor_time(&pid) - before;
            println!(
                "resident, idle                {:>8.1} MiB",
                status_of(&pid, "VmRSS") as f64 / 1024.0
            );
            println!(
                "  of it pages of files        {:>8.1} MiB (the program and libc)",
                status_of(&pid, "RssFile") as f64 / 1024.0
            );
            println!(
                "processor time in {IDLE:?} idle  {:>8.1} ms",
                spent.as_secs_f64() * 1e3
            );
        }
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }
    clean(directory.path());
    println!(
        "exec to ready, first round    {:>8.1} ms (a new file)",
        ready[0].as_secs_f64() * 1e3
    );
    ready.sort();
    println!(
        "exec to ready, median of {ROUNDS}    {:>8.1} ms",
        ready[ROUNDS / 2].as_secs_f64() * 1e3
    );
}

/// The container outlives the cluster, as it should.
#[tokio::main(flavor = "current_thread")]
async fn clean(directory: &Path) {
    let runtime = ProcessRuntime::open(directory.join("processes"))
        .await
        .expect("a runtime");
    for sandbox in runtime
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("a list")
    {
        runtime.remove_sandbox(&sandbox.id).await.expect("removed");
    }
}

/// Processor time that the threads of a process have had, as the scheduler counts it.
fn processor_time(pid: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let nanos = threads.map(|thread| {
        let stat = thread.expect("a thread").path().join("schedstat");
        let stat = std::fs::read_to_string(stat).expect("its times");
        let ran = stat.split(' ').next().expect("the first field");
        ran.parse::<u64>().expect("a number")
    });
    Duration::from_nanos(nanos.sum())
}

/// The program that is measured: it runs until its input ends.
#[tokio::main]
async fn cluster(directory: &str) {
    let store = RedbStore::open(format!("{directory}/state.redb")).expect("a store");
    let runtime = ProcessRuntime::open(format!("{directory}/processes"))
        .await
        .expect("a runtime");
    let cluster = Cluster::builder(Arc::new(store))
        .node("local", Arc::new(runtime))
        .start();
    let cluster = cluster.await.expect("a cluster");
    println!("ready");
    let manifest = Manifest::read("idle.yaml", MANIFEST, &ManifestKinds::builtin()).expect("a manifest");
    cluster.apply(&manifest).await.expect("applied");
    let (ready, mut is_ready) = tokio::sync::watch::channel(false);
    let view: Cache<Deployment> = Cache::builder(cluster.client()).start();
    let _watching = view.on_change(move |change| {
        let status = change.new.and_then(|deployment| deployment.status.as_ref());
        ready.send_replace(status.and_then(|status| status.ready_replicas) == Some(1));
    });
    is_ready.wait_for(|ready| *ready).await.expect("watched");
    drop(view);
    println!("deployed");
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    let _ = end.await;
    cluster.stop().await;
}
