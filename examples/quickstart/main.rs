//! The main job of orch, in one program: a Kubernetes manifest in, running containers out, that heal and roll.
//!
//!     cargo run --release --example quickstart -- --help

mod data;
mod manifest;
mod options;
mod runtime;
mod serve;
mod steps;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::Manifest;
use orch_store::RedbStore;

use manifest::Source;
use options::{Command, Options, USAGE};
use steps::Measured;
use watch::Views;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match options::parse() {
        Ok(Command::Run(options)) => run(options).await,
        Ok(Command::Serve) => serve::serve().await,
        Ok(Command::Check) => serve::check().await,
        Ok(Command::Help) => {
            println!("{USAGE}");
            Ok(())
        }
        Err(error) => Err(format!("{error}\n\n{USAGE}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Error> {
    let source = Source::new(options.manifest.clone())?;
    // What cannot be read is refused before anything is made or asked.
    let images = if options.clean {
        Vec::new()
    } else {
        source.images("docker")?
    };
    let data = data::open(&options.data)?;
    let state = data.join("state.redb");
    let began = Instant::now();
    // First, for it also keeps a second program out of the directory.
    let store = RedbStore::open(&state)?;
    let opened = began.elapsed();
    let chosen = runtime::choose(options.runtime, &images, &data).await?;
    println!("runtime: {} ({})", chosen.runtime.name(), chosen.why);
    let manifest = source.read(chosen.runtime.name())?;
    if !options.clean {
        let images = source.images(chosen.runtime.name())?;
        for warning in runtime::image_warnings(&*chosen.runtime, &images) {
            println!("warning: {warning}");
        }
    }

    let began = Instant::now();
    let node = AgentConfig::new("local").volumes_dir(data.join("volumes"));
    let cluster = Cluster::builder(Arc::new(store))
        .node_with(node, chosen.runtime)
        .start()
        .await?;
    println!(
        "cluster up in {:.1} ms, state in {}\n",
        millis(opened + began.elapsed()),
        state.display()
    );

    let views = Views::open(&cluster).await;
    let result = tokio::select! {
        result = work(&cluster, &views, &manifest, &options) => result,
        _ = tokio::signal::ctrl_c() => {
            println!("\nstopped");
            Ok(())
        }
    };
    let left = steps::left(&cluster).await;
    drop(views);
    cluster.stop().await;
    if left? {
        println!(
            "what runs goes on: started again with this --data it is taken over; with --clean, what the manifest made is \
             removed"
        );
    } else {
        runtime::forget(&data)?;
    }
    result
}

async fn work(cluster: &Cluster, views: &Views, manifest: &Manifest, options: &Options) -> Result<(), Error> {
    if options.clean {
        steps::clean(cluster, manifest).await?;
        println!("everything the manifest made is gone");
        return Ok(());
    }
    let before = views.pods.len();
    if before > 0 {
        println!(
            "found {before} pods of an earlier run:\n\n{}\n",
            orch_examples::pod_table(&watch::all_pods(cluster).await?)
        );
    }
    let mut measured = Measured::default();
    let ready = steps::apply(cluster, views, manifest).await?;
    measured.ready = Some(ready.took);
    match ready.deployments.first() {
        // Who comes back to what was kept wants it as it is.
        _ if options.keep && ready.unchanged => println!("everything is as it was, and left so"),
        None => {}
        Some(first) => match steps::is_still(views, first) {
            Some(why) => println!("deployment {first} is not killed or rolled: {why}"),
            None => {
                measured.heal = Some(steps::kill(cluster, views, first).await?);
                measured.roll = Some(steps::roll(cluster, views, first).await?);
                measured.back = Some(steps::roll_back(cluster, views, first).await?);
            }
        },
    }
    report(&measured);
    if options.keep {
        println!("going on until Ctrl-C");
        std::future::pending::<()>().await;
    }
    steps::clean(cluster, manifest).await?;
    println!("cleaned up; the state file stays");
    Ok(())
}

fn report(measured: &Measured) {
    for (what, took) in [
        ("applied to ready", measured.ready),
        ("killed to ready again", measured.heal),
        ("rolled to the new version", measured.roll),
        ("rolled back", measured.back),
    ] {
        if let Some(took) = took {
            println!("{what:26} {:>8.0} ms", millis(took));
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
