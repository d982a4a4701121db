//! The main job of orch, in one program: a Kubernetes manifest in, running containers out, that heal and roll.
//!
//!     cargo run --release --example quickstart -- --help

#[macro_use]
pub(crate) mod say;
mod changes;
mod check;
mod clean;
mod data;
mod earlier;
mod events;
mod image;
mod job;
mod leftover;
mod manifest;
mod news;
mod options;
mod ours;
mod runtime;
mod serve;
mod steps;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod wait;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_core::store::Store;
use orch_store::RedbStore;
use tokio::signal::unix::{SignalKind, signal};

use earlier::Earlier;
use job::Job;
use leftover::Leftover;
use manifest::Source;
use options::{Command, Options, USAGE};
use say::Early;
use watch::Views;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the node looks whether its runtime answers. The kubelet's 10 s are long for who waits before a screen.
const NODE_LOOKS: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let result = match options::parse() {
        Ok(Command::Run(options)) => run(options).await,
        Ok(Command::Serve) => serve::serve().await,
        Ok(Command::Check) => serve::check().await,
        Ok(Command::Help) => say!("{USAGE}"),
        Err(error) => Err(format!("{error}\n\n{USAGE}").into()),
    };
    say::end(result)
}

async fn run(options: Options) -> Result<(), Error> {
    let mut source = Source::new(options.manifest.clone())?;
    // What cannot be read is refused before anything is made or asked.
    source.read("docker")?;
    let data = data::open(&options.data)?;
    source.put_ports_in(data::ports(&data));
    let state = data.join("state.redb");
    let began = Instant::now();
    // First, for it also keeps a second program out of the directory.
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(&state)?);
    let opened = began.elapsed();
    let to_start = (!options.clean).then_some(&source);
    let chosen = runtime::choose(options.runtime, to_start, &data).await?;
    let runtime = chosen.runtime;
    let mut said = say!("runtime: {} ({})", runtime.name(), chosen.why);
    let manifest = source.read(runtime.name())?;

    let earlier = Earlier::read(&store).await?;
    let leftover = Leftover::find(&*runtime, &store).await?;
    let began = Instant::now();
    let mut node = AgentConfig::new("local").volumes_dir(data.join("volumes"));
    node.node_status_interval = NODE_LOOKS;
    let cluster = Cluster::builder(store)
        .node_with(node, runtime.clone())
        .start()
        .await?;
    let took = opened + began.elapsed();
    said = said.and_then(|()| {
        let (took, state) = (job::millis(took), state.display());
        say!("cluster up in {took:.1} ms, state in {state}\n")
    });

    let views = Views::open(&cluster, &manifest).await;
    let job = Job {
        cluster: &cluster,
        views: &views,
        earlier: &earlier,
        leftover: &leftover,
        runtime: &*runtime,
        manifest: &manifest,
        options: &options,
    };
    let mut result = tokio::select! {
        result = async { said.and(job.run().await) } => result,
        asked = asked_to_end() => asked.and_then(|early| {
            say!("\nstopped")?;
            Err(early.into())
        }),
    };
    if !options.keep && result.as_ref().is_err_and(Early::is_closed) {
        // That something goes on could be told to nobody.
        result = clean::clean_quietly(&cluster, &views, &manifest)
            .await
            .and(result);
    }
    let left = clean::left(&cluster).await;
    drop(views);
    cluster.stop().await;
    if left? {
        let told = say!(
            "what runs goes on: started again with this --data it is taken over; with --clean, what the manifest made is \
             removed"
        );
        result = result.and(told);
    } else {
        runtime::forget(&data)?;
    }
    result
}

/// Waits for Ctrl-C, or for what a service manager says in its place.
async fn asked_to_end() -> Result<Early, Error> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| Early::Interrupted)?),
        _ = terminated.recv() => Ok(Early::Terminated),
    }
}
