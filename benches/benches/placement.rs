//! How fast the placement engine decides.
//!
//! Pure placement: each request is decided and its room held, in memory, on one thread. Nothing is read from or
//! written to a store and nothing is bound, so this bounds a scheduler's throughput and is not it. Requests and
//! nodes exist before the clock starts; each run begins with a fresh engine, so what it costs to learn the
//! shapes of requests is in the figures.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use orch_core::scheduler::{
    Condition, Engine, Node, Operator, Preference, Profile, Queue, Request, Requirements, Resources,
    Scheduler, Shape, Taint, Term,
};

/// Requests per run: ten per node on 5,000 nodes, fifty on 1,000.
const REQUESTS: usize = 50_000;

fn node(index: usize) -> Node {
    Node::new(
        format!("node-{index:05}"),
        Resources::new(32_000, 128 << 30).slots(110),
    )
    .label("kubernetes.io/hostname", format!("node-{index:05}"))
    .label("kubernetes.io/os", "linux")
    .label("topology.kubernetes.io/zone", format!("zone-{}", index % 3))
    .label("generation", (index % 7).to_string())
}

fn engine(profile: Profile, nodes: usize) -> Engine {
    let engine = Engine::builder().profile(profile).build();
    for index in 0..nodes {
        let node = node(index);
        // One in twenty is reserved, one in a hundred cordoned, as in a real cluster.
        let node = if index % 20 == 7 {
            node.taint(Taint::new(
                "dedicated",
                "db",
                orch_core::scheduler::Effect::NoSchedule,
            ))
        } else {
            node
        };
        engine.set_node(if index % 100 == 11 { node.cordoned() } else { node });
    }
    engine
}

/// The shape of an owner's replicas: one of five sizes.
fn replica(owner: usize) -> Requirements {
    let size = Resources::new(50 + 50 * (owner as u64 % 5), (64 << 20) * (1 + owner as u64 % 5)).slots(1);
    Requirements::of(size).group(&format!("owner-{owner}"))
}

/// A replica with a selector, affinity and preferences too.
fn constrained(owner: usize) -> Requirements {
    let mut needs = replica(owner);
    needs
        .selector
        .insert("kubernetes.io/os".to_owned(), "linux".to_owned());
    let zones = vec!["zone-0".to_owned(), "zone-1".to_owned()];
    let in_zones = Condition::label("topology.kubernetes.io/zone", Operator::In(zones));
    needs.affinity = vec![Term::new([in_zones])];
    let newer = Term::new([Condition::label("generation", Operator::Gt(3))]);
    needs.preferences = vec![Preference {
        weight: 10,
        term: newer,
    }];
    needs
}

/// `REQUESTS` requests, the owner of each given by its index.
fn requests(owner: impl Fn(usize) -> usize, needs: fn(usize) -> Requirements) -> Vec<Request> {
    let owners = (0..REQUESTS).map(&owner).max().map_or(0, |most| most + 1);
    let shapes: Vec<Shape> = (0..owners).map(|owner| needs(owner).into()).collect();
    let request = |index: usize| {
        Request::new(format!("default/pod-{index}"), shapes[owner(index)].clone()).order(index as u64)
    };
    (0..REQUESTS).map(request).collect()
}

fn place_all(engine: &Engine, requests: &[Request]) {
    for request in requests {
        let placed = engine.place(request);
        assert!(black_box(placed).is_ok(), "there is room for all");
    }
}

fn placement(c: &mut Criterion) {
    let workloads: [(&str, fn() -> Profile, Vec<Request>); 7] = [
        (
            "one owner, spread",
            || Profile::spreading("p"),
            requests(|_| 0, replica),
        ),
        (
            "50 owners in bursts, spread",
            || Profile::spreading("p"),
            requests(|index| index / 1_000, replica),
        ),
        (
            "500 owners in bursts, spread",
            || Profile::spreading("p"),
            requests(|index| index / 100, replica),
        ),
        (
            "500 owners by turns, spread",
            || Profile::spreading("p"),
            requests(|index| index % 500, replica),
        ),
        (
            "every request another owner, spread",
            || Profile::spreading("p"),
            requests(|index| index, replica),
        ),
        (
            "50 owners in bursts, all constraints, spread",
            || Profile::spreading("p"),
            requests(|index| index / 1_000, constrained),
        ),
        (
            "50 owners in bursts, packed",
            || Profile::packing("p"),
            requests(|index| index / 1_000, replica),
        ),
    ];
    for nodes in [1_000, 5_000] {
        let mut group = c.benchmark_group(format!("placement, {nodes} nodes"));
        group
            .sample_size(10)
            .throughput(Throughput::Elements(REQUESTS as u64));
        for (name, profile, requests) in &workloads {
            group.bench_function(*name, |bencher| {
                bencher.iter_batched_ref(
                    || engine(profile(), nodes),
                    |engine| place_all(engine, requests),
                    BatchSize::PerIteration,
                );
            });
        }
        let requests = &workloads[1].2;
        group.bench_function(
            "50 owners in bursts, spread, through the queue and confirmed",
            |bencher| {
                bencher.iter_batched_ref(
                    || {
                        (
                            engine(Profile::spreading("p"), nodes),
                            Queue::default(),
                            requests.clone(),
                        )
                    },
                    |(engine, queue, requests)| {
                        for request in requests.drain(..) {
                            queue.push(request);
                        }
                        while let Some(popped) = queue.try_pop() {
                            let request = &popped.request;
                            let placement = engine.place(request).expect("there is room for all");
                            queue.placed(&request.key);
                            engine.set_placement(&request.key, &placement.node, &request.shape);
                            queue.remove(&request.key);
                        }
                    },
                    BatchSize::PerIteration,
                );
            },
        );
        group.finish();
    }
}

fn refusal(c: &mut Criterion) {
    for nodes in [1_000, 5_000] {
        let mut group = c.benchmark_group(format!("refusal, {nodes} nodes"));
        group.throughput(Throughput::Elements(1));
        let engine = engine(Profile::spreading("p"), nodes);
        let huge = Requirements::of(Resources::new(64_000, 1 << 30).slots(1));
        let huge = Request::new("default/huge", huge);
        group.bench_function("explained anew", |bencher| {
            let mut cordoned = false;
            bencher.iter(|| {
                // Any change makes the explanation of before worthless.
                cordoned = !cordoned;
                let node = node(0);
                engine.set_node(if cordoned { node.cordoned() } else { node });
                black_box(engine.place(&huge)).is_err()
            });
        });
        group.bench_function("asked again, nothing changed", |bencher| {
            bencher.iter(|| black_box(engine.place(&huge)).is_err());
        });
        group.finish();
    }
}

criterion_group!(benches, placement, refusal);
criterion_main!(benches);
