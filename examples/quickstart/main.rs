//! The main job of orch, in one program: a Kubernetes manifest in, running containers out, that heal and roll.
//!
//!     cargo run --release --example quickstart -- --help

#[macro_use]
mod say;
mod clean;
mod data;
mod earlier;
mod events;
mod manifest;
mod news;
mod options;
mod ours;
mod runtime;
mod serve;
mod steps;
mod wait;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::{Cluster, Removal};
use orch_cluster::manifest::Manifest;
use orch_core::store::Store;
use orch_store::RedbStore;
use tokio::signal::unix::{SignalKind, signal};

use earlier::Earlier;
use manifest::Source;
use options::{Command, Options, USAGE};
use say::Closed;
use steps::Measured;
use watch::Views;

type Error = Box<dyn std::error::Error + Send + Sync>;

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
    let images = if options.clean {
        Vec::new()
    } else {
        source.images("docker")?
    };
    let data = data::open(&options.data)?;
    source.put_ports_in(data::ports(&data));
    let state = data.join("state.redb");
    let began = Instant::now();
    // First, for it also keeps a second program out of the directory.
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(&state)?);
    let opened = began.elapsed();
    let chosen = runtime::choose(options.runtime, &images, &data).await?;
    let mut said = say!("runtime: {} ({})", chosen.runtime.name(), chosen.why);
    let manifest = source.read(chosen.runtime.name())?;
    if !options.clean {
        let images = source.images(chosen.runtime.name())?;
        for warning in runtime::image_warnings(&*chosen.runtime, &images) {
            said = said.and_then(|()| say!("warning: {warning}"));
        }
    }

    let earlier = Earlier::read(&store).await?;
    let began = Instant::now();
    let node = AgentConfig::new("local").volumes_dir(data.join("volumes"));
    let cluster = Cluster::builder(store)
        .node_with(node, chosen.runtime)
        .start()
        .await?;
    let took = millis(opened + began.elapsed());
    said = said.and_then(|()| say!("cluster up in {took:.1} ms, state in {}\n", state.display()));

    let views = Views::open(&cluster, &manifest).await;
    let work = async {
        said?;
        work(&cluster, &views, &earlier, &manifest, &options).await
    };
    let mut result = tokio::select! {
        result = work => result,
        asked = asked_to_end() => asked.and_then(|()| say!("\nstopped")),
    };
    if !options.keep && result.as_ref().is_err_and(Closed::is) {
        // That something goes on could be told to nobody.
        result = clean::clean_quietly(&cluster, &manifest).await.and(result);
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
async fn asked_to_end() -> Result<(), Error> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminated.recv() => Ok(()),
    }
}

async fn work(
    cluster: &Cluster,
    views: &Views,
    earlier: &Earlier,
    manifest: &Manifest,
    options: &Options,
) -> Result<(), Error> {
    if options.clean {
        for one in clean::clean(cluster, views, manifest).await? {
            let word = match one.removal {
                // By now.
                Removal::Deleting => Removal::Deleted,
                other => other,
            };
            let kind = one.target.resource.kind.to_lowercase();
            say!("{kind}/{} {word}", one.target.key.name())?;
        }
        say!("everything the manifest made is gone")?;
        return Ok(());
    }
    steps::node(views).await?;
    let as_it_was = earlier.compare(cluster, views).await?;
    let mut measured = Measured::default();
    let ready = steps::apply(cluster, views, manifest).await?;
    if ready.ended {
        measured.settled = Some(ready.took);
    } else {
        measured.ready = Some(ready.took);
    }
    match ready.deployments.first() {
        // Who comes back to what was kept wants it as it is.
        _ if options.keep && ready.unchanged && as_it_was => say!("everything is as it was, and left so")?,
        _ if options.keep && ready.unchanged => {
            say!("the manifest has not changed: all is left as it is now")?
        }
        None => {}
        Some(first) => match steps::is_still(views, first) {
            Some(why) => say!("deployment {first} is not killed or rolled: {why}")?,
            None => {
                measured.heal = Some(steps::kill(cluster, views, first).await?);
                measured.roll = Some(steps::roll(cluster, views, first).await?);
                measured.back = Some(steps::roll_back(cluster, views, first).await?);
            }
        },
    }
    report(&measured)?;
    if options.keep {
        say!("going on until Ctrl-C; what changes is told here")?;
        return views.follow().await;
    }
    clean::clean(cluster, views, manifest).await?;
    say!("cleaned up; the state file stays")?;
    Ok(())
}

fn report(measured: &Measured) -> Result<(), Error> {
    for (what, took) in [
        ("applied to ready", measured.ready),
        ("applied to ready or ended", measured.settled),
        ("killed to ready again", measured.heal),
        ("rolled to the new version", measured.roll),
        ("rolled back", measured.back),
    ] {
        if let Some(took) = took {
            say!("{what:26} {:>8.0} ms", millis(took))?;
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
