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
/// An engine is that much slower.
const OF_ENGINE: usize = 40;

/// What was measured of one.
#[derive(Default)]
struct Taken {
    name: String,
    times: Vec<Duration>,
    processor: Duration,
    per_second: f64,
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
    of_ours
        .at_once(IN_PARALLEL, |nth| ours.run(format!("many-{nth}")))
        .await;
    for (program, taken) in programs.iter().zip(&mut others) {
        taken
            .at_once(IN_PARALLEL, |nth| program.run(format!("many-{nth}")))
            .await;
    }
    ours.clear().await;

    let docker = DockerRuntime::new(DockerOptions::default().scope("orch-bench")).expect("options");
    let status = docker.status().await;
    if let Some(why) = status.message.filter(|_| !status.ready) {
        println!("no Docker engine: {why}");
    } else if is_wanted("docker") {
        let docker = Runner::new(Box::new(docker), "orch-test/busybox:latest").await;
        let mut taken = Taken::named("docker");
        for round in 0..=OF_ENGINE {
            taken.time(round > 0, docker.run(format!("one-{round}"))).await;
        }
        taken
            .at_once(OF_ENGINE, |nth| docker.run(format!("many-{nth}")))
            .await;
        docker.clear().await;
        others.push(taken);
    }
    of_ours.show(None);
    others.iter().for_each(|other| other.show(Some(&of_ours)));
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
        self.per_second = count as f64 / began.elapsed().as_secs_f64();
    }

    fn show(&self, ours: Option<&Self>) {
        let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        let time = median(self.times.clone());
        println!(
            "{:<7} one after the other {:>7.1} ms (median of {count}), {:>5.1} ms of processor time each; {AT_ONCE} at once \
             {:>6.1} a second",
            self.name,
            millis(time),
            millis(self.processor) / f64::from(count),
            self.per_second
        );
        if let Some(ours) = ours {
            println!(
                "        orch takes {:.2}x its time, and has {:.2}x its starts a second",
                millis(median(ours.times.clone())) / millis(time),
                ours.per_second / self.per_second
            );
        }
    }
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
