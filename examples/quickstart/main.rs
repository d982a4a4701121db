//! The main job of orch, in one program: a Kubernetes manifest in, running containers out, that heal and roll.
//!
//!     cargo run --release --example quickstart -- --help

#[macro_use]
pub(crate) mod say;
mod changes;
mod check;
mod clean;
mod deadline;
mod earlier;
mod events;
mod image;
mod job;
mod last_words;
mod left;
mod leftover;
mod manifest;
mod news;
mod nowhere;
mod options;
mod ours;
mod owner;
mod runtime;
mod serve;
mod signals;
mod state;
mod steps;
mod stored;
mod surge;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod wait;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::Manifest;
use orch_core::runtime::Runtime;
use orch_core::store::Store;
use orch_examples::network::Network;
use orch_examples::{Error, data, empty};
use orch_store::RedbStore;

use deadline::Deadline;
use earlier::Earlier;
use job::Job;
use left::Left;
use leftover::Leftover;
use manifest::Source;
use options::{Command, Options, USAGE};
use say::Early;
use signals::Signals;
use watch::Views;

/// How often the node looks whether its runtime answers. The kubelet's 10 s are long for who waits before a screen.
const NODE_LOOKS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Containers that no engine holds are held by this very program, started again: nothing may come before.
    #[cfg(feature = "oci")]
    orch_runtime_oci::init();
    match tokio::runtime::Runtime::new() {
        Ok(tokio) => tokio.block_on(begin()),
        Err(error) => say::end(Err(error.into())),
    }
}

async fn begin() -> ExitCode {
    let result = match options::parse() {
        Ok(Command::Run(options)) => run(options).await,
        Ok(Command::Serve) => serve::serve().await,
        Ok(Command::Check) => serve::check().await,
        Ok(Command::Help) => say!("{USAGE}"),
        Err(error) => return say::misused(&error),
    };
    say::end(result)
}

async fn run(options: Options) -> Result<(), Error> {
    let mut source = Source::new(options.manifest.clone())?;
    // Whoever types the manifest takes the time that takes.
    let deadline = Deadline::after(options.timeout);
    // What cannot be read is refused before anything is made or asked.
    source.read("docker")?;
    let data = data::open(&options.data)?;
    source.put_ports_in(runtime::ports(&data));
    let state = data.join("state.redb");
    let began = Instant::now();
    // Before all else, for it says which program has the directory already.
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(&state)?);
    let opened = began.elapsed();
    let _held = data::hold(&data).await?;
    let to_start = (!options.clean).then_some(&source);
    let choosing = runtime::choose(options.runtime, to_start, &data);
    let chosen = deadline.bound("a runtime with the images", choosing).await?;
    let runtime = chosen.runtime;
    let mut said = say!("runtime: {} ({})", runtime.name(), chosen.why);
    if let Some(network) = &chosen.network {
        said = said.and_then(|()| say!("network: {}", network.told()));
    }
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
        say!("cluster up in {took:.1} ms, state in {state}\n")?;
        for warning in chosen.others.warnings() {
            say!("warning: {warning}")?;
        }
        Ok(())
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
        deadline,
    };
    let mut signals = Signals::new()?;
    let mut result = tokio::select! {
        result = async { said.and(job.run().await) } => result,
        early = signals.asked() => say!("\nstopped").and(Err(early.into())),
    };
    if !options.keep && result.as_ref().is_err_and(Early::is_closed) {
        // That something goes on could be told to nobody.
        result = tokio::select! {
            cleaned = clean::clean_quietly(&cluster, &views, &manifest) => cleaned.and(result),
            early = signals.asked() => Err(early.into()),
        };
    }
    drop(views);
    tokio::select! {
        left = stop(cluster, &*runtime, &manifest, &options, chosen.network) => result.and(left),
        // Asked twice, it waits for nothing.
        early = signals.asked() => Err(early.into()),
    }
}

/// Stops the cluster, and says what is still there without it.
async fn stop(
    cluster: Cluster,
    runtime: &dyn Runtime,
    manifest: &Manifest,
    options: &Options,
    network: Option<Network>,
) -> Result<(), Error> {
    let left = Left::read(&cluster, manifest).await;
    cluster.stop().await;
    let left = left?;
    let runs = empty::is_empty(runtime).await.map(|is_empty| !is_empty);
    if left.is_empty() {
        return match runs {
            Some(false) => runtime::forget(&options.data, network).await,
            Some(true) => say!("something of this --data still runs: --clean removes it"),
            // The next run asks again.
            None => Ok(()),
        };
    }
    say!("{}", left.told(options.clean, runs, runtime.name()))
}
