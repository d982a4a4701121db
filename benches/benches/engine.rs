//! The reconcile engine by itself, over the memory store: how long one turn takes, and how many it takes a second.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use orch_benches::Counter;
use orch_core::cache::Cache;
use orch_core::client::{Client, WatchEvent, WatchParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
use orch_core::store::MemoryStore;
use tokio::runtime::{Builder, Runtime};

const OBJECTS: usize = 100_000;

/// Writes into the status what the spec says.
struct Copies;

#[async_trait]
impl Controller for Copies {
    type Object = Counter;

    async fn reconcile(&self, counter: Arc<Counter>, cx: &Context) -> Result<Action, ReconcileError> {
        if counter.status != Some(counter.spec) {
            let status = serde_json::to_value(counter.spec)?;
            let uid = Some(counter.metadata.uid.as_str());
            let api = cx.client().api::<Counter>("default");
            api.put_status(&counter.metadata.name, uid, &status).await?;
        }
        Ok(Action::done())
    }
}

/// Looks at the object and has nothing to do, as reconcilers mostly have.
struct Looks;

#[async_trait]
impl Controller for Looks {
    type Object = Counter;

    async fn reconcile(&self, counter: Arc<Counter>, _: &Context) -> Result<Action, ReconcileError> {
        std::hint::black_box(counter.spec);
        Ok(Action::done())
    }
}

fn runtime(builder: &mut Builder) -> Runtime {
    builder.enable_time().build().expect("a runtime")
}

/// From the call of create to the watcher's sight of the status: create, event, reconcile, status write, event.
/// The median turn, times the rounds.
async fn turns(rounds: u64) -> Duration {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let running = Engine::new(Copies, &client).start();
    let api = client.api::<Counter>("default");
    let mut watch = api.watch(&WatchParams::default()).await.expect("a watch");
    let mut took = Vec::new();
    for n in 0..rounds {
        let counter = Counter::new(n);
        let began = Instant::now();
        api.create(&counter).await.expect("created");
        loop {
            let event = watch.next().await.expect("it goes on").expect("history is held");
            if let WatchEvent::Modified(counter) = event
                && counter.status == Some(n)
            {
                break;
            }
        }
        took.push(began.elapsed());
    }
    running.stop().await;
    took.sort_unstable();
    took[took.len() / 2] * u32::try_from(rounds).expect("criterion asks for fewer")
}

async fn full_cache() -> (Client, Cache<Counter>) {
    let client = Client::new(Arc::new(MemoryStore::new()));
    orch_benches::fill(&client, OBJECTS).await;
    let cache = Cache::builder(&client).start();
    cache.synced().await;
    (client, cache)
}

/// From the start of an engine over a full cache until it has reconciled every object once.
async fn sweep(cache: &Cache<Counter>, client: &Client) -> Duration {
    let began = Instant::now();
    let running = Engine::new(Looks, client)
        .cache(cache.clone())
        .concurrency(2)
        .start();
    while running.metrics().succeeded < OBJECTS as u64 {
        tokio::task::yield_now().await;
    }
    let took = began.elapsed();
    running.stop().await;
    took
}

fn engine(criterion: &mut Criterion) {
    let runtime = runtime(Builder::new_multi_thread().worker_threads(2));
    let mut group = criterion.benchmark_group("engine");
    let mut turn = |threads: &str, runtime: &Runtime| {
        let name = format!("create, reconcile, status written, seen by a watcher, {threads}");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async { tokio::spawn(turns(rounds)).await.expect("done") })
            });
        });
    };
    turn("one thread", &self::runtime(&mut Builder::new_current_thread()));
    turn("two threads", &runtime);
    let full = OnceLock::new(); // filled by who needs it: a profile of the turns is to show nothing else
    group.sample_size(10);
    group.throughput(Throughput::Elements(OBJECTS as u64));
    group.bench_function("100,000 objects queued and reconciled", |bencher| {
        let (client, cache) = full.get_or_init(|| runtime.block_on(full_cache()));
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    took += sweep(cache, client).await;
                }
                took
            })
        });
    });
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
