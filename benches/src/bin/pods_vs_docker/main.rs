//! Pods from bind to Ready, each on a network of its own: the OCI runtime with a bridge beside a Docker engine with its
//! own.
//!
//! `benches/pods.sh` makes what it needs and calls it with a directory, in which `image.tar` is the image that the engine
//! has too. Each side is as a user has it: a cluster on an in-memory store with a scheduler and a node agent, in this
//! process; a pod is a container that sleeps, and its image is there. One after the other by turns, then many at once.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

mod calls;
mod side;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orch_benches::{median, millis};
use orch_core::runtime::Runtime;
use orch_podnet::{Bridge, BridgeOptions};
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use orch_runtime_oci::{OciOptions, OciRuntime};

use side::{Side, Taken};

/// What the tests' image is called; see `scripts/engine`.
const IMAGE: &str = "orch-test/busybox:latest";
/// One after the other, of each; an engine is that much slower.
const ROUNDS: usize = 60;
const OF_ENGINE: usize = 20;
/// At once, and how many times.
const MANY: usize = 50;
const TIMES: usize = 5;
const OF_ENGINE_TIMES: usize = 3;

fn main() {
    orch_runtime_oci::init();
    let dir = std::env::args_os().nth(1);
    let dir = PathBuf::from(dir.expect("a directory; see benches/pods.sh"));
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    tokio.block_on(measure(&dir));
}

async fn measure(dir: &Path) {
    let options = BridgeOptions::new(dir.join("network")).name("orchbench");
    let bridge = Bridge::open(options).await.expect("a bridge");
    let options = OciOptions::new(dir.join("oci"))
        .cgroup_parent("orch-bench")
        .network(Arc::new(bridge.clone()));
    let oci = OciRuntime::open(options).await.expect("the OCI runtime");
    let images = oci.image_store();
    let imported = images.import(&dir.join("image.tar"), Some(IMAGE)).await;
    imported.expect("the image");
    let oci = Arc::new(oci);
    let docker = docker().await;

    let ours = Side::start(oci.clone()).await;
    let theirs = match &docker {
        Some(docker) => Some(Side::start(docker.clone()).await),
        None => None,
    };
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let taken = ours.run(&format!("one-{round}"), 1).await;
        // The first of each warms up.
        of_ours.extend(Some(taken).filter(|_| round > 0));
        if let Some(theirs) = theirs.as_ref().filter(|_| round <= OF_ENGINE) {
            let taken = theirs.run(&format!("one-{round}"), 1).await;
            of_theirs.extend(Some(taken).filter(|_| round > 0));
        }
    }
    show("one after the other", of_ours, of_theirs);

    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        of_ours.push(ours.run(&format!("many-{time}"), MANY).await);
        if let Some(theirs) = theirs.as_ref().filter(|_| time < OF_ENGINE_TIMES) {
            of_theirs.push(theirs.run(&format!("many-{time}"), MANY).await);
        }
    }
    show(&format!("{MANY} at once"), of_ours, of_theirs);

    ours.stop().await;
    if let Some(theirs) = theirs {
        theirs.stop().await;
    }
    calls::measure(&*oci, ROUNDS).await;
    drop(oci);
    bridge.remove().await.expect("no pod is left");
}

async fn docker() -> Option<Arc<DockerRuntime>> {
    let docker = DockerRuntime::new(DockerOptions::default().scope("orch-bench")).expect("options");
    let status = docker.status().await;
    if let Some(why) = status.message.filter(|_| !status.ready) {
        println!("no Docker engine: {why}");
        return None;
    }
    Some(Arc::new(docker))
}

/// The medians of both, and how they compare.
fn show(what: &str, ours: Vec<Taken>, theirs: Vec<Taken>) {
    let medians = |all: &[Taken]| {
        let of = |time: fn(&Taken) -> Duration| median(all.iter().map(time).collect());
        (of(|taken| taken.bound), of(|taken| taken.created))
    };
    let show = |name: &str, count: usize, (bound, created): (Duration, Duration)| {
        println!(
            "{what:<20} {name:<7} bound to Ready {:>8.1} ms, created to Ready {:>8.1} ms (medians of {count})",
            millis(bound),
            millis(created)
        );
    };
    let own = medians(&ours);
    show("oci", ours.len(), own);
    if !theirs.is_empty() {
        let other = medians(&theirs);
        show("docker", theirs.len(), other);
        let ratio = other.0.as_secs_f64() / own.0.as_secs_f64();
        println!("{what:<20} the OCI runtime is {ratio:.1} times as fast from bind to Ready");
    }
}
