//! Containers that run `true` and go: the OCI runtime beside crun, runc and a Docker engine.
//!
//! `benches/oci.sh` makes what it needs and calls it with a directory: `rootfs`, the root file system that crun and
//! runc have, and `image.tar`, an image of the same. Names after it leave others out. All by turns, in one process. crun and runc have
//! the best that they can: one command that makes, starts, awaits and removes, on a root that is laid out already, without a
//! filter of system calls. Ours lays the root out for each, filters, keeps a log and survives its caller.
//!
//! Twice: all on the machine's network, and each with a network namespace of its own that is connected to nothing, as Docker
//! has it with `--network none`. For ours that is a pod for each container, made and removed with it.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

mod alone;
mod aside;
mod command;
mod container;
mod engine;
mod taken;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use orch_runtime_oci::{OciOptions, OciRuntime};

use alone::Alone;
use aside::Aside;
use command::Program;
use container::Runner;
use engine::Engine;
use taken::Taken;

/// Which network containers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// The machine's.
    Host,
    /// One of its own, which leads nowhere.
    Own,
}

/// Something that runs containers.
#[async_trait]
trait Contender: Sync {
    fn name(&self) -> &str;

    /// How often, one after the other; and with several at once, in all.
    fn counts(&self) -> (usize, usize) {
        (200, 400)
    }

    /// Makes, starts, awaits and removes a container.
    async fn run(&self, name: String);

    /// Leaves nothing.
    async fn clear(&self) {}
}

/// How many at once.
const AT_ONCE: usize = 8;
/// As many times those that run at once.
const TURNS: usize = 5;

fn main() {
    orch_runtime_oci::init();
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory; see benches/oci.sh"));
    let named: Vec<String> = arguments.collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    let tokio = tokio::runtime::Runtime::new().expect("a runtime");
    let aside = Aside::new();
    for (network, title) in [
        (Network::Host, "on the machine's network"),
        (Network::Own, "each with a network of its own that leads nowhere"),
    ] {
        println!("{title}:");
        tokio.block_on(measure(&dir, network, &aside, &is_wanted));
    }
}

async fn measure(dir: &Path, network: Network, aside: &Aside, is_wanted: &dyn Fn(&str) -> bool) {
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(ours(dir, network).await)];
    for name in ["crun", "runc"].into_iter().filter(|name| is_wanted(name)) {
        let found = Program::find(name, dir, network, aside);
        contenders.extend(found.map(|program| Box::new(program) as Box<dyn Contender>));
    }
    if is_wanted("docker") {
        let found = Engine::find(network).await;
        contenders.extend(found.map(|engine| Box::new(engine) as Box<dyn Contender>));
    }
    let mut all: Vec<Taken> = contenders.iter().map(|one| Taken::named(one.name())).collect();
    // Those that are quick by turns, and then an engine, which has something to do long after it has answered.
    let (quick, slow): (Vec<usize>, Vec<usize>) =
        (0..contenders.len()).partition(|at| contenders[*at].counts().0 == contenders[0].counts().0);
    for group in [quick, slow] {
        let Some(first) = group.first() else { continue };
        for round in 0..=contenders[*first].counts().0 {
            for at in &group {
                // The first warms up.
                let one = contenders[*at].run(format!("one-{round}"));
                all[*at].time(round > 0, one).await;
            }
        }
    }
    // By turns too, for the machine's speed changes within a minute.
    for turn in 0..TURNS {
        for (contender, taken) in contenders.iter().zip(&mut all) {
            let count = contender.counts().1 / TURNS;
            let one = |nth| contender.run(format!("many-{turn}-{nth}"));
            taken.at_once(AT_ONCE, count, one).await;
        }
    }
    for contender in &contenders {
        contender.clear().await;
    }
    let (ours, others) = all.split_first().expect("ours is the first");
    ours.show(AT_ONCE, None);
    others.iter().for_each(|other| other.show(AT_ONCE, Some(ours)));
}

async fn ours(dir: &Path, network: Network) -> Runner {
    let options = OciOptions::new(dir.join("state")).cgroup_parent("orch-bench");
    let options = match network {
        Network::Host => options,
        Network::Own => options.network(Arc::new(Alone)),
    };
    let runtime = OciRuntime::open(options).await.expect("the OCI runtime");
    let archive = dir.join("image.tar");
    let images = runtime.image_store().import(&archive, Some("bench/true")).await;
    images.expect("an image");
    Runner::new(runtime, network, "bench/true").await
}
