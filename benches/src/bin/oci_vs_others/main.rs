//! Containers that run `true` and go: the OCI runtime beside crun, runc and a Docker engine.
//!
//! `benches/oci.sh` makes what it needs and calls it with a directory: `rootfs`, the root file system that crun and
//! runc have, and `image.tar`, an image of the same. Names after it leave others out. All by turns, in one process. crun and runc have the best that
//! they can: one command that makes, starts, awaits and removes, on a root that is laid out already, without a filter of
//! system calls. Ours lays the root out for each, filters, keeps a log and survives its caller.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

mod aside;
mod command;
mod container;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::future::join_all;
use orch_benches::{median, millis};
use orch_core::runtime::Runtime;
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use orch_runtime_oci::{OciOptions, OciRuntime};

use aside::Aside;
use command::Program;
use container::Runner;

/// One after the other, of each.
const ROUNDS: usize = 200;
/// With so many at once, in all.
const IN_PARALLEL: usize = 400;
const AT_ONCE: usize = 8;
/// As many times so many.
const TURNS: usize = 5;
/// An engine is that much slower.
const OF_ENGINE: usize = 80;

/// What was measured of one.
#[derive(Default)]
struct Taken {
    name: String,
    times: Vec<Duration>,
    processor: Duration,
    /// Of each turn.
    per_second: Vec<f64>,
}

fn main() {
    orch_runtime_oci::init();
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory; see benches/oci.sh"));
    let named: Vec<String> = arguments.collect();
    let tokio = tokio::runtime::Runtime::new().expect("a runtime");
    tokio.block_on(measure(&dir, &|name| {
        named.is_empty() || named.iter().any(|named| named == name)
    }));
}

async fn measure(dir: &Path, is_wanted: &dyn Fn(&str) -> bool) {
    let runtime = OciRuntime::open(OciOptions::new(dir.join("state")).cgroup_parent("orch-bench"))
        .await
        .expect("the OCI runtime");
    let archive = dir.join("image.tar");
    let images = runtime.image_store().import(&archive, Some("bench/true")).await;
    images.expect("an image");
    let ours = Runner::new(Box::new(runtime), "bench/true").await;
    let aside = Aside::new();
    let programs: Vec<Program> = ["crun", "runc"]
        .into_iter()
        .filter(|name| is_wanted(name))
        .filter_map(|name| Program::find(name, dir, &aside))
        .collect();

    let mut of_ours = Taken::named("orch");
    let mut others: Vec<Taken> = programs
        .iter()
        .map(|program| Taken::named(program.name))
        .collect();
    for round in 0..=ROUNDS {
        // The first warms up.
        let counts = round > 0;
        of_ours.time(counts, ours.run(format!("one-{round}"))).await;
        for (program, taken) in programs.iter().zip(&mut others) {
            taken.time(counts, program.run(format!("one-{round}"))).await;
        }
    }
    let docker = engine().await;
    let docker = match docker {
        Some(docker) if is_wanted("docker") => {
            Some(Runner::new(Box::new(docker), "orch-test/busybox:latest").await)
        }
        _ => None,
    };
    let mut of_docker = Taken::named("docker");
    if let Some(docker) = &docker {
        for round in 0..=OF_ENGINE {
            of_docker
                .time(round > 0, docker.run(format!("one-{round}")))
                .await;
        }
    }
    // By turns too, for the machine's speed changes within a minute.
    for turn in 0..TURNS {
        let count = IN_PARALLEL / TURNS;
        of_ours
            .at_once(count, |nth| ours.run(format!("many-{turn}-{nth}")))
            .await;
        for (program, taken) in programs.iter().zip(&mut others) {
            taken
                .at_once(count, |nth| program.run(format!("many-{turn}-{nth}")))
                .await;
        }
        if let Some(docker) = &docker {
            of_docker
                .at_once(OF_ENGINE / TURNS, |nth| docker.run(format!("many-{turn}-{nth}")))
                .await;
        }
    }
    ours.clear().await;
    if let Some(docker) = docker {
        docker.clear().await;
        others.push(of_docker);
    }
    of_ours.show(None);
    others.iter().for_each(|other| other.show(Some(&of_ours)));
}

/// A Docker engine, where there is one.
async fn engine() -> Option<DockerRuntime> {
    let docker = DockerRuntime::new(DockerOptions::default().scope("orch-bench")).expect("options");
    let status = docker.status().await;
    if let Some(why) = status.message.filter(|_| !status.ready) {
        println!("no Docker engine: {why}");
        return None;
    }
    Some(docker)
}

impl Taken {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    async fn time(&mut self, counts: bool, one: impl Future<Output = ()>) {
        let (began, spent) = (Instant::now(), processor_time());
        one.await;
        if counts {
            self.times.push(began.elapsed());
            self.processor += processor_time().saturating_sub(spent);
        }
    }

    async fn at_once<F: Future<Output = ()>>(&mut self, count: usize, one: impl Fn(usize) -> F) {
        let (began, one) = (Instant::now(), &one);
        let lanes = (0..AT_ONCE).map(|lane| async move {
            for nth in (lane..count).step_by(AT_ONCE) {
                one(nth).await;
            }
        });
        join_all(lanes).await;
        self.per_second.push(count as f64 / began.elapsed().as_secs_f64());
    }

    fn show(&self, ours: Option<&Self>) {
        let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        let time = median(self.times.clone());
        println!(
            "{:<7} one after the other {:>7.1} ms (median of {count}), {:>5.1} ms of processor time each; {AT_ONCE} at once \
             {:>6.1} a second (median of {TURNS} turns)",
            self.name,
            millis(time),
            millis(self.processor) / f64::from(count),
            middle(&self.per_second)
        );
        if let Some(ours) = ours {
            let of_turns = ours.per_second.iter().zip(&self.per_second);
            let of_turns: Vec<f64> = of_turns.map(|(ours, its)| ours / its).collect();
            println!(
                "        orch takes {:.2}x its time, and has {:.2}x its starts a second",
                millis(median(ours.times.clone())) / millis(time),
                middle(&of_turns)
            );
        }
    }
}

fn middle(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// What the machine has spent, in the kernel's hundredths of a second: also in processes that nobody here waits for, such
/// as a daemon's. So nothing else must run on it.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").expect("the machine's figures");
    let all = stat.lines().next().expect("a line for all processors");
    // proc(5): user, nice, system, idle, iowait, irq, softirq.
    let ticks: Vec<u64> = all
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().expect("a number"))
        .collect();
    Duration::from_millis((ticks[..3].iter().sum::<u64>() + ticks[5] + ticks[6]) * 10)
}
